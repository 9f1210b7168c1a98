package e2e

import (
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// holdVar names the socket to which the held command reports.
const holdVar = "E2E_HOLD"

// hold is the COMMAND that the tests give to pasta. It connects to the test, which learns
// its process ID, and with that its namespaces, from the socket's credentials; then it waits
// for one byte, its exit status. If the test goes away it exits 0.
func hold() {
	c, err := net.Dial("unix", os.Getenv(holdVar))
	if err != nil {
		os.Stderr.WriteString("hold: " + err.Error() + "\n")
		os.Exit(99)
	}
	b := make([]byte, 1)
	if n, _ := c.Read(b); n == 1 {
		os.Exit(int(b[0]))
	}
	os.Exit(0)
}

// holder is the test's side of a held command.
type holder struct {
	pid  int // in the PID namespace of the tests
	conn *net.UnixConn
}

// acceptHolder waits for a held command to report on l.
func acceptHolder(l *net.UnixListener, timeout time.Duration) (*holder, error) {
	if err := l.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	c, err := l.AcceptUnix()
	if err != nil {
		return nil, err
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return nil, err
	}
	if credErr != nil {
		return nil, credErr
	}
	return &holder{pid: int(cred.Pid), conn: c}, nil
}

// exit makes the command exit with status.
func (h *holder) exit(status byte) error {
	_, err := h.conn.Write([]byte{status})
	return err
}
