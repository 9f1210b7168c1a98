package service

// One datagram in, one datagram out (RFC 768; RFC 8200, section 8.1, for IPv6, where a
// checksum of zero is forbidden). The services are not on the data path: an answer is
// built whole in a buffer, checksummed here, and copied.

import (
	"encoding/binary"

	"passt/l3"
	"passt/l3/inet"
	"passt/link"
)

// HeaderLen is the length of a UDP header, in bytes.
const HeaderLen = 8

const ttl = 64

// IsFor says whether p is a UDP datagram to the given port.
func IsFor(p *l3.Packet, port uint16) bool {
	return p.Proto == l3.ProtoUDP && len(p.L4) >= HeaderLen && binary.BigEndian.Uint16(p.L4[2:]) == port
}

// Payload is the payload of the UDP datagram p, borrowed from it; ok is false if its length
// or checksum is wrong.
func Payload(p *l3.Packet) (b []byte, ok bool) {
	b = p.L4
	if len(b) < HeaderLen {
		return nil, false
	}
	n := int(binary.BigEndian.Uint16(b[4:]))
	if n < HeaderLen || n > len(b) {
		return nil, false
	}
	b = b[:n]
	return b[HeaderLen:], checksumOK(p, b)
}

func checksumOK(p *l3.Packet, b []byte) bool {
	if p.Meta.Flags&(link.NeedsCsum|link.DataValid) != 0 {
		return true
	}
	if b[6]|b[7] == 0 {
		return p.Dst.Is4()
	}
	return l3.Fold(l3.Sum(l3.PseudoSum(&p.Src, &p.Dst, l3.ProtoUDP, len(b)), b)) == 0xffff
}

// Sender sends datagrams. It belongs to one thread.
type Sender struct {
	out      l3.Output
	template l3.Template
	slot     [1]link.Slot
}

// NewSender makes a Sender that sends through out.
func NewSender(out l3.Output) Sender { return Sender{out: out} }

// Room is how many bytes of payload the link takes in one datagram.
func (s *Sender) Room() int { return s.out.Caps().Body }

// Send sends a copy of payload from src to dst, which are of the same family. It says
// whether the link took it.
func (s *Sender) Send(src, dst inet.Endpoint, payload []byte) bool {
	if s.out.Reserve(s.slot[:], len(payload)) == 0 {
		return false
	}
	slot := &s.slot[0]
	s.template.Make(src.Addr, dst.Addr, l3.ProtoUDP, ttl, 0)
	slot.Head = slot.Head[:s.template.L4()+HeaderLen]
	n := HeaderLen + len(payload)
	pseudo := s.template.Put(slot.Head, n)
	h := slot.Head[s.template.L4():]
	binary.BigEndian.PutUint16(h, src.Port)
	binary.BigEndian.PutUint16(h[2:], dst.Port)
	binary.BigEndian.PutUint16(h[4:], uint16(n))
	binary.BigEndian.PutUint16(h[6:], 0)
	csum := ^l3.Fold(l3.Sum(l3.Sum(uint32(pseudo), h), payload))
	if csum == 0 {
		csum = 0xffff
	}
	binary.BigEndian.PutUint16(h[6:], csum)
	slot.Len, slot.Meta = 0, link.Meta{}
	for _, piece := range slot.Body {
		slot.Len += copy(piece, payload[slot.Len:])
	}
	return slot.Len == len(payload) && s.out.Send(s.slot[:]) == 1
}
