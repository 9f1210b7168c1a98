package l3

import (
	"encoding/binary"
	"testing"

	"passt/l2"
	"passt/link"
)

var testConfig = Config{V4: true, V6: true, Ours4: addr("192.0.2.1"), Ours6: addr("fe80::1")}

func newStack(c Config) (*Stack, *fakeLower, *fakeUpper) {
	down, up := &fakeLower{caps: link.Caps{Batch: 16}}, &fakeUpper{}
	return New(down, up, c), down, up
}

// ext is an extension header of n times 8 bytes with the next header next.
func ext(next, n uint8, rest ...byte) []byte {
	b := make([]byte, int(n)*8, int(n)*8+len(rest))
	b[0], b[1] = next, n-1
	return append(b, rest...)
}

func TestInput(t *testing.T) {
	l4 := []byte{1, 2, 3, 4, 5, 6, 7, 8}
	dhcp := []byte{0, 68, 0, 67}
	martian := func(s *Stats) *uint64 { return &s.RxMartian }
	v4 := func(change func(b []byte) []byte) []byte {
		return change(packet("192.0.2.2", "198.51.100.9", ProtoUDP, 64, l4))
	}
	v6 := func(proto uint8, l4 []byte) []byte {
		return packet("2001:db8::2", "2001:db8:9::9", proto, 64, l4)
	}
	same := func(b []byte) []byte { return b }
	for _, tt := range []struct {
		name  string
		b     []byte
		proto uint8 // 0: dropped
		l4    []byte
		stat  func(s *Stats) *uint64
	}{
		{"IPv4", v4(same), ProtoUDP, l4, nil},
		{"IPv4 with padding of the link", v4(func(b []byte) []byte { return append(b, 0, 0, 0) }), ProtoUDP, l4, nil},
		{"IPv4 options", v4(func(b []byte) []byte {
			b = append(append(append([]byte(nil), b[:20]...), 1, 1, 1, 0), l4...)
			b[0] = 0x46
			binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
			return fix4(b)
		}), ProtoUDP, l4, nil},
		{"IPv4, truncated", v4(func(b []byte) []byte { return b[:len(b)-1] }), 0, nil, func(s *Stats) *uint64 { return &s.RxBad }},
		{"IPv4, short", v4(func(b []byte) []byte { return b[:19] }), 0, nil, func(s *Stats) *uint64 { return &s.RxBad }},
		{"IPv4, empty", []byte{0x45}, 0, nil, func(s *Stats) *uint64 { return &s.RxBad }},
		{"IPv4, header too short", v4(func(b []byte) []byte { b[0] = 0x44; return fix4(b) }), 0, nil, func(s *Stats) *uint64 { return &s.RxBad }},
		{"IPv4, total shorter than the header", v4(func(b []byte) []byte { b[2], b[3] = 0, 19; return fix4(b) }), 0, nil, func(s *Stats) *uint64 { return &s.RxBad }},
		{"IPv4, checksum", v4(func(b []byte) []byte { b[10]++; return b }), 0, nil, func(s *Stats) *uint64 { return &s.RxBad }},
		{"IPv4, version", v4(func(b []byte) []byte { b[0] = 0x55; return fix4(b) }), 0, nil, func(s *Stats) *uint64 { return &s.RxBad }},
		{"IPv4 from a group", fix4(packet("224.0.0.1", "198.51.100.9", ProtoUDP, 64, l4)), 0, nil, martian},
		{"IPv4 from loopback", fix4(packet("127.0.0.1", "198.51.100.9", ProtoUDP, 64, l4)), 0, nil, martian},
		{"DHCP from nowhere", packet("0.0.0.0", "255.255.255.255", ProtoUDP, 64, dhcp), ProtoUDP, dhcp, nil},
		{"DHCP from nowhere, short", packet("0.0.0.0", "255.255.255.255", ProtoUDP, 64, dhcp[:3]), 0, nil, martian},
		{"from nowhere to DHCP's port only", packet("0.0.0.0", "255.255.255.255", ProtoUDP, 64, []byte{0, 69, 0, 67}), 0, nil, martian},
		{"from nowhere, DHCP's port only", packet("0.0.0.0", "255.255.255.255", ProtoUDP, 64, []byte{0, 68, 0, 69}), 0, nil, martian},
		{"as DHCP, by TCP", packet("0.0.0.0", "198.51.100.9", ProtoTCP, 64, dhcp), 0, nil, martian},
		{"as DHCP, by IPv6", packet("::", "2001:db8:9::9", ProtoUDP, 64, dhcp), 0, nil, martian},
		{"UDP from nowhere", packet("0.0.0.0", "198.51.100.9", ProtoUDP, 64, l4), 0, nil, martian},
		{"TCP from nowhere", packet("0.0.0.0", "198.51.100.9", ProtoTCP, 64, l4), 0, nil, martian},
		{"echo from nowhere", packet("0.0.0.0", "198.51.100.9", ProtoICMP, 64, l4), 0, nil, martian},
		{"UDP from nowhere, IPv6", packet("::", "2001:db8:9::9", ProtoUDP, 64, l4), 0, nil, martian},
		{"TCP from nowhere, IPv6", packet("::", "2001:db8:9::9", ProtoTCP, 64, l4), 0, nil, martian},
		{"echo from nowhere, IPv6", packet("::", "2001:db8:9::9", ProtoICMPv6, 64, l4), 0, nil, martian},
		{"from nowhere, at the end of its life", packet("0.0.0.0", "198.51.100.9", ProtoUDP, 1, l4), 0, nil, martian},
		{"IPv6", v6(ProtoTCP, l4), ProtoTCP, l4, nil},
		{"IPv6 with padding of the link", append(v6(ProtoTCP, l4), 0, 0, 0), ProtoTCP, l4, nil},
		{"IPv6 hop-by-hop", v6(extHopByHop, ext(ProtoTCP, 1, l4...)), ProtoTCP, l4, nil},
		{"IPv6, three extension headers", v6(extHopByHop, ext(extDest, 1, ext(extRouting, 2, ext(ProtoUDP, 1, l4...)...)...)), ProtoUDP, l4, nil},
		{"IPv6 authentication", v6(extAuth, append([]byte{ProtoUDP, 4, 22: 0, 23: 0}, l4...)), ProtoUDP, l4, nil},
		{"IPv6, extension header runs out", v6(extHopByHop, ext(ProtoTCP, 1)[:7]), 0, nil, func(s *Stats) *uint64 { return &s.RxBad }},
		{"IPv6, extension header too long", v6(extHopByHop, []byte{ProtoTCP, 9, 0, 0, 0, 0, 0, 0}), 0, nil, func(s *Stats) *uint64 { return &s.RxBad }},
		{"IPv6, no next header", v6(59, nil), 59, nil, nil},
		{"IPv6, truncated", v6(ProtoTCP, l4)[:47], 0, nil, func(s *Stats) *uint64 { return &s.RxBad }},
		{"IPv6, short", v6(ProtoTCP, l4)[:39], 0, nil, func(s *Stats) *uint64 { return &s.RxBad }},
		{"IPv6, a mapped source", func() []byte {
			b := v6(ProtoTCP, l4)
			a := addr("127.0.0.1")
			copy(b[8:], a[:])
			return b
		}(), 0, nil, martian},
		{"IPv6, a mapped destination", func() []byte {
			b := v6(ProtoTCP, l4)
			a := addr("127.0.0.1")
			copy(b[24:], a[:])
			return b
		}(), 0, nil, martian},
		{"IPv6 from loopback", packet("::1", "2001:db8:9::9", ProtoTCP, 64, l4), 0, nil, martian},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _, up := newStack(testConfig)
			s.Input([]l2.Packet{frameOf(tt.b)}, 1<<40)
			if (len(up.got) == 1) != (tt.proto != 0) {
				t.Fatalf("%d packets passed, stats %+v", len(up.got), s.Stats)
			}
			if len(up.got) == 1 && (up.got[0].Proto != tt.proto || string(up.got[0].L4) != string(tt.l4)) {
				t.Errorf("passed protocol %d, %x", up.got[0].Proto, up.got[0].L4)
			}
			if tt.stat != nil && *tt.stat(&s.Stats) != 1 {
				t.Errorf("stats %+v", s.Stats)
			}
		})
	}
}

// taking is a Control that takes all that it sees.
type taking struct{ seen int }

func (c *taking) Input(*Packet, int64) bool { c.seen++; return true }

// TestControlSeesProbes: a host that looks whether an address is free has none yet (RFC 4862,
// section 5.4.2).
func TestControlSeesProbes(t *testing.T) {
	s, _, up := newStack(testConfig)
	c := new(taking)
	s.SetControl(c)
	s.Input([]l2.Packet{frameOf(packet("::", "ff02::1:ff00:2", ProtoICMPv6, 255, make([]byte, 24)))}, 1<<40)
	if c.seen != 1 || len(up.got) != 0 || s.Stats.RxMartian != 0 {
		t.Errorf("seen %d, passed %d, stats %+v", c.seen, len(up.got), s.Stats)
	}
}

func TestVersionOff(t *testing.T) {
	c := testConfig
	c.V4, c.V6 = false, false
	s, _, up := newStack(c)
	s.Input([]l2.Packet{
		frameOf(packet("192.0.2.2", "198.51.100.9", ProtoUDP, 64, make([]byte, 8))),
		frameOf(packet("2001:db8::2", "2001:db8:9::9", ProtoUDP, 64, make([]byte, 8))),
	}, 1<<40)
	if len(up.got) != 0 || s.Stats.RxOff != 2 {
		t.Errorf("%d passed, stats %+v", len(up.got), s.Stats)
	}
}

func TestGuestObserved(t *testing.T) {
	s, _, _ := newStack(testConfig)
	for _, src := range []string{"192.0.2.2", "192.0.2.1", "0.0.0.0", "2001:db8::7", "fe80::99", "fe80::1"} {
		dst := "198.51.100.9"
		if addr := addr(src); !addr.Is4() {
			dst = "2001:db8:9::9"
		}
		s.Input([]l2.Packet{frameOf(packet(src, dst, ProtoUDP, 64, make([]byte, 8)))}, 1<<40)
	}
	if want := (Guest{V4: addr("192.0.2.2"), V6: addr("2001:db8::7"), LinkLocal: addr("fe80::99")}); *s.Guest() != want {
		t.Errorf("observed %+v", s.Guest())
	}
}

func TestGuestExpected(t *testing.T) {
	s, _, _ := newStack(testConfig)
	s.Expect(addr("fe80::99"))
	s.Expect(addr("2001:db8::7"))
	s.Expect(addr("2001:db8::8")) // a second one of the kind
	if want := (Guest{V6: addr("2001:db8::7"), LinkLocal: addr("fe80::99")}); *s.Guest() != want {
		t.Errorf("expected %+v", s.Guest())
	}
	s.Input([]l2.Packet{frameOf(packet("2001:db8::8", "2001:db8:9::9", ProtoUDP, 64, make([]byte, 8)))}, 1<<40)
	s.Expect(addr("2001:db8::7"))
	if want := (Guest{V6: addr("2001:db8::8"), LinkLocal: addr("fe80::99")}); *s.Guest() != want {
		t.Errorf("observed %+v", s.Guest())
	}
}

func TestLifetime(t *testing.T) {
	for _, tt := range []struct {
		name     string
		src, dst string
		ttl      uint8
		passed   bool
		sent     bool
	}{
		{"IPv4, 2", "192.0.2.2", "198.51.100.9", 2, true, false},
		{"IPv4, 1", "192.0.2.2", "198.51.100.9", 1, false, true},
		{"IPv4, 0", "192.0.2.2", "198.51.100.9", 0, false, true},
		{"IPv4, to us", "192.0.2.2", "192.0.2.1", 1, true, false},
		{"IPv4, to a group", "192.0.2.2", "224.0.0.251", 1, true, false},
		{"IPv6, 1", "2001:db8::2", "2001:db8:9::9", 1, false, true},
		{"IPv6, to us", "2001:db8::2", "fe80::1", 1, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, down, up := newStack(testConfig)
			s.Input([]l2.Packet{frameOf(packet(tt.src, tt.dst, ProtoUDP, tt.ttl, make([]byte, 100)))}, 1<<40)
			if (len(up.got) == 1) != tt.passed || (len(down.sent) == 1) != tt.sent {
				t.Fatalf("%d passed, %d sent", len(up.got), len(down.sent))
			}
			if tt.sent {
				checkICMP(t, down.sent[0], TimeExceeded, 0)
			}
		})
	}
}

func FuzzInput(f *testing.F) {
	f.Add(packet("192.0.2.2", "198.51.100.9", ProtoUDP, 1, make([]byte, 100)), uint16(l2.TypeIPv4))
	f.Add(packet("2001:db8::2", "2001:db8:9::9", extHopByHop, 64, ext(ProtoTCP, 1, make([]byte, 20)...)), uint16(l2.TypeIPv6))
	f.Add(packet("2001:db8::2", "2001:db8:9::9", extFragment, 64, []byte{ProtoUDP, 0, 0, 1, 0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8}), uint16(l2.TypeIPv6))
	f.Add(packet("0.0.0.0", "255.255.255.255", ProtoUDP, 64, []byte{0, 68, 0, 67, 0, 8, 0, 0}), uint16(l2.TypeIPv4))
	f.Add(packet("0.0.0.0", "198.51.100.9", ProtoTCP, 64, make([]byte, 20)), uint16(l2.TypeIPv4))
	f.Add(packet("::", "2001:db8:9::9", ProtoICMPv6, 1, make([]byte, 8)), uint16(l2.TypeIPv6))
	f.Fuzz(func(t *testing.T, b []byte, etherType uint16) {
		s, _, up := newStack(testConfig)
		if len(b) >= HeaderLen4 && b[0]>>4 == 4 && int(b[0]&15)*4 <= len(b) && b[0]&15 >= 5 {
			fix4(b)
		}
		s.Input([]l2.Packet{{B: b, EtherType: etherType}, {B: b, EtherType: etherType}}, 1<<40)
		for _, p := range up.got {
			if len(p.L4) > len(p.B) || p.Src.Is4() != p.Dst.Is4() {
				t.Errorf("passed %+v", p)
			}
			dhcp := p.Src.Is4() && p.Proto == ProtoUDP && len(p.L4) >= 4 && string(p.L4[:4]) == "\x00\x44\x00\x43"
			if p.Src.IsMulticast() || p.Src.IsBroadcast() || p.Src.IsLoopback() || p.Src.IsUnspecified() && !dhcp {
				t.Errorf("passed from %v, protocol %d", p.Src, p.Proto)
			}
		}
	})
}

func TestNoAllocation(t *testing.T) {
	s := New(&fakeLower{caps: link.Caps{Batch: 16}}, discard{}, testConfig)
	batch := []l2.Packet{
		frameOf(packet("192.0.2.2", "198.51.100.9", ProtoUDP, 64, make([]byte, 1000))),
		frameOf(packet("2001:db8::2", "2001:db8:9::9", ProtoUDP, 64, make([]byte, 1000))),
	}
	if n := testing.AllocsPerRun(100, func() { s.Input(batch, 1<<40) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

type discard struct{}

func (discard) Input([]Packet, int64) {}

func BenchmarkInput(b *testing.B) {
	s := New(&fakeLower{caps: link.Caps{Batch: 16}}, discard{}, testConfig)
	batch := make([]l2.Packet, 16)
	for i := range batch {
		batch[i] = frameOf(packet("192.0.2.2", "198.51.100.9", ProtoUDP, 64, make([]byte, 1400)))
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Input(batch, 1<<40)
	}
}
