package splice

// TCP past the guest's link. A connection that was accepted on one side gets its other half
// on the other side, and from then on bytes are moved in both directions until both have
// ended. Each direction ends by itself: an end of the stream is passed on behind the last
// byte. An error of either side becomes a reset of the other, behind what that side had said
// before, and so does a target that refuses: the initiator's connection exists by then, the
// kernel has seen to that.
//
// Events are edge-triggered, and each socket is registered once. A direction moves on when
// its source has something, or when its target, which was full, has room again.
//
//	initiator ── fd[0] ── half[0] ──▶ fd[1] ── target
//	          ◀── half[1] ──

import (
	"passt/l3"
	"passt/l3/inet"
	"passt/l4/flow"
	"passt/l4/sock"
	"passt/l4/wheel"
	"passt/nat"
)

// Rules is the part of nat.Rules asked here.
type Rules interface {
	FromSplice(out, v4 bool, to inet.Endpoint, obs *nat.Observed) inet.Endpoint
}

// Config is what a TCP is made of. Everything in it is used by the worker's thread.
type Config struct {
	Sockets  Sockets
	Poller   sock.Poller
	Wheel    *wheel.Wheel
	Rules    Rules
	Observed *nat.Observed // what the guest was seen to send from
	MaxConns int
	Watch    flow.Watcher // nil if nobody watches
}

// Stats counts connections.
type Stats struct {
	Accepted, Refused, Resets, Timeouts uint64
	TableFull                           uint64 // refused for want of a place
	Bulk                                uint64 // how often a direction began to use a pipe
}

type state uint8

const (
	closed state = iota
	connecting
	established
)

const second = 1_000_000_000

// connectTimeout is how long the other side may take to accept. On a loopback it takes no
// time; a forwarded port can lead to an address behind the guest too.
const connectTimeout = 20 * second

// A conn is a bypassed connection: side 0 is its initiator's, side 1 its target's.
type conn struct {
	half    [2]half // half[s] moves bytes from side s to the other one
	fd      [2]int32
	id, gen uint32
	state   state
	out     bool
	early   uint32 // events of side 0 before side 1 was connected
	started int64
	remote  inet.Endpoint // the initiator
	local   inet.Addr     // where it came to
	dst     inet.Endpoint // the target
}

// TCP bypasses the guest's link for the connections of one worker. It belongs to one thread.
type TCP struct {
	cfg   Config
	conns slab
	wait  *flow.Order // connections that are being made
	armed bool
	buf   []byte   // what is being copied
	held  [][]byte // what targets had no room for, by number
	spare []int32  // numbers in held that are free
	pipes []Pipe   // not in use
	Stats Stats
}

// NewTCP makes a TCP.
func NewTCP(cfg Config) *TCP {
	return &TCP{cfg: cfg, wait: flow.NewOrder(1), buf: make([]byte, copyLen)}
}

// Accepter takes connections of one direction for t.
type Accepter struct {
	t   *TCP
	out bool
}

// Accepter makes an Accepter: out for connections from the guest's namespace to the host.
func (t *TCP) Accepter(out bool) Accepter { return Accepter{t, out} }

// Accept takes the socket fd, connected to remote from the local address local, for the
// target to.
func (a Accepter) Accept(fd int, remote inet.Endpoint, local inet.Addr, to inet.Endpoint, now int64) {
	t := a.t
	if t.conns.n >= t.cfg.MaxConns {
		t.Stats.TableFull++
		t.cfg.Sockets.End(fd, sock.Abort)
		return
	}
	dst := t.cfg.Rules.FromSplice(a.out, remote.Addr.Is4(), to, t.cfg.Observed)
	other, e := t.cfg.Sockets.Connect(a.out, &dst)
	if e != 0 {
		t.Stats.Refused++
		t.cfg.Sockets.End(fd, sock.Abort)
		return
	}
	t.Stats.Accepted++
	c := t.conns.take()
	c.fd, c.out, c.started = [2]int32{int32(fd), int32(other)}, a.out, now
	c.remote, c.local, c.dst = remote, local, dst
	c.half = [2]half{{held: none, pipe: Pipe{r: none}}, {held: none, pipe: Pipe{r: none}}}
	t.wait.Move(0, c.id, c.gen)
	t.arm(now)
	if t.cfg.Watch != nil {
		t.cfg.Watch.Began(c.passage())
	}
	for s := range 2 {
		if !t.cfg.Poller.Add(int(c.fd[s]), t.ref(c, s), sock.InOut|sock.Pri) {
			t.drop(c, sock.Abort, "no room to watch its sockets")
			return
		}
	}
}

func (t *TCP) ref(c *conn, side int) sock.Ref {
	return sock.MakeRef(sock.KindSplice, c.gen<<1|uint32(side), c.id)
}

// ended is the events that say that a socket must be read to its end: nothing new may come
// to report it again. Urgent data belongs to them since a read stops in front of it, in the
// midst of what there is.
const ended = sock.RdHup | sock.Hup | sock.Err | sock.Pri

// Event handles events of the socket that ref stands for.
func (t *TCP) Event(ref sock.Ref, events uint32, now int64) {
	c := t.conns.get(ref.ID(), ref.Aux()>>1)
	if c == nil {
		return
	}
	side := int(ref.Aux() & 1)
	if c.state == connecting {
		if side == 0 {
			c.early |= events
			return
		}
		if !t.connected(c, events) {
			return
		}
		if c.early != 0 && !t.ready(c, 0, c.early) {
			return
		}
	}
	t.ready(c, side, events)
}

// connected handles the first events of the target, and says whether it has accepted.
func (t *TCP) connected(c *conn, events uint32) bool {
	if events&sock.Err != 0 {
		t.lastWords(c, 1) // if it did accept, before it broke
		t.Stats.Refused++
		t.drop(c, sock.Abort, "refused")
		return false
	}
	if events&sock.Out == 0 {
		return false
	}
	c.state = established
	t.wait.Remove(c.id)
	return true
}

// ready moves what can be moved after events of one side. It says whether c is still there.
func (t *TCP) ready(c *conn, side int, events uint32) bool {
	ok := true
	if events&sock.Pri != 0 {
		h := &c.half[side]
		h.urgent, h.bulk = true, false
	}
	if events&(sock.In|ended) != 0 {
		ok = t.pump(c, side, events&ended != 0)
	}
	if ok && events&sock.Out != 0 && c.half[1-side].blocked {
		ok = t.pump(c, 1-side, true)
	}
	if ok && events&sock.Err != 0 && t.cfg.Sockets.Err(int(c.fd[side])) != 0 {
		// Nothing was left to read that would have said so.
		t.reset(c)
		ok = false
	}
	return ok
}

// reset ends c because one side did, in disorder.
func (t *TCP) reset(c *conn) {
	for s := range 2 {
		t.lastWords(c, s) // whose connection it was that broke need not be known
	}
	t.Stats.Resets++
	t.drop(c, sock.Abort, "reset")
}

// passage is c for those who watch.
func (c *conn) passage() flow.Passage {
	p := flow.Passage{Proto: l3.ProtoTCP, Bypass: true, FromHost: !c.out, Guest: c.dst, Host: c.remote}
	if c.out {
		p.Guest, p.Host, p.Remote.Addr = c.remote, c.dst, c.local
	}
	return p
}

// drop ends both sockets and forgets c; why is for those who watch.
func (t *TCP) drop(c *conn, how sock.Ending, why string) {
	if t.cfg.Watch != nil {
		t.cfg.Watch.Ended(c.passage(), why)
	}
	for s := range 2 {
		t.cfg.Sockets.End(int(c.fd[s]), how)
		t.letGo(&c.half[s])
	}
	t.wait.Remove(c.id)
	t.conns.put(c)
}

// timerID is the index that the timer of connectTimeout has instead of a connection's.
const timerID = 1<<32 - 1

func (t *TCP) arm(now int64) {
	if !t.armed {
		t.armed = true
		t.cfg.Wheel.Add(uint64(sock.MakeRef(sock.KindSplice, 0, timerID)), now+connectTimeout)
	}
}

// Timer refuses connections whose target has not answered for too long.
func (t *TCP) Timer(now int64) {
	t.armed = false
	for {
		id, gen, ok := t.wait.Oldest(0)
		if !ok {
			return
		}
		c := t.conns.get(id, gen)
		if now < c.started+connectTimeout {
			t.arm(c.started)
			return
		}
		t.Stats.Timeouts++
		t.drop(c, sock.Abort, "no answer")
	}
}

// Reset ends all connections.
func (t *TCP) Reset() {
	t.all(func(c *conn) { t.drop(c, sock.Abort, "stopped") })
	for _, p := range t.pipes {
		t.closePipe(p)
	}
	t.pipes = nil
}

func (t *TCP) all(f func(*conn)) {
	for id := range t.conns.used {
		if c := t.conns.at(id); c.state != closed {
			f(c)
		}
	}
}

// Len is the number of connections.
func (t *TCP) Len() int { return t.conns.n }

// Each calls f for every connection.
func (t *TCP) Each(f func(flow.Info)) {
	t.all(func(c *conn) {
		i := flow.Info{Passage: c.passage(), State: "established", ToHost: c.half[0].moved, ToGuest: c.half[1].moved, Started: c.started}
		if i.FromHost {
			i.ToHost, i.ToGuest = i.ToGuest, i.ToHost
		}
		switch {
		case c.state == connecting:
			i.State = "connecting"
		case c.half[0].shut || c.half[1].shut:
			i.State = "closing"
		}
		f(i)
	})
}
