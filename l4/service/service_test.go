package service

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"passt/l3"
	"passt/l3/inet"
	"passt/link"
)

// datagram is a packet with a correct checksum.
func datagram(src, dst string, payload []byte) *l3.Packet {
	p := &l3.Packet{
		Src:   inet.FromNetip(netip.MustParseAddr(src)),
		Dst:   inet.FromNetip(netip.MustParseAddr(dst)),
		Proto: l3.ProtoUDP,
	}
	u := make([]byte, 8, 8+len(payload))
	binary.BigEndian.PutUint16(u, 68)
	binary.BigEndian.PutUint16(u[2:], 67)
	binary.BigEndian.PutUint16(u[4:], uint16(8+len(payload)))
	u = append(u, payload...)
	sum := l3.Sum(l3.Sum(l3.ProtoUDP+uint32(len(u)), netip.MustParseAddr(src).AsSlice()), netip.MustParseAddr(dst).AsSlice())
	binary.BigEndian.PutUint16(u[6:], ^l3.Fold(l3.Sum(sum, u)))
	p.B, p.L4 = u, u
	return p
}

func TestPayload(t *testing.T) {
	tests := []struct {
		name     string
		src, dst string
		change   func(p *l3.Packet)
		want     bool
	}{
		{name: "IPv4", src: "0.0.0.0", dst: "255.255.255.255", want: true},
		{name: "IPv6", src: "fe80::2", dst: "ff02::1:2", want: true},
		{name: "padding behind", src: "fe80::2", dst: "ff02::1:2", want: true, change: func(p *l3.Packet) { p.L4 = append(p.L4, 1, 2) }},
		{name: "no checksum over IPv4", src: "192.0.2.2", dst: "192.0.2.1", want: true, change: func(p *l3.Packet) { p.L4[6], p.L4[7] = 0, 0 }},
		{name: "no checksum over IPv6", src: "fe80::2", dst: "fe80::1", change: func(p *l3.Packet) { p.L4[6], p.L4[7] = 0, 0 }},
		{name: "wrong checksum", src: "fe80::2", dst: "fe80::1", change: func(p *l3.Packet) { p.L4[7] ^= 1 }},
		{name: "checksum left to the link", src: "fe80::2", dst: "fe80::1", want: true, change: func(p *l3.Packet) { p.L4[7] ^= 1; p.Meta.Flags = link.NeedsCsum }},
		{name: "longer than the packet", src: "fe80::2", dst: "fe80::1", change: func(p *l3.Packet) { p.L4[5]++ }},
		{name: "shorter than its header", src: "fe80::2", dst: "fe80::1", change: func(p *l3.Packet) { p.L4[5] = 7 }},
		{name: "no whole header", src: "fe80::2", dst: "fe80::1", change: func(p *l3.Packet) { p.L4 = p.L4[:7] }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := datagram(tt.src, tt.dst, []byte("hello"))
			if tt.change != nil {
				tt.change(p)
			}
			b, ok := Payload(p)
			if ok != tt.want || ok && string(b) != "hello" {
				t.Errorf("got %q, %v, want %v", b, ok, tt.want)
			}
		})
	}
}

func TestIsFor(t *testing.T) {
	p := datagram("192.0.2.2", "192.0.2.1", nil)
	if !IsFor(p, 67) || IsFor(p, 68) {
		t.Error("wrong port")
	}
	p.Proto = l3.ProtoTCP
	if IsFor(p, 67) {
		t.Error("TCP taken for UDP")
	}
}

// lane is an Output with bodies in small pieces.
type lane struct {
	sent  []byte
	piece int
	full  bool
}

func (l *lane) Caps() link.Caps { return link.Caps{Batch: 1, Body: 1 << 16} }

func (l *lane) Reserve(dst []link.Slot, size int) int {
	if l.full {
		return 0
	}
	s := link.Slot{Head: make([]byte, link.MaxHead), Meta: link.Meta{Flags: link.NeedsCsum}}
	for size > 0 {
		n := min(size, l.piece)
		s.Body = append(s.Body, make([]byte, n))
		size -= n
	}
	dst[0] = s
	return 1
}

func (l *lane) Send(s []link.Slot) int {
	l.sent = append([]byte(nil), s[0].Head[l3.LinkLen:]...)
	left := s[0].Len
	for _, b := range s[0].Body {
		n := min(left, len(b))
		l.sent = append(l.sent, b[:n]...)
		left -= n
	}
	if s[0].Meta != (link.Meta{}) {
		l.sent = nil
	}
	return 1
}

func TestSend(t *testing.T) {
	a := func(s string, port uint16) inet.Endpoint {
		return inet.Endpoint{Addr: inet.FromNetip(netip.MustParseAddr(s)), Port: port}
	}
	for _, tt := range []struct {
		name     string
		src, dst inet.Endpoint
		head     int
	}{
		{"IPv4", a("192.0.2.1", 67), a("192.0.2.2", 68), 20},
		{"IPv6", a("fe80::1", 547), a("fe80::2", 546), 40},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := &lane{piece: 3}
			s := NewSender(l)
			if !s.Send(tt.src, tt.dst, []byte("hello world")) {
				t.Fatal("not sent")
			}
			p := &l3.Packet{Src: tt.src.Addr, Dst: tt.dst.Addr, Proto: l3.ProtoUDP, L4: l.sent[tt.head:]}
			if b, ok := Payload(p); !ok || string(b) != "hello world" || !IsFor(p, tt.dst.Port) {
				t.Errorf("sent % x", l.sent)
			}
			l.full = true
			if s.Send(tt.src, tt.dst, nil) {
				t.Error("sent on a full link")
			}
		})
	}
	t.Run("checksum that comes out as zero", func(t *testing.T) {
		l := &lane{piece: 100}
		s := NewSender(l)
		src, dst := a("fe80::1", 547), a("fe80::2", 546)
		s.Send(src, dst, []byte{0, 0})
		payload := []byte{l.sent[46], l.sent[47]} // makes the sum come out as all ones
		s.Send(src, dst, payload)
		if l.sent[46] != 0xff || l.sent[47] != 0xff {
			t.Errorf("got checksum % x, want ff ff", l.sent[46:48])
		}
	})
}

func TestRate(t *testing.T) {
	var r Rate
	now := int64(1 << 40)
	count := func(n int) (ok int) {
		for range n {
			if r.Take(now) {
				ok++
			}
		}
		return ok
	}
	if got := count(1000); got != 100 {
		t.Errorf("burst: got %d, want 100", got)
	}
	now += 1e9
	if got := count(1000); got != 100 {
		t.Errorf("after a second: got %d, want 100", got)
	}
	now += 50e6
	if got := count(1000); got != 10 {
		t.Errorf("after 50 ms: got %d, want 10", got)
	}
}

func TestAppendName(t *testing.T) {
	long := strings.Repeat(strings.Repeat("a", 49)+".", 5)
	tests := []struct {
		name, in, want string
		ok             bool
	}{
		{"two labels", "example.com", "\x07example\x03com\x00", true},
		{"last dot", "example.com.", "\x07example\x03com\x00", true},
		{"one label", "lan", "\x03lan\x00", true},
		{"root", ".", "", false},
		{"none", "", "", false},
		{"empty label", "a..b", "", false},
		{"first dot", ".a", "", false},
		{"space", "a b", "", false},
		{"not ASCII", "bücher.example", "", false},
		{"label of 63", strings.Repeat("a", 63), "?" + strings.Repeat("a", 63) + "\x00", true},
		{"label of 64", strings.Repeat("a", 64), "", false},
		{"longest", long + "abc", "", true},
		{"too long", long + "abcde", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := AppendName(nil, tt.in)
			if ok != tt.ok || tt.want != "" && string(got) != tt.want || ok && len(got) > 255 {
				t.Errorf("got %q, %v, want %q, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}
