package stage

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"passt/cmd/internal/sandbox"
)

// stopGrace is how long a command that handles SIGTERM has to end.
const stopGrace = 200 * time.Millisecond

// translator is the stage between the host's network and the namespace's.
type translator struct {
	c      *config
	log    *slog.Logger
	start  int // socket to the start stage
	ns     int // socket to the namespace stage
	pid    int // of the namespace stage and then the command, in our PID namespace
	status procStatus

	engine runner               // nil until set-up is done
	gone   chan unix.WaitStatus // the command's, or the namespace stage's
	ended  chan error           // the engine's
}

// translate is the translator stage. It returns the exit status.
func translate(c *config, start int) int {
	nameProcess("pasta-net")
	t := &translator{
		c: c, log: c.logger(), start: start,
		gone:  make(chan unix.WaitStatus, 1),
		ended: make(chan error, 1),
	}
	stop := t.stopRequests()
	type result struct {
		engine runner
		err    error
	}
	done := make(chan result, 1)
	go func() {
		e, err := t.setUp()
		done <- result{e, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return t.fail(r.err)
		}
		t.engine = r.engine
	case <-stop:
		return t.exit(0) // which ends the namespace stage too, by the end of our PID namespace
	}
	return t.supervise(stop)
}

// fail reports err to the start stage, which prints it.
func (t *translator) fail(err error) int {
	code := statusOf(err)
	if e := send(t.start, failed(code, err)); e != nil {
		t.log.Error(err.Error()) // nobody is there to print it
	}
	return code
}

// stopRequests returns a channel that is closed when we are to stop: at SIGTERM, and when
// the start stage says so or is gone. Signals that a terminal sends to all processes of
// its foreground are left to the start stage.
func (t *translator) stopRequests() <-chan struct{} {
	stop := make(chan struct{})
	term := make(chan os.Signal, 1)
	notify(term, unix.SIGTERM)
	notify(make(chan os.Signal, 1), unix.SIGINT, unix.SIGHUP, unix.SIGQUIT) // nobody reads it
	eof := make(chan struct{})
	go func() {
		for {
			if _, _, err := recv(t.start); err != nil {
				close(eof)
				return
			}
		}
	}()
	go func() {
		select {
		case <-term:
		case <-eof:
		}
		close(stop)
	}()
	return stop
}

// setUp starts the namespace stage and the engine, closes the sandbox and lets the
// command go. The order matters: whatever needs the host's files comes before the sandbox,
// and the command only runs when it is connected.
func (t *translator) setUp() (runner, error) {
	if err := t.launchNamespace(); err != nil {
		return nil, err
	}
	// While the namespace stage starts, there is time.
	if err := letGo(); err != nil {
		t.log.Debug(err.Error()) // somebody waits for an end of file for longer, at worst
	}
	m, fds, err := t.hear(kindConfigured)
	if err != nil {
		return nil, err
	}
	for _, w := range m.Warnings {
		t.log.Warn(w)
	}
	t.c.Network.IfName = m.IfName
	engine, err := steps.newEngine(engineParams{
		Options: &t.c.Options, Network: &t.c.Network,
		TapFDs: fds, TapFeatures: m.Features, GuestMAC: m.MAC, PcapFD: t.c.Pcap, Log: t.log,
	})
	if err != nil {
		return nil, err
	}
	t.status = openStatus(m.PID)
	if err := sandbox.Enter(); err != nil {
		return nil, err
	}
	t.log.Debug("everything is open and the sandbox closed")
	go func() { t.ended <- engine.Run() }()
	if err := t.letCommandGo(); err != nil {
		return nil, err
	}
	t.log.Debug("the command runs", "interface", m.IfName, "pid", m.PID)
	return engine, send(t.start, message{Kind: kindReady})
}

// letCommandGo has the namespace stage execute the command, and waits until it has.
func (t *translator) letCommandGo() error {
	if err := send(t.ns, message{Kind: kindGo}); err != nil {
		return fmt.Errorf("start the command: %w", err)
	}
	switch m, _, err := recv(t.ns); {
	case err == io.EOF: // by a successful execve
		unix.Close(t.ns)
		return nil
	case err != nil:
		return fmt.Errorf("start the command: %w", err)
	default:
		return &exitError{m.Code, errors.New(m.Text)}
	}
}

// launchNamespace starts the namespace stage.
func (t *translator) launchNamespace() error {
	ours, theirs, err := pair()
	if err != nil {
		return err
	}
	defer unix.Close(theirs)
	t.ns = ours
	t.pid, err = launch(argNamespace, t.c, theirs, &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
	})
	if err != nil {
		return fmt.Errorf("create a network namespace: %w", explainNamespaces(err, readSysctl))
	}
	go func() { t.gone <- wait(t.pid) }()
	return nil
}

// hear waits for a message of kind k from the namespace stage, and turns anything else
// into an error.
func (t *translator) hear(k kind) (message, []int, error) {
	m, fds, err := recv(t.ns)
	switch {
	case err == io.EOF:
		return m, nil, fmt.Errorf("the namespace process ended unexpectedly (%s)", describeStatus(<-t.gone))
	case err != nil:
		return m, nil, fmt.Errorf("wait for the namespace process: %w", err)
	case m.Kind == kindFailed:
		return m, nil, &exitError{m.Code, errors.New(m.Text)}
	case m.Kind != k:
		return m, nil, fmt.Errorf("the namespace process said %q, not %q", m.Kind, k)
	}
	return m, fds, nil
}

// supervise waits for the first reason to end, and ends everything.
func (t *translator) supervise(stop <-chan struct{}) int {
	select {
	case ws := <-t.gone:
		return t.exit(shellStatus(ws))
	case <-stop:
		t.engine.Stop() // ports are free from here on
		t.terminate()
		return t.exit(0)
	case err := <-t.ended:
		// The end of the namespace shows on the tap too, perhaps before we can have the
		// command's status.
		select {
		case ws := <-t.gone:
			return t.exit(shellStatus(ws))
		case <-time.After(stopGrace):
		}
		if err == nil {
			err = errors.New("the translator stopped by itself")
		}
		t.terminate()
		return t.fail(err)
	}
}

// exit tells the start stage that this was a regular end, with the status code.
func (t *translator) exit(code int) int {
	if t.engine != nil {
		t.engine.Stop() // the ports are free before anybody hears that we are done
	}
	if err := send(t.start, message{Kind: kindExit, Code: code}); err != nil {
		t.log.Debug("report the exit status", "error", err)
	}
	return code
}

// terminate ends the command and with it everything in its namespaces.
func (t *translator) terminate() {
	// The first process of a PID namespace does not get a signal that it has no handler for.
	if t.status.handles(unix.SIGTERM) {
		_ = unix.Kill(t.pid, unix.SIGTERM) // it may be gone, here and below
		select {
		case <-t.gone:
			return
		case <-time.After(stopGrace):
		}
	}
	_ = unix.Kill(t.pid, unix.SIGKILL)
	<-t.gone
}

// nameProcess sets the name that ps and pgrep show by default, which would be that of
// /proc/self/exe.
func nameProcess(name string) {
	_ = os.WriteFile("/proc/self/comm", []byte(name), 0) // cosmetic
}
