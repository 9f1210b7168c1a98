package tcp

import (
	"bytes"
	"strings"
	"syscall"
	"testing"

	"passt/l3"
	"passt/l3/inet"
	"passt/l4/sock"
	"passt/link"
)

func TestFromGuest(t *testing.T) {
	ack := func(b *bench, seq uint32, data string) seg {
		return seg{flags: ACK, seq: irs + seq, ack: b.iss() + 1, wnd: 512, data: data}
	}
	fin := func(s seg) seg { s.flags |= FIN; return s }
	for _, tt := range []struct {
		name  string
		segs  func(b *bench) []seg
		want  []string // at the end of the burst
		later []string // when acknowledgements that wait for an answer have waited enough
		got   string
		sends int
	}{
		{name: "one segment waits for an answer", segs: func(b *bench) []seg { return []seg{ack(b, 1, "hello")} },
			later: []string{"ACK 1 6"}, got: "hello", sends: 1},
		{name: "a run is one send", segs: func(b *bench) []seg { return []seg{ack(b, 1, "he"), ack(b, 3, "ll"), ack(b, 5, "o")} },
			later: []string{"ACK 1 6"}, got: "hello", sends: 1},
		{name: "bulk is acknowledged at once", segs: func(b *bench) []seg { return []seg{ack(b, 1, strings.Repeat("x", 10000))} },
			want: []string{"ACK 1 10001"}, got: strings.Repeat("x", 10000), sends: 1},
		{name: "sent again", segs: func(b *bench) []seg { return []seg{ack(b, 1, "hello"), ack(b, 1, "hello")} },
			want: []string{"ACK 1 6"}, got: "hello", sends: 1},
		{name: "overlap", segs: func(b *bench) []seg { return []seg{ack(b, 1, "hell"), ack(b, 3, "llo")} },
			later: []string{"ACK 1 6"}, got: "hello", sends: 1},
		{name: "holes", segs: func(b *bench) []seg { return []seg{ack(b, 6, "x"), ack(b, 7, "y")} },
			want: []string{"ACK 1 1", "ACK 1 1"}},
		{name: "data, then holes", segs: func(b *bench) []seg { return []seg{ack(b, 1, "hi"), ack(b, 6, "x"), ack(b, 7, "y")} },
			want: []string{"ACK 1 3", "ACK 1 3"}, got: "hi", sends: 1},
		{name: "FIN with data", segs: func(b *bench) []seg { return []seg{fin(ack(b, 1, "bye"))} },
			later: []string{"ACK 1 5"}, got: "bye", sends: 1},
		{name: "data behind the FIN", segs: func(b *bench) []seg { return []seg{fin(ack(b, 1, "bye")), ack(b, 5, "more")} },
			want: []string{"ACK 1 5"}, got: "bye", sends: 1},
		{name: "FIN behind a hole", segs: func(b *bench) []seg { return []seg{fin(ack(b, 9, ""))} },
			want: []string{"ACK 1 1"}},
		{name: "keep-alive", segs: func(b *bench) []seg { return []seg{ack(b, 0, "")} }, want: []string{"ACK 1 1"}},
		{name: "keep-alive with a byte", segs: func(b *bench) []seg { return []seg{ack(b, 0, "x")} }, want: []string{"ACK 1 1"}},
		{name: "an ACK alone says nothing", segs: func(b *bench) []seg { return []seg{ack(b, 1, "")} }},
		{name: "no ACK flag", segs: func(b *bench) []seg { return []seg{{flags: 0, seq: irs + 1, data: "x"}} }},
		{name: "urgent data passes in order", segs: func(b *bench) []seg {
			s := ack(b, 1, "a!b")
			s.flags |= URG
			return []seg{s}
		}, later: []string{"ACK 1 4"}, got: "a!b", sends: 1},
		{name: "acknowledges what was not sent", segs: func(b *bench) []seg {
			s := ack(b, 1, "x")
			s.ack += 100
			return []seg{s}
		}, want: []string{"ACK 1 1"}},
		{name: "a reset in the window", segs: func(b *bench) []seg { return []seg{{flags: RST, seq: irs + 10}} }, want: []string{"ACK 1 1"}},
		{name: "a reset outside", segs: func(b *bench) []seg { return []seg{{flags: RST, seq: irs - 10}} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, allOffloads)
			fd := b.connect()
			b.in(tt.segs(b)...)
			b.want("burst", tt.want...)
			b.late()
			b.want("late", tt.later...)
			if got := string(b.socks.socks[fd].got); got != tt.got {
				t.Errorf("socket got %q, want %q", got, tt.got)
			}
			if b.socks.sends != tt.sends {
				t.Errorf("%d sends, want %d", b.socks.sends, tt.sends)
			}
		})
	}
}

func TestSequenceWrap(t *testing.T) {
	b := newBench(t, allOffloads)
	const first = 0xfffffffe
	b.in(seg{flags: SYN, seq: first, wnd: 65535, opts: synOpts})
	b.event(0, sock.Out)
	b.in(seg{flags: ACK, seq: first + 1, ack: b.iss() + 1, wnd: 512, data: "before"},
		seg{flags: ACK, seq: 5, ack: b.iss() + 1, wnd: 512, data: " and after"})
	if got := string(b.socks.socks[0].got); got != "before and after" {
		t.Errorf("socket got %q", got)
	}
}

func TestGuestResets(t *testing.T) {
	b := newBench(t, allOffloads)
	fd := b.connect()
	b.in(seg{flags: ACK, seq: irs + 1, ack: b.iss() + 1, wnd: 9, data: "last"}, seg{flags: RST | ACK, seq: irs + 5, ack: b.iss() + 1})
	b.wantGone()
	b.wantEnded(fd, sock.Abort)
	if got := string(b.socks.socks[fd].got); got != "last" {
		t.Errorf("socket got %q", got)
	}
}

func TestWindow(t *testing.T) {
	b := newBench(t, allOffloads)
	fd := b.connect()
	s := b.socks.socks[fd]
	s.sndBuf = 90000
	b.conn().cost = costOne // as has been found out by now
	window := func(sg sentSegment) int { return int(sg.h.Window()) << rcvScale }
	bulk := strings.Repeat("x", 40000)

	b.in(seg{flags: ACK, seq: irs + 1, ack: b.iss() + 1, wnd: 512, data: bulk})
	if got := window(b.net.sent[0]); got > 50000 || got < 30000 {
		t.Errorf("window %d with 50000 bytes free", got)
	}
	b.want("bulk", "ACK 1 40001")
	if b.poll.mods[fd] != 0 {
		t.Fatal("an event armed with more than a third free")
	}
	b.in(seg{flags: ACK, seq: irs + 40001, ack: b.iss() + 1, wnd: 512, data: bulk[:30000]})
	if got := window(b.net.sent[0]); got > 20000 {
		t.Errorf("window %d with 20000 bytes free", got)
	}
	if b.poll.mods[fd] == 0 {
		t.Fatal("no event armed with less than a third free")
	}
	b.want("bulk", "ACK 1 70001")

	s.got = nil // the host's peer has read
	b.event(fd, sock.Out)
	if got := window(b.net.sent[0]); got < 30000 {
		t.Errorf("window %d with all of the buffer free", got)
	}
	b.want("opened again", "ACK 1 70001")
	b.event(fd, sock.Out)
	b.want("an event that nobody waits for")
}

func TestBeyondWindow(t *testing.T) {
	b := newBench(t, allOffloads)
	fd := b.connect()
	c := b.conn()
	room := c.window()
	b.in(seg{flags: ACK | FIN, seq: irs + 1, ack: b.iss() + 1, wnd: 512, data: strings.Repeat("x", int(room)+10)})
	if got := len(b.socks.socks[fd].got); got != int(room) {
		t.Errorf("took %d bytes of a window of %d", got, room)
	}
	if b.conn().has(gotFIN) {
		t.Error("took a FIN beyond the window")
	}
}

// TestSocketFull is the case that the window can't prevent: many small segments cost the
// kernel more than they carry.
func TestSocketFull(t *testing.T) {
	b := newBench(t, allOffloads)
	fd := b.connect()
	s := b.socks.socks[fd]
	s.sndBuf = 3
	b.in(seg{flags: ACK, seq: irs + 1, ack: b.iss() + 1, wnd: 512, data: "hello"})
	if w := b.net.sent[0].h.Window(); w != 0 {
		t.Errorf("window %d although the socket is full", w)
	}
	b.want("partly taken", "ACK 1 4")
	b.in(seg{flags: ACK, seq: irs + 4, ack: b.iss() + 1, wnd: 512, data: "lo"})
	b.want("not even tried", "ACK 1 4")
	if b.socks.sends != 1 {
		t.Errorf("%d sends", b.socks.sends)
	}
	s.sndBuf = 1 << 20
	b.event(fd, sock.Out)
	b.want("asked to be sent again", "ACK 1 4", "ACK 1 4", "ACK 1 4", "ACK 1 4")
	b.in(seg{flags: ACK, seq: irs + 4, ack: b.iss() + 1, wnd: 512, data: "lo"})
	b.late()
	if string(s.got) != "hello" {
		t.Errorf("socket got %q", s.got)
	}
}

// TestLostBeyondWindow has a guest go on far beyond the window while the socket is full: what
// is asked for again ends where the window did.
func TestLostBeyondWindow(t *testing.T) {
	b := newBench(t, allOffloads)
	fd := b.connect()
	s := b.socks.socks[fd]
	c := b.conn()
	edge := c.rcvEdge
	s.sndBuf = 3
	b.in(seg{flags: ACK, seq: irs + 1, ack: b.iss() + 1, wnd: 512, data: "hello"})
	b.in(seg{flags: ACK, seq: irs + 4, ack: b.iss() + 1, wnd: 512, data: string(make([]byte, 1000))})
	b.in(seg{flags: ACK, seq: edge + 1<<20, ack: b.iss() + 1, wnd: 512, data: "far beyond"})
	if !c.has(losing) || c.lostTo != irs+1004 && c.lostTo != edge {
		t.Errorf("losing: %v, up to %d; the window ends at %d", c.has(losing), c.lostTo-irs, edge-irs)
	}
	s.sndBuf = 1 << 20
	b.event(fd, sock.Out)
	b.in(seg{flags: ACK, seq: edge + 1<<20, ack: b.iss() + 1, wnd: 512, data: "far beyond"})
	if before(edge, c.lostTo) || before(edge, c.rcvEdge) && c.has(losing) {
		t.Errorf("lost up to %d, window to %d; it ended at %d", c.lostTo-irs, c.rcvEdge-irs, edge-irs)
	}
}

func TestSocketBroken(t *testing.T) {
	b := newBench(t, allOffloads)
	fd := b.connect()
	b.socks.socks[fd].err = syscall.ECONNRESET
	b.socks.socks[fd].queue, b.socks.socks[fd].eof = []byte("last words"), true
	b.event(fd, sock.In|sock.Out|sock.Err|sock.Hup|sock.RdHup)
	b.want("what had arrived, then the reset", "ACK 1 1 len 10", "RST|ACK 11 1")
	b.wantGone()
}

// peekFails are sockets that have failed without any event yet.
type peekFails struct{ *fakeSockets }

func (peekFails) Peek(int, int, bool, [][]byte) (int, syscall.Errno) { return -1, syscall.ECONNRESET }

// TestFailsInARun has a socket fail when the middle of a run makes us send again, behind a
// segment with data that is not with the socket yet, and must not be sent to it any more.
func TestFailsInARun(t *testing.T) {
	b := newBench(t, allOffloads)
	fd := b.connect()
	b.feed(fd, []byte("answer"))
	b.want("sent", "ACK 1 1 len 6")
	b.tr.cfg.Sockets = peekFails{b.socks}
	x := b.took(0, 512)
	x.data = "x"
	b.in(x, b.took(0, 512), b.took(0, 512), b.took(0, 512))
	b.want("reset", "RST|ACK 1 1")
	b.wantGone()
	b.wantEnded(fd, sock.Abort)
}

// sendFails are sockets whose peer has reset the connection, which the next Send finds out
// before any event tells.
type sendFails struct{ *fakeSockets }

func (sendFails) Send(int, [][]byte) (int, syscall.Errno) { return -1, syscall.ECONNRESET }

// TestResetWhileSending has a server answer and reset while the guest still sends, as one that
// refuses an upload: the answer is in the socket, and the guest gets it.
func TestResetWhileSending(t *testing.T) {
	b := newBench(t, allOffloads)
	fd := b.connect()
	b.socks.socks[fd].queue = []byte("answer")
	b.tr.cfg.Sockets = sendFails{b.socks}
	b.in(seg{flags: ACK, seq: irs + 1, ack: b.iss() + 1, wnd: 512, data: "x"})
	b.want("the answer, then the reset", "ACK 1 1 len 6", "RST|ACK 7 1")
	b.wantGone()
	b.wantEnded(fd, sock.Abort)
}

func TestToGuest(t *testing.T) {
	for _, tt := range []struct {
		name    string
		offload link.Offload
		size    int
		wnd     uint16 // scaled by 7
		want    []string
		gso     uint8
	}{
		{name: "one segment", offload: allOffloads, size: 100, wnd: 512, want: []string{"ACK 1 1 len 100"}},
		{name: "a super-frame", offload: allOffloads, size: 60000, wnd: 512, want: []string{"ACK 1 1 len 60000"}, gso: link.GSOTCPv4},
		{name: "more than one", offload: allOffloads, size: 80000, wnd: 1000, want: []string{"ACK 1 1 len 65495", "ACK 65496 1 len 14505"}, gso: link.GSOTCPv4},
		{name: "no segmentation", offload: link.OffloadCsum, size: 3000, wnd: 512, want: []string{"ACK 1 1 len 1460", "ACK 1461 1 len 1460", "ACK 2921 1 len 80"}},
		{name: "no offloads", size: 3000, wnd: 512, want: []string{"ACK 1 1 len 1460", "ACK 1461 1 len 1460", "ACK 2921 1 len 80"}},
		{name: "as much as the window allows", offload: allOffloads, size: 3000, wnd: 8, want: []string{"ACK 1 1 len 1024"}},
		{name: "a closed window", offload: allOffloads, size: 3000, wnd: 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, tt.offload)
			fd := b.connect()
			b.conn().mss = 1460
			b.in(seg{flags: ACK, seq: irs + 1, ack: b.iss() + 1, wnd: tt.wnd})
			b.conn().sndWnd = uint32(tt.wnd) << 7
			b.socks.socks[fd].queue = pattern(tt.size)
			b.event(fd, sock.In|sock.Out)
			var got []byte
			for i, s := range b.net.sent {
				got = append(got, s.h.Payload()...)
				checkSums(t, s, tt.offload)
				if i == 0 && s.meta.GSO != tt.gso || s.meta.GSO != 0 && (s.meta.SegSize != 1460 || s.meta.HdrLen != 54) {
					t.Errorf("segment %d: meta %+v", i, s.meta)
				}
			}
			if !bytes.Equal(got, pattern(tt.size)[:len(got)]) {
				t.Error("bytes differ")
			}
			b.want("data", tt.want...)
		})
	}
}

// TestLargestFrame fills super-frames, which the fake link measures.
func TestLargestFrame(t *testing.T) {
	for _, tt := range []struct {
		name        string
		guest, host inet.Endpoint
	}{{"IPv4", guest4, host4}, {"IPv6", guest6, host6}} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, allOffloads)
			b.guest, b.host = tt.guest, tt.host
			fd := b.connect()
			b.in(b.took(0, 2000))
			b.feed(fd, pattern(200000))
			if n := len(b.net.sent); n != 4 {
				t.Errorf("%d frames", n)
			}
		})
	}
}

// checkSums checks the checksums of a segment, which are complete unless left to the link.
func checkSums(t *testing.T, s sentSegment, off link.Offload) {
	t.Helper()
	if l3.Checksum(0, s.ip[:l3.HeaderLen4]) != 0 {
		t.Error("IPv4 header checksum")
	}
	src, dst := guest4.Addr, host4.Addr
	sum := l3.Fold(l3.Sum(l3.PseudoSum(&src, &dst, l3.ProtoTCP, len(s.h)), s.h))
	if off&link.OffloadCsum != 0 {
		if s.meta.Flags != link.NeedsCsum || s.meta.CsumStart != 34 || s.meta.CsumOff != 16 {
			t.Errorf("meta %+v", s.meta)
		}
		return
	}
	if sum != 0xffff || s.meta.Flags != 0 {
		t.Errorf("TCP checksum: sum %#x, meta %+v", sum, s.meta)
	}
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7)
	}
	return b
}

// urgentSockets are sockets with urgent data in the stream at mark, where the kernel ends a read
// that has read something (SO_OOBINLINE, socket(7)).
type urgentSockets struct {
	*fakeSockets
	mark int
}

func (u urgentSockets) Peek(fd, skip int, moved bool, v [][]byte) (int, syscall.Errno) {
	if left := u.mark - skip; left > 0 && left < len(v[0]) {
		v = [][]byte{v[0][:left]}
	}
	return u.fakeSockets.Peek(fd, skip, moved, v)
}

// TestUrgentToGuest has urgent data in the middle of what arrives, of which one event tells.
func TestUrgentToGuest(t *testing.T) {
	b := newBench(t, allOffloads)
	fd := b.connect()
	b.tr.cfg.Sockets = urgentSockets{b.socks, 4}
	b.socks.socks[fd].queue = []byte("0123!56")
	b.event(fd, sock.In|sock.Out|sock.Pri)
	b.want("all of it, in order", "ACK 1 1 len 4", "ACK 5 1 len 3")
	b.in(b.took(7, 512))
	b.feed(fd, []byte("more"))
	b.want("and what follows", "ACK 8 1 len 4")
}

func TestAcknowledgedDataIsDiscarded(t *testing.T) {
	ack := func(b *bench, n uint32) {
		b.in(seg{flags: ACK, seq: irs + 1, ack: b.iss() + 1 + n, wnd: 512})
	}
	t.Run("bulk, at once and to the last byte", func(t *testing.T) {
		b := newBench(t, allOffloads)
		fd := b.connect()
		s := b.socks.socks[fd]
		s.queue = pattern(50000)
		b.event(fd, sock.In|sock.Out)
		for _, n := range []uint32{1000, 49999, 50000} {
			ack(b, n)
			if len(s.queue) != 50000-int(n) {
				t.Fatalf("%d acknowledged, %d bytes left", n, len(s.queue))
			}
		}
	})
	t.Run("small pieces that follow each other, at once", func(t *testing.T) {
		b := newBench(t, allOffloads)
		fd := b.connect()
		s := b.socks.socks[fd]
		for range 3 {
			s.queue = append(s.queue, "0123456789"...)
			b.event(fd, sock.In|sock.Out)
		}
		ack(b, 10)
		if len(s.queue) != 20 {
			t.Errorf("%d bytes left", len(s.queue))
		}
		ack(b, 30)
		if len(s.queue) != 0 {
			t.Errorf("%d bytes left", len(s.queue))
		}
	})
	t.Run("a small piece behind bulk, at once", func(t *testing.T) {
		b := newBench(t, allOffloads)
		fd := b.connect()
		s := b.socks.socks[fd]
		s.queue = pattern(50000)
		b.event(fd, sock.In|sock.Out)
		ack(b, 50000)
		s.queue = append(s.queue, 'x')
		b.event(fd, sock.In|sock.Out)
		ack(b, 50001)
		if len(s.queue) != 0 {
			t.Errorf("%d bytes left", len(s.queue))
		}
	})
	t.Run("small answers, some at a time", func(t *testing.T) {
		b := newBench(t, allOffloads)
		fd := b.connect()
		s := b.socks.socks[fd]
		most := 0
		for i := range 100 {
			s.queue = append(s.queue, "0123456789"...)
			b.event(fd, sock.In|sock.Out)
			ack(b, uint32(10*(i+1)))
			most = max(most, len(s.queue))
		}
		if most == 0 || most > 10*keepAcks {
			t.Errorf("up to %d bytes were left", most)
		}
		b.late()
		if len(s.queue) != 0 {
			t.Errorf("%d bytes left for good", len(s.queue))
		}
	})
}

func TestLinkFull(t *testing.T) {
	b := newBench(t, link.OffloadCsum)
	fd := b.connect()
	b.conn().mss = 1000
	b.socks.socks[fd].queue = pattern(3000)
	b.net.limit = 1
	b.event(fd, sock.In|sock.Out)
	b.want("one fits", "ACK 1 1 len 1000")
	if !b.tr.Blocked() {
		t.Fatal("nobody waits for the link")
	}
	b.net.limit = -1
	b.tr.LinkWritable()
	b.tr.Flush(b.now)
	b.want("the rest", "ACK 1001 1 len 1000", "ACK 2001 1 len 1000")
	if b.tr.Blocked() {
		t.Error("still waiting")
	}
}
