package sock

// The error queue of a datagram socket (ip(7), IP_RECVERR; ipv6(7), IPV6_RECVERR): ICMP
// errors about what was sent arrive there, each with the address that the datagram was for,
// the address that complains, and the beginning of the datagram's payload. It works for
// sockets that are not connected too, which is how errors find their flow.

import (
	"encoding/binary"
	"syscall"

	"golang.org/x/sys/unix"

	"passt/l3/inet"
	"passt/link/sys"
)

// QueuedError is one entry of a socket's error queue.
type QueuedError struct {
	To         inet.Endpoint // what the datagram was for; the port is 0 for ping sockets
	Errno      syscall.Errno
	ICMP       bool      // the error came as ICMP or ICMPv6; else the host's own stack raised it
	Type, Code uint8     // of the ICMP message
	Info       uint32    // the MTU of a message that says "too big"
	Offender   inet.Addr // who says so; zero if unknown
	// Data is the beginning of the payload of the datagram, for ping sockets of the ICMP
	// message. It is valid until the next read of any queue through the same reader.
	Data []byte
}

// maxQuote is how much of a datagram's payload is kept, in bytes: no ICMP error quotes more.
const maxQuote = 1280

// errQueue reads error queues. It belongs to one thread.
type errQueue struct {
	hdr  unix.Msghdr
	iov  [1]sys.Iovec
	name Addr
	data [maxQuote]byte
	ctl  [256]byte
}

// RecvError takes one entry off the error queue of fd and says whether there was one.
func (q *errQueue) RecvError(fd int, e *QueuedError) bool {
	sys.SetIovec(&q.iov[0], q.data[:])
	sys.SetMsg(&q.hdr, q.name[:], q.iov[:], q.ctl[:])
	n, errno := sys.Recvmsg(fd, &q.hdr, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
	if errno != 0 {
		return false
	}
	*e = QueuedError{Data: q.data[:n]}
	e.To, _ = q.name.peer(int(q.hdr.Namelen))
	for c := (cmsgs{q.ctl[:min(int(q.hdr.Controllen), len(q.ctl))]}); c.next(); {
		level, typ, b := c.get()
		if level == unix.SOL_IP && typ == unix.IP_RECVERR || level == unix.SOL_IPV6 && typ == unix.IPV6_RECVERR {
			e.extended(b)
		}
	}
	return true
}

// extended reads struct sock_extended_err and the offender's address behind it.
func (e *QueuedError) extended(b []byte) {
	if len(b) < 16 {
		return
	}
	e.Errno = syscall.Errno(binary.NativeEndian.Uint32(b))
	e.ICMP = b[4] == unix.SO_EE_ORIGIN_ICMP || b[4] == unix.SO_EE_ORIGIN_ICMP6
	e.Type, e.Code, e.Info = b[5], b[6], binary.NativeEndian.Uint32(b[8:])
	var at Addr
	who, _ := at.peer(copy(at[:], b[16:]))
	e.Offender = who.Addr
}

// peer reads the socket address in a, of which n bytes are there; one of an unknown family
// gives the zero Endpoint.
func (a *Addr) peer(n int) (e inet.Endpoint, scope uint32) {
	f := binary.NativeEndian.Uint16(a[:])
	switch {
	case f == unix.AF_INET && n >= 16:
		return a.Endpoint(), 0
	case f == unix.AF_INET6 && n >= AddrLen:
		return a.Endpoint(), binary.NativeEndian.Uint32(a[24:])
	}
	return e, 0
}

// cmsgs walks the control data of a message (cmsg(3)).
type cmsgs struct{ b []byte }

// next says whether there is a whole control message at the front.
func (c *cmsgs) next() bool {
	if len(c.b) < unix.SizeofCmsghdr {
		return false
	}
	n := cmsgLen(c.b)
	return n >= unix.SizeofCmsghdr && n <= len(c.b)
}

// get takes the control message at the front.
func (c *cmsgs) get() (level, typ int, data []byte) {
	n := cmsgLen(c.b)
	level = int(int32(binary.NativeEndian.Uint32(c.b[unix.SizeofCmsghdr-8:])))
	typ = int(int32(binary.NativeEndian.Uint32(c.b[unix.SizeofCmsghdr-4:])))
	data = c.b[unix.SizeofCmsghdr:n]
	c.b = c.b[min(unix.CmsgSpace(n-unix.SizeofCmsghdr), len(c.b)):]
	return level, typ, data
}

func cmsgLen(b []byte) int {
	if unix.SizeofCmsghdr == 16 {
		return int(binary.NativeEndian.Uint64(b))
	}
	return int(binary.NativeEndian.Uint32(b))
}

// putCmsg writes a control message's header for n bytes of data at the front of b, and
// returns the room for the data and how far the next message is.
func putCmsg(b []byte, level, typ, n int) (data []byte, space int) {
	if unix.SizeofCmsghdr == 16 {
		binary.NativeEndian.PutUint64(b, uint64(unix.CmsgLen(n)))
	} else {
		binary.NativeEndian.PutUint32(b, uint32(unix.CmsgLen(n)))
	}
	binary.NativeEndian.PutUint32(b[unix.SizeofCmsghdr-8:], uint32(level))
	binary.NativeEndian.PutUint32(b[unix.SizeofCmsghdr-4:], uint32(typ))
	return b[unix.SizeofCmsghdr:unix.CmsgLen(n)], unix.CmsgSpace(n)
}

func putCmsgInt(b []byte, level, typ, v int) (space int) {
	d, space := putCmsg(b, level, typ, 4)
	binary.NativeEndian.PutUint32(d, uint32(v))
	return space
}
