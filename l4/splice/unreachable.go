package splice

// ICMP and ICMPv6 "port unreachable" (RFC 792; RFC 4443, section 3.1) for clients in the
// guest's namespace, where we may open raw sockets while it is set up. The quoted packet is
// made up of what a client's kernel looks at: addresses, protocol and ports.

import (
	"encoding/binary"
	"syscall"

	"golang.org/x/sys/unix"

	"passt/l3/inet"
	"passt/l4/sock"
	"passt/link/sys"
)

// Unreachables sends such errors, each IP version by its own raw socket. It belongs to one
// thread.
type Unreachables struct{ fd4, fd6 int }

// OpenUnreachables opens the raw sockets in the calling thread's network namespace. Those of
// an IP version that can't be had are done without.
func OpenUnreachables() *Unreachables {
	u := &Unreachables{none, none}
	if fd, e := sys.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP); e == 0 {
		u.fd4 = mute(fd, unix.SOL_RAW, 1, []byte{0xff, 0xff, 0xff, 0xff})
	}
	if fd, e := sys.Socket(unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6); e == 0 {
		all := make([]byte, 32)
		for i := range all {
			all[i] = 0xff
		}
		u.fd6 = mute(fd, unix.SOL_ICMPV6, 1, all)
	}
	return u
}

// mute makes a raw socket receive nothing (ICMP_FILTER, raw(7); ICMPV6_FILTER, RFC 3542,
// section 3.2): nobody reads it.
func mute(fd, level, opt int, filter []byte) int {
	sys.SetBytes(fd, level, opt, filter)
	return fd
}

const (
	udpProto = 17
	icmpLen  = 8
	ip4Len   = 20
	ip6Len   = 40
	udpLen   = 8
)

// Send tells the client that its datagram to the endpoint to has reached nobody.
func (u *Unreachables) Send(client, to inet.Endpoint) {
	var b [icmpLen + ip6Len + udpLen]byte
	var addr sock.Addr
	name := addr.Put(&inet.Endpoint{Addr: client.Addr}, 0)
	if client.Addr.Is4() {
		m := b[:icmpLen+ip4Len+udpLen]
		m[0], m[1] = 3, 3
		ip := m[icmpLen:]
		ip[0], ip[8], ip[9] = 0x45, 64, udpProto
		binary.BigEndian.PutUint16(ip[2:], ip4Len+udpLen)
		copy(ip[12:16], client.Addr[12:])
		copy(ip[16:20], to.Addr[12:])
		binary.BigEndian.PutUint16(ip[10:], checksum(ip[:ip4Len]))
		quoteUDP(ip[ip4Len:], client.Port, to.Port)
		binary.BigEndian.PutUint16(m[2:], checksum(m))
		sendTo(u.fd4, m, name)
		return
	}
	b[0], b[1] = 1, 4 // the kernel adds the checksum (RFC 3542, section 3.1)
	ip := b[icmpLen:]
	ip[0], ip[5], ip[6], ip[7] = 0x60, udpLen, udpProto, 64
	copy(ip[8:24], client.Addr[:])
	copy(ip[24:40], to.Addr[:])
	quoteUDP(ip[ip6Len:], client.Port, to.Port)
	sendTo(u.fd6, b[:], name)
}

func quoteUDP(b []byte, from, to uint16) {
	binary.BigEndian.PutUint16(b, from)
	binary.BigEndian.PutUint16(b[2:], to)
	binary.BigEndian.PutUint16(b[4:], udpLen)
}

// checksum is the internet checksum of b (RFC 1071).
func checksum(b []byte) uint16 {
	var s uint32
	for i := 0; i+1 < len(b); i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for s>>16 != 0 {
		s = s&0xffff + s>>16
	}
	return ^uint16(s)
}

// sendTo sends b; an error that can't be sent is one that the client never gets.
func sendTo(fd int, b, name []byte) (e syscall.Errno) {
	if fd == none {
		return 0
	}
	var iov [1]sys.Iovec
	var h unix.Msghdr
	sys.SetIovec(&iov[0], b)
	sys.SetMsg(&h, name, iov[:], nil)
	_, e = sys.Sendmsg(fd, &h, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	return e
}

// Close closes the sockets.
func (u *Unreachables) Close() {
	for _, fd := range [2]int{u.fd4, u.fd6} {
		if fd != none {
			sock.Close(fd)
		}
	}
}
