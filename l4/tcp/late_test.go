package tcp

import (
	"testing"

	"passt/l4/sock"
)

func TestLateAcknowledgement(t *testing.T) {
	request := func(b *bench, i uint32) {
		b.in(seg{flags: ACK | PSH, seq: irs + 1 + i, ack: b.conn().sndNxt, wnd: 512, data: "?"})
	}
	answer := func(b *bench, fd int) {
		b.socks.socks[fd].queue = append(b.socks.socks[fd].queue, '!')
		b.event(fd, sock.In|sock.Out)
	}
	t.Run("a new flow is acknowledged at once", func(t *testing.T) {
		b := newBench(t, allOffloads)
		b.connect()
		b.conn().quick = quickStart
		request(b, 0)
		b.want("first", "ACK 1 2")
		request(b, 1)
		b.want("second", "ACK 1 3")
		request(b, 2)
		b.want("third")
	})
	t.Run("the answer carries it", func(t *testing.T) {
		b := newBench(t, allOffloads)
		fd := b.connect()
		for i := range uint32(20) {
			request(b, i)
			answer(b, fd)
			if n := len(b.net.sent); n != 1 {
				t.Fatalf("%d segments for one transaction", n)
			}
			b.net.sent = nil
			b.pass(millisecond)
		}
	})
	t.Run("no answer", func(t *testing.T) {
		b := newBench(t, allOffloads)
		b.connect()
		request(b, 0)
		b.want("waits")
		b.late()
		b.want("in vain", "ACK 1 2")
		request(b, 1)
		b.want("and does not wait again", "ACK 1 3")
	})
	t.Run("the connection is gone meanwhile", func(t *testing.T) {
		b := newBench(t, allOffloads)
		b.connect()
		request(b, 0)
		b.in(seg{flags: RST, seq: irs + 2})
		b.late()
		b.want("nothing")
		b.wantGone()
	})
}
