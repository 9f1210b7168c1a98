package udp

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

// Sockets is what a Translator needs of the host's sockets; *sock.UDP is one, and the
// tests have another.
type Sockets interface {
	// Open makes a socket for IPv4, or for IPv6 if wide, on the given port if that is
	// free; gro allows it to receive trains.
	Open(wide bool, port uint16, gro bool) (fd int, e syscall.Errno)
	// Adopt prepares a bound socket that was made elsewhere.
	Adopt(fd int, wide, gro bool)
	// Send sends datagrams, or one train of datagrams of seg bytes if seg is not 0, and
	// returns how many messages went.
	Send(fd int, d *sock.Dest, bufs [][]byte, seg int) (n int, e syscall.Errno)
	// Recv receives datagrams and returns how many.
	Recv(fd int, d []sock.Datagram) (n int, e syscall.Errno)
	// RecvError takes one entry off the error queue.
	RecvError(fd int, q *sock.QueuedError) bool
	// Close closes a socket.
	Close(fd int)
}

// Config is what a Translator is made of. Everything in it is used by the worker's thread.
type Config struct {
	Net        l4.Network
	Sockets    Sockets
	Poller     sock.Poller
	Wheel      *wheel.Wheel
	Rules      l4.Rules
	Out4, Out6 sock.Outbound // how the guest's own datagrams leave the host
	MTU        int           // of the guest's link, in bytes: 1280 at least
	MaxFlows   int           // most flows at once
	MaxSockets int           // most sockets at once, forwarded ports not counted
	Seed       [2]uint64     // random, for the hashes of the tables
	Watch      flow.Watcher  // nil if nobody watches
	// Local takes datagrams that the host's own loopback sent to a forwarded port, which
	// reach the guest's namespace another way; nil if they go over the link too.
	Local func(l *Listener, d []sock.Datagram, now int64)
}

// Stats counts events, in datagrams unless the name says otherwise.
type Stats struct {
	FromGuest, FromHost uint64 // flows started
	ToHost, ToGuest     uint64
	RxBad               uint64 // no UDP, or the checksum is wrong
	Denied              uint64 // not allowed by the rules
	TableFull           uint64 // flows not started, for want of a place or a socket
	Evicted             uint64 // flows ended for others
	Expired             uint64 // flows
	HostFull            uint64 // not taken by the socket
	HostError           uint64 // refused by the host
	LinkFull            uint64 // not taken by the link
	Errors              uint64 // error messages from the network for the guest
	ErrorsUnknown       uint64 // error messages of no flow, or that say nothing to it
}

// A host socket: one endpoint of the guest, or one forwarded port.
type hostSocket struct {
	bound    inet.Endpoint // of a listener
	to       inet.Endpoint // the guest's end; the zero Addr is the guest's own address
	fd       int32
	flows    int32
	burst    uint16 // how many datagrams the last read brought
	wide     bool   // of family AF_INET6
	dual     bool   // and takes IPv4 too
	listener bool
	wildcard bool // a listener that the guest's own flows can use
}

// conversation is a flow: the guest's endpoint and one peer.
type conversation struct {
	sock, sockGen uint32        // the host socket
	peer          inet.Endpoint // on the host's side
	local         inet.Addr     // source of what is sent; zero: the system chooses
	oif, scope    uint32
	last, moved   int64 // last datagram; last move in the order of use
	segMax        uint16
	list          uint8
	flags         uint8
	toGuest       l3.Template
	sent, rcvd    uint64 // datagrams to the host, to the guest
	started       int64
}

// Flags of a conversation.
const (
	hostInitiated = 1 << iota
	shared        // another flow of the socket has the same peer
)

type (
	socketEntry = flow.Entry[hostSocket]
	entry       = flow.Entry[conversation]
)

// place says where a flow is.
type place struct{ id, gen uint32 }

// Translator is the UDP of one worker. It belongs to one thread.
type Translator struct {
	cfg       Config
	caps      link.Caps
	obs       *nat.Observed
	sockets   *flow.Table[hostSocket]
	listeners map[uint16][]place // by the guest's port
	opened    int                // sockets that are no listeners
	flows     *flow.Table[conversation]
	peers     *flow.Table[place] // flows by socket and peer
	order     *flow.Order
	armed     bool
	fragID    uint32
	Stats     Stats

	run  run
	dest sock.Dest

	slots  [sock.MaxBatch]link.Slot
	ready  [sock.MaxBatch]link.Slot
	in     [sock.MaxBatch]sock.Datagram
	direct [sock.MaxBatch]int // bytes of each of in that go to its slot
	over   []byte             // a whole datagram for each of in, used by long ones only
	batch  int                // most datagrams of one read
	qerr   sock.QueuedError
	local  Listener // for cfg.Local, which must not cost an allocation
	quote  [link.MaxHead + 1280]byte
}

// overLen is the room for a whole datagram or train in over: its UDP header and payload.
const overLen = 65536

// New makes a Translator.
func New(cfg Config) *Translator {
	caps := cfg.Net.Caps()
	t := &Translator{
		cfg:       cfg,
		caps:      caps,
		obs:       (*nat.Observed)(cfg.Net.Guest()),
		sockets:   flow.New[hostSocket](maxSocketsEver, cfg.Seed),
		listeners: make(map[uint16][]place),
		flows:     flow.New[conversation](cfg.MaxFlows, cfg.Seed),
		peers:     flow.New[place](cfg.MaxFlows, cfg.Seed),
		order:     flow.NewOrder(lists),
		batch:     max(min(caps.Batch, maxRead), 1),
	}
	t.over = make([]byte, t.batch*overLen) // not touched, and so not there, until needed
	return t
}

// SetOutbound changes how the guest's own datagrams leave the host, those of new flows.
func (t *Translator) SetOutbound(out4, out6 sock.Outbound) { t.cfg.Out4, t.cfg.Out6 = out4, out6 }

// maxSocketsEver is what the table of sockets may hold, forwarded ports included: all
// ports of both families.
const maxSocketsEver = 1 << 18

// Listener describes a socket bound to a forwarded port.
type Listener struct {
	FD    int
	Bound inet.Endpoint // zero or unspecified Addr: the wildcard
	If    bool          // bound to an interface
	Wide  bool          // of family AF_INET6
	Dual  bool          // and takes IPv4 too
	// To is the guest's end. The zero Addr stands for the guest's own address.
	To inet.Endpoint
}

// AddListener takes over the socket of a forwarded port. It returns a reference for
// RemoveListener, 0 if there is no place for it; then the socket stays the caller's.
func (t *Translator) AddListener(l Listener) sock.Ref {
	k := flow.Key{Guest: l.To, Remote: inet.Endpoint{Addr: number(uint32(l.FD), 1), Port: l.Bound.Port}}
	if t.sockets.Lookup(&k) != nil {
		return 0
	}
	s := t.sockets.Insert(k)
	if s == nil {
		return 0
	}
	ref := sock.MakeRef(sock.KindUDP, s.Gen(), s.ID())
	s.Val = hostSocket{bound: l.Bound, to: l.To, fd: int32(l.FD), wide: l.Wide, dual: l.Dual, listener: true, wildcard: l.Bound.Addr.IsUnspecified() && !l.If}
	t.cfg.Sockets.Adopt(l.FD, l.Wide, t.gro(l.Wide, l.Dual))
	if !t.cfg.Poller.Add(l.FD, ref, sock.In) {
		t.sockets.Remove(s)
		return 0
	}
	t.listeners[l.To.Port] = append(t.listeners[l.To.Port], place{s.ID(), s.Gen()})
	return ref
}

// RemoveListener closes the socket of a forwarded port and ends its flows.
func (t *Translator) RemoveListener(ref sock.Ref) {
	s := t.sockets.At(ref.ID(), ref.Aux())
	if s == nil || !s.Val.listener {
		return
	}
	t.flows.All(func(e *entry) {
		if e.Val.sock == s.ID() && e.Val.sockGen == s.Gen() {
			t.remove(e, "the port is not forwarded any more")
		}
	})
	l := t.listeners[s.Val.to.Port]
	for i, p := range l {
		if p == (place{s.ID(), s.Gen()}) {
			l[i] = l[len(l)-1]
			t.listeners[s.Val.to.Port] = l[:len(l)-1]
			break
		}
	}
	t.close(s)
}

// Holds says whether a socket of a flow of the guest may be bound to port on the host.
func (t *Translator) Holds(port uint16) (yes bool) {
	t.sockets.All(func(s *socketEntry) { yes = yes || !s.Val.listener && s.Val.to.Port == port })
	return yes
}

// gro says whether a socket that receives from IPv4, IPv6 or both may receive trains.
func (t *Translator) gro(wide, both bool) bool {
	need := link.OffloadUSO4
	if wide {
		need = link.OffloadUSO6
	}
	if both {
		need = link.OffloadUSO4 | link.OffloadUSO6
	}
	return t.caps.Offload&need == need
}

// Each calls f for every flow.
func (t *Translator) Each(f func(flow.Info)) {
	t.flows.All(func(e *entry) {
		c := &e.Val
		f(flow.Info{Passage: passage(e), ToHost: c.sent, ToGuest: c.rcvd, Started: c.started, LastSeen: c.last})
	})
}

// Len is the number of flows.
func (t *Translator) Len() int { return t.flows.Len() }

// number makes an address that is none of a number, for keys that are not of the guest.
func number(n, kind uint32) (a inet.Addr) {
	a[0], a[1], a[2], a[3] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
	a[4], a[5], a[6], a[7] = byte(kind>>24), byte(kind>>16), byte(kind>>8), byte(kind)
	return a
}
