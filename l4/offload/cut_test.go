package offload

import (
	"bytes"
	"testing"

	"passt/link"
)

func TestCut(t *testing.T) {
	v6 := func(p *packet) { p.v6 = true }
	udp := func(p *packet) { p.udp = true }
	for _, tc := range []struct {
		name  string
		p     packet
		size  int
		sizes []int   // of the payloads
		flags []uint8 // of the segments, if not all the same
	}{
		{"IPv4", segmentOf(3000), 1000, []int{1000, 1000, 1000}, nil},
		{"IPv6", segmentOf(3000).with(v6), 1000, []int{1000, 1000, 1000}, nil},
		{"a shorter last one", segmentOf(2001), 1000, []int{1000, 1000, 1}, nil},
		{"odd sizes", segmentOf(2500).with(v6), 999, []int{999, 999, 502}, nil},
		{"timestamps", segmentOf(2896).with(func(p *packet) { p.tcpOpts = timestamps }), 1448, []int{1448, 1448}, nil},
		{"IPv6 with timestamps", segmentOf(2856).with(func(p *packet) { p.v6, p.tcpOpts = true, timestamps }), 1428, []int{1428, 1428}, nil},
		{"options of IPv4", segmentOf(2000).with(func(p *packet) { p.opts = []byte{148, 4, 0, 0} }), 1000, []int{1000, 1000}, nil},
		{"destination options of IPv6", segmentOf(2000).with(func(p *packet) {
			p.v6, p.opts = true, []byte{6, 0, 1, 4, 0, 0, 0, 0}
		}), 1000, []int{1000, 1000}, nil},
		{"VLAN", segmentOf(2000).with(func(p *packet) { p.tags = 1 }), 1000, []int{1000, 1000}, nil},
		{"two VLAN tags, IPv6", segmentOf(2000).with(func(p *packet) { p.tags, p.v6 = 2, true }), 1000, []int{1000, 1000}, nil},
		{"PSH and FIN", segmentOf(3000).with(func(p *packet) { p.flags = ack | psh | fin }), 1000, []int{1000, 1000, 1000},
			[]uint8{ack, ack, ack | psh | fin}},
		{"CWR and ECE", segmentOf(3000).with(func(p *packet) { p.flags = ack | cwr | ece }), 1000, []int{1000, 1000, 1000},
			[]uint8{ack | cwr | ece, ack | ece, ack | ece}},
		{"one segment", segmentOf(700).with(func(p *packet) { p.flags = ack | psh | cwr }), 1000, []int{700}, nil},
		{"no payload", segmentOf(0), 1000, []int{0}, nil},
		{"the identification wraps", segmentOf(3).with(func(p *packet) { p.id = 0xffff }), 1, []int{1, 1, 1}, nil},
		{"TCP whose checksum is 0", segmentOf(2).with(zeroCsum), 2, []int{2}, nil},
		{"UDP whose checksum would be 0", segmentOf(2).with(udp).with(zeroCsum), 2, []int{2}, nil},
		{"UDP", segmentOf(2500).with(udp), 1000, []int{1000, 1000, 500}, nil},
		{"UDP on IPv6", segmentOf(2001).with(udp).with(v6), 1000, []int{1000, 1000, 1}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := tc.p.unfinished(tc.size)
			checkCut(t, tc.p, f, tc.sizes, tc.flags)
			if tc.p.opts != nil && tc.p.v6 {
				return // only the checksum's place says where the transport header is
			}
			f.Meta.Flags, f.Meta.CsumStart, f.Meta.CsumOff = 0, 0, 0
			checkCut(t, tc.p, f, tc.sizes, tc.flags)
		})
	}
}

// checkCut checks that f is cut into frames of p with payloads of the given sizes.
func checkCut(t *testing.T, p packet, f link.Frame, sizes []int, flags []uint8) {
	t.Helper()
	got := cutAll(t, f)
	if len(got) != len(sizes) {
		t.Fatalf("%d frames, want %d", len(got), len(sizes))
	}
	at := 0
	for i, n := range sizes {
		want := p
		want.payload = p.payload[at : at+n]
		want.id += uint16(i)
		want.seq += uint32(at)
		if flags != nil {
			want.flags = flags[i]
		}
		if w := want.frame(); !bytes.Equal(got[i], w) {
			t.Errorf("frame %d:\n got %x\nwant %x", i, got[i], w)
		}
		at += n
	}
}

// TestCutRefuses is about frames that contradict themselves, and others that are not cut.
func TestCutRefuses(t *testing.T) {
	for _, tc := range []struct {
		name   string
		p      packet
		change func(*link.Frame)
	}{
		{"no size", segmentOf(2000), func(f *link.Frame) { f.Meta.SegSize = 0 }},
		{"no super-frame", segmentOf(2000), func(f *link.Frame) { f.Meta.GSO = link.GSONone }},
		{"the other IP version", segmentOf(2000), func(f *link.Frame) { f.Meta.GSO = link.GSOTCPv6 }},
		{"the other protocol", segmentOf(2000), func(f *link.Frame) { f.Meta.GSO = link.GSOUDPL4 }},
		{"ARP", segmentOf(2000), func(f *link.Frame) { f.B[13] = 6 }},
		{"the version in the header differs", segmentOf(2000), func(f *link.Frame) { f.B[14] = 0x65 }},
		{"longer than IPv4 says", segmentOf(2000), func(f *link.Frame) { f.B = append(f.B, 0) }},
		{"shorter than IPv6 says", segmentOf(2000).with(func(p *packet) { p.v6 = true }), func(f *link.Frame) { f.B = f.B[:len(f.B)-1] }},
		{"IPv4 header too long", segmentOf(20), func(f *link.Frame) { f.B[14] = 0x4f }},
		{"IPv4 header too short", segmentOf(20), func(f *link.Frame) { f.B[14] = 0x44 }},
		{"TCP header too long", segmentOf(20), func(f *link.Frame) { f.B[46] = 0xf0 }},
		{"TCP header too short", segmentOf(20), func(f *link.Frame) { f.B[46] = 0x40 }},
		{"checksum elsewhere", segmentOf(2000), func(f *link.Frame) { f.Meta.CsumStart += 2 }},
		{"checksum at another offset", segmentOf(2000), func(f *link.Frame) { f.Meta.CsumOff = 6 }},
		{"cut off", segmentOf(2000), func(f *link.Frame) { f.B = f.B[:14] }},
		{"three VLAN tags", segmentOf(2000), func(f *link.Frame) {
			f.B = append([]byte{12: 0x81, 16: 0x81, 20: 0x81, 23: 0}, f.B[12:]...)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := tc.p.unfinished(1000)
			tc.change(&f)
			if new(Cutter).Set(&f) {
				t.Error("is cut")
			}
		})
	}
}

// zeroCsum gives a packet a payload that makes the sum over all of it 0xffff.
func zeroCsum(p *packet) {
	p.payload = []byte{0, 0}
	c := p.frame()[etherLen+ipv4Len+p.field():]
	p.payload = []byte{c[0], c[1]}
}

func TestFinish(t *testing.T) {
	for _, tc := range []struct {
		name string
		p    packet
	}{
		{"TCP", segmentOf(0)},
		{"TCP, odd", segmentOf(101)},
		{"TCP on IPv6", segmentOf(1000).with(func(p *packet) { p.v6 = true })},
		{"UDP", segmentOf(100).with(func(p *packet) { p.udp = true })},
		{"UDP on IPv6 with an extension header, odd", segmentOf(33).with(func(p *packet) {
			p.udp, p.v6, p.opts = true, true, []byte{17, 0, 1, 4, 0, 0, 0, 0}
		})},
		{"TCP whose checksum is 0", segmentOf(2).with(zeroCsum)},
		{"UDP whose checksum would be 0", segmentOf(2).with(func(p *packet) { p.udp = true }).with(zeroCsum)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := tc.p.unfinished(0)
			if !Finish(&f) {
				t.Fatal("can't be finished")
			}
			if want := tc.p.frame(); !bytes.Equal(f.B, want) {
				t.Errorf("\n got %x\nwant %x", f.B, want)
			}
			before := bytes.Clone(f.B)
			if !Finish(&f) || !bytes.Equal(f.B, before) {
				t.Error("what is finished is changed again")
			}
		})
	}
	f := segmentOf(0).unfinished(0)
	f.Meta.CsumOff = 19
	if Finish(&f) {
		t.Error("a checksum that ends behind the frame is finished")
	}
}

func TestNoAllocation(t *testing.T) {
	var c Cutter
	head := make([]byte, MaxHead)
	super := segmentOf(64000).unfinished(1448)
	plain := segmentOf(100).unfinished(0)
	batch := train(45, 1448)
	first := bytes.Clone(batch[0].B)
	if n := testing.AllocsPerRun(10, func() {
		c.Set(&super)
		for i := range c.Segments() {
			c.Segment(i, head)
		}
		plain.Meta.Flags = link.NeedsCsum
		Finish(&plain)
		copy(batch[0].B, first)
		Join(batch)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCut(b *testing.B) {
	var c Cutter
	head := make([]byte, MaxHead)
	f := segmentOf(45 * 1448).unfinished(1448)
	b.SetBytes(int64(len(f.B)))
	for b.Loop() {
		c.Set(&f)
		for i := range c.Segments() {
			c.Segment(i, head)
		}
	}
}
