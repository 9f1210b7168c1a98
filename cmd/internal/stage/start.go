package stage

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"passt/cmd/internal/conf"
	"passt/cmd/internal/logx"
)

// killAfter is how long the translator has, once asked to stop, before it is killed: its
// own grace for the command, and some more.
const killAfter = stopGrace + time.Second

// Run runs the command that o gives, or the user's shell, in new namespaces connected as
// o says, and returns the exit status for this process: the command's, 128 + N if signal
// N ended it, 0 if we were asked to stop, 127 or 126 if the command can't be executed,
// and 1 for any other failure. Whatever fails is printed here, to standard error.
func Run(o *conf.Options) int {
	s := &starter{c: config{Options: *o, Start: time.Now(), Pcap: -1}}
	s.log = s.c.logger()
	code, err := s.run()
	for _, f := range s.files {
		f.undo()
	}
	if err != nil {
		s.log.Error(err.Error())
		return statusOf(err)
	}
	return code
}

// starter is the start stage.
type starter struct {
	c     config
	log   *slog.Logger
	files []*hostFile // to remove again if the command never runs
	pid   *hostFile   // --pid; nil if none
}

func (s *starter) run() (int, error) {
	if err := s.prepare(); err != nil {
		return 0, err
	}
	sigs := make(chan os.Signal, 4)
	notify(sigs, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT)
	tty := foregroundTerminal()
	defer tty.takeBack()

	pid, sock, err := s.launchTranslator()
	if err != nil {
		return 0, err
	}
	if err := letGo(); err != nil {
		s.log.Debug(err.Error())
	}
	return s.supervise(pid, sock, sigs)
}

// notify passes signals on to c, except those that we were started to ignore, by nohup or
// as the background job of a shell: these are ignored by the command too.
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
	if s.c.Command, err = findCommand(o.Command); err != nil {
		return err
	}
	n, warnings, err := steps.resolve(o)
	for _, w := range warnings {
		s.log.Warn(w)
	}
	if err != nil {
		return err
	}
	s.c.Network = *n
	if o.Pcap != "" {
		f, err := s.create("--pcap", o.Pcap, 0o600)
		if err != nil {
			return err
		}
		s.c.Pcap = f.fd
	}
	if o.PidFile != "" {
		if s.pid, err = s.create("--pid", o.PidFile, 0o644); err != nil {
			return err
		}
	}
	if !o.Quiet {
		steps.describe(n, logx.Stderr, o)
	}
	return nil
}

// launchTranslator starts the translator stage; sock leads to it.
func (s *starter) launchTranslator() (pid, sock int, err error) {
	sock, theirs, err := pair()
	if err != nil {
		return 0, -1, err
	}
	defer unix.Close(theirs)
	pid, err = launch(argTranslator, &s.c, theirs, &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	})
	if err != nil {
		unix.Close(sock)
		return 0, -1, fmt.Errorf("create a user namespace: %w", explainNamespaces(err, readSysctl))
	}
	if s.c.Pcap >= 0 {
		unix.Close(s.c.Pcap)
	}
	return pid, sock, nil
}

// supervise passes on signals until the translator is gone, and returns the exit status.
func (s *starter) supervise(pid, sock int, sigs <-chan os.Signal) (int, error) {
	msgs := make(chan message)
	go func() {
		defer close(msgs)
		for {
			m, _, err := recv(sock)
			if err != nil {
				return // the translator is gone
			}
			msgs <- m
		}
	}()
	var last message
	var stopped bool
	var kill <-chan time.Time
	for open := true; open; {
		select {
		case <-sigs:
			if !stopped {
				stopped, kill = true, time.After(killAfter)
				_ = unix.Shutdown(sock, unix.SHUT_WR) // fails if it is gone, which is what we want
			}
		case <-kill:
			_ = unix.Kill(pid, unix.SIGKILL) // and the kernel, all that is in its namespace
		case m, ok := <-msgs:
			if open = ok; ok {
				last = m
			}
			if ok && m.Kind == kindReady {
				s.ready()
			}
		}
	}
	ws := wait(pid)
	switch {
	case stopped:
		return 0, nil
	case last.Kind == kindExit:
		return last.Code, nil
	case last.Kind == kindFailed:
		return 0, &exitError{last.Code, errors.New(last.Text)}
	}
	return 0, fmt.Errorf("the translator process ended unexpectedly (%s)", describeStatus(ws))
}

// ready is called once the command runs, connected.
func (s *starter) ready() {
	if s.pid != nil {
		if _, err := unix.Write(s.pid.fd, []byte(strconv.Itoa(os.Getpid())+"\n")); err != nil {
			s.log.Warn(fmt.Sprintf("--pid %s: %v", s.pid.path, err))
		}
		unix.Close(s.pid.fd)
	}
	s.files = nil // they are to stay now
	// From here on, this process only waits: give back what finding the host's network took.
	debug.FreeOSMemory()
}

// hostFile is a file of the host that we write to.
type hostFile struct {
	path    string
	fd      int
	created bool // it did not exist before
}

// create opens the file at path for writing, empty. option is for messages.
func (s *starter) create(option, path string, mode uint32) (*hostFile, error) {
	const flags = unix.O_WRONLY | unix.O_CLOEXEC | unix.O_CREAT | unix.O_NOCTTY
	f := &hostFile{path: path, created: true}
	var err error
	f.fd, err = unix.Open(path, flags|unix.O_EXCL, mode)
	if err == unix.EEXIST {
		f.created = false
		f.fd, err = unix.Open(path, flags|unix.O_TRUNC, mode)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: can't open the file for writing: %w", option, path, err)
	}
	s.files = append(s.files, f)
	return f, nil
}

// undo removes the file if we created it.
func (f *hostFile) undo() {
	if f.created {
		_ = unix.Unlink(f.path) // best effort, after another failure
	}
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
