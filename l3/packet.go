package l3

import (
	"passt/l3/inet"
	"passt/link"
)

// Protocol numbers (IANA) that matter here.
const (
	ProtoICMP   = 1
	ProtoTCP    = 6
	ProtoUDP    = 17
	ProtoICMPv6 = 58
)

// Packet is one IP packet from the guest, its headers checked: a length in them never
// exceeds what is there. It is borrowed until the layer's next input.
type Packet struct {
	Src, Dst  inet.Addr
	Proto     uint8 // of L4, behind any extension headers
	TTL       uint8 // lifetime or hop limit, as it came; 0 and 1 only if sent to us or to a group
	TOS       uint8 // type of service or traffic class
	Multicast bool  // sent to a group address of the link
	B         []byte
	L4        []byte // transport header and payload, the end of B
	Meta      link.Meta
}

// Upper is the layer above: it takes a batch of packets in order of arrival. now is
// monotonic time in nanoseconds. Nothing of batch may be kept.
type Upper interface {
	Input(batch []Packet, now int64)
}

// Output is the way down as the layers above see it; *Stack is one. Heads of slots start
// with room for the link's header: an IP header belongs at Head[LinkLen].
type Output interface {
	// Reserve prepares up to len(dst) slots with room for size bytes of payload behind
	// their heads, and returns how many it could.
	Reserve(dst []link.Slot, size int) int
	// Send sends slots of the last Reserve in order and returns how many were taken:
	// fewer if the link is full.
	Send(s []link.Slot) int
	// Caps says what may be left to the link.
	Caps() link.Caps
}

// LinkLen is the length of the link's header at the start of each head, in bytes.
const LinkLen = 14
