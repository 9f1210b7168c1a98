package sock

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"passt/l3/inet"
)

// AddrLen is the length of the longest socket address here, a sockaddr_in6, in bytes.
const AddrLen = 28

// Addr is room for a socket address as the kernel has it: sockaddr_in (ip(7)) or
// sockaddr_in6 (ipv6(7)).
type Addr [AddrLen]byte

// Put writes the socket address of e into a and returns its bytes. scope is the index
// of the interface that a link-local IPv6 address belongs to.
func (a *Addr) Put(e *inet.Endpoint, scope uint32) []byte {
	if e.Addr.Is4() {
		binary.NativeEndian.PutUint16(a[:], unix.AF_INET)
		binary.BigEndian.PutUint16(a[2:], e.Port)
		copy(a[4:8], e.Addr[12:])
		clear(a[8:16])
		return a[:16]
	}
	binary.NativeEndian.PutUint16(a[:], unix.AF_INET6)
	binary.BigEndian.PutUint16(a[2:], e.Port)
	clear(a[4:8])
	copy(a[8:24], e.Addr[:])
	if !e.Addr.IsLinkLocal() {
		scope = 0
	}
	binary.NativeEndian.PutUint32(a[24:], scope)
	return a[:28]
}

// Endpoint reads the socket address in a, which has IPv4 peers of an IPv6 socket in
// mapped form, the same as IPv4 ones.
func (a *Addr) Endpoint() (e inet.Endpoint) {
	e.Port = binary.BigEndian.Uint16(a[2:])
	if binary.NativeEndian.Uint16(a[:]) == unix.AF_INET {
		e.Addr = inet.V4(a[4:])
	} else {
		e.Addr = inet.V6(a[8:])
	}
	return e
}

// Outbound says how sockets towards the network are bound, for one IP version.
type Outbound struct {
	Addr  inet.Addr // local address; zero: the routing tables choose
	If    string    // interface; empty: any
	Index uint32    // of the interface If; 0 if there is none
	Scope uint32    // index of the interface that link-local addresses are meant on
}
