package offload

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"passt/link"
)

// packet is what a test's frame is made of.
type packet struct {
	udp, v6, df  bool
	tags         int    // VLAN tags
	opts         []byte // of IPv4, or an extension header of IPv6 whose first byte is the next protocol
	tos, ttl     uint8
	id           uint16
	seq, ack     uint32
	flags        uint8
	window, urg  uint16
	tcpOpts      []byte
	payload      []byte
	sport, dport uint16
}

// timestamps is what a TCP option of that kind looks like, padded (RFC 7323, appendix A).
var timestamps = []byte{1, 1, 8, 10, 0, 1, 2, 3, 4, 5, 6, 7}

// segmentOf is a common segment with n bytes of payload.
func segmentOf(n int) packet {
	return packet{df: true, ttl: 64, id: 7, seq: 0xfffffff0, ack: 5, flags: ack, window: 500, payload: bytesOf(n), sport: 80, dport: 40000}
}

// bytesOf is n bytes that differ from their neighbours.
func bytesOf(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

// with is p with changes.
func (p packet) with(change func(*packet)) packet {
	change(&p)
	return p
}

func (p packet) proto() byte {
	if p.udp {
		return 17
	}
	return 6
}

// link is the Ethernet header.
func (p packet) link() []byte {
	b := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}
	for i := range p.tags {
		b = append(b, []byte{0x81, 0x88}[i], []byte{0, 0xa8}[i], 0, byte(5+i))
	}
	if p.v6 {
		return append(b, 0x86, 0xdd)
	}
	return append(b, 8, 0)
}

// network is the IP header in front of n bytes.
func (p packet) network(n int) []byte {
	if p.v6 {
		b := []byte{0x60 | p.tos>>4, p.tos << 4, 3, 4, 0, 0, p.proto(), p.ttl}
		binary.BigEndian.PutUint16(b[4:], uint16(n+len(p.opts)))
		b = append(b, []byte{0x20, 1, 0xd, 0xb8, 15: 1}...)
		b = append(b, []byte{0x20, 1, 0xd, 0xb8, 0xff, 15: 2}...)
		if len(p.opts) > 0 {
			b[6] = 60 // destination options
		}
		return append(b, p.opts...)
	}
	b := []byte{0x45 + byte(len(p.opts)/4), p.tos, 0, 0, byte(p.id >> 8), byte(p.id), 0, 0, p.ttl, p.proto(), 0, 0,
		192, 0, 2, 1, 198, 51, 100, 255}
	b = append(b, p.opts...)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)+n))
	if p.df {
		b[6] = 0x40
	}
	binary.BigEndian.PutUint16(b[10:], ^naive(b))
	return b
}

// transport is the header of TCP or UDP, with a checksum of 0.
func (p packet) transport() []byte {
	b := binary.BigEndian.AppendUint16(nil, p.sport)
	b = binary.BigEndian.AppendUint16(b, p.dport)
	if p.udp {
		return binary.BigEndian.AppendUint32(b, uint32(udpLen+len(p.payload))<<16)
	}
	b = binary.BigEndian.AppendUint32(b, p.seq)
	b = binary.BigEndian.AppendUint32(b, p.ack)
	b = append(b, byte(5+len(p.tcpOpts)/4)<<4, p.flags)
	b = binary.BigEndian.AppendUint16(b, p.window)
	b = binary.BigEndian.AppendUint32(b, uint32(p.urg))
	return append(b, p.tcpOpts...)
}

// pseudo is the pseudo-header for n bytes.
func (p packet) pseudo(n int) []byte {
	addrs := p.network(0)[12:20]
	if p.v6 {
		addrs = p.network(0)[8:40]
	}
	return append(append([]byte{}, addrs...), 0, p.proto(), byte(n>>8), byte(n))
}

// field is the offset of the checksum in the transport header.
func (p packet) field() int {
	if p.udp {
		return udpCsum
	}
	return tcpCsum
}

// frame is the complete frame.
func (p packet) frame() []byte {
	l4 := append(p.transport(), p.payload...)
	c := ^naive(append(p.pseudo(len(l4)), l4...))
	if c == 0 && p.udp {
		c = 0xffff
	}
	binary.BigEndian.PutUint16(l4[p.field():], c)
	return bytes.Join([][]byte{p.link(), p.network(len(l4)), l4}, nil)
}

// unfinished is the frame with its checksum left to the link, and to be segmented if size is
// not 0.
func (p packet) unfinished(size int) link.Frame {
	l4 := append(p.transport(), p.payload...)
	binary.BigEndian.PutUint16(l4[p.field():], naive(p.pseudo(len(l4))))
	b := append(p.link(), p.network(len(l4))...)
	m := link.Meta{Flags: link.NeedsCsum, CsumStart: uint16(len(b)), CsumOff: uint16(p.field())}
	if size > 0 {
		m.GSO, m.SegSize = link.GSOTCPv4, uint16(size)
		switch {
		case p.udp:
			m.GSO = link.GSOUDPL4
		case p.v6:
			m.GSO = link.GSOTCPv6
		}
		m.HdrLen = uint16(len(b) + len(p.transport()))
	}
	return link.Frame{B: append(b, l4...), Meta: m}
}

// naive is the sum of words, folded.
func naive(b []byte) uint16 {
	var sum uint32
	for i, v := range b {
		sum += uint32(v) << (8 - 8*(i&1))
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

// valid says what is wrong with the lengths and checksums of a frame without VLAN tags, IP
// options and extension headers.
func valid(b []byte) error {
	ip, l4 := b[etherLen:], []byte(nil)
	var pseudo []byte
	if ip[0]>>4 == 4 {
		if n := int(binary.BigEndian.Uint16(ip[2:])); n != len(ip) {
			return fmt.Errorf("length of IPv4 %d, want %d", n, len(ip))
		}
		if naive(ip[:20]) != 0xffff {
			return fmt.Errorf("checksum of the IPv4 header is wrong")
		}
		l4 = ip[20:]
		pseudo = append(append(pseudo, ip[12:20]...), 0, ip[9])
	} else {
		if n := int(binary.BigEndian.Uint16(ip[4:])); n != len(ip)-40 {
			return fmt.Errorf("length of IPv6 %d, want %d", n, len(ip)-40)
		}
		l4 = ip[40:]
		pseudo = append(append(pseudo, ip[8:40]...), 0, ip[6])
	}
	pseudo = append(pseudo, byte(len(l4)>>8), byte(len(l4)))
	if naive(append(pseudo, l4...)) != 0xffff {
		return fmt.Errorf("checksum of the transport is wrong")
	}
	return nil
}

// cutAll is the frames that f is cut into.
func cutAll(t testing.TB, f link.Frame) (frames [][]byte) {
	t.Helper()
	var c Cutter
	if !c.Set(&f) {
		t.Fatalf("a super-frame with %+v is not cut", f.Meta)
	}
	head := make([]byte, MaxHead)
	for i := range c.Segments() {
		n, body := c.Segment(i, head)
		frames = append(frames, append(append([]byte{}, head[:n]...), body...))
	}
	return frames
}

// joinAll is what becomes of a batch: how many frames each of the results is made of, and
// these.
func joinAll(batch []link.Frame) (counts []int, out []link.Frame) {
	for len(batch) > 0 {
		n, m := Join(batch)
		b := append([]byte{}, batch[0].B...)
		for _, f := range batch[1:n] {
			b = append(b, f.B[m.HdrLen:]...)
		}
		counts, out = append(counts, n), append(out, link.Frame{B: b, Meta: m})
		batch = batch[n:]
	}
	return counts, out
}
