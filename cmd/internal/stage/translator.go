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

	"passt/cmd/internal/hostinfo"
	"passt/cmd/internal/netns"
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

	engine   runner                // nil until set-up is done
	gone     chan unix.WaitStatus  // the command's, or the namespace stage's
	left     chan struct{}         // a namespace that existed has ended
	ended    chan error            // the engine's
	mayGo    chan struct{}         // the command may run
	networks chan hostinfo.Network // what the guest gets from then on
	bind     binder
}

func newTranslator(c *config, start int) *translator {
	return &translator{
		bind: binder{sock: start, answers: make(chan syscall.Errno, 1), ended: make(chan struct{})},
		c:    c, log: c.logger(), start: start,
		gone:     make(chan unix.WaitStatus, 1),
		left:     make(chan struct{}),
		ended:    make(chan error, 1),
		mayGo:    make(chan struct{}),
		networks: make(chan hostinfo.Network),
	}
}

// translate is the translator stage. It returns the exit status.
func translate(c *config, start int) int {
	nameProcess("pasta-net")
	t := newTranslator(c, start)
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
	go t.followHost()
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
// the start stage says so or is gone. Signals that a terminal sends to all processes of its
// foreground are left to the start stage, but not in the background, where only we can be
// meant.
func (t *translator) stopRequests() <-chan struct{} {
	stop := make(chan struct{})
	sigs := make(chan os.Signal, 1)
	notify(sigs, unix.SIGTERM)
	terminal := make(chan os.Signal, 1)
	if t.c.background() {
		if _, err := unix.Setsid(); err != nil {
			t.log.Debug("start a session", "error", err)
		}
		terminal = sigs
	}
	notify(terminal, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT)
	eof := make(chan struct{})
	go func() {
		defer close(eof)
		defer close(t.bind.ended)
		t.listen()
	}()
	go func() {
		select {
		case <-sigs:
		case <-eof:
		}
		close(stop)
	}()
	return stop
}

// listen does what the start stage says, until that is gone.
func (t *translator) listen() {
	for {
		m, _, err := recv(t.start)
		if err != nil {
			return
		}
		switch m.Kind {
		case kindGo:
			close(t.mayGo)
		case kindDetach:
			t.detach()
		case kindBound:
			t.bind.answer(syscall.Errno(m.Code))
		case kindNetwork:
			t.log.Info(m.Text)
			t.networks <- *m.Network // somebody takes it, since it only comes when we are ready
		case kindNote:
			for _, w := range m.Warnings {
				t.log.Warn(w)
			}
		}
	}
}

// followHost hands on what the guest gets to the engine.
func (t *translator) followHost() {
	e, ok := t.engine.(interface{ Follow(*hostinfo.Network) })
	for n := range t.networks {
		if ok {
			e.Follow(&n)
		}
	}
}

// detach lets go of standard error, the last thing of the caller's that we had.
func (t *translator) detach() {
	// Standard output is /dev/null already, and the sandbox has no other.
	if err := unix.Dup3(1, 2, 0); err != nil {
		t.log.Warn("let go of standard error", "error", err)
	}
	t.log.Debug("in the background")
}

// setUp gets the tap from the namespace stage, builds the engine, closes the sandbox and lets
// the command go, if there is one. The order matters: whatever needs the host's files comes
// before the sandbox, and the command only runs when it is connected.
func (t *translator) setUp() (runner, error) {
	if t.ns = t.c.NS; t.ns < 0 {
		if err := t.launchNamespace(); err != nil {
			return nil, err
		}
	}
	// While the namespace stage starts, there is time.
	if err := letGo(); err != nil {
		t.log.Debug(err.Error()) // somebody waits for an end of file for longer, at worst
	}
	// One that was started in a user namespace of its own, or after joining another, has
	// changed its user by that already.
	if id := t.c.RunAs; id.Change {
		if err := sandbox.SetUser(id.UID, id.GID); err != nil {
			return nil, err
		}
	}
	m, fds, err := t.hear(kindConfigured)
	if err != nil {
		return nil, err
	}
	for _, w := range m.Warnings {
		t.log.Warn(w)
	}
	t.c.Network.IfName = m.IfName
	netns := -1
	if t.c.Options.ConfigNet {
		// For the start stage, which can have it changed later.
		if netns, err = unix.FcntlInt(uintptr(fds[m.Taps]), unix.F_DUPFD_CLOEXEC, 3); err != nil {
			return nil, fmt.Errorf("hold the network namespace: %w", err)
		}
	}
	engine, err := steps.newEngine(engineParams{
		Options: &t.c.Options, Network: &t.c.Network,
		TapFDs: fds[:m.Taps], TapFeatures: m.Features, GuestMAC: m.MAC, NetNS: fds[m.Taps], PcapFD: t.c.Pcap, Log: t.log,
		Privileged: t.privileged(),
	})
	if err != nil {
		return nil, err
	}
	if m.PID != 0 {
		t.status = openStatus(m.PID)
	}
	if err := t.enterSandbox(); err != nil {
		return nil, err
	}
	t.log.Debug("everything is open and the sandbox closed")
	if err := t.serveControls(engine); err != nil {
		return nil, err
	}
	go func() { t.ended <- engine.Run() }()
	if t.c.Options.Joins() {
		if err := t.watch(m.Watch, fds[m.Taps+1:]); err != nil {
			return nil, err
		}
	} else if err := t.letCommandGo(); err != nil {
		return nil, err
	}
	t.log.Debug("the namespace is connected", "interface", m.IfName)
	return engine, t.sayReady(m.IfName, netns)
}

// sayReady tells the start stage that all is connected, and hands over netns if it is not -1.
func (t *translator) sayReady(ifname string, netns int) error {
	if netns < 0 {
		return send(t.start, message{Kind: kindReady, IfName: ifname})
	}
	defer unix.Close(netns)
	return send(t.start, message{Kind: kindReady, IfName: ifname}, netns)
}

// enterSandbox closes the sandbox. Ports below 1024 of the namespace may be bound later on:
// the right to do so is worth nothing outside of it, unless it was there before.
func (t *translator) enterSandbox() error {
	c := sandbox.Config{Keep: []int{unix.CAP_NET_BIND_SERVICE}, ChrootFallback: t.c.Options.ChrootFallback}
	if err := sandbox.Enter(c); err != nil {
		return err
	}
	switch err := steps.filter(); {
	case errors.Is(err, sandbox.ErrNoProgram):
		t.log.Debug("any system call stays possible", "error", err)
	case err != nil:
		t.log.Warn(fmt.Sprintf("any system call stays possible: %v", err))
	}
	return nil
}

// watch waits for the end of a namespace that existed: of w, with the descriptors fds, if the
// namespace stage opened it.
func (t *translator) watch(w *netns.Watch, fds []int) error {
	if w == nil {
		w = &t.c.Target.Watch
	} else if err := w.Receive(fds); err != nil {
		return err
	}
	go func() {
		if err := w.Wait(); err != nil {
			t.log.Warn("the end of the namespace will not be noticed", "error", err)
			return
		}
		close(t.left)
	}()
	return nil
}

// letCommandGo has the namespace stage execute the command, once the start stage has written
// what the command may look for, and waits until it has.
func (t *translator) letCommandGo() error {
	if err := send(t.start, message{Kind: kindConnected}); err != nil {
		return err
	}
	<-t.mayGo
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
	t.pid, err = launch(argNamespace, t.c, theirs, forked(&syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
	}))
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
	case err == io.EOF && t.pid == 0:
		return m, nil, errors.New("the namespace process ended unexpectedly")
	case err == io.EOF:
		return m, nil, fmt.Errorf("the namespace process ended unexpectedly (%s)", describeStatus(<-t.gone))
	case err != nil:
		return m, nil, fmt.Errorf("wait for the namespace process: %w", err)
	case m.Kind == kindFailed:
		return m, nil, &exitError{m.Code, errors.New(m.Text)}
	case m.Kind != k || len(fds) <= m.Taps:
		return m, nil, fmt.Errorf("the namespace process said %q with %d descriptors, not %q", m.Kind, len(fds), k)
	}
	return m, fds, nil
}

// supervise waits for the first reason to end, and ends everything.
func (t *translator) supervise(stop <-chan struct{}) int {
	select {
	case ws := <-t.gone:
		return t.exit(shellStatus(ws))
	case <-t.left:
		t.log.Debug("the namespace is gone")
		return t.exit(0)
	case <-stop:
		t.stopEngine()
		t.terminate()
		return t.exit(0)
	case err := <-t.ended:
		// The end of the namespace shows on the tap too, perhaps before we can have the
		// command's status.
		select {
		case ws := <-t.gone:
			return t.exit(shellStatus(ws))
		case <-t.left:
			return t.exit(0)
		case <-time.After(stopGrace):
		}
		if err == nil {
			err = errors.New("the link to the guest has ended: its interface was removed")
		}
		t.terminate()
		return t.fail(err)
	}
}

// stopEngine frees the ports, and leaves no worse way to end this process than SIGTERM: in the
// background, nobody else is there to kill it.
func (t *translator) stopEngine() {
	hung := time.AfterFunc(killAfter, func() { os.Exit(exitFailure) })
	t.engine.Stop()
	hung.Stop()
}

// exit tells the start stage that this was a regular end, with the status code.
func (t *translator) exit(code int) int {
	if t.engine != nil {
		t.stopEngine() // before anybody hears that we are done
	}
	if err := send(t.start, message{Kind: kindExit, Code: code}); err != nil {
		t.log.Debug("report the exit status", "error", err)
	}
	return code
}

// terminate ends the command and with it everything in its namespaces.
func (t *translator) terminate() {
	if t.pid == 0 {
		return // it is not ours
	}
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
