package sys

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Timer is an alarm whose descriptor becomes readable when it goes off (timerfd_create(2)).
// Watched edge-triggered, it need not be read. A worker sets it only when its next deadline
// is earlier than what is set, which under load is once in many milliseconds, where a timeout
// of each wait would set a hardware timer thousands of times.
type Timer struct {
	fd   int
	spec unix.ItimerSpec // of Set, where the kernel finds it without an allocation
}

// NewTimer makes a timer that is not set.
func NewTimer() (*Timer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return &Timer{fd: fd}, nil
}

// FD is the descriptor to watch.
func (t *Timer) FD() int { return t.fd }

// Set makes the timer go off once, after ns nanoseconds, and not when it was set to before.
func (t *Timer) Set(ns int64) syscall.Errno {
	t.spec.Value = unix.NsecToTimespec(max(ns, 1))
	_, _, e := raw4(unix.SYS_TIMERFD_SETTIME, uintptr(t.fd), 0, uintptr(unsafe.Pointer(&t.spec)), 0)
	return e
}

// Close closes the descriptor.
func (t *Timer) Close() { Close(t.fd) }
