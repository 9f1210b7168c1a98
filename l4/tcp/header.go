package tcp

// The TCP header (RFC 9293, section 3.1) as a view on bytes.

import "encoding/binary"

// Flags of a segment.
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
)

// HeaderLen is the length of a TCP header without options, in bytes.
const HeaderLen = 20

// Header is a TCP header and what follows it. Its accessors are for headers that Valid
// has accepted.
type Header []byte

// Valid says whether h holds a whole header, options included.
func (h Header) Valid() bool {
	return len(h) >= HeaderLen && h.Len() >= HeaderLen && h.Len() <= len(h)
}

// SrcPort is the source port.
func (h Header) SrcPort() uint16 { return binary.BigEndian.Uint16(h) }

// DstPort is the destination port.
func (h Header) DstPort() uint16 { return binary.BigEndian.Uint16(h[2:]) }

// Seq is the sequence number.
func (h Header) Seq() uint32 { return binary.BigEndian.Uint32(h[4:]) }

// Ack is the acknowledgement number.
func (h Header) Ack() uint32 { return binary.BigEndian.Uint32(h[8:]) }

// Len is the length of the header, options included, in bytes.
func (h Header) Len() int { return int(h[12]>>4) * 4 }

// Flags is the set of flags.
func (h Header) Flags() uint8 { return h[13] }

// Window is the window field, unscaled.
func (h Header) Window() uint16 { return binary.BigEndian.Uint16(h[14:]) }

// Payload is what follows the header.
func (h Header) Payload() []byte { return h[h.Len():] }

// segLen is the length of a segment in sequence space: SYN and FIN count as one byte each.
func (h Header) segLen() uint32 {
	n := uint32(len(h) - h.Len())
	if h.Flags()&SYN != 0 {
		n++
	}
	if h.Flags()&FIN != 0 {
		n++
	}
	return n
}

// synOptions is what the options of a SYN say.
type synOptions struct {
	mss      uint16 // 0 if absent
	scale    uint8
	hasScale bool
}

const (
	optEnd   = 0
	optNop   = 1
	optMSS   = 2 // RFC 9293, section 3.7.1
	optScale = 3 // RFC 7323, section 2
	maxScale = 14
)

// options reads the options of a SYN. Those with lengths that lie end the list.
func (h Header) options() (o synOptions) {
	for b := h[HeaderLen:h.Len()]; len(b) > 0; {
		switch b[0] {
		case optEnd:
			return o
		case optNop:
			b = b[1:]
			continue
		}
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
			return o
		}
		switch {
		case b[0] == optMSS && b[1] == 4:
			o.mss = binary.BigEndian.Uint16(b[2:])
		case b[0] == optScale && b[1] == 3:
			o.scale, o.hasScale = min(b[2], maxScale), true
		}
		b = b[b[1]:]
	}
	return o
}

// before says whether the sequence number a is before b (RFC 9293, section 3.4).
func before(a, b uint32) bool { return int32(a-b) < 0 }

// seqMax is the later one of two sequence numbers.
func seqMax(a, b uint32) uint32 {
	if before(a, b) {
		return b
	}
	return a
}

func seqMin(a, b uint32) uint32 {
	if before(a, b) {
		return a
	}
	return b
}
