package offload

import (
	"bytes"
	"slices"
	"testing"

	"passt/link"
)

// segments are frames of packets like p, with payloads of the given sizes.
func segments(p packet, sizes ...int) (packets []packet) {
	for _, n := range sizes {
		p.payload = bytesOf(n)
		packets = append(packets, p)
		p.seq += uint32(n)
		p.id++
	}
	return packets
}

func frames(packets []packet) (f []link.Frame) {
	for _, p := range packets {
		f = append(f, link.Frame{B: p.frame()})
	}
	return f
}

// train is a batch of n segments that are one super-frame.
func train(n, size int) []link.Frame {
	return frames(segments(segmentOf(0), slices.Repeat([]int{size}, n)...))
}

func TestJoin(t *testing.T) {
	base := segmentOf(0)
	v6 := base.with(func(p *packet) { p.v6 = true })
	stamped := base.with(func(p *packet) { p.tcpOpts = timestamps })
	fragmentable := base.with(func(p *packet) { p.df = false })
	// second is three segments, the second one changed.
	second := func(change func(*packet)) []packet {
		s := segments(base, 1000, 1000, 1000)
		change(&s[1])
		return s
	}
	each := func(change func(*packet)) []packet {
		s := segments(base, 1000, 1000, 1000)
		for i := range s {
			change(&s[i])
		}
		return s
	}
	for _, tc := range []struct {
		name string
		in   []packet
		want []int // frames in each of the results
	}{
		{"IPv4", segments(base, 1000, 1000, 1000), []int{3}},
		{"IPv6", segments(v6, 1000, 1000, 1000), []int{3}},
		{"odd sizes", segments(base, 999, 999, 333), []int{3}},
		{"odd sizes on IPv6", segments(v6, 999, 999, 1), []int{3}},
		{"timestamps", segments(stamped, 1448, 1448), []int{2}},
		{"IPv6 with timestamps", segments(stamped.with(func(p *packet) { p.v6 = true }), 1428, 1428), []int{2}},
		{"a shorter one ends it", segments(base, 1000, 999, 1000, 1000), []int{2, 2}},
		{"a longer one begins anew", segments(base, 1000, 1001, 1001), []int{1, 2}},
		{"single", segments(base, 1000), []int{1}},
		{"65535 bytes", segments(base, slices.Repeat([]int{4095}, 20)...), []int{15, 5}},
		{"PSH ends it", second(func(p *packet) { p.flags |= psh }), []int{2, 1}},
		{"PSH on the first", segments(base.with(func(p *packet) { p.flags |= psh }), 1000, 1000), []int{1, 1}},
		{"FIN", second(func(p *packet) { p.flags |= fin }), []int{1, 1, 1}},
		{"SYN", second(func(p *packet) { p.flags |= 2 }), []int{1, 1, 1}},
		{"RST", second(func(p *packet) { p.flags |= 4 }), []int{1, 1, 1}},
		{"URG", second(func(p *packet) { p.flags |= 0x20 }), []int{1, 1, 1}},
		{"all of them with URG", each(func(p *packet) { p.flags |= 0x20 }), []int{1, 1, 1}},
		{"CWR", segments(base.with(func(p *packet) { p.flags |= cwr }), 1000, 1000), []int{1, 1}},
		{"CWR later", second(func(p *packet) { p.flags |= cwr }), []int{1, 1, 1}},
		{"ECE", segments(base.with(func(p *packet) { p.flags |= ece }), 1000, 1000), []int{2}},
		{"ECE later", second(func(p *packet) { p.flags |= ece }), []int{1, 1, 1}},
		{"congestion experienced", second(func(p *packet) { p.tos = 3 }), []int{1, 1, 1}},
		{"congestion experienced by all", each(func(p *packet) { p.tos = 3 }), []int{3}},
		{"no ACK", each(func(p *packet) { p.flags = 0 }), []int{1, 1, 1}},
		{"another lifetime", second(func(p *packet) { p.ttl-- }), []int{1, 1, 1}},
		{"another window", second(func(p *packet) { p.window++ }), []int{1, 1, 1}},
		{"another acknowledgement", second(func(p *packet) { p.ack++ }), []int{1, 1, 1}},
		{"an urgent pointer", second(func(p *packet) { p.urg++ }), []int{1, 1, 1}},
		{"another port", second(func(p *packet) { p.sport++ }), []int{1, 1, 1}},
		{"another time stamp", func() []packet {
			s := segments(stamped, 1000, 1000, 1000)
			s[2].tcpOpts = slices.Clone(timestamps)
			s[2].tcpOpts[7]++
			return s
		}(), []int{2, 1}},
		{"options that the first has not", second(func(p *packet) { p.tcpOpts = timestamps }), []int{1, 1, 1}},
		{"a gap", second(func(p *packet) { p.seq++ }), []int{1, 1, 1}},
		{"again", second(func(p *packet) { p.seq -= 1000 }), []int{1, 1, 1}},
		{"no payload", second(func(p *packet) { p.payload = nil }), []int{1, 1, 1}},
		{"options of IPv4", each(func(p *packet) { p.opts = []byte{148, 4, 0, 0} }), []int{1, 1, 1}},
		{"extension header of IPv6", each(func(p *packet) { p.v6, p.opts = true, []byte{6, 0, 1, 4, 0, 0, 0, 0} }), []int{1, 1, 1}},
		{"VLAN", each(func(p *packet) { p.tags = 1 }), []int{1, 1, 1}},
		{"UDP", each(func(p *packet) { p.udp = true }), []int{1, 1, 1}},
		{"IP versions", second(func(p *packet) { p.v6 = true }), []int{1, 1, 1}},
		{"identifications of no use", each(func(p *packet) { p.id = uint16(p.seq) }), []int{3}},
		{"identifications in order", segments(fragmentable, 1000, 1000, 1000), []int{3}},
		{"identifications all the same", each(func(p *packet) { p.df, p.id = false, 0 }), []int{3}},
		{"identifications not in order", each(func(p *packet) { p.df, p.id = false, uint16(p.seq) }), []int{1, 1, 1}},
		{"fragmentation forbidden later", second(func(p *packet) { p.df = !p.df }), []int{1, 1, 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := checkJoin(t, frames(tc.in))
			if !slices.Equal(got, tc.want) {
				t.Errorf("joined as %v, want %v", got, tc.want)
			}
		})
	}
}

// checkJoin joins a batch, checks that nothing changes by that, and returns how many frames
// each of the results is made of.
func checkJoin(t testing.TB, batch []link.Frame) []int {
	t.Helper()
	var was [][]byte
	for _, f := range batch {
		was = append(was, bytes.Clone(f.B))
	}
	counts, out := joinAll(batch)
	for i, f := range out {
		n := counts[i]
		if n < 1 || n > len(was) {
			t.Fatalf("result %d is of %d frames, of %d left", i, n, len(was))
		}
		switch {
		case n == 1:
			if !bytes.Equal(f.B, was[0]) || f.Meta != (link.Meta{}) {
				t.Fatalf("a single frame is changed: %+v\n got %x\nwant %x", f.Meta, f.B, was[0])
			}
		case len(f.B) > link.MaxFrame:
			t.Fatalf("a frame of %d bytes", len(f.B))
		default:
			cut := cutAll(t, f)
			if len(cut) != n {
				t.Fatalf("%d frames are cut to %d", n, len(cut))
			}
			for j, b := range cut {
				if err := valid(b); err != nil {
					t.Errorf("frame %d: %v: %x", j, err, b)
				}
				if !bytes.Equal(indefinite(b), indefinite(was[j])) {
					t.Errorf("frame %d:\n got %x\nwant %x", j, b, was[j])
				}
			}
		}
		was = was[n:]
	}
	if len(was) > 0 {
		t.Fatalf("%d frames are missing", len(was))
	}
	return counts
}

// indefinite is a TCP frame without what may change by being joined and cut: checksums and
// identification.
func indefinite(b []byte) []byte {
	b = bytes.Clone(b)
	l4 := etherLen + ipv6Len
	if b[etherLen]>>4 == 4 {
		l4 = etherLen + ipv4Len
		clear(b[etherLen+4 : etherLen+6])
		clear(b[etherLen+10 : etherLen+12])
	}
	clear(b[l4+tcpCsum : l4+tcpCsum+2])
	return b
}

// TestJoinDamaged is about frames that can't be built of fields: what is wrong with them
// must be left for the guest's kernel to see.
func TestJoinDamaged(t *testing.T) {
	for _, tc := range []struct {
		name  string
		which int // of three
		at    int // byte that is changed,
		bits  byte
		want  []int
	}{
		{"payload of the first", 0, 70, 1, []int{1, 2}},
		{"payload of the second", 1, 70, 1, []int{1, 1, 1}},
		{"payload of the last", 2, 1053, 1, []int{2, 1}},
		{"checksum of TCP", 1, 50, 1, []int{1, 1, 1}},
		{"checksum of IPv4", 1, 24, 1, []int{1, 1, 1}},
		{"checksum of the first's IPv4", 0, 24, 1, []int{1, 2}},
		{"a fragment", 1, 21, 1, []int{1, 1, 1}},
		{"more fragments", 1, 20, 0x20, []int{1, 1, 1}},
		{"length of IPv4", 1, 17, 1, []int{1, 1, 1}},
		{"reserved bits of TCP", 1, 46, 1, []int{1, 1, 1}},
		{"hardware address", 1, 5, 1, []int{1, 1, 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			batch := train(3, 1000)
			batch[tc.which].B[tc.at] ^= tc.bits
			if got := checkJoin(t, batch); !slices.Equal(got, tc.want) {
				t.Errorf("joined as %v, want %v", got, tc.want)
			}
		})
	}
	t.Run("padding", func(t *testing.T) {
		batch := train(3, 1000)
		batch[1].B = append(batch[1].B, 0, 0)
		if got, want := checkJoin(t, batch), []int{1, 1, 1}; !slices.Equal(got, want) {
			t.Errorf("joined as %v, want %v", got, want)
		}
	})
}

func BenchmarkJoin(b *testing.B) {
	batch := train(45, 1448)
	first := bytes.Clone(batch[0].B)
	b.SetBytes(45 * 1514)
	for b.Loop() {
		copy(batch[0].B, first)
		if n, _ := Join(batch); n != 45 {
			b.Fatal(n)
		}
	}
}
