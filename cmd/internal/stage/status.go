package stage

import (
	"bytes"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// procStatus is the open /proc/PID/status of a process, which can be read when there is
// no /proc to be seen any more; -1 if it could not be opened.
type procStatus int

// openStatus opens the status of pid, a number of the PID namespace that /proc belongs to.
func openStatus(pid int) procStatus {
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/status", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return procStatus(fd)
}

// handles says whether the process has a handler for sig, and true if that is unknown.
func (p procStatus) handles(sig unix.Signal) bool {
	if p < 0 {
		return true
	}
	b := make([]byte, 8192)
	n, err := unix.Pread(int(p), b, 0)
	if err != nil {
		return true
	}
	return caught(b[:n], sig)
}

// caught looks for sig in the line SigCgt of a /proc/PID/status.
func caught(status []byte, sig unix.Signal) bool {
	_, rest, ok := bytes.Cut(status, []byte("\nSigCgt:"))
	if !ok {
		return true
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	mask, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 64)
	return err != nil || mask&(1<<(sig-1)) != 0
}
