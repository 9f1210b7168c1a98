package tcp

import (
	"fmt"
	"testing"

	"passt/l4/sock"
	"passt/link"
)

const wrapSegment = 20000

// beforeWrap makes a connection whose sequence number 0 is inside the second segment that it
// will send to the guest, if these are full.
func beforeWrap(t *testing.T) (*bench, *fakeSock) {
	t.Helper()
	b := newBench(t, link.OffloadCsum)
	for zero := -b.iss(); zero <= wrapSegment+100 || zero >= 2*wrapSegment-100; zero = -b.iss() {
		b.tr.cfg.Seed[3]++
	}
	fd := b.connect()
	c := b.conn()
	c.mss, c.sndWnd = wrapSegment, 781<<7
	return b, b.socks.socks[fd]
}

// wrapping is beforeWrap with four segments on their way.
func wrapping(t *testing.T) (*bench, *fakeSock) {
	t.Helper()
	b, s := beforeWrap(t)
	s.queue = pattern(4 * wrapSegment)
	b.event(0, sock.In|sock.Out)
	b.want("data", "ACK 1 1 len 20000", "ACK 20001 1 len 20000", "ACK 40001 1 len 20000", "ACK 60001 1 len 20000")
	return b, s
}

// TestSequenceWrapToGuest has our sequence numbers pass 0, and everything that is compared
// with them.
func TestSequenceWrapToGuest(t *testing.T) {
	ack := func(b *bench, n uint32) seg {
		return seg{flags: ACK, seq: irs + 1, ack: b.iss() + 1 + n, wnd: 781}
	}
	t.Run("acknowledged", func(t *testing.T) {
		b, s := wrapping(t)
		for _, n := range []uint32{10000, 20000, 39990, 60000, 80000} {
			b.in(ack(b, n))
			if len(s.queue) != 80000-int(n) {
				t.Fatalf("%d acknowledged, %d bytes left in the queue", n, len(s.queue))
			}
		}
		b.want("nothing again")
		b.in(ack(b, 10000))
		if got := b.conn().sndUna - b.iss(); got != 80001 || b.tr.Stats.RxOutside != 0 {
			t.Errorf("an old acknowledgement: at %d, %d outside", got, b.tr.Stats.RxOutside)
		}
		b.in(ack(b, 80001))
		b.want("of what was not sent", "ACK 80001 1")
	})
	t.Run("three duplicates", func(t *testing.T) {
		b, _ := wrapping(t)
		b.in(ack(b, 0), ack(b, 0), ack(b, 0))
		b.want("sent again", "ACK 1 1 len 20000")
		b.in(ack(b, 20000))
		b.want("the next hole", "ACK 20001 1 len 20000")
		b.in(ack(b, 40000))
		b.want("the next hole", "ACK 40001 1 len 20000")
		b.in(ack(b, 80000))
		b.want("done")
		if c := b.conn(); c.has(recovering) || c.inFlight() != 0 {
			t.Errorf("recovering: %v, %d in flight", c.has(recovering), c.inFlight())
		}
	})
	t.Run("timeout", func(t *testing.T) {
		b, _ := wrapping(t)
		b.pass(rto + 100*millisecond)
		b.want("one at a time", "ACK 1 1 len 20000")
		b.in(ack(b, 20000))
		b.want("and then the rest", "ACK 20001 1 len 20000", "ACK 40001 1 len 20000", "ACK 60001 1 len 20000")
	})
	t.Run("all arrived after a timeout", func(t *testing.T) {
		b, s := wrapping(t)
		b.pass(rto + 100*millisecond)
		b.want("one at a time", "ACK 1 1 len 20000")
		b.in(ack(b, 80000))
		b.want("nothing more")
		if c := b.conn(); c.sndNxt != c.sndMax || len(s.queue) != 0 {
			t.Errorf("next is %d, %d bytes left", c.sndNxt-b.iss(), len(s.queue))
		}
	})
	t.Run("window", func(t *testing.T) {
		b, s := wrapping(t)
		s.queue = append(s.queue, pattern(80000)...)
		b.event(0, sock.In|sock.Out)
		b.want("the last of the window", "ACK 80001 1 len 19968")
		b.in(ack(b, 10000))
		b.want("10000 more", "ACK 99969 1 len 10000")
	})
	t.Run("FIN with the last number", func(t *testing.T) {
		b, s := beforeWrap(t)
		n := -b.iss() - 2
		s.queue, s.eof = pattern(int(n)), true
		b.event(0, sock.In|sock.Out|sock.RdHup)
		b.net.sent = nil
		b.in(seg{flags: FIN | ACK, seq: irs + 1, ack: 0, wnd: 781})
		b.wantGone()
		b.wantEnded(0, sock.Half, sock.Orderly)
	})
	t.Run("FIN", func(t *testing.T) {
		b, s := wrapping(t)
		s.eof = true
		b.event(0, sock.In|sock.Out|sock.RdHup)
		b.want("FIN", "FIN|ACK 80001 1")
		b.in(ack(b, 20000))
		b.in(ack(b, 20000), ack(b, 20000), ack(b, 20000))
		b.want("data in front of it, again", "ACK 20001 1 len 20000")
		b.in(ack(b, 80000), seg{flags: FIN | ACK, seq: irs + 1, ack: b.iss() + 80002, wnd: 781})
		b.wantGone()
	})
}

// TestSequenceWrapOfWindow has the window that we advertise reach past sequence number 0
// before the data does.
func TestSequenceWrapOfWindow(t *testing.T) {
	const first = 1<<32 - 100000
	b := newBench(t, allOffloads)
	b.in(seg{flags: SYN, seq: first - 1, wnd: 65535, opts: synOpts})
	b.event(0, sock.Out)
	c := b.conn()
	if c.rcvEdge < c.rcvNxt {
		t.Fatal("the first window is past 0 already")
	}
	sent := uint32(0)
	send := func(n int) {
		t.Helper()
		b.net.sent = nil
		b.in(seg{flags: ACK, seq: first + sent, ack: b.iss() + 1, wnd: 512, data: string(pattern(n))})
		sent += uint32(n)
		if len(b.net.sent) != 1 || b.net.sent[0].h.Ack() != first+sent {
			t.Fatalf("%d bytes: answers %v, want one that acknowledges all", n, b.net.sent)
		}
		if w := int(b.net.sent[0].h.Window()) << rcvScale; w < 200000 || w != int(c.window()) {
			t.Fatalf("a window of %d, kept as %d, with much room", w, c.window())
		}
	}
	for _, n := range []int{40000, 59990, 20000} {
		send(n)
	}
	b.net.sent = nil
	edge, s := c.rcvEdge, b.socks.socks[0]
	s.sndBuf = len(s.got) + 30000
	b.in(seg{flags: ACK, seq: first + sent, ack: b.iss() + 1, wnd: 512, data: string(pattern(20000))})
	if before(c.rcvEdge, edge) {
		t.Errorf("the edge moved left by %d", edge-c.rcvEdge)
	}
}

// TestSequenceWrapOfControl has the numbers of segments without payload pass 0.
func TestSequenceWrapOfControl(t *testing.T) {
	for _, tt := range []struct {
		name  string
		seq   uint32 // behind what is expected
		flags uint8
		check func(b *bench) error
	}{
		{"a reset in the window", 5, RST, func(b *bench) error {
			if len(b.net.sent) != 1 {
				return fmt.Errorf("%d answers, want a challenge", len(b.net.sent))
			}
			return nil
		}},
		{"a hole", 5, ACK | FIN, func(b *bench) error {
			if len(b.net.sent) != 1 || b.conn().has(gotFIN) {
				return fmt.Errorf("%d answers, FIN taken: %v", len(b.net.sent), b.conn().has(gotFIN))
			}
			return nil
		}},
		{"a window", 5, ACK, func(b *bench) error {
			if w := b.conn().sndWnd; w != 77<<7 {
				return fmt.Errorf("window %d, want that of the segment", w)
			}
			return nil
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const first = 1<<32 - 3
			b := newBench(t, allOffloads)
			b.in(seg{flags: SYN, seq: first - 1, wnd: 65535, opts: synOpts})
			b.event(0, sock.Out)
			b.in(seg{flags: ACK, seq: first, ack: b.iss() + 1, wnd: 512})
			b.net.sent = nil
			b.in(seg{flags: tt.flags, seq: first + tt.seq, ack: b.iss() + 1, wnd: 77})
			if err := tt.check(b); err != nil {
				t.Error(err)
			}
		})
	}
}
