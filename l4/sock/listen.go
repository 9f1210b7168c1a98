package sock

import (
	"syscall"

	"golang.org/x/sys/unix"

	"passt/l3/inet"
	"passt/link/sys"
)

// Bound says where a socket that waits for the network is bound.
type Bound struct {
	At       inet.Endpoint // a wildcard address says which IP version
	Dual     bool          // At is ::, and IPv4 is to arrive there too
	If       string        // only on this interface; empty: on any
	Scope    uint32        // index of the interface of a link-local address
	FreeBind bool          // the address need not be the host's (IP_FREEBIND, ip(7))

	// Privileged binds a socket to name, an address as bind(2) has it, where this process may
	// not (EACCES); nil if nobody can. The socket has all its options already.
	Privileged func(fd int, name []byte) syscall.Errno
}

// acceptBacklog is how many connections may wait to be accepted; the system caps it.
const acceptBacklog = 4096

// Listen makes a listening TCP socket. Sockets that it accepts are prepared for flows.
func (t *TCP) Listen(b *Bound) (int, syscall.Errno) {
	fd, e := bound(b, unix.SOCK_STREAM)
	if e != 0 {
		return -1, e
	}
	t.Prepare(fd)
	if e = sys.Listen(fd, acceptBacklog); e != 0 {
		sys.Close(fd)
		return -1, e
	}
	return fd, 0
}

// ListenUDP makes a bound UDP socket.
func ListenUDP(b *Bound) (int, syscall.Errno) { return bound(b, unix.SOCK_DGRAM) }

func bound(b *Bound, typ int) (int, syscall.Errno) {
	domain := unix.AF_INET6
	if b.At.Addr.Is4() {
		domain = unix.AF_INET
	}
	fd, e := sys.Socket(domain, typ, 0)
	if e != 0 {
		return -1, e
	}
	if e = setBound(fd, b, domain, typ); e == 0 {
		var a Addr
		name := a.Put(&b.At, b.Scope)
		if e = sys.Bind(fd, name); e == syscall.EACCES && b.Privileged != nil {
			e = b.Privileged(fd, name)
		}
	}
	if e != 0 {
		sys.Close(fd)
		return -1, e
	}
	return fd, 0
}

func setBound(fd int, b *Bound, domain, typ int) syscall.Errno {
	if typ == unix.SOCK_STREAM {
		// An address with connections in TIME-WAIT is free, one with a listener is not.
		sys.SetInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if domain == unix.AF_INET6 {
		only := 1
		if b.Dual {
			only = 0
		}
		if e := sys.SetInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only); e != 0 {
			return e
		}
	}
	if b.FreeBind {
		level, opt := unix.IPPROTO_IP, unix.IP_FREEBIND
		if domain == unix.AF_INET6 {
			level, opt = unix.IPPROTO_IPV6, unix.IPV6_FREEBIND
		}
		if e := sys.SetInt(fd, level, opt, 1); e != 0 {
			return e
		}
	}
	if b.If != "" {
		return sys.SetBytes(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, []byte(b.If))
	}
	return 0
}

// Accept takes a connection off a listening socket: its peer, and the local address that
// the peer connected to.
func (t *TCP) Accept(fd int) (conn int, remote inet.Endpoint, local inet.Addr, e syscall.Errno) {
	conn, _, e = sys.Accept(fd, t.addr[:])
	if e != 0 {
		return -1, remote, local, e
	}
	remote = t.addr.Endpoint()
	if _, e = sys.Getsockname(conn, t.addr[:]); e != 0 {
		sys.Close(conn)
		return -1, remote, local, e
	}
	return conn, remote, t.addr.Endpoint().Addr, 0
}

// Spare opens a descriptor that is good for nothing but to be closed when there are no
// others left. It is no socket: in the sandbox, there are none but for the network.
func Spare() (int, syscall.Errno) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		e, _ := err.(syscall.Errno)
		return -1, e
	}
	return fd, 0
}

// Close closes a descriptor.
func Close(fd int) { sys.Close(fd) }
