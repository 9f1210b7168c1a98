package sock

import (
	"syscall"

	"golang.org/x/sys/unix"

	"passt/l3/inet"
	"passt/link/sys"
)

// New makes a socket of the calling thread's network namespace for a flow of the bypass:
// of TCP if stream, else of UDP, and of IPv4 or IPv6. Any thread may use it afterwards.
func New(stream, v4 bool) (int, syscall.Errno) {
	domain, typ := unix.AF_INET6, unix.SOCK_DGRAM
	if v4 {
		domain = unix.AF_INET
	}
	if stream {
		typ = unix.SOCK_STREAM
	}
	fd, e := sys.Socket(domain, typ, 0)
	if e != 0 {
		return -1, e
	}
	if stream {
		prepareTCP(fd)
		return fd, 0
	}
	// No error queue: a connected socket reports errors by itself.
	sys.SetInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, bufSize)
	sys.SetInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bufSize)
	sys.SetInt(fd, unix.SOL_UDP, unix.UDP_GRO, 1)
	return fd, 0
}

// Connect connects fd to dst, or begins to. Interfaces of link-local addresses are left to
// the system.
func Connect(fd int, dst *inet.Endpoint) syscall.Errno {
	var a Addr
	if e := sys.Connect(fd, a.Put(dst, 0)); e != unix.EINPROGRESS {
		return e
	}
	return 0
}

// Dup makes a second descriptor of the socket fd.
func Dup(fd int) (int, syscall.Errno) { return sys.Dup(fd) }
