package stage

import (
	"os/signal"

	"golang.org/x/sys/unix"
)

// terminal remembers a terminal whose foreground is our process group. A shell in the
// namespace makes itself the foreground group; when it ends it can't give the terminal
// back, because our group has no number in its PID namespace, so the start stage does.
type terminal struct {
	fd    int // -1 if there is none
	group int
}

// foregroundTerminal finds the terminal among the standard descriptors.
func foregroundTerminal() terminal {
	group := unix.Getpgrp()
	for fd := range 3 {
		fg, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
		if err != nil || fg != group {
			continue
		}
		if d, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3); err == nil {
			return terminal{d, group}
		}
	}
	return terminal{-1, group}
}

// takeBack makes our process group the foreground again, and forgets the terminal.
func (t terminal) takeBack() {
	if t.fd < 0 {
		return
	}
	if fg, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP); err == nil && fg != t.group {
		// From the background, the request itself would stop us.
		signal.Ignore(unix.SIGTTOU)
		_ = unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, t.group) // the terminal may be gone
	}
	unix.Close(t.fd)
}
