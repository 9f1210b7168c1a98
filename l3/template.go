package l3

// Header templates: the IP header of a flow never changes but for its length and
// identification, so it is made once for a flow and copied for each packet.

import (
	"encoding/binary"

	"passt/l3/inet"
)

// IP header lengths without options, in bytes.
const (
	HeaderLen4 = 20
	HeaderLen6 = 40
)

// Template is the IP header of packets from one address to another. The zero Template is
// of no use; Make fills it.
type Template struct {
	b      [HeaderLen6]byte
	n      uint8  // bytes of b in use
	proto  uint8  // transport protocol
	ipsum  uint16 // sum over an IPv4 header with length and checksum 0, not inverted
	pseudo uint16 // sum over the pseudo-header with length 0, not inverted
}

// Make fills t for packets from src to dst, which are of the same family. Packets carry
// the flag "don't fragment", as everything from a modern host.
func (t *Template) Make(src, dst inet.Addr, proto, ttl, tos uint8) {
	*t = Template{proto: proto}
	var sum uint32
	if src.Is4() {
		t.n = HeaderLen4
		t.b[0], t.b[1] = 0x45, tos
		t.b[6] = 0x40
		t.b[8], t.b[9] = ttl, proto
		copy(t.b[12:], src[12:])
		copy(t.b[16:], dst[12:])
		t.ipsum = Fold(Sum(0, t.b[:HeaderLen4]))
		sum = Sum(0, t.b[12:HeaderLen4])
	} else {
		t.n = HeaderLen6
		t.b[0], t.b[1] = 0x60|tos>>4, tos<<4
		t.b[6], t.b[7] = proto, ttl
		copy(t.b[8:], src[:])
		copy(t.b[24:], dst[:])
		sum = Sum(0, t.b[8:HeaderLen6])
	}
	t.pseudo = Fold(uint32(Fold(sum)) + uint32(proto)) // sum alone may be all ones
}

// Len is the length of the IP header, in bytes.
func (t *Template) Len() int { return int(t.n) }

// L4 is the offset of the transport header in a head.
func (t *Template) L4() int { return LinkLen + int(t.n) }

// Put writes the IP header for l4 bytes of transport header and payload into the head of
// a slot, and returns the sum over the pseudo-header, folded and not inverted: what a
// checksum field holds when the rest of the checksum is left to the link (NeedsCsum),
// and what to start from otherwise.
func (t *Template) Put(head []byte, l4 int) uint16 {
	h := head[LinkLen:]
	copy(h, t.b[:t.n])
	if t.n == HeaderLen4 {
		n := uint16(HeaderLen4 + l4)
		binary.BigEndian.PutUint16(h[2:], n)
		binary.BigEndian.PutUint16(h[10:], ^Fold(uint32(t.ipsum)+uint32(n)))
	} else {
		binary.BigEndian.PutUint16(h[4:], uint16(l4))
	}
	return Fold(uint32(t.pseudo) + uint32(l4))
}
