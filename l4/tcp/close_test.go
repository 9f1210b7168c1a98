package tcp

import (
	"testing"

	"passt/l4/sock"
	"passt/link"
)

func TestClose(t *testing.T) {
	finFromGuest := func(b *bench, seq, ack uint32) seg {
		return seg{flags: FIN | ACK, seq: irs + seq, ack: b.iss() + ack, wnd: 512}
	}
	ackFromGuest := func(b *bench, seq, ack uint32) seg {
		return seg{flags: ACK, seq: irs + seq, ack: b.iss() + ack, wnd: 512}
	}
	eof := func(b *bench, fd int) {
		b.socks.socks[fd].eof = true
		b.event(fd, sock.In|sock.Out|sock.RdHup)
	}
	t.Run("guest first", func(t *testing.T) {
		b := newBench(t, allOffloads)
		fd := b.connect()
		b.in(finFromGuest(b, 1, 1))
		b.late()
		b.want("acknowledged", "ACK 1 2")
		b.wantEnded(fd, sock.Half)
		b.socks.socks[fd].queue = []byte("answer")
		b.event(fd, sock.In|sock.Out)
		b.want("half-open", "ACK 1 2 len 6")
		eof(b, fd)
		b.want("our FIN", "FIN|ACK 7 2")
		b.in(ackFromGuest(b, 2, 8))
		b.want("nothing more")
		b.wantGone()
		b.wantEnded(fd, sock.Half, sock.Orderly)
		if n := len(b.socks.socks[fd].queue); n != 0 {
			t.Errorf("%d bytes left in the queue would make a reset of the close", n)
		}
	})
	t.Run("host first", func(t *testing.T) {
		b := newBench(t, allOffloads)
		fd := b.connect()
		eof(b, fd)
		b.want("our FIN", "FIN|ACK 1 1")
		b.in(ackFromGuest(b, 1, 2), seg{flags: ACK, seq: irs + 1, ack: b.iss() + 2, wnd: 512, data: "more"})
		b.late()
		b.want("half-open", "ACK 2 5")
		b.in(finFromGuest(b, 5, 2))
		b.want("acknowledged", "ACK 2 6")
		b.wantGone()
		b.wantEnded(fd, sock.Half, sock.Orderly)
		if got := string(b.socks.socks[fd].got); got != "more" {
			t.Errorf("socket got %q", got)
		}
	})
	t.Run("both at once", func(t *testing.T) {
		b := newBench(t, allOffloads)
		fd := b.connect()
		eof(b, fd)
		b.want("our FIN", "FIN|ACK 1 1")
		b.in(finFromGuest(b, 1, 1))
		b.want("acknowledged", "ACK 2 2")
		b.conn()
		b.in(ackFromGuest(b, 2, 2))
		b.wantGone()
		b.wantEnded(fd, sock.Half, sock.Orderly)
	})
	t.Run("FIN of the host behind data beyond the window", func(t *testing.T) {
		b := newBench(t, link.OffloadCsum)
		fd := b.connect()
		b.conn().sndWnd = 10
		b.socks.socks[fd].queue = []byte("0123456789abc")
		eof(b, fd)
		b.want("as much as fits", "ACK 1 1 len 10")
		b.in(ackFromGuest(b, 1, 11))
		b.want("the rest and the FIN", "ACK 11 1 len 3", "FIN|ACK 14 1")
	})
	t.Run("guest's FIN again", func(t *testing.T) {
		b := newBench(t, allOffloads)
		b.connect()
		b.in(finFromGuest(b, 1, 1))
		b.late()
		b.want("acknowledged", "ACK 1 2")
		b.in(finFromGuest(b, 1, 1))
		b.want("again", "ACK 1 2")
	})
	t.Run("guest resets after its FIN", func(t *testing.T) {
		b := newBench(t, allOffloads)
		fd := b.connect()
		b.in(finFromGuest(b, 1, 1))
		b.in(seg{flags: RST, seq: irs + 2})
		b.wantGone()
		b.wantEnded(fd, sock.Half, sock.Abort)
	})
	t.Run("the guest is gone", func(t *testing.T) {
		b := newBench(t, allOffloads)
		fd := b.connect()
		b.tr.Reset()
		b.wantGone()
		b.wantEnded(fd, sock.Abort)
		b.tr.Event(b.poll.refs[fd], sock.In, b.now) // a late event of the closed socket
		b.tr.Flush(b.now)
	})
}
