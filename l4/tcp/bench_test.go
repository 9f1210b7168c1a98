package tcp

import (
	"testing"

	"passt/l3"
	"passt/l4/sock"
	"passt/link"
)

// steady makes a connection whose sockets and link cost nothing, to measure what is ours.
func steady(tb testing.TB) (*bench, int) {
	b := newBench(tb, allOffloads)
	fd := b.connect()
	b.socks.count, b.net.discard = true, true
	return b, fd
}

// guestSends returns a function that makes the guest send a run of k segments of n bytes.
func guestSends(b *bench, k, n int) func() {
	var batch []l3.Packet
	for range k {
		p := b.packet(seg{flags: ACK, data: string(make([]byte, n))})
		p.Meta.Flags = link.NeedsCsum
		batch = append(batch, p)
	}
	c := b.conn()
	seq := c.rcvNxt
	return func() {
		for i := range batch {
			h := batch[i].L4
			putHeader(h, b.guest.Port, b.host.Port, seq, c.sndNxt, ACK|PSH, 512)
			seq += uint32(n)
		}
		b.now += 1000
		b.tr.Input(batch, b.now)
		b.tr.Flush(b.now)
	}
}

// hostSends returns a function that makes the host's peer send a window, and the guest
// acknowledge it.
func hostSends(b *bench, fd int) func() {
	p := b.packet(seg{flags: ACK})
	p.Meta.Flags = link.NeedsCsum
	batch := []l3.Packet{p}
	c := b.conn()
	return func() {
		b.tr.Event(b.poll.refs[fd], sock.In|sock.Out, b.now)
		b.tr.Flush(b.now)
		putHeader(batch[0].L4, b.guest.Port, b.host.Port, c.rcvNxt, c.sndNxt, ACK, 512)
		b.now += 1000
		b.tr.Input(batch, b.now)
		b.tr.Flush(b.now)
	}
}

func TestNoAllocation(t *testing.T) {
	b, fd := steady(t)
	for _, tt := range []struct {
		name string
		f    func()
	}{
		{"guest sends bulk", guestSends(b, 4, 40000)},
		{"guest sends a byte", guestSends(b, 1, 1)},
		{"host sends", hostSends(b, fd)},
	} {
		b.conn().rcvNxt = b.conn().rcvAck
		if n := testing.AllocsPerRun(100, tt.f); n != 0 {
			t.Errorf("%s: %v allocations", tt.name, n)
		}
	}
	if b.net.count < 100 {
		t.Errorf("only %d segments were sent: nothing was measured", b.net.count)
	}
}

func BenchmarkFromGuest(b *testing.B) {
	for _, bb := range []struct {
		name string
		k, n int
	}{{"4x64K", 4, 65000}, {"16x1448", 16, 1448}, {"1x1", 1, 1}} {
		b.Run(bb.name, func(b *testing.B) {
			s, _ := steady(b)
			f := guestSends(s, bb.k, bb.n)
			b.SetBytes(int64(bb.k * bb.n))
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
}

func BenchmarkToGuest(b *testing.B) {
	s, fd := steady(b)
	f := hostSends(s, fd)
	b.SetBytes(512 << 7)
	b.ReportAllocs()
	for b.Loop() {
		f()
	}
}
