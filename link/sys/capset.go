package sys

import (
	"errors"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// errCgo is what ENOTSUP means here: threads that the Go runtime doesn't know of would keep
// what is to be taken away.
var errCgo = errors.New("this program was built with cgo; build it with CGO_ENABLED=0")

// allThreads is the result of a system call made on all threads.
func allThreads(e syscall.Errno) error {
	switch e {
	case 0:
		return nil
	case syscall.ENOTSUP:
		return errCgo
	}
	return e
}

// SetCaps sets the permitted and effective capabilities to keep, one bit for each
// CAP_* number, and clears the inheritable ones, on every thread of the process; the
// kernel clears ambient capabilities with them. It stops the other threads for as long
// as that takes, so it belongs into set-up.
func SetCaps(keep uint64) error {
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	lo, hi := uint32(keep), uint32(keep>>32)
	d := [2]unix.CapUserData{{Effective: lo, Permitted: lo}, {Effective: hi, Permitted: hi}}
	_, _, e := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&h)), uintptr(unsafe.Pointer(&d)), 0)
	return allThreads(e)
}

// PrctlAll calls prctl(2) with one argument on every thread of the process, for settings
// that each thread has on its own.
func PrctlAll(option, arg uintptr) error {
	_, _, e := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, option, arg, 0, 0, 0, 0)
	return allThreads(e)
}
