package icmp

import (
	"syscall"

	"passt/l3"
	"passt/l3/inet"
	"passt/l4"
	"passt/l4/flow"
	"passt/l4/sock"
	"passt/l4/wheel"
	"passt/link"
	"passt/nat"
)

// Sockets is what a Translator needs of the host's sockets; *sock.Ping is one, and the
// tests have another.
type Sockets interface {
	// Open makes a ping socket for IPv6 if wide, else IPv4, with the given identifier if
	// it is free; out, which may be nil, says how it is bound.
	Open(wide bool, id uint16, out *sock.Outbound) (fd int, e syscall.Errno)
	// Send sends an echo request.
	Send(fd int, m *sock.Echo) syscall.Errno
	// Recv receives a message into buf.
	Recv(fd int, m *sock.Echo, buf []byte) syscall.Errno
	// RecvError takes one entry off the error queue.
	RecvError(fd int, q *sock.QueuedError) bool
	// Close closes a socket.
	Close(fd int)
}

// Rules is the part of nat.Rules asked here.
type Rules interface {
	FromGuest(proto uint8, src, dst inet.Endpoint) (nat.Target, bool)
}

// Config is what a Translator is made of. Everything in it is used by the worker's thread.
type Config struct {
	Net        l4.Network
	Sockets    Sockets
	Poller     sock.Poller
	Wheel      *wheel.Wheel
	Rules      Rules
	Out4, Out6 sock.Outbound // how the guest's own requests leave the host
	MTU        int           // of the guest's link, in bytes: 1280 at least
	MaxFlows   int           // most flows, and sockets, at once
	Seed       [2]uint64     // random, for the hash of the table
	Watch      flow.Watcher  // nil if nobody watches
}

// Stats counts events, in messages unless the name says otherwise.
type Stats struct {
	Flows         uint64 // begun
	ToHost        uint64
	ToGuest       uint64
	RxBad         uint64 // no ICMP, or the checksum is wrong
	RxOther       uint64 // no echo request
	Denied        uint64 // not allowed by the rules
	NotPermitted  uint64 // the host gives no ping sockets: see Check
	NoSocket      uint64 // none to be had for another reason
	Evicted       uint64 // flows ended for others
	Expired       uint64 // flows
	HostError     uint64 // refused by the host
	LinkFull      uint64 // not taken by the link
	Errors        uint64 // error messages from the network for the guest
	ErrorsUnknown uint64 // error messages that say nothing to it
}

// echo is a flow: an identifier of the guest towards one destination. In the key of a flow
// the guest's port is the identifier, and the remote port is 0.
type echo struct {
	peer        inet.Addr // the destination on the host's side
	scope       uint32
	fd          int32
	ttl         uint8 // that the socket sends with; 0: not set yet
	last, moved int64 // last message; last move in the order of use
	sent, rcvd  uint64
	started     int64
}

type entry = flow.Entry[echo]

// Translator is the ICMP of one worker. It belongs to one thread.
type Translator struct {
	cfg    Config
	flows  *flow.Table[echo]
	order  *flow.Order
	armed  bool
	fragID uint32
	Stats  Stats

	slots [maxSlots]link.Slot
	buf   []byte // one message
	msg   sock.Echo
	qerr  sock.QueuedError
	quote [link.MaxHead + 1280]byte
}

const (
	maxSlots = 16
	second   = 1_000_000_000
	// idle is how long a flow may be silent, in nanoseconds (RFC 5508, REQ-1).
	idle       = 60 * second
	headerLen  = 8
	maxMessage = 65535
	// atOnce is how many messages or errors one event handles.
	atOnce = 16
	// evictAtMost is how many flows make room for one new one.
	evictAtMost = 4
)

// New makes a Translator.
func New(cfg Config) *Translator {
	return &Translator{
		cfg:   cfg,
		flows: flow.New[echo](cfg.MaxFlows, cfg.Seed),
		order: flow.NewOrder(1),
		buf:   make([]byte, maxMessage),
	}
}

// SetOutbound changes how the guest's requests leave the host, those of new flows.
func (t *Translator) SetOutbound(out4, out6 sock.Outbound) { t.cfg.Out4, t.cfg.Out6 = out4, out6 }

// Check says why ping will not work, and the command that mends it; nil if it will.
func Check() error { return sock.CheckPing() }

// Each calls f for every flow.
func (t *Translator) Each(f func(flow.Info)) {
	t.flows.All(func(e *entry) {
		c := &e.Val
		f(flow.Info{Passage: passage(e), ToHost: c.sent, ToGuest: c.rcvd, Started: c.started, LastSeen: c.last})
	})
}

// Len is the number of flows.
func (t *Translator) Len() int { return t.flows.Len() }

// touch notes that a message passed.
func (t *Translator) touch(e *entry, now int64) {
	c := &e.Val
	c.last = now
	if now-c.moved >= second {
		c.moved = now
		t.order.Move(0, e.ID(), e.Gen())
	}
}

// passage is e for those who watch.
func passage(e *entry) flow.Passage {
	proto := uint8(l3.ProtoICMPv6)
	if e.Key.Guest.Addr.Is4() {
		proto = l3.ProtoICMP
	}
	return flow.Passage{Proto: proto, Guest: e.Key.Guest, Remote: e.Key.Remote, Host: inet.Endpoint{Addr: e.Val.peer}}
}

// remove ends e; why is for those who watch.
func (t *Translator) remove(e *entry, why string) {
	if t.cfg.Watch != nil {
		t.cfg.Watch.Ended(passage(e), why)
	}
	t.cfg.Poller.Del(int(e.Val.fd))
	t.cfg.Sockets.Close(int(e.Val.fd))
	t.order.Remove(e.ID())
	t.flows.Remove(e)
}

// Reset ends all flows: the guest they belonged to is gone.
func (t *Translator) Reset() {
	t.flows.All(func(e *entry) { t.remove(e, "the guest has gone") })
}

// evict ends the flow unused for longest and says whether there was one.
func (t *Translator) evict() bool {
	id, gen, ok := t.order.Oldest(0)
	if ok {
		t.Stats.Evicted++
		t.remove(t.flows.At(id, gen), "evicted for another")
	}
	return ok
}

// Timer ends flows that were silent for too long.
func (t *Translator) Timer(_ sock.Ref, now int64) {
	t.armed = false
	for {
		id, gen, ok := t.order.Oldest(0)
		if !ok {
			return
		}
		e := t.flows.At(id, gen)
		if due := e.Val.last + idle; due > now {
			t.arm(max(due, now+second))
			return
		}
		t.Stats.Expired++
		t.remove(e, "idle")
	}
}

func (t *Translator) arm(at int64) {
	t.armed = true
	t.cfg.Wheel.Add(uint64(sock.MakeRef(sock.KindICMP, 0, 0)), at)
}
