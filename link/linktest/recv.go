package linktest

import (
	"time"

	"golang.org/x/sys/unix"

	"passt/link"
)

func capabilities(e *env) {
	c := e.caps
	if c.Batch < 1 || c.Body < 1500 || c.Body > link.MaxFrame {
		e.Errorf("Caps %+v: no use", c)
	}
	if c.Offload&^link.OffloadCsum != 0 && c.Offload&link.OffloadCsum == 0 {
		e.Errorf("Caps %+v: segmentation without checksums", c)
	}
	if e.d.Caps() != c {
		e.Error("Caps changed")
	}
}

func recvNothing(e *env) {
	for range 3 {
		if n, err := e.d.Recv(make([]link.Frame, 4)); n != 0 || err != nil {
			e.Fatalf("Recv = %d, %v; want 0 and no error", n, err)
		}
	}
	e.peerSend(frame(1, 60), link.Meta{})
	if n, err := e.d.Recv(nil); n != 0 || err != nil {
		e.Fatalf("Recv without room = %d, %v; want 0 and no error", n, err)
	}
	e.recv(1, 1, func(_ int, f link.Frame) { e.same(f.B, frame(1, 60)) })
	if n, err := e.d.Recv(make([]link.Frame, 4)); n != 0 || err != nil {
		e.Fatalf("Recv once all was received = %d, %v; want 0 and no error", n, err)
	}
}

// recvOrder sends bursts of growing size, so that batches grow and shrink again.
func recvOrder(e *env) {
	i := 0
	for _, burst := range []int{1, 1, 1, 1, 2, 5, 1, 30, 100, 100, 1, 7, 100, 1, 1} {
		start := i
		for ; i < start+burst; i++ {
			e.peerSend(frame(i, 60+i*7%900), link.Meta{})
		}
		e.recv(burst, e.caps.Batch, func(k int, f link.Frame) {
			e.same(f.B, frame(start+k, 60+(start+k)*7%900))
			if f.Meta.GSO != link.GSONone || f.Meta.Flags&link.NeedsCsum != 0 {
				e.Fatalf("frame %d has offloads: %+v", start+k, f.Meta)
			}
		})
	}
}

func recvLittleRoom(e *env) {
	for room := 1; room < 4; room++ {
		for i := range 10 {
			e.peerSend(frame(i, 100), link.Meta{})
		}
		e.recv(10, room, func(i int, f link.Frame) { e.same(f.B, frame(i, 100)) })
	}
}

func recvLengths(e *env) {
	l := e.lengths()
	for i, n := range l {
		e.peerSend(frame(i, n), link.Meta{})
		e.recv(1, e.caps.Batch, func(_ int, f link.Frame) { e.same(f.B, frame(i, n)) })
	}
	for i := range 8 { // more of them than a batch has memory for
		e.peerSend(frame(i, l[len(l)-1]), link.Meta{})
		if i%2 == 1 {
			e.recv(2, e.caps.Batch, func(k int, f link.Frame) { e.same(f.B, frame(i-1+k, l[len(l)-1])) })
		}
	}
}

func recvBorrowed(e *env) {
	const n = 16
	dst := make([]link.Frame, n)
	for round := range 8 {
		for i := range n {
			e.peerSend(frame(round*n+i, 200+i), link.Meta{})
		}
		for done := 0; done < n; {
			wait(e.d, unix.POLLIN)
			got, err := e.d.Recv(dst)
			if err != nil || got > n-done {
				e.Fatalf("Recv = %d, %v with %d to come", got, err, n-done)
			}
			e.send(frame(99, 300), frame(98, 14)) // what else the device does must not touch them
			for i, f := range dst[:got] {
				e.same(f.B, frame(round*n+done+i, 200+done+i))
				if cap(f.B) > len(f.B) {
					e.Fatalf("frame %d can be appended to: it would grow over other memory", i)
				}
			}
			done += got
		}
	}
}

func recvMeta(e *env) {
	for _, c := range metaCases {
		if c.need&^e.caps.Offload != 0 {
			continue
		}
		e.peerSend(c.frame, c.meta)
		e.recv(1, e.caps.Batch, func(_ int, f link.Frame) {
			e.same(f.B, c.frame)
			e.sameMeta(c.name, f.Meta, c.meta)
		})
	}
}

func bothWays(e *env) {
	for i := range 300 {
		e.peerSend(frame(i, 60+i), link.Meta{})
		e.send(frame(i, 1000-i))
		e.recv(1, e.caps.Batch, func(_ int, f link.Frame) { e.same(f.B, frame(i, 60+i)) })
	}
}

func peerCloses(e *env) {
	e.peerSend(frame(1, 60), link.Meta{})
	e.recv(1, 1, func(_ int, f link.Frame) { e.same(f.B, frame(1, 60)) })
	if err := e.p.Close(); err != nil {
		e.Fatalf("closing the peer: %v", err)
	}
	for end := time.Now().Add(patience); ; wait(e.d, unix.POLLIN) {
		n, err := e.d.Recv(make([]link.Frame, 4))
		if isClosed(err) {
			break
		}
		if n != 0 || err != nil || time.Now().After(end) {
			e.Fatalf("Recv = %d, %v; want ErrClosed", n, err)
		}
	}
	if _, err := e.d.Recv(make([]link.Frame, 4)); !isClosed(err) {
		e.Errorf("the next Recv: %v; want ErrClosed again", err)
	}
	s := make([]link.Slot, 1)
	if e.d.Reserve(s, 100) == 1 {
		put(&s[0], frame(1, 60), 54)
		if _, err := e.d.Send(s); !isClosed(err) {
			e.Errorf("Send: %v; want ErrClosed", err)
		}
	}
}

func closeTwice(e *env) {
	if err := e.d.Close(); err != nil {
		e.Errorf("Close: %v", err)
	}
	if err := e.d.Close(); err != nil {
		e.Errorf("second Close: %v", err)
	}
}
