package inet

import (
	"encoding/binary"
	"net/netip"
)

// Addr is an IPv6 address, or an IPv4 address in its mapped form ::ffff:0:0/96 (RFC 4291,
// section 2.5.5.2), in network byte order. The zero Addr is ::, which says "none" where
// an address is optional.
type Addr [16]byte

// V4 makes an Addr of the 4 bytes of an IPv4 address. It panics if b is shorter.
func V4(b []byte) Addr {
	_ = b[3]
	return Addr{10: 0xff, 11: 0xff, 12: b[0], 13: b[1], 14: b[2], 15: b[3]}
}

// V6 makes an Addr of the 16 bytes of an IPv6 address. It panics if b is shorter.
func V6(b []byte) Addr { return Addr(b[:16]) }

// FromNetip converts a; an invalid a gives the zero Addr. A zone is dropped.
func FromNetip(a netip.Addr) Addr {
	if !a.IsValid() {
		return Addr{}
	}
	return a.As16()
}

// Netip converts a: mapped addresses become IPv4 ones, and the zero Addr becomes ::.
func (a Addr) Netip() netip.Addr { return netip.AddrFrom16(a).Unmap() }

// String is a's usual text.
func (a Addr) String() string { return a.Netip().String() }

// Is4 says whether a is an IPv4 address.
func (a *Addr) Is4() bool {
	return binary.BigEndian.Uint64(a[:]) == 0 && binary.BigEndian.Uint32(a[8:]) == 0xffff
}

// As4 is the IPv4 address in a, or nonsense if a is none.
func (a *Addr) As4() (b [4]byte) {
	copy(b[:], a[12:])
	return b
}

// IsZero says whether a is the zero Addr, which stands for "none" and for ::.
func (a *Addr) IsZero() bool { return *a == Addr{} }

// IsUnspecified says whether a is 0.0.0.0 or ::.
func (a *Addr) IsUnspecified() bool {
	return a.IsZero() || a.Is4() && binary.BigEndian.Uint32(a[12:]) == 0
}

// IsLoopback says whether a is in 127.0.0.0/8 or ::1.
func (a *Addr) IsLoopback() bool {
	if a.Is4() {
		return a[12] == 127
	}
	return binary.BigEndian.Uint64(a[:]) == 0 && binary.BigEndian.Uint64(a[8:]) == 1
}

// IsLinkLocal says whether a is in 169.254.0.0/16 or fe80::/10.
func (a *Addr) IsLinkLocal() bool {
	if a.Is4() {
		return a[12] == 169 && a[13] == 254
	}
	return a[0] == 0xfe && a[1]&0xc0 == 0x80
}

// IsMulticast says whether a is in 224.0.0.0/4 or ff00::/8.
func (a *Addr) IsMulticast() bool {
	if a.Is4() {
		return a[12]&0xf0 == 0xe0
	}
	return a[0] == 0xff
}

// IsBroadcast says whether a is 255.255.255.255.
func (a *Addr) IsBroadcast() bool {
	return a.Is4() && binary.BigEndian.Uint32(a[12:]) == 0xffffffff
}

// IsUnicast says whether a can name one host: not unspecified, multicast or broadcast.
func (a *Addr) IsUnicast() bool {
	return !a.IsUnspecified() && !a.IsMulticast() && !a.IsBroadcast()
}

// Endpoint is an address and a port of UDP or TCP, or the identifier of an ICMP echo.
type Endpoint struct {
	Addr Addr
	Port uint16
}

// String is the usual text of e.
func (e Endpoint) String() string { return netip.AddrPortFrom(e.Addr.Netip(), e.Port).String() }
