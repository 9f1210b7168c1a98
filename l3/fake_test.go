package l3

import (
	"encoding/binary"
	"net/netip"

	"passt/l2"
	"passt/l3/inet"
	"passt/link"
)

// fakeLower keeps the IP packets that were sent.
type fakeLower struct {
	caps link.Caps
	sent [][]byte
	full bool
}

func (f *fakeLower) Caps() link.Caps { return f.caps }

func (f *fakeLower) Reserve(dst []link.Slot, size int) int {
	for i := range dst {
		dst[i] = link.Slot{Head: make([]byte, link.MaxHead), Body: [][]byte{make([]byte, size)}}
	}
	return len(dst)
}

func (f *fakeLower) Send(s []link.Slot) int {
	if f.full {
		return 0
	}
	for i := range s {
		f.sent = append(f.sent, append(append([]byte(nil), s[i].Head[LinkLen:]...), s[i].Body[0][:s[i].Len]...))
	}
	return len(s)
}

// fakeUpper keeps the packets that came up.
type fakeUpper struct{ got []Packet }

func (f *fakeUpper) Input(batch []Packet, now int64) { f.got = append(f.got, batch...) }

func addr(s string) inet.Addr { return inet.FromNetip(netip.MustParseAddr(s)) }

// packet makes an IP packet from src to dst.
func packet(src, dst string, proto, ttl uint8, l4 []byte) []byte {
	var t Template
	t.Make(addr(src), addr(dst), proto, ttl, 0)
	b := make([]byte, t.L4(), t.L4()+len(l4))
	t.Put(b, len(l4))
	return append(b, l4...)[LinkLen:]
}

func frameOf(b []byte) l2.Packet {
	p := l2.Packet{B: b, EtherType: l2.TypeIPv4}
	if len(b) > 0 && b[0]>>4 == 6 {
		p.EtherType = l2.TypeIPv6
	}
	return p
}

// fix4 corrects the checksum of an IPv4 header that a test has changed.
func fix4(b []byte) []byte {
	b[10], b[11] = 0, 0
	binary.BigEndian.PutUint16(b[10:], Checksum(0, b[:int(b[0]&15)*4]))
	return b
}
