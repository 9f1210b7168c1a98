package sys

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// SetFilter gives prog, a program for seccomp(2), to every thread of the process, of which each
// has to have given up new privileges before. flags are SECCOMP_FILTER_FLAG bits besides
// SECCOMP_FILTER_FLAG_TSYNC. It belongs into set-up.
func SetFilter(prog []unix.SockFilter, flags int) error {
	p := unix.SockFprog{Len: uint16(len(prog)), Filter: unsafe.SliceData(prog)}
	flags |= unix.SECCOMP_FILTER_FLAG_TSYNC
	tid, _, e := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(flags), uintptr(unsafe.Pointer(&p)))
	if e != 0 {
		return e
	}
	if tid != 0 {
		return fmt.Errorf("thread %d has a filter of its own", tid)
	}
	return nil
}
