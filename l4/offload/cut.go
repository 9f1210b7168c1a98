package offload

// Cutting. The headers of a super-frame are those of every segment, but for what changes
// from one to the next: lengths, the identification of IPv4 (RFC 6864), TCP's sequence
// number, and the flags that belong to the first segment (CWR, RFC 3168, section 6.1.2) or
// to the last (FIN, PSH). The checksum field of a super-frame holds the sum over the
// pseudo-header with the length of the whole: with the difference in length and the sum over
// the segment, it becomes that of a segment, whatever headers lie in between.

import (
	"encoding/binary"

	"passt/l3"
	"passt/link"
)

// MaxHead is the room for the headers of a frame, in bytes: VLAN tags, IP with options or
// extension headers, and TCP with all its options. What has more is not cut.
const MaxHead = 256

// Cutter cuts one super-frame after the other.
type Cutter struct {
	b      []byte // the super-frame
	ip     int    // offset of its IP header,
	l4     int    // of its TCP or UDP header,
	head   int    // and of its payload
	size   int    // payload of a segment, but the last
	n      int    // segments
	v4     bool
	tcp    bool
	pseudo uint32 // sum over the pseudo-header without length
}

// Set begins with the super-frame f, and says whether it can be cut. It is read until the
// next Set.
func (c *Cutter) Set(f *link.Frame) bool {
	*c = Cutter{b: f.B, size: int(f.Meta.SegSize), tcp: f.Meta.GSO != link.GSOUDPL4}
	if c.size == 0 || !c.find(&f.Meta) {
		return false
	}
	payload := len(c.b) - c.head
	c.n = max(1, (payload+c.size-1)/c.size)
	return true
}

// find finds the headers, checks that they are what m says, and takes the pseudo-header's
// sum.
func (c *Cutter) find(m *link.Meta) bool {
	var typ uint16
	typ, c.ip = network(c.b)
	proto := uint8(l3.ProtoUDP)
	if c.tcp {
		proto = l3.ProtoTCP
	}
	switch kind := m.GSO &^ link.GSOECN; {
	case typ == typeIPv4 && (kind == link.GSOTCPv4 || kind == link.GSOUDPL4):
		c.v4 = true
		if !c.findIPv4(proto) {
			return false
		}
	case typ == typeIPv6 && (kind == link.GSOTCPv6 || kind == link.GSOUDPL4):
		if !c.findIPv6(proto, m) {
			return false
		}
	default:
		return false
	}
	return c.findL4(proto, m)
}

func (c *Cutter) findIPv4(proto uint8) bool {
	ip := c.b[c.ip:]
	if len(ip) < ipv4Len || ip[0]>>4 != 4 {
		return false
	}
	n := int(ip[0]&0xf) * 4
	c.l4 = c.ip + n
	return n >= ipv4Len && n <= len(ip) && ip[9] == proto && int(binary.BigEndian.Uint16(ip[2:])) == len(ip)
}

// findIPv6 takes from m where extension headers end.
func (c *Cutter) findIPv6(proto uint8, m *link.Meta) bool {
	ip := c.b[c.ip:]
	if len(ip) < ipv6Len || ip[0]>>4 != 6 || int(binary.BigEndian.Uint16(ip[4:])) != len(ip)-ipv6Len {
		return false
	}
	c.l4 = c.ip + ipv6Len
	if ip[6] == proto {
		return true
	}
	c.l4 = int(m.CsumStart)
	return m.Flags&link.NeedsCsum != 0 && c.l4 > c.ip+ipv6Len && c.l4 <= len(c.b)
}

// findL4 finds the payload.
func (c *Cutter) findL4(proto uint8, m *link.Meta) bool {
	l4 := c.b[c.l4:]
	n, field := udpLen, udpCsum
	if c.tcp {
		if len(l4) < tcpLen {
			return false
		}
		n, field = int(l4[12]>>4)*4, tcpCsum
		if n < tcpLen {
			return false
		}
	}
	c.head = c.l4 + n
	if n > len(l4) || c.head > MaxHead {
		return false
	}
	if m.Flags&link.NeedsCsum == 0 {
		c.pseudo = uint32(pseudo(c.b[c.ip:], proto))
		return true
	}
	whole := uint16(len(l4))
	c.pseudo = uint32(binary.BigEndian.Uint16(l4[field:])) + uint32(^whole)
	return int(m.CsumStart) == c.l4 && int(m.CsumOff) == field
}

// Segments is how many frames the super-frame stands for.
func (c *Cutter) Segments() int { return c.n }

// Segment writes the headers of the i-th frame to head, which has room for MaxHead bytes, and
// returns their length, and the payload, which is a part of the super-frame.
func (c *Cutter) Segment(i int, head []byte) (int, []byte) {
	at := c.head + i*c.size
	body := c.b[at:min(at+c.size, len(c.b))]
	h := head[:c.head]
	copy(h, c.b)
	ip, l4 := h[c.ip:c.l4], h[c.l4:]
	if c.v4 {
		binary.BigEndian.PutUint16(ip[2:], uint16(len(h)-c.ip+len(body)))
		binary.BigEndian.PutUint16(ip[4:], binary.BigEndian.Uint16(ip[4:])+uint16(i))
		putIPv4Csum(ip)
	} else {
		binary.BigEndian.PutUint16(ip[4:], uint16(len(h)-c.ip-ipv6Len+len(body)))
	}
	field := udpCsum
	if c.tcp {
		field = tcpCsum
		binary.BigEndian.PutUint32(l4[4:], binary.BigEndian.Uint32(l4[4:])+uint32(i*c.size))
		if i > 0 {
			l4[13] &^= cwr
		}
		if i < c.n-1 {
			l4[13] &^= fin | psh
		}
	} else {
		binary.BigEndian.PutUint16(l4[4:], uint16(udpLen+len(body)))
	}
	binary.BigEndian.PutUint16(l4[field:], l3.Fold(c.pseudo+uint32(len(l4)+len(body))))
	putCsum(l4[field:], l3.Sum(l3.Sum(0, l4), body), !c.tcp)
	return len(h), body
}
