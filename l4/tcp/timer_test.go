package tcp

import (
	"bytes"
	"testing"

	"passt/l4/sock"
	"passt/link"
)

func TestWindowOpens(t *testing.T) {
	b := newBench(t, allOffloads)
	fd := b.connect()
	b.in(seg{flags: ACK, seq: irs + 1, ack: b.iss() + 1, wnd: 0})
	b.conn().sndWnd = 0
	b.socks.socks[fd].queue = pattern(1000)
	b.event(fd, sock.In|sock.Out)
	b.want("closed")
	b.pass(rto + 100*millisecond)
	b.want("probe", "ACK 0 1")
	b.in(seg{flags: ACK, seq: irs + 1, ack: b.iss() + 1, wnd: 4})
	b.want("opened a little", "ACK 1 1 len 512")
	b.in(seg{flags: ACK, seq: irs + 1, ack: b.iss() + 513, wnd: 100})
	b.want("the rest", "ACK 513 1 len 488")
}

// TestWindowOfOldSegment has a guest send data again, with an acknowledgement and a smaller window
// that are new: what it may be sent ends where it says now.
func TestWindowOfOldSegment(t *testing.T) {
	b := newBench(t, allOffloads)
	fd := b.connect()
	b.feed(fd, pattern(1000))
	data := b.took(0, 8)
	data.data = "x"
	next := b.took(0, 8)
	next.seq++
	b.in(data, next)
	b.want("data", "ACK 1 1 len 1000")
	data.ack += 1000
	data.wnd = 1
	b.in(data)
	b.want("acknowledged again", "ACK 1001 2")
	b.feed(fd, pattern(1000))
	b.want("as much as the window allows", "ACK 1001 2 len 128")
}

// TestWindowClosesUnderData has a guest that takes its window back, as Linux does when it is out
// of memory, and drops what was on its way. It is asked for its window, for good.
func TestWindowClosesUnderData(t *testing.T) {
	b := newBench(t, allOffloads)
	fd := b.connect()
	b.feed(fd, pattern(1000))
	b.want("data", "ACK 1 1 len 1000")
	b.in(b.took(0, 0))
	b.pass(5 * second)
	b.net.sent = nil
	b.pass(60 * second)
	if len(b.net.sent) == 0 || b.conn().deadline == 0 {
		t.Fatalf("%d probes, the next at %d", len(b.net.sent), b.conn().deadline)
	}
	b.net.sent = nil
	b.in(b.took(0, 512))
	b.want("again", "ACK 1 1 len 1000")
}

// TestWindowStaysClosed has a guest whose program reads nothing for half an hour.
func TestWindowStaysClosed(t *testing.T) {
	for _, tt := range []struct {
		name string
		data int
	}{{"data", 1000}, {"the end alone", 0}} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, allOffloads)
			fd := b.connect()
			b.in(b.took(0, 0))
			b.socks.socks[fd].eof = tt.data == 0
			b.feed(fd, pattern(tt.data))
			for range 1800 {
				b.pass(second)
				for range b.net.sent {
					b.in(b.took(0, 0))
				}
				b.net.sent = nil
			}
			b.conn()
		})
	}
	t.Run("and opens", func(t *testing.T) {
		b := newBench(t, allOffloads)
		fd := b.connect()
		b.in(b.took(0, 0))
		b.feed(fd, pattern(1000))
		b.pass(60 * second)
		b.net.sent = nil
		b.in(b.took(0, 512))
		b.want("all of it", "ACK 1 1 len 1000")
		if left := b.conn().deadline - b.now; left > rto {
			t.Errorf("would be sent again in %d ms only", left/millisecond)
		}
	})
}

func TestLoss(t *testing.T) {
	start := func(t *testing.T) (*bench, int) {
		b := newBench(t, link.OffloadCsum)
		fd := b.connect()
		b.conn().mss = 1000
		b.socks.socks[fd].queue = pattern(4000)
		b.event(fd, sock.In|sock.Out)
		b.want("data", "ACK 1 1 len 1000", "ACK 1001 1 len 1000", "ACK 2001 1 len 1000", "ACK 3001 1 len 1000")
		return b, fd
	}
	dup := func(b *bench, ack uint32) seg { return seg{flags: ACK, seq: irs + 1, ack: b.iss() + ack, wnd: 512} }
	t.Run("three duplicates", func(t *testing.T) {
		b, _ := start(t)
		b.in(dup(b, 1001))
		b.in(dup(b, 1001), dup(b, 1001))
		b.want("two are not enough")
		b.in(dup(b, 1001))
		b.want("sent again", "ACK 1001 1 len 1000")
		b.in(dup(b, 2001))
		b.want("the next hole", "ACK 2001 1 len 1000")
		b.in(dup(b, 4001))
		b.want("done")
	})
	t.Run("timeout", func(t *testing.T) {
		b, _ := start(t)
		b.pass(rto + 100*millisecond)
		b.want("one at a time", "ACK 1 1 len 1000")
		b.in(dup(b, 1001))
		b.want("and then the rest", "ACK 1001 1 len 1000", "ACK 2001 1 len 1000", "ACK 3001 1 len 1000")
	})
	t.Run("never acknowledged", func(t *testing.T) {
		b, fd := start(t)
		b.pass(1000 * second)
		last := b.net.sent[len(b.net.sent)-1].h
		if last.Flags()&RST == 0 || len(b.net.sent) != maxRetries+1 {
			t.Errorf("%d segments, last %s", len(b.net.sent), describe(last, b.iss(), irs))
		}
		b.wantGone()
		b.wantEnded(fd, sock.Abort)
	})
	t.Run("losses on both sides of where the end was noticed", func(t *testing.T) {
		b := newBench(t, allOffloads)
		fd := b.connect()
		b.in(b.took(0, 2000))
		b.feed(fd, pattern(150000))
		n := len(b.net.sent[0].h.Payload())
		b.in(b.took(0, 2000), b.took(0, 2000), b.took(0, 2000)) // the first frame is sent again
		b.socks.socks[fd].eof = true
		b.event(fd, sock.In|sock.Out|sock.RdHup)
		b.net.sent = nil
		b.in(b.took(n, 2000)) // and the next, where the first peek after it began
		if len(b.net.sent) != 1 || !bytes.Equal(b.net.sent[0].h.Payload(), pattern(150000)[n:2*n]) {
			t.Errorf("sent %d segments", len(b.net.sent))
		}
	})
	t.Run("a lost FIN", func(t *testing.T) {
		b, fd := start(t)
		b.socks.socks[fd].eof = true
		b.event(fd, sock.In|sock.Out|sock.RdHup)
		b.want("FIN", "FIN|ACK 4001 1")
		b.in(dup(b, 4001))
		b.pass(rto + 100*millisecond)
		b.want("again", "FIN|ACK 4001 1")
	})
}

// TestTimersDoNotMultiply has a guest that acknowledges late and in part, so that deadlines are
// put off by retries and moved forward again: old entries of the wheel end.
func TestTimersDoNotMultiply(t *testing.T) {
	b := newBench(t, allOffloads)
	fd := b.connect()
	before := b.wheel.Len()
	for i := range 200 {
		b.pass(900 * millisecond)
		b.feed(fd, pattern(1000))
		b.in(b.took(1000*i, 512))
	}
	if n := b.wheel.Len() - before; n > 2 {
		t.Errorf("%d more entries in the wheel", n)
	}
}

func TestIdle(t *testing.T) {
	t.Run("answered", func(t *testing.T) {
		b := newBench(t, allOffloads)
		fd := b.connect()
		b.tr.StartSweep(b.now)
		b.pass(idleAfter - second)
		b.want("not yet")
		b.pass(2 * sweepEvery)
		b.want("asked", "ACK 0 1", "ACK 0 1")
		if !b.socks.socks[fd].keepAlive {
			t.Error("the host's peer is not asked")
		}
		b.in(seg{flags: ACK, seq: irs + 1, ack: b.iss() + 1, wnd: 512})
		b.pass(2 * sweepEvery)
		b.want("lives")
		b.conn()
	})
	t.Run("not answered", func(t *testing.T) {
		b := newBench(t, allOffloads)
		fd := b.connect()
		b.tr.StartSweep(b.now)
		b.pass(idleGiveUp + 2*sweepEvery)
		b.wantGone()
		b.wantEnded(fd, sock.Abort)
	})
}
