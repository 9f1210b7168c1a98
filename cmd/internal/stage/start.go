package stage

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"passt/cmd/internal/conf"
	"passt/cmd/internal/hostwatch"
	"passt/cmd/internal/logx"
	"passt/cmd/internal/sandbox"
)

// killAfter is how long the translator has, once asked to stop, before it is killed: its
// own grace for the command, and some more.
const killAfter = stopGrace + time.Second

// Run connects the guest that o names, and returns the exit status for this process: for a
// command in new namespaces the command's, 128 + N if signal N ended it, or 127 or 126 if it
// can't be executed; 0 if we were asked to stop or the guest has gone, or once all is
// ready and the rest goes on in the background; and 1 for any other failure. Whatever fails
// is printed here, to standard error.
func Run(o *conf.Options) int {
	c := newConfig(o)
	if c.background() {
		return launchSupervisor(&c)
	}
	return newStarter(c, -1).main()
}

// starter is the start stage.
type starter struct {
	c     config
	log   *slog.Logger
	files []*hostFile // to remove again if the command never runs
	link  guestLink
	pid   *hostFile // --pid; nil if none

	controls controls
	watch    *hostwatch.Watch // of the host's network; nil if there is none

	sigs   chan os.Signal // that ask us to stop
	userNS int            // to join before the network namespace; -1 if there is none
	front  int            // socket to the first process, which waits for all to be ready; -1 if that is us
	isUp   bool           // all is ready
}

func newStarter(c config, front int) *starter {
	return &starter{c: c, log: c.logger(), link: guestLink{fd: -1}, sigs: make(chan os.Signal, 4), userNS: -1, front: front}
}

// main is the start stage from its beginning to its end.
func (s *starter) main() int {
	reveal()
	code, err := s.run()
	s.link.remove()
	s.controls.remove()
	for _, f := range s.files {
		f.undo()
	}
	if err != nil {
		s.log.Error(err.Error())
		return statusOf(err)
	}
	return code
}

func (s *starter) run() (int, error) {
	if err := s.prepare(); err != nil {
		return 0, err
	}
	tty := foregroundTerminal()
	defer tty.takeBack()

	pid, sock, err := s.launchTranslator()
	if err != nil {
		return 0, err
	}
	if err := letGo(); err != nil {
		s.log.Debug(err.Error())
	}
	return s.supervise(pid, sock)
}

// notify passes signals on to c, except those that we were started to ignore, by nohup or
// as the background job of a shell. The command ignores SIGHUP and SIGINT too then; others the Go
// runtime has taken over before it can be told, so that the command finds them at their default.
func notify(c chan<- os.Signal, signals ...os.Signal) {
	for _, s := range signals {
		if !signal.Ignored(s) {
			signal.Notify(c, s)
		}
	}
}

// prepare does all that needs the host and can fail, before anything is created.
func (s *starter) prepare() (err error) {
	o := &s.c.Options
	if err := s.openLog(); err != nil {
		return err
	}
	if s.c.RunAs, err = identify(o.RunAs); err != nil {
		return err
	}
	switch {
	case s.c.Options.Joins():
		err = s.openTarget()
	case o.Mode == conf.ModePasta:
		s.c.Command, err = findCommand(o.Command)
	}
	if err != nil {
		return err
	}
	s.watch = steps.watch(s.log) // before the first look
	n, warnings, err := steps.resolve(o)
	for _, w := range warnings {
		s.log.Warn(w)
	}
	if err != nil {
		return err
	}
	s.c.Network = *n
	// What is made from here on is to be removed again, whatever ends us.
	notify(s.sigs, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT)
	if o.Mode == conf.ModePasst {
		if s.link, err = openLink(o); err != nil {
			return err
		}
		s.c.Link, s.c.Guests = s.link.fd, s.link.path
	}
	if err := s.createFiles(); err != nil {
		return err
	}
	if err := s.openControls(); err != nil {
		return err
	}
	s.describe()
	return nil
}

// openLog opens the places for messages other than standard error. Our own go to the system's
// log too only once they are the translator's, in the background.
func (s *starter) openLog() error {
	o := &s.c.Options
	if o.LogFile != "" {
		fd, err := logx.OpenFile(o.LogFile)
		if err != nil {
			return fmt.Errorf("--log-file %s: %w", o.LogFile, err)
		}
		s.c.LogFile = fd
		s.log = s.c.logger()
	} else if s.c.background() && !o.Debug {
		if fd, err := logx.OpenSyslog(); err == nil { // a system without one is nothing to complain about
			s.c.Syslog = fd
		}
	}
	return nil
}

// createFiles creates the files that this process or the translator will write to.
func (s *starter) createFiles() (err error) {
	o := &s.c.Options
	if o.Pcap != "" {
		f, err := s.create("--pcap", o.Pcap, 0o600)
		if err != nil {
			return err
		}
		s.c.Pcap = f.fd
	}
	if o.PidFile != "" {
		s.pid, err = s.create("--pid", o.PidFile, 0o644)
	}
	return err
}

// describe says what the guest gets, and how to connect one.
func (s *starter) describe() {
	o := &s.c.Options
	if o.Quiet {
		return
	}
	var b strings.Builder
	steps.describe(&s.c.Network, &b, o)
	s.link.describe(&b, o)
	for line := range strings.Lines(b.String()) {
		s.log.Info(line)
	}
}

// launchTranslator starts the translator stage; sock leads to it.
func (s *starter) launchTranslator() (pid, sock int, err error) {
	sock, theirs, err := pair()
	if err != nil {
		return 0, -1, err
	}
	defer unix.Close(theirs)
	s.c.Binds = mayBindLow()
	d := s.c
	d.RunAs.Change = false // being started in another user namespace does it
	arg, explain := argTranslator, explainNew
	if s.c.Options.Mode == conf.ModePasst {
		arg = argGuest
	}
	var start spawner
	if s.c.Options.Joins() {
		if d.NS, err = s.launchInTarget(); err != nil {
			return 0, -1, err
		}
		defer unix.Close(d.NS)
		start, explain = s.inTarget(), explainJoin
		d.Target.FD = -1 // it comes with the tap
		d.RunAs.Change = s.c.RunAs.Change && s.userNS < 0
	} else if start, err = s.inNew(); err != nil {
		return 0, -1, err
	}
	pid, err = launch(arg, &d, theirs, start)
	if err != nil {
		unix.Close(sock)
		return 0, -1, explain(err)
	}
	if s.c.Pcap >= 0 {
		unix.Close(s.c.Pcap)
	}
	s.c.Target.Close()
	s.link.passedOn()
	return pid, sock, nil
}

// inNew is the spawner of a translator in a user namespace of its own, in which it is user 0
// whoever that is outside. Whoever creates a user namespace may do anything in it and in those
// below, without any privilege outside. That is for the user to be, not for root, so we
// change into that user first, and keep root's capabilities for as long as it takes.
func (s *starter) inNew() (spawner, error) {
	id := s.c.RunAs
	if id.Change {
		if err := sandbox.SetUser(id.UID, id.GID); err != nil {
			return nil, err
		}
		if err := unix.Faccessat(unix.AT_FDCWD, self, unix.X_OK, unix.AT_EACCESS); err != nil {
			return nil, fmt.Errorf("execute this program again as user %d: %w; give everybody that permission, or choose a user with --runas", id.UID, err)
		}
	}
	return forked(&syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: id.UID, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: id.GID, Size: 1}},
	}), nil
}

func explainNew(err error) error {
	return fmt.Errorf("create a user namespace: %w", explainNamespaces(err, readSysctl))
}

// supervise passes on signals, and what changes on the host, until the translator is gone, and
// returns the exit status.
func (s *starter) supervise(pid, sock int) (int, error) {
	type heard struct {
		message
		fds []int
	}
	msgs := make(chan heard)
	go func() {
		defer close(msgs)
		for {
			m, fds, err := recv(sock)
			if err != nil { // the translator is gone, or out of its mind
				closeAll(fds)
				_ = unix.Kill(pid, unix.SIGKILL)
				return
			}
			msgs <- heard{m, fds}
		}
	}()
	gone := s.frontGone()
	var last message
	var stopped bool
	var broken error // why we have stopped
	var kill <-chan time.Time
	stop := func() {
		if !stopped {
			stopped, kill = true, time.After(killAfter)
			_ = unix.Shutdown(sock, unix.SHUT_WR) // fails if it is gone, which is what we want
			s.stopFollowing()
		}
	}
	for open := true; open; {
		select {
		case <-s.sigs:
			stop()
		case <-gone:
			if gone = nil; !s.isUp {
				stop()
			}
		case <-kill:
			_ = unix.Kill(pid, unix.SIGKILL) // and the kernel, all that is in its namespace
		case m, ok := <-msgs:
			if open = ok; !ok {
				continue
			}
			if m.Kind == kindBind {
				s.answerBind(sock, m.message, m.fds)
				continue
			}
			last = m.message
			switch {
			case m.Kind == kindConnected && !stopped:
				if broken = s.writePID(); broken == nil {
					_ = send(sock, message{Kind: kindGo}) // if it has gone, we hear of that
					continue
				}
				stop()
			case m.Kind == kindReady && !stopped && !s.isUp:
				if broken = s.writePID(); broken == nil {
					s.ready(sock)
					s.follow(sock, m.IfName, m.fds)
					continue
				}
				stop()
			case m.Kind == kindExit:
				s.stopFollowing()
			}
			closeAll(m.fds) // nothing else comes with any
		}
	}
	ws := wait(pid)
	if broken != nil {
		return 0, broken
	}
	return s.verdict(last, ws, stopped)
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// verdict is the exit status after the end of the translator, whose last message is given.
func (s *starter) verdict(last message, ws unix.WaitStatus, stopped bool) (int, error) {
	switch {
	case stopped && s.c.background() && !s.isUp:
		return 0, errors.New("stopped by a signal before all was ready")
	case stopped:
		return 0, nil
	case last.Kind == kindExit && s.c.background() && !s.isUp:
		return 0, errors.New("the namespace went before all was ready")
	case last.Kind == kindExit:
		return last.Code, nil
	case last.Kind == kindFailed:
		return 0, &exitError{last.Code, errors.New(last.Text)}
	}
	return 0, fmt.Errorf("the translator process ended unexpectedly (%s)", describeStatus(ws))
}

// writePID has the file of --pid say who we are, once.
func (s *starter) writePID() error {
	f := s.pid
	if f == nil {
		return nil
	}
	s.pid = nil
	defer unix.Close(f.fd)
	err := empty(f.fd)
	if err == nil {
		_, err = unix.Write(f.fd, []byte(strconv.Itoa(os.Getpid())+"\n"))
	}
	if err != nil {
		return fmt.Errorf("--pid %s: %w", f.path, err)
	}
	return nil
}

// ready is called once all is connected; sock leads to the translator.
func (s *starter) ready(sock int) {
	s.files, s.isUp = nil, true // they are to stay now
	if s.front >= 0 {
		s.detach(sock)
	}
	if err := s.confine(); err != nil {
		s.log.Debug("give up what is not needed any more", "error", err)
	}
	// From here on, this process mostly waits: give back what finding the host's network took.
	debug.FreeOSMemory()
}

// wait waits for the child pid.
func wait(pid int) (ws unix.WaitStatus) {
	for {
		if _, err := unix.Wait4(pid, &ws, 0, nil); err != unix.EINTR {
			return ws
		}
	}
}

// shellStatus is the exit status by which a shell reports ws.
func shellStatus(ws unix.WaitStatus) int {
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

func describeStatus(ws unix.WaitStatus) string {
	if ws.Signaled() {
		return "signal: " + ws.Signal().String()
	}
	return "exit status " + strconv.Itoa(ws.ExitStatus())
}
