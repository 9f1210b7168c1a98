package sys

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Socket makes a socket, non-blocking and close-on-exec.
func Socket(domain, typ, proto int) (int, syscall.Errno) {
	return ret(unix.RawSyscall(unix.SYS_SOCKET, uintptr(domain), uintptr(typ|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC), uintptr(proto)))
}

// Accept takes one connection off a listening socket, non-blocking and close-on-exec,
// and writes the peer's socket address to name, whose length it returns.
func Accept(fd int, name []byte) (nfd, namelen int, e syscall.Errno) {
	l := uint32(len(name))
	r, _, e := raw4(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(name))), uintptr(unsafe.Pointer(&l)),
		unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	if e != 0 {
		return -1, 0, e
	}
	return int(r), int(l), 0
}

// Connect connects fd to the socket address name, or dissolves the association if name is
// of family AF_UNSPEC.
func Connect(fd int, name []byte) syscall.Errno {
	_, _, e := unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(name))), uintptr(len(name)))
	return e
}

// Bind binds fd to the socket address name.
func Bind(fd int, name []byte) syscall.Errno {
	_, _, e := unix.RawSyscall(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(name))), uintptr(len(name)))
	return e
}

// Listen makes fd a listening socket.
func Listen(fd, backlog int) syscall.Errno {
	_, _, e := unix.RawSyscall(unix.SYS_LISTEN, uintptr(fd), uintptr(backlog), 0)
	return e
}

// Getsockname writes the local socket address of fd to name, whose length it returns.
func Getsockname(fd int, name []byte) (int, syscall.Errno) {
	l := uint32(len(name))
	_, _, e := unix.RawSyscall(unix.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(name))), uintptr(unsafe.Pointer(&l)))
	return int(l), e
}

// Shutdown ends one or both directions of fd; how is a SHUT constant.
func Shutdown(fd, how int) syscall.Errno {
	_, _, e := unix.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), uintptr(how), 0)
	return e
}

// SetInt sets a socket option that is an int.
func SetInt(fd, level, opt, v int) syscall.Errno {
	x := int32(v)
	_, _, e := raw5(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(opt), uintptr(unsafe.Pointer(&x)), 4)
	return e
}

// SetBytes sets a socket option that is a string of bytes.
func SetBytes(fd, level, opt int, b []byte) syscall.Errno {
	_, _, e := raw5(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(opt), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return e
}

// GetInt gets a socket option that is an int.
func GetInt(fd, level, opt int) (int, syscall.Errno) {
	var x int32
	l := uint32(4)
	_, _, e := raw5(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(opt), uintptr(unsafe.Pointer(&x)), uintptr(unsafe.Pointer(&l)))
	return int(x), e
}

// GetBytes gets a socket option that is a string of bytes, and its length.
func GetBytes(fd, level, opt int, b []byte) (int, syscall.Errno) {
	l := uint32(len(b))
	_, _, e := raw5(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(opt), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(unsafe.Pointer(&l)))
	return int(l), e
}

// MemInfo is a socket's accounting of its own memory (SO_MEMINFO), in the order of the
// SK_MEMINFO constants of linux/sock_diag.h.
type MemInfo [9]uint32

// Indices into MemInfo.
const (
	MemRcvBuf     = 1
	MemSndBuf     = 3
	MemWmemQueued = 5
)

// GetMemInfo asks the kernel for the memory accounting of fd.
func GetMemInfo(fd int, m *MemInfo) syscall.Errno {
	l := uint32(unsafe.Sizeof(*m))
	_, _, e := raw5(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO, uintptr(unsafe.Pointer(m)), uintptr(unsafe.Pointer(&l)))
	return e
}

// InQueue is how many bytes of payload are in the receive queue of fd, a TCP socket (SIOCINQ,
// tcp(7)).
func InQueue(fd int) (int, syscall.Errno) {
	var n int32
	_, _, e := unix.RawSyscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCINQ, uintptr(unsafe.Pointer(&n)))
	return int(n), e
}

// OutQueue is how many bytes of payload fd, a TCP socket, has not had acknowledged
// (SIOCOUTQ, tcp(7)).
func OutQueue(fd int) (int, syscall.Errno) {
	var n int32
	_, _, e := unix.RawSyscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCOUTQ, uintptr(unsafe.Pointer(&n)))
	return int(n), e
}
