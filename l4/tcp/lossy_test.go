package tcp

// A lossy link between a Translator and a model of a guest. Segments are lost and swapped in
// both directions, the link is full at times, the guest's program reads when it likes, its
// kernel tells once of a window that has opened, and now and then it is out of memory: it takes
// its window back and drops what comes. All of it may happen to a connection, and none of it may
// hang one: both streams arrive to the end, and the connection ends in order.

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"passt/l4/sock"
	"passt/link"
)

const (
	lossyStep = 5 * millisecond
	lossyFor  = 20 * second  // then nothing is lost any more
	lossyEnd  = 200 * second // enough for the longest timeout of either side, and what follows
)

// TestLossyLink is the same each time: a seed is a script.
func TestLossyLink(t *testing.T) {
	for seed := range uint64(150) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			l := newLossy(t, seed)
			for end := l.now + lossyEnd; !l.over(); l.step() {
				if l.now > end {
					t.Fatalf("hangs; %s; %d connections", &l.guest, l.tr.Len())
				}
			}
			if !bytes.Equal(l.guest.got, l.toGuest) {
				t.Error("the guest got something else")
			}
			if l.taken = append(l.taken, l.socks.socks[l.fd].got...); !bytes.Equal(l.taken, l.toHost) {
				t.Error("the host's peer got something else")
			}
			l.wantEnded(l.fd, sock.Half, sock.Orderly)
		})
	}
}

// lossy is a connection over such a link, with a peer on the host.
type lossy struct {
	*bench
	r               *rand.Rand
	fd              int
	loss            int    // of a hundred segments
	toGuest, toHost []byte // what is to be sent
	arrived         int    // bytes of toGuest that are in the socket, or were
	taken           []byte // by the host's peer
	mods            int    // calls of Poller.Mod that had their event
	until           int64  // when the link gets better
	guest           modelGuest
}

func newLossy(t *testing.T, seed uint64) *lossy {
	l := &lossy{r: rand.New(rand.NewPCG(seed, 1))}
	l.bench = newBench(t, []link.Offload{0, link.OffloadCsum, allOffloads}[l.r.IntN(3)])
	l.fd = l.connect()
	l.conn().mss = uint16(500 + l.r.IntN(3000))
	l.socks.socks[l.fd].sndBuf = 10000 + l.r.IntN(90000)
	l.loss = l.r.IntN(30)
	l.toGuest, l.toHost = l.stream(), l.stream()
	l.until = l.now + lossyFor
	l.guest = modelGuest{
		l: l, mss: 500 + l.r.IntN(3000), buffer: 128 * (10 + l.r.IntN(990)),
		got: make([]byte, len(l.toGuest)), has: make([]bool, len(l.toGuest)), offered: 512 << 7, most: 512 << 7,
		edge: int(l.conn().rcvEdge - irs - 1), rto: rto,
	}
	return l
}

func (l *lossy) stream() []byte {
	b := make([]byte, l.r.IntN(200000))
	for i := range b {
		b[i] = byte(l.r.Uint32())
	}
	return b
}

// one says yes one time of n, as long as the link is bad.
func (l *lossy) one(n int) bool { return l.now < l.until && l.r.IntN(n) == 0 }

func (l *lossy) over() bool { return l.tr.Len() == 0 && l.guest.done() }

// step is what happens in lossyStep.
func (l *lossy) step() {
	l.pass(lossyStep)
	l.host()
	down := lose(l, l.net.sent)
	l.net.sent = nil
	for _, s := range down {
		l.guest.input(s.h)
	}
	up := lose(l, l.guest.output())
	l.net.limit = -1
	if l.one(20) {
		l.net.limit = l.r.IntN(3)
	} else if l.tr.Blocked() {
		l.tr.LinkWritable()
	}
	l.in(up...)
}

// lose is what the link leaves of segs.
func lose[T any](l *lossy, segs []T) []T {
	if l.now < l.until {
		segs = slices.DeleteFunc(segs, func(T) bool { return l.r.IntN(100) < l.loss })
	}
	if n := len(segs); n > 1 && l.one(10) {
		i := l.r.IntN(n - 1)
		segs[i], segs[i+1] = segs[i+1], segs[i]
	}
	return segs
}

// host is what the host's peer does: it sends, ends, and reads.
func (l *lossy) host() {
	s := l.socks.socks[l.fd]
	if l.tr.Len() == 0 {
		return
	}
	if left := len(l.toGuest) - l.arrived; left > 0 && len(s.queue) < 100000 && l.r.IntN(3) == 0 {
		n := min(left, 1+l.r.IntN(30000))
		l.arrived += n
		l.feed(l.fd, l.toGuest[l.arrived-n:l.arrived])
	} else if left == 0 && !s.eof && l.r.IntN(20) == 0 {
		s.eof = true
		l.event(l.fd, sock.In|sock.Out|sock.RdHup)
	}
	if l.r.IntN(3) == 0 {
		n := l.r.IntN(len(s.got) + 1)
		l.taken = append(l.taken, s.got[:n]...)
		s.got = s.got[n:]
	}
	if l.mods < l.poll.mods[l.fd] && len(s.got) < s.sndBuf/3*2 {
		l.mods = l.poll.mods[l.fd]
		l.event(l.fd, sock.Out)
	}
}

// modelGuest is the TCP of a guest, and its program. Numbers are offsets in the two streams.
type modelGuest struct {
	l   *lossy
	mss int

	got     []byte // received, where has says so
	has     []bool
	next    int  // all before it was received
	read    int  // by the program
	ended   bool // the FIN was received
	buffer  int  // how much is received ahead of the program
	noMem   bool // takes nothing
	offered int  // right edge of the window, as last advertised
	most    int  // the furthest that it ever was
	busy    int64
	acks    int // acknowledgements due

	written  int // by the program
	una, nxt int
	edge     int // right edge of what may be sent
	dups     int
	rto      int64
	timer    int64 // 0 if it does not run
	sentFIN  bool
	reset    bool
}

func (g *modelGuest) String() string {
	return fmt.Sprintf("guest: received %d of %d, end %v, read %d, window to %d, no memory %v; sent %d of %d, acknowledged %d, window to %d",
		g.next, len(g.got), g.ended, g.read, g.offered, g.noMem, g.nxt, g.end(), g.una, g.edge)
}

// end is the end of what it sends, its FIN included.
func (g *modelGuest) end() int { return len(g.l.toHost) + 1 }

func (g *modelGuest) done() bool { return g.reset || g.ended && g.una == g.end() }

// input takes a segment.
func (g *modelGuest) input(h Header) {
	if h.Flags()&RST != 0 {
		if !g.ended || !g.sentFIN {
			g.l.t.Fatalf("reset: %s", g)
		}
		g.reset = true // the connection is over, but the last acknowledgement was lost
		return
	}
	g.acked(h)
	at, b, fin := int(int32(h.Seq()-g.l.iss()-1)), h.Payload(), h.Flags()&FIN != 0
	if len(b) == 0 && !fin && at >= g.next {
		return
	}
	g.acks++
	if end := at + len(b); len(b) > 0 && end > g.most {
		g.l.t.Fatalf("data up to %d, in a window up to %d", end, g.most)
	}
	if g.noMem {
		return
	}
	for i := max(at, g.next); i < min(at+len(b), g.read+g.buffer); i++ {
		g.got[i], g.has[i] = b[i-at], true
	}
	for g.next < len(g.has) && g.has[g.next] {
		g.next++
	}
	if fin && at+len(b) == g.next {
		g.ended = true
	}
}

// acked takes what a segment says about what was sent.
func (g *modelGuest) acked(h Header) {
	ack, wnd := int(int32(h.Ack()-irs-1)), int(h.Window())<<rcvScale
	switch {
	case ack > g.una:
		g.una, g.nxt, g.dups = ack, max(g.nxt, ack), 0
		g.rto, g.timer = rto, 0
	case ack < g.una:
		return
	case g.una < g.nxt && ack+wnd == g.edge && h.segLen() == 0:
		g.dups++
	}
	g.edge = ack + wnd
}

// output is what it sends in one step.
func (g *modelGuest) output() (segs []seg) {
	if g.reset {
		return nil
	}
	g.program()
	if g.dups == 3 {
		g.dups++
		segs = append(segs, g.data(g.una))
	}
	if g.timer != 0 && g.l.now >= g.timer {
		g.rto = min(2*g.rto, rtoMax)
		g.timer = 0
		if g.nxt = g.una; g.edge <= g.una { // an old sequence number, to be told the window
			segs = append(segs, g.seg(g.una-1))
		}
	}
	for g.nxt < g.edge && (g.nxt < g.written || g.written == len(g.l.toHost) && g.nxt < g.end()) && len(segs) < 16 {
		s := g.data(g.nxt)
		g.nxt += len(s.data)
		if s.flags&FIN != 0 {
			g.nxt++
		}
		segs = append(segs, s)
	}
	if g.timer == 0 && g.una < g.end() {
		g.timer = g.l.now + g.rto
	}
	for ; g.acks > 0; g.acks-- {
		segs = append(segs, g.seg(g.nxt))
	}
	return segs
}

// seg is a segment without payload, with the sequence number of the offset at.
func (g *modelGuest) seg(at int) seg {
	n, wnd := g.next, g.window()
	if g.offered = n + wnd; g.ended {
		n++
	}
	g.most = max(g.most, g.offered)
	return seg{flags: ACK, seq: uint32(irs + 1 + at), ack: g.l.iss() + 1 + uint32(n), wnd: uint16(wnd >> 7)}
}

// data is the segment at the offset at, and the FIN behind the last.
func (g *modelGuest) data(at int) seg {
	s := g.seg(at)
	end := min(at+g.mss, g.edge, g.written)
	if at < end {
		s.data = string(g.l.toHost[at:end])
	}
	if max(at, end) == len(g.l.toHost) && g.edge > len(g.l.toHost) {
		s.flags |= FIN
		g.sentFIN = true
	}
	return s
}

// window is how much it has room for.
func (g *modelGuest) window() int {
	if g.noMem {
		return 0
	}
	return (g.buffer - (g.next - g.read)) &^ 127
}

// program reads and writes, with pauses, and memory comes and goes. A window that has opened is
// told of once.
func (g *modelGuest) program() {
	l := g.l
	if g.noMem {
		g.noMem = l.r.IntN(200) > 0
	} else {
		g.noMem = l.one(100)
	}
	if l.one(200) {
		g.busy = l.now + l.r.Int64N(3*second)
	}
	if l.now < g.busy {
		return
	}
	if l.r.IntN(3) == 0 {
		g.read += l.r.IntN(g.next - g.read + 1)
		g.written += l.r.IntN(min(len(l.toHost)-g.written, 20000) + 1)
	}
	if g.next+g.window() >= g.offered+min(g.buffer/2, g.mss) {
		g.acks++
	}
}
