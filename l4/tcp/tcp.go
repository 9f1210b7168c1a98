package tcp

import (
	"syscall"

	"passt/l3"
	"passt/l3/inet"
	"passt/l4"
	"passt/l4/flow"
	"passt/l4/sock"
	"passt/l4/wheel"
	"passt/link"
)

// Sockets is what a Translator needs of the host's sockets; *sock.TCP is one, and the
// tests have another.
type Sockets interface {
	Dialer
	// Send sends the pieces of v and returns how many bytes the socket took.
	Send(fd int, v [][]byte) (int, syscall.Errno)
	// Peek copies the receive queue, from the offset skip on, to the pieces of v; it
	// returns 0 at the end of the stream. moved says that skip is not where the last Peek
	// ended.
	Peek(fd, skip int, moved bool, v [][]byte) (int, syscall.Errno)
	// Discard takes n bytes off the receive queue.
	Discard(fd, n int)
	// Room is the size of the send buffer and how much of it is taken, in bytes as the
	// kernel counts them, and how many bytes of payload take that much.
	Room(fd int) (size, taken, payload int)
	// End ends one direction or all of the socket.
	End(fd int, how sock.Ending)
}

// Dialer is the part of Sockets for the beginning of connections.
type Dialer interface {
	// Dial starts a connection; local says that dst is the host's loopback.
	Dial(dst *inet.Endpoint, local bool, hops uint8) (fd int, e syscall.Errno)
	// Err takes the socket's pending error.
	Err(fd int) syscall.Errno
	// KeepAlive makes the host ask the peer from time to time whether it is there.
	KeepAlive(fd int)
}

// Config is what a Translator is made of. Everything in it is used by the worker's thread.
type Config struct {
	Net      l4.Network
	Sockets  Sockets
	Poller   sock.Poller
	Wheel    *wheel.Wheel
	Rules    l4.Rules
	MTU      int          // of the guest's link, in bytes
	MaxConns int          // most connections at once
	Seed     [4]uint64    // random: for the table's hash and initial sequence numbers
	Watch    flow.Watcher // nil if nobody watches
}

// Stats counts events; see the names.
type Stats struct {
	FromGuest, FromHost uint64 // connections started
	Refused             uint64 // connections that the other side or the system refused
	Denied              uint64 // connections that the rules do not allow
	TableFull           uint64 // connections refused for want of a place
	RxBad               uint64 // segments that are no TCP, or fail their checksum
	RxUnknown           uint64 // segments of no connection
	RxOutside           uint64 // segments outside the window, and data before or behind what was expected
	RxDropped           uint64 // bytes inside the window that the socket did not take
	Retransmits         uint64
	Timeouts            uint64 // connections given up
	ResetsSent          uint64
	LinkFull            uint64 // times that the link did not take a segment
}

// Translator is the TCP of one worker. It belongs to one thread.
type Translator struct {
	cfg   Config
	conns *flow.Table[Conn]
	caps  link.Caps
	Stats Stats

	slots   [maxSlots]link.Slot
	bodies  [maxSlots * 2][]byte
	pieces  [maxPieces][]byte // payload of a run, on its way to a socket
	npieces int
	due     []*entry // with work at the end of the burst
	late    []*entry // with acknowledgements that may wait, and perhaps did not need to
	blocked []*entry // wait for the link

	lateArmed bool // the wheel will fire for late
	accepted  int  // connections that the host's peers began
}

// watched are the events of a socket that matter.
const watched = sock.InOut | sock.Pri

const (
	maxSlots  = 64
	maxPieces = 192
)

// New makes a Translator.
func New(cfg Config) *Translator {
	return &Translator{
		cfg:   cfg,
		conns: flow.New[Conn](cfg.MaxConns, [2]uint64(cfg.Seed[:2])),
		caps:  cfg.Net.Caps(),
	}
}

// Len is the number of connections.
func (t *Translator) Len() int { return t.conns.Len() }

func (t *Translator) ref(e *entry) sock.Ref { return sock.MakeRef(sock.KindTCP, e.Gen(), e.ID()) }

// Each calls f for every connection.
func (t *Translator) Each(f func(flow.Info)) {
	t.conns.All(func(e *entry) {
		c := &e.Val
		f(flow.Info{
			Passage: passage(e), State: c.shown(), ToHost: c.bytesIn, ToGuest: c.bytesOut, Started: c.started, LastSeen: c.lastSeen,
		})
	})
}

// shown is the state with what of it is flags.
func (c *Conn) shown() string {
	if c.has(gotFIN) || c.has(hostEOF) {
		return "closing"
	}
	return c.state.String()
}

// passage is e for those who watch.
func passage(e *entry) flow.Passage {
	return flow.Passage{Proto: l3.ProtoTCP, FromHost: e.Val.has(fromHost), Guest: e.Key.Guest, Remote: e.Key.Remote, Host: e.Val.peer}
}

// isn makes an initial sequence number (RFC 6528, section 3): a clock of 4 µs plus a hash
// of the connection that only we know.
func (t *Translator) isn(k *flow.Key, now int64) uint32 {
	return k.Digest(t.cfg.Seed[2], t.cfg.Seed[3]) + uint32(now>>12)
}

// insert finds a place for a connection, nil if there is none. An eighth of the places is for
// those of the guest only, and another for those of the host's peers: whoever floods, the other
// side still connects.
func (t *Translator) insert(k *flow.Key, accepted bool) *entry {
	taken := t.accepted
	if !accepted {
		taken = t.Len() - t.accepted
	}
	if taken >= t.cfg.MaxConns-t.cfg.MaxConns/8 {
		return nil
	}
	return t.conns.Insert(*k)
}

// start makes the entry of a connection with peer and watches its socket. If it returns nil
// the socket is closed.
func (t *Translator) start(k *flow.Key, fd int, s state, peer *inet.Endpoint, now int64) *entry {
	e := t.insert(k, s == offering)
	if e == nil {
		t.Stats.TableFull++
		t.cfg.Sockets.End(fd, sock.Abort)
		return nil
	}
	c := &e.Val
	c.fd, c.state, c.started, c.lastSeen, c.cost, c.peer = int32(fd), s, now, now, costFirst, *peer
	if s == offering {
		c.set(fromHost)
		t.accepted++
	}
	if t.cfg.Watch != nil {
		t.cfg.Watch.Began(passage(e))
	}
	c.tpl.Make(k.Remote.Addr, k.Guest.Addr, l3.ProtoTCP, 64, 0)
	c.sndNxt = t.isn(k, now)
	c.sndUna, c.sndMax = c.sndNxt, c.sndNxt
	c.qHead, c.peekAt = c.sndNxt+1, c.sndNxt+1
	if !t.cfg.Poller.Add(fd, t.ref(e), watched) {
		t.drop(e, sock.Abort, "no room to watch its socket")
		return nil
	}
	return e
}

// drop ends the socket of e and forgets e; why is for those who watch.
func (t *Translator) drop(e *entry, how sock.Ending, why string) {
	c := &e.Val
	if t.cfg.Watch != nil {
		t.cfg.Watch.Ended(passage(e), why)
	}
	if how == sock.Orderly {
		t.discard(c) // unread data would turn the close into a reset
	}
	t.cfg.Sockets.End(int(c.fd), how)
	if c.has(fromHost) {
		t.accepted--
	}
	c.state, c.fd = closed, -1
	t.conns.Remove(e)
}

// abort ends e on both sides at once: the guest gets a reset too.
func (t *Translator) abort(e *entry, why string) {
	t.sendReset(e)
	t.drop(e, sock.Abort, why)
}

// mark puts e on the list for the end of the burst.
func (t *Translator) mark(e *entry, f flags) {
	c := &e.Val
	c.set(f)
	if !c.has(due) {
		c.set(due)
		t.due = append(t.due, e)
	}
}
