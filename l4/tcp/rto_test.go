package tcp

import (
	"testing"

	"passt/l4/sock"
	"passt/l4/wheel"
	"passt/link"
)

// checkBackoff lets time go by and has the n segments that are sent meanwhile be twice as far
// from each other each time (RFC 6298, section 5.5), the first one base from now, and never
// further than rtoMax.
func checkBackoff(t *testing.T, b *bench, base int64, n int) {
	t.Helper()
	last := b.now
	for i := range n {
		b.net.sent = nil
		for len(b.net.sent) == 0 && b.now-last < 2*rtoMax {
			b.pass(wheel.Tick)
		}
		want := min(base<<i, rtoMax)
		if got := b.now - last; len(b.net.sent) != 1 || got < want || got > want+3*wheel.Tick {
			t.Fatalf("retry %d: %d segments after %d ms, want one after %d ms", i+1, len(b.net.sent), got/millisecond, want/millisecond)
		}
		last = b.now
	}
	b.net.sent = nil
}

func TestRetriesBackOff(t *testing.T) {
	t.Run("data", func(t *testing.T) {
		b := newBench(t, allOffloads)
		fd := b.connect()
		b.socks.socks[fd].queue = pattern(100)
		b.event(fd, sock.In|sock.Out)
		checkBackoff(t, b, rto, 12)

		b.in(seg{flags: ACK, seq: irs + 1, ack: b.iss() + 101, wnd: 512})
		b.late() // and what it has is off the queue
		b.socks.socks[fd].queue = pattern(100)
		b.event(fd, sock.In|sock.Out)
		checkBackoff(t, b, rto, 3) // anew, once the guest has answered
	})
	t.Run("SYN with ACK", func(t *testing.T) {
		b := newBench(t, allOffloads)
		b.in(seg{flags: SYN, seq: irs, wnd: 65535, opts: synOpts})
		b.event(0, sock.Out)
		checkBackoff(t, b, synRTO, synRetries)
	})
	t.Run("SYN", func(t *testing.T) {
		b := newBench(t, allOffloads)
		b.tr.Accept(b.socks.add(), host4, guest4.Addr, guest4, b.now)
		checkBackoff(t, b, synRTO, synRetries)
	})
}

// TestLinkFullForLong has a link that takes nothing for longer than a silent guest gets: it
// is not the guest that is silent, and the connection goes on.
func TestLinkFullForLong(t *testing.T) {
	b := newBench(t, link.OffloadCsum)
	fd := b.connect()
	b.conn().mss = 1000
	b.socks.socks[fd].queue = pattern(3000)
	b.net.limit = 1
	b.event(fd, sock.In|sock.Out)
	b.want("one fits", "ACK 1 1 len 1000")
	b.pass(2000 * second)
	b.conn()
	if b.tr.Stats.Retransmits != 0 {
		t.Errorf("%d times sent again, with no way to send", b.tr.Stats.Retransmits)
	}
	b.net.limit = -1
	b.tr.LinkWritable()
	b.tr.Flush(b.now)
	b.want("the rest", "ACK 1001 1 len 1000", "ACK 2001 1 len 1000")
	b.pass(rto + 100*millisecond)
	b.want("the guest is silent", "ACK 1 1 len 1000")
}
