package stage

// Going to the background. The first process executes the program again, as the start stage
// in a session of its own, and does nothing but wait until that says that all is ready, or
// has ended, having said why. So there is no fork of a process that has begun to work, and
// the process that stays is the one that has done all from the start: it knows what the
// options said, holds the host's files, and can clean up at the end.

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"passt/cmd/internal/conf"
)

// launchSupervisor is the first process where the program goes to the background. It returns the exit
// status.
func launchSupervisor(c *config) int {
	reveal()
	log := c.logger()
	ours, theirs, err := pair()
	if err != nil {
		log.Error(err.Error())
		return exitFailure
	}
	arg := argSupervisor
	if c.Options.Mode == conf.ModePasst {
		arg = argGuests
	}
	pid, err := launch(arg, c, theirs, forked(&syscall.SysProcAttr{Setsid: true}))
	unix.Close(theirs)
	if err != nil {
		log.Error(err.Error())
		return exitFailure
	}
	sigs := make(chan os.Signal, 4)
	notify(sigs, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT)
	ready := make(chan bool)
	go func() {
		m, _, err := recv(ours)
		ready <- err == nil && m.Kind == kindReady
	}()
	var kill <-chan time.Time
	for {
		select {
		case <-sigs:
			kill = time.After(killAfter + time.Second)
			_ = unix.Shutdown(ours, unix.SHUT_WR) // fails if it is gone, which shows below
		case <-kill:
			_ = unix.Kill(pid, unix.SIGKILL)
		case up := <-ready:
			if up {
				return 0
			}
			ws := wait(pid)
			if !ws.Exited() || ws.ExitStatus() == 0 {
				log.Error("the supervising process ended unexpectedly (" + describeStatus(ws) + ")")
				return exitFailure
			}
			return ws.ExitStatus()
		}
	}
}

// superviseInBackground is the start stage in the background; front is the socket to the first
// process.
func superviseInBackground(c *config, front int) int {
	nameProcess(c.Options.Mode.String())
	return newStarter(*c, front).main()
}

// frontGone returns a channel that is closed when the first process is gone, or asks to stop.
func (s *starter) frontGone() <-chan struct{} {
	if s.front < 0 {
		return nil
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for {
			if _, _, err := recv(s.front); err != nil {
				return
			}
		}
	}()
	return gone
}

// detach lets go of what the caller may wait for the end of, and tells the first process that
// it may go.
func (s *starter) detach(sock int) {
	_ = send(sock, message{Kind: kindDetach}) // if it has gone, we hear of that
	// Standard output is /dev/null already.
	if err := unix.Dup3(1, 2, 0); err != nil {
		s.log.Warn("let go of standard error", "error", err)
	}
	if err := unix.Chdir("/"); err != nil { // a folder should not be in use for our sake
		s.log.Debug("leave the working folder", "error", err)
	}
	s.log = s.c.logger()                        // with the system's log
	_ = send(s.front, message{Kind: kindReady}) // if it has gone, we are to stop, and hear of that
}
