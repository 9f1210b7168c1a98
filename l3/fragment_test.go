package l3

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"passt/l3/inet"
	"passt/link"
)

// partsOutput keeps the packets that are sent, without the link's header.
type partsOutput struct {
	mem    [8][link.MaxHead + 65536]byte
	bodies [8][1][]byte
	packet [][]byte
	take   int // slots that the link takes; fewer than it has room for
	quiet  bool
}

func (o *partsOutput) Caps() link.Caps { return link.Caps{Batch: 8, Body: 65535} }

func (o *partsOutput) Reserve(dst []link.Slot, size int) int {
	n := min(len(dst), len(o.mem))
	for i := range dst[:n] {
		m := o.mem[i][:]
		o.bodies[i][0] = m[link.MaxHead : link.MaxHead+size]
		dst[i] = link.Slot{Head: m[:link.MaxHead], Body: o.bodies[i][:]}
	}
	return n
}

func (o *partsOutput) Send(s []link.Slot) int {
	n := min(len(s), o.take)
	o.take -= n
	for i := range s[:n] {
		if !o.quiet {
			o.packet = append(o.packet, append(slices.Clone(s[i].Head[LinkLen:]), s[i].Body[0][:s[i].Len]...))
		}
	}
	return n
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 >> 3)
	}
	return b
}

func templates() map[string]*Template {
	m := map[string]*Template{"IPv4": {}, "IPv6": {}}
	m["IPv4"].Make(inet.V4([]byte{192, 0, 2, 1}), inet.V4([]byte{192, 0, 2, 2}), ProtoUDP, 64, 0)
	m["IPv6"].Make(inet.Addr{0xfe, 0x80, 15: 1}, inet.Addr{0xfe, 0x80, 15: 2}, ProtoUDP, 64, 0)
	return m
}

// feed gives a packet to r as the Stack does.
func feed(t testing.TB, r *Reassembler, b []byte, now int64) []byte {
	if b[0]>>4 == 4 {
		if Checksum(0, b[:int(b[0]&15)*4]) != 0 {
			t.Error("header checksum wrong")
		}
		return r.Input4(b, now)
	}
	if n := int(binary.BigEndian.Uint16(b[4:])); n != len(b)-HeaderLen6 {
		t.Errorf("payload length %d of %d", n, len(b)-HeaderLen6)
	}
	proto, off, ok := walk6(b)
	if proto != extFragment || !ok {
		t.Fatalf("no fragment header, protocol %d", proto)
	}
	return r.Input6(b, off, now)
}

func TestFragmentAndBack(t *testing.T) {
	for name, tpl := range templates() {
		for _, c := range []struct{ mtu, n int }{
			{1500, 2000}, {1500, 65507 + 8}, {1280, 1280}, {1281, 5000}, {65520, 65515}, {576, 40000},
		} {
			t.Run(fmt.Sprintf("%s MTU %d, %d bytes", name, c.mtu, c.n), func(t *testing.T) {
				o := &partsOutput{take: 1000}
				want := pattern(c.n)
				if !Fragment(o, make([]link.Slot, 8), tpl, want, c.mtu, 0x10203) {
					t.Fatal("not sent")
				}
				var r Reassembler
				var whole []byte
				for i, b := range o.packet {
					if len(b) > c.mtu {
						t.Fatalf("packet of %d bytes", len(b))
					}
					if whole = feed(t, &r, b, 1); (whole != nil) != (i == len(o.packet)-1) {
						t.Fatalf("whole after %d of %d", i+1, len(o.packet))
					}
				}
				var head [link.MaxHead]byte
				tpl.Put(head[:], c.n)
				wantHead := head[LinkLen:tpl.L4()]
				if tpl.n == HeaderLen4 { // whole, and without "don't fragment"
					binary.BigEndian.PutUint16(wantHead[4:], 0x203)
					wantHead[6], wantHead[10], wantHead[11] = 0, 0, 0
					binary.BigEndian.PutUint16(wantHead[10:], Checksum(0, wantHead))
				}
				if !bytes.Equal(whole[:tpl.Len()], wantHead) {
					t.Errorf("header\n got %x\nwant %x", whole[:tpl.Len()], wantHead)
				}
				if !bytes.Equal(whole[tpl.Len():], want) {
					t.Error("payload differs")
				}
			})
		}
	}
}

func TestFragmentFits(t *testing.T) {
	for name, tpl := range templates() {
		o := &partsOutput{take: 1}
		if !Fragment(o, make([]link.Slot, 4), tpl, pattern(1500-tpl.Len()), 1500, 1) || len(o.packet) != 1 {
			t.Errorf("%s: %d packets, want 1", name, len(o.packet))
		}
	}
}

func TestFragmentLinkFull(t *testing.T) {
	for name, tpl := range templates() {
		o := &partsOutput{take: 3}
		if Fragment(o, make([]link.Slot, 2), tpl, pattern(10000), 1500, 1) {
			t.Errorf("%s: said that all was sent", name)
		}
	}
}

// part makes one fragment with the given bytes of a datagram.
func part(v6 bool, id uint16, b []byte, at, n int, more bool) []byte {
	t := templates()["IPv4"]
	if v6 {
		t = templates()["IPv6"]
	}
	head := make([]byte, link.MaxHead)
	if v6 {
		head = t.putFragment6(head, at, n, more, uint32(id))
	} else {
		head = t.putFragment4(head, at, n, more, id)
	}
	return append(head[LinkLen:], b[at:at+n]...)
}

func TestReassembly(t *testing.T) {
	type p struct {
		id    uint16
		at, n int
		more  bool
		sec   int64
	}
	for _, c := range []struct {
		name  string
		parts []p
		whole bool
		stats ReassemblyStats
	}{
		{"in order", []p{{1, 0, 16, true, 0}, {1, 16, 4, false, 0}}, true, ReassemblyStats{Whole: 1}},
		{"last first", []p{{1, 16, 4, false, 0}, {1, 0, 16, true, 0}}, true, ReassemblyStats{Whole: 1}},
		{"middle last", []p{{1, 16, 4, false, 0}, {1, 0, 8, true, 0}, {1, 8, 8, true, 0}}, true, ReassemblyStats{Whole: 1}},
		{"repeated", []p{{1, 0, 16, true, 0}, {1, 0, 16, true, 0}, {1, 16, 4, false, 0}}, true, ReassemblyStats{Whole: 1}},
		{"part repeated", []p{{1, 0, 16, true, 0}, {1, 8, 8, true, 0}, {1, 16, 4, false, 0}}, true, ReassemblyStats{Whole: 1}},
		{"overlap", []p{{1, 0, 16, true, 0}, {1, 8, 16, true, 0}, {1, 16, 4, false, 0}}, false, ReassemblyStats{Overlap: 1}},
		{"two ends", []p{{1, 16, 4, false, 0}, {1, 24, 4, false, 0}, {1, 0, 16, true, 0}}, false, ReassemblyStats{Overlap: 1}},
		{"end before what came", []p{{1, 32, 8, true, 0}, {1, 16, 4, false, 0}, {1, 0, 16, true, 0}}, false, ReassemblyStats{Overlap: 1}},
		{"beyond the end", []p{{1, 16, 8, false, 0}, {1, 24, 8, true, 0}, {1, 0, 16, true, 0}}, false, ReassemblyStats{Overlap: 1}},
		{"hole", []p{{1, 0, 8, true, 0}, {1, 16, 4, false, 0}}, false, ReassemblyStats{}},
		{"of two datagrams", []p{{1, 0, 16, true, 0}, {2, 16, 4, false, 0}}, false, ReassemblyStats{}},
		{"odd length", []p{{1, 0, 15, true, 0}}, false, ReassemblyStats{Bad: 1}},
		{"nothing in it", []p{{1, 8, 0, true, 0}}, false, ReassemblyStats{Bad: 1}},
		{"too long", []p{{1, 65528, 8, false, 0}}, false, ReassemblyStats{Bad: 1}},
		{"too late", []p{{1, 0, 16, true, 0}, {1, 16, 4, false, 31}}, false, ReassemblyStats{Late: 1}},
		{"late start over", []p{{1, 0, 16, true, 0}, {1, 0, 16, true, 31}, {1, 16, 4, false, 32}}, true, ReassemblyStats{Late: 1, Whole: 1}},
	} {
		for _, v6 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, v6 %v", c.name, v6), func(t *testing.T) {
				data := pattern(70000)
				var r Reassembler
				var whole []byte
				for _, p := range c.parts {
					if w := feed(t, &r, part(v6, p.id, data, p.at, p.n, p.more), p.sec*1_000_000_000); w != nil {
						whole = w
					}
				}
				if (whole != nil) != c.whole || r.Stats != c.stats {
					t.Errorf("whole %v, %+v, want %v, %+v", whole != nil, r.Stats, c.whole, c.stats)
				}
				if whole != nil && !bytes.Equal(whole[len(whole)-20:], data[:20]) {
					t.Error("payload differs")
				}
			})
		}
	}
}

func TestReassemblyFlood(t *testing.T) {
	var r Reassembler
	data := pattern(64)
	for id := range uint16(1000) {
		feed(t, &r, part(false, id, data, 0, 16, true), int64(id))
	}
	if feed(t, &r, part(false, 999, data, 16, 4, false), 2000) == nil {
		t.Error("the newest datagram was evicted")
	}
	if r.Stats.Evicted != 1000-maxDatagrams {
		t.Errorf("evicted %d", r.Stats.Evicted)
	}
}

func TestReassemblyBatch(t *testing.T) {
	// What was handed out stays until Release, whatever comes.
	var r Reassembler
	data := pattern(64)
	var whole [][]byte
	for id := range uint16(40) {
		feed(t, &r, part(true, id, data, 0, 16, true), 1)
		if w := feed(t, &r, part(true, id, data, 16, int(id%8)+1, false), 1); w != nil {
			whole = append(whole, w)
		}
	}
	if len(whole) != maxDatagrams || !r.Full() {
		t.Fatalf("%d datagrams, want %d", len(whole), maxDatagrams)
	}
	for id, w := range whole {
		if !bytes.Equal(w[HeaderLen6:], data[:17+id%8]) {
			t.Errorf("datagram %d overwritten", id)
		}
	}
	r.Release()
	if r.Full() {
		t.Error("full after Release")
	}
	feed(t, &r, part(true, 50, data, 0, 16, true), 1)
	if feed(t, &r, part(true, 50, data, 16, 4, false), 1) == nil {
		t.Error("no place after Release")
	}
}

func TestAtomicFragment(t *testing.T) {
	var r Reassembler
	b := part(true, 1, pattern(40), 0, 40, false)
	// With a destination options header before the fragment header.
	with := append(slices.Clone(b[:HeaderLen6]), extFragment, 0, 1, 4, 0, 0, 0, 0)
	with[6] = extDest
	with = append(with, b[HeaderLen6:]...)
	binary.BigEndian.PutUint16(with[4:], uint16(len(with)-HeaderLen6))
	for name, b := range map[string][]byte{"plain": b, "behind options": with} {
		w := feed(t, &r, slices.Clone(b), 1)
		if w == nil {
			t.Fatalf("%s: not whole", name)
		}
		proto, off, ok := walk6(w)
		if proto != ProtoUDP || !ok || int(binary.BigEndian.Uint16(w[4:])) != len(w)-HeaderLen6 || !bytes.Equal(w[off:], pattern(40)) {
			t.Errorf("%s: got protocol %d, %x", name, proto, w)
		}
	}
}

func TestFragmentNoAllocations(t *testing.T) {
	for name, tpl := range templates() {
		o := &partsOutput{take: 1 << 30, quiet: true}
		slots, l4 := make([]link.Slot, 8), pattern(20000)
		if n := testing.AllocsPerRun(20, func() { Fragment(o, slots, tpl, l4, 1500, 1) }); n != 0 {
			t.Errorf("%s: Fragment allocates %v times", name, n)
		}
		v6 := name == "IPv6"
		first, last := part(v6, 1, l4, 0, 1000, true), part(v6, 1, l4, 1000, 800, false)
		var r Reassembler
		for range 2 * maxDatagrams {
			feed(t, &r, first, 1)
			feed(t, &r, last, 1)
			r.Release()
		}
		if n := testing.AllocsPerRun(50, func() {
			feed(t, &r, first, 1)
			feed(t, &r, last, 1)
			r.Release()
		}); n != 0 {
			t.Errorf("%s: reassembly allocates %v times", name, n)
		}
	}
}

func BenchmarkReassemble(b *testing.B) {
	data := pattern(65000)
	var parts [][]byte
	for at := 0; at < 64000; at += 1480 {
		parts = append(parts, part(false, 1, data, at, min(1480, 64000-at), at+1480 < 64000))
	}
	var r Reassembler
	b.SetBytes(64000)
	b.ReportAllocs()
	for b.Loop() {
		for _, p := range parts {
			r.Input4(p, 1)
		}
		r.Release()
	}
}

func FuzzReassemble(f *testing.F) {
	data := pattern(100)
	f.Add(slices.Concat(part(false, 1, data, 0, 16, true), part(false, 1, data, 16, 4, false)), 36)
	f.Add(slices.Concat(part(true, 1, data, 0, 16, true), part(true, 1, data, 16, 4, false)), 64)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		var r Reassembler
		for now := int64(1); len(b) > 0; now++ {
			p := b[:min(max(cut, 1), len(b))]
			b = b[len(p):]
			var w []byte
			switch {
			case len(p) >= HeaderLen4 && p[0]>>4 == 4 && p[0]&15 >= 5 && int(p[0]&15)*4 <= len(p):
				w = r.Input4(p, now)
			case len(p) >= HeaderLen6 && p[0]>>4 == 6:
				proto, off, ok := walk6(p)
				if !ok || proto != extFragment {
					continue
				}
				w = r.Input6(p, off, now)
			}
			if w == nil {
				continue
			}
			if w[0]>>4 == 4 && int(binary.BigEndian.Uint16(w[2:])) != len(w) || w[0]>>4 == 6 && int(binary.BigEndian.Uint16(w[4:])) != len(w)-HeaderLen6 {
				t.Fatalf("length wrong in %x", w)
			}
		}
	})
}
