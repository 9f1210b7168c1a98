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
	t.Run("the FIN of the host carries it", func(t *testing.T) {
		b := newBench(t, allOffloads)
		fd := b.connect()
		b.in(seg{flags: FIN | ACK, seq: irs + 1, ack: b.iss() + 1, wnd: 512})
		b.want("waits")
		b.socks.socks[fd].eof = true
		b.event(fd, sock.In|sock.Out|sock.RdHup)
		b.want("one segment for both", "FIN|ACK 1 2")
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
	t.Run("connections come and go in one place", func(t *testing.T) {
		b := newBench(t, allOffloads)
		for range 100 {
			b.in(seg{flags: SYN, seq: irs, wnd: 65535, opts: synOpts})
			b.event(len(b.socks.socks)-1, sock.Out)
			b.in(seg{flags: ACK, seq: irs + 1, ack: b.conn().sndNxt, wnd: 512, data: "?"})
			b.pass(5 * millisecond)
			if n := len(b.tr.late); n > 6 {
				t.Fatalf("%d wait, of one connection", n)
			}
			b.in(seg{flags: RST, seq: irs + 2})
		}
	})
}
