package tcp

import (
	"testing"

	"passt/l4/sock"
	"passt/link"
)

// TestAfterFIN has a guest send on after its FIN, in bursts of their own: nothing of it
// reaches the host's peer, and each is told how far the stream went.
func TestAfterFIN(t *testing.T) {
	for _, tt := range []struct {
		name string
		s    seg
	}{
		{"data behind it", seg{flags: ACK, seq: irs + 5, data: "more"}},
		{"data in its place", seg{flags: ACK, seq: irs + 4, data: "more"}},
		{"another FIN behind it", seg{flags: FIN | ACK, seq: irs + 5}},
		{"data and FIN behind it", seg{flags: FIN | ACK, seq: irs + 5, data: "more"}},
		{"data behind a hole", seg{flags: ACK, seq: irs + 9, data: "more"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, allOffloads)
			fd := b.connect()
			b.in(seg{flags: FIN | ACK, seq: irs + 1, ack: b.iss() + 1, wnd: 512, data: "bye"})
			b.late()
			b.want("FIN", "ACK 1 5")
			tt.s.ack, tt.s.wnd = b.iss()+1, 512
			b.in(tt.s)
			b.want("after it", "ACK 1 5")
			if got := string(b.socks.socks[fd].got); got != "bye" {
				t.Errorf("socket got %q", got)
			}
			b.wantEnded(fd, sock.Half)
		})
	}
}

// TestFINOfBothDataOutstanding: both FINs are out and the guest's is taken, but ours is
// acknowledged only with all that is before it.
func TestFINOfBothDataOutstanding(t *testing.T) {
	b := newBench(t, link.OffloadCsum)
	fd := b.connect()
	b.conn().mss = 1000
	b.socks.socks[fd].queue, b.socks.socks[fd].eof = pattern(2000), true
	b.event(fd, sock.In|sock.Out|sock.RdHup)
	b.want("all", "ACK 1 1 len 1000", "ACK 1001 1 len 1000", "FIN|ACK 2001 1")
	b.in(seg{flags: FIN | ACK, seq: irs + 1, ack: b.iss() + 1001, wnd: 512})
	b.want("half of it has arrived", "ACK 2002 2")
	b.pass(rto + 100*millisecond)
	b.want("the rest again", "ACK 1001 2 len 1000", "FIN|ACK 2001 2")
	b.in(seg{flags: ACK, seq: irs + 2, ack: b.iss() + 2001, wnd: 512})
	b.conn()
	b.wantEnded(fd, sock.Half)
	b.in(seg{flags: ACK, seq: irs + 2, ack: b.iss() + 2002, wnd: 512})
	b.wantGone()
	b.wantEnded(fd, sock.Half, sock.Orderly)
}
