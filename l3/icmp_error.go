package l3

// ICMP errors to the guest (RFC 792; RFC 1122, section 3.2.2; RFC 4443, sections 2.4 and 3).
// They never answer an error, a fragment other than the first, or a packet to or from
// a group, and they are limited in rate, since the guest can cause them.

import (
	"encoding/binary"

	"passt/l3/inet"
	"passt/link"
)

// ErrorKind is what an ICMP error says, for both IP versions.
type ErrorKind uint8

// Kinds of ICMP errors.
const (
	NetUnreachable ErrorKind = iota
	HostUnreachable
	ProtoUnreachable
	PortUnreachable
	AdminProhibited
	TooBig // with an MTU
	TimeExceeded
	BeyondScope // IPv6 only
)

// icmpCode is a type and a code of ICMP, for either version.
type icmpCode struct{ typ4, code4, typ6, code6 uint8 }

var icmpCodes = [...]icmpCode{
	NetUnreachable:   {3, 0, 1, 0},
	HostUnreachable:  {3, 1, 1, 3},
	ProtoUnreachable: {3, 2, 4, 1}, // IPv6: parameter problem, unrecognised next header
	PortUnreachable:  {3, 3, 1, 4},
	AdminProhibited:  {3, 13, 1, 1},
	TooBig:           {3, 4, 2, 0},
	TimeExceeded:     {11, 0, 3, 0},
	BeyondScope:      {3, 0, 1, 2},
}

// ICMPError is an ICMP or ICMPv6 error message to the guest.
type ICMPError struct {
	Kind ErrorKind
	MTU  uint32    // of the next hop, in bytes, for TooBig
	From inet.Addr // who says so: the offender; if zero, we do
}

// Most bytes of the offending packet that an error quotes. IPv4 errors stay below 576 bytes
// (RFC 1812, section 4.3.2.3), IPv6 ones below the least MTU, 1280 bytes.
const (
	quote4 = 576 - HeaderLen4 - 8
	quote6 = 1280 - HeaderLen6 - 8
)

// errorSender limits the rate of errors: a token bucket (RFC 4443, section 2.4 (f)).
type errorSender struct {
	slot   [1]link.Slot
	tokens int64 // in nanoseconds of waiting
	last   int64
}

const (
	errorCost  = 1_000_000 // one error a millisecond in the long run
	errorBurst = 200 * errorCost
)

func (e *errorSender) take(now int64) bool {
	e.tokens = min(e.tokens+now-e.last, errorBurst)
	e.last = now
	if e.tokens < errorCost {
		return false
	}
	e.tokens -= errorCost
	return true
}

// SendError sends the error e to the source of the packet quoted, which starts with the IP
// header that the guest sent and holds at least the transport header's first 8 bytes.
// It sends nothing if the rules or the rate forbid it.
func (s *Stack) SendError(e ICMPError, quoted []byte, now int64) {
	if !mayAnswer(quoted) || !s.errors.take(now) {
		s.Stats.ErrorsHeld++
		return
	}
	v4 := quoted[0]>>4 == 4
	var t Template
	limit, proto := quote6, uint8(ProtoICMPv6)
	src, dst := s.cfg.Ours6, inet.Addr{}
	if v4 {
		limit, proto = quote4, ProtoICMP
		src, dst = s.cfg.Ours4, inet.V4(quoted[12:])
	} else {
		dst = inet.V6(quoted[8:])
	}
	if e.From.IsUnicast() && e.From.Is4() == v4 {
		src = e.From
	}
	quoted = quoted[:min(len(quoted), limit)]
	if src.IsZero() || s.down.Reserve(s.errors.slot[:], len(quoted)) == 0 {
		s.Stats.ErrorsHeld++
		return
	}
	t.Make(src, dst, proto, 64, 0)
	slot := &s.errors.slot[0]
	slot.Head = slot.Head[:t.L4()+8]
	pseudo := t.Put(slot.Head, 8+len(quoted))
	slot.Len = copyBody(slot.Body, quoted)
	e.put(slot.Head[t.L4():], v4, quoted, pseudo)
	if s.down.Send(s.errors.slot[:]) == 0 {
		s.Stats.ErrorsHeld++
		return
	}
	s.Stats.ErrorsSent++
}

// put writes the ICMP header of e into h, whose checksum covers the quoted packet behind it
// and, for IPv6, the pseudo-header.
func (e *ICMPError) put(h []byte, v4 bool, quoted []byte, pseudo uint16) {
	c := icmpCodes[e.Kind]
	clear(h[:8])
	if v4 {
		h[0], h[1], pseudo = c.typ4, c.code4, 0
	} else {
		h[0], h[1] = c.typ6, c.code6
	}
	switch {
	case e.Kind == TooBig && v4:
		binary.BigEndian.PutUint16(h[6:], uint16(min(e.MTU, 65535))) // RFC 1191, section 4
	case e.Kind == TooBig:
		binary.BigEndian.PutUint32(h[4:], e.MTU)
	case e.Kind == ProtoUnreachable && !v4:
		binary.BigEndian.PutUint32(h[4:], 6) // points at the next-header field
	}
	sum := Sum(Sum(uint32(pseudo), h[:8]), quoted)
	binary.BigEndian.PutUint16(h[2:], ^Fold(sum))
}

// mayAnswer says whether an error about the packet b is allowed at all.
func mayAnswer(b []byte) bool {
	var src, dst inet.Addr
	var l4 []byte
	var proto, echo uint8
	switch {
	case len(b) >= HeaderLen4+8 && b[0]>>4 == 4:
		if binary.BigEndian.Uint16(b[6:])&0x1fff != 0 || len(b) < int(b[0]&15)*4+8 {
			return false
		}
		src, dst, proto, l4 = inet.V4(b[12:]), inet.V4(b[16:]), b[9], b[int(b[0]&15)*4:]
		echo = 8
	case len(b) >= HeaderLen6+8 && b[0]>>4 == 6:
		src, dst = inet.V6(b[8:]), inet.V6(b[24:])
		p, off, ok := walk6(b)
		if !ok || off >= len(b) {
			return false
		}
		proto, l4, echo = p, b[off:], 128
	default:
		return false
	}
	if !src.IsUnicast() || !dst.IsUnicast() {
		return false
	}
	return proto != ProtoICMP && proto != ProtoICMPv6 || l4[0] == echo
}

// copyBody copies b into the pieces of a slot's body and returns how much fitted.
func copyBody(body [][]byte, b []byte) int {
	n := 0
	for _, p := range body {
		n += copy(p, b[n:])
	}
	return n
}
