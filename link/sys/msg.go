package sys

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Mmsghdr is struct mmsghdr: one message of a batch, and how many bytes of it went.
type Mmsghdr struct {
	Hdr unix.Msghdr
	Len uint32
	_   [4]byte
}

// SetMsg points h at the pieces v of a message, its control data ctl and the socket
// address name; empty ones are left out. All must stay referenced elsewhere.
func SetMsg(h *unix.Msghdr, name []byte, v []Iovec, ctl []byte) {
	h.Name, h.Namelen = nil, uint32(len(name))
	if len(name) > 0 {
		h.Name = unsafe.SliceData(name)
	}
	h.Iov = unsafe.SliceData(v)
	h.SetIovlen(len(v))
	h.Control = nil
	h.SetControllen(len(ctl))
	if len(ctl) > 0 {
		h.Control = unsafe.SliceData(ctl)
	}
	h.Flags = 0
}

// Sendmsg sends one message; flags are MSG bits.
func Sendmsg(fd int, h *unix.Msghdr, flags int) (int, syscall.Errno) {
	return ret(unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(h)), uintptr(flags)))
}

// Recvmsg receives one message.
func Recvmsg(fd int, h *unix.Msghdr, flags int) (int, syscall.Errno) {
	return ret(unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(h)), uintptr(flags)))
}

// Sendmmsg sends a batch and returns how many messages of it went. An error comes only
// if the first one failed.
func Sendmmsg(fd int, h []Mmsghdr, flags int) (int, syscall.Errno) {
	return ret(raw4(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(h))), uintptr(len(h)), uintptr(flags)))
}

// Recvmmsg receives a batch and returns how many messages came.
func Recvmmsg(fd int, h []Mmsghdr, flags int) (int, syscall.Errno) {
	return ret(raw5(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(h))), uintptr(len(h)), uintptr(flags), 0))
}

// Send sends b on a connected socket.
func Send(fd int, b []byte, flags int) (int, syscall.Errno) {
	return ret(raw5(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), uintptr(flags), 0))
}

// Recv receives into b from a connected socket.
func Recv(fd int, b []byte, flags int) (int, syscall.Errno) {
	return ret(raw5(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), uintptr(flags), 0))
}

// Discard takes n bytes off a TCP socket's receive queue without copying them (tcp(7),
// MSG_TRUNC) and returns how many there were.
func Discard(fd, n int) (int, syscall.Errno) {
	return ret(raw5(unix.SYS_RECVFROM, uintptr(fd), 0, uintptr(n), unix.MSG_TRUNC|unix.MSG_DONTWAIT, 0))
}

func raw4(trap, a, b, c, d uintptr) (uintptr, uintptr, syscall.Errno) {
	return unix.RawSyscall6(trap, a, b, c, d, 0, 0)
}

func raw5(trap, a, b, c, d, e uintptr) (uintptr, uintptr, syscall.Errno) {
	return unix.RawSyscall6(trap, a, b, c, d, e, 0)
}
