package sys

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Event is one event of an epoll instance: Events is a set of EPOLL bits, and Ref what the
// descriptor was added with.
type Event struct {
	Events uint32
	Ref    uint64
}

// epollEvent is struct epoll_event, which is packed on amd64 only: two 32-bit halves have
// the right layout there, and Pad mends it elsewhere.
type epollEvent = unix.EpollEvent

// Epoll is an epoll instance. It belongs to one thread, except Add, which any may call.
type Epoll struct {
	fd  int
	raw []epollEvent
}

// NewEpoll makes an instance that takes up to batch events in one Wait.
func NewEpoll(batch int) (*Epoll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return &Epoll{fd: fd, raw: make([]epollEvent, batch)}, nil
}

// Add watches fd for events, a set of EPOLL bits; each event then carries ref.
func (p *Epoll) Add(fd int, ref uint64, events uint32) syscall.Errno {
	return p.ctl(unix.EPOLL_CTL_ADD, fd, ref, events)
}

// Mod changes what fd is watched for. For an edge-triggered descriptor this also arms the
// edge again: a condition that holds now is reported.
func (p *Epoll) Mod(fd int, ref uint64, events uint32) syscall.Errno {
	return p.ctl(unix.EPOLL_CTL_MOD, fd, ref, events)
}

// Del stops watching fd. Closing the last descriptor of a socket does the same.
func (p *Epoll) Del(fd int) syscall.Errno { return p.ctl(unix.EPOLL_CTL_DEL, fd, 0, 0) }

func (p *Epoll) ctl(op, fd int, ref uint64, events uint32) syscall.Errno {
	ev := epollEvent{Events: events, Fd: int32(uint32(ref)), Pad: int32(uint32(ref >> 32))}
	_, _, e := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(p.fd), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(&ev)), 0, 0)
	return e
}

// Wait waits for events, fills dst with them and returns how many. It tells the scheduler, so
// that other threads can have its P meanwhile.
func (p *Epoll) Wait(dst []Event) (int, syscall.Errno) { return p.wait(dst, false) }

// wait waits for events; keep says to keep the P.
//
// There is no timeout on purpose: it would cost the setting of a hardware timer for each
// wait. See Timer.
func (p *Epoll) wait(dst []Event, keep bool) (int, syscall.Errno) {
	n := min(len(dst), len(p.raw))
	const forever = ^uintptr(0)
	var r uintptr
	var e syscall.Errno
	if keep {
		r, _, e = unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&p.raw[0])), uintptr(n), forever, 0, 0)
	} else {
		r, _, e = unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&p.raw[0])), uintptr(n), forever, 0, 0)
	}
	if e != 0 {
		return 0, e
	}
	for i := range p.raw[:r] {
		ev := &p.raw[i]
		dst[i] = Event{Events: ev.Events, Ref: uint64(uint32(ev.Fd)) | uint64(uint32(ev.Pad))<<32}
	}
	return int(r), 0
}

// Close closes the instance.
func (p *Epoll) Close() { Close(p.fd) }
