package splice

// UDP past the guest's link. A flow is a local client and the port that it sends to. It has
// a socket on the other side, connected to the target, so that answers, and errors of the
// target, are those of the flow by themselves. Answers leave by the forwarded port's socket,
// from the very address that the client has sent to. Datagrams move in batches of one flow,
// and trains that the kernel has put together are passed on whole.
//
// A target that nobody has bound answers with an ICMP error to us. In the guest's namespace
// it is passed on to the client as the same error (Unreachable). On the host that takes a
// privilege that we don't have: there the flow ends, and the client learns nothing.
//
// A flow ends when it has been silent, as in package udp (RFC 4787, section 4.3).

import (
	"syscall"

	"passt/l3/inet"
	"passt/l4/flow"
	"passt/l4/sock"
	"passt/l4/wheel"
	"passt/nat"
)

// DatagramSockets is what a UDP needs of sockets; SystemUDP has the real ones.
type DatagramSockets interface {
	// Connect makes a socket that is connected to dst, on the host if out, else in the
	// guest's namespace.
	Connect(out bool, dst *inet.Endpoint) (fd int, e syscall.Errno)
	Adopt(fd int, wide, gro bool)
	Send(fd int, d *sock.Dest, bufs [][]byte, seg int) (n int, e syscall.Errno)
	Recv(fd int, d []sock.Datagram) (n int, e syscall.Errno)
	RecvError(fd int, q *sock.QueuedError) bool
	Close(fd int)
}

// SystemUDP is the DatagramSockets of the system.
type SystemUDP struct {
	*sock.UDP
	Guest Provider
}

var _ DatagramSockets = SystemUDP{}

// Connect implements DatagramSockets.
func (s SystemUDP) Connect(out bool, dst *inet.Endpoint) (fd int, e syscall.Errno) {
	if out {
		fd, e = sock.New(false, dst.Addr.Is4())
	} else {
		fd, e = s.Guest.Take(false, dst.Addr.Is4())
	}
	if e != 0 {
		return -1, e
	}
	if e = sock.Connect(fd, dst); e != 0 {
		sock.Close(fd)
		return -1, e
	}
	return fd, 0
}

// UDPConfig is what a UDP is made of. Everything in it is used by the worker's thread.
type UDPConfig struct {
	Sockets  DatagramSockets
	Poller   sock.Poller
	Wheel    *wheel.Wheel
	Rules    Rules
	Observed *nat.Observed
	MaxFlows int // and sockets
	Seed     [2]uint64
	Watch    flow.Watcher // nil if nobody watches
	// Unreachable tells a client in the guest's namespace that its datagram to the endpoint
	// to has reached nobody; nil if that can't be done.
	Unreachable func(client, to inet.Endpoint)
}

// UDPStats counts datagrams, and flows where the name says so.
type UDPStats struct {
	Flows, Evicted, Expired, TableFull uint64
	ToTarget, ToClient, Dropped        uint64
	Refused                            uint64
}

// Port is a forwarded UDP port.
type Port struct {
	FD    int
	Out   bool // bound in the guest's namespace
	Wide  bool // of family AF_INET6
	Bound inet.Endpoint
	To    inet.Endpoint
}

// dgramFlow is a flow: the client, the port that it sent to, and the socket to the target.
type dgramFlow struct {
	fd          int32 // connected to dst
	port        int32 // of the forwarded port
	wide        bool  // the forwarded port is of family AF_INET6
	list        uint8
	burst       uint8 // how many datagrams the last read brought
	scope       uint32
	last, moved int64
	dst         inet.Endpoint
	sent, rcvd  uint64
	started     int64
}

type entry = flow.Entry[dgramFlow]

const (
	maxRead = 32    // datagrams of one read
	overLen = 65536 // room for the longest datagram or train
)

// UDP bypasses the guest's link for the datagrams of one worker. It belongs to one thread.
type UDP struct {
	cfg   UDPConfig
	flows [2]*flow.Table[dgramFlow] // into the guest, and out; by client and where it sent to
	order [2]*flow.Order
	ports []Port // watched here; FD is none in a free place
	free  []uint32
	armed bool
	in    [maxRead]sock.Datagram
	body  [maxRead][1][]byte
	bufs  [maxRead][]byte
	mem   []byte // a whole datagram for each of in, not touched by short ones
	dest  sock.Dest
	qerr  sock.QueuedError
	Stats UDPStats
}

// NewUDP makes a UDP.
func NewUDP(cfg UDPConfig) *UDP {
	t := &UDP{cfg: cfg, mem: make([]byte, maxRead*overLen)}
	for d := range t.flows {
		t.flows[d] = flow.New[dgramFlow](cfg.MaxFlows, cfg.Seed)
		t.order[d] = flow.NewOrder(lists)
	}
	return t
}

// AddPort watches the socket of p, which belongs to t from then on. It says whether that is
// possible; if not, the socket stays the caller's.
func (t *UDP) AddPort(p Port) bool {
	var id uint32
	if n := len(t.free); n > 0 {
		id, t.free = t.free[n-1], t.free[:n-1]
	} else {
		id = uint32(len(t.ports))
		t.ports = append(t.ports, Port{})
	}
	t.ports[id] = p
	t.cfg.Sockets.Adopt(p.FD, p.Wide, true)
	if !t.cfg.Poller.Add(p.FD, sock.MakeRef(sock.KindSplicePort, uint32(p.FD), id), sock.In) {
		t.ports[id].FD = none
		t.free = append(t.free, id)
		return false
	}
	return true
}

// RemovePort closes the socket fd that was added, and ends its flows.
func (t *UDP) RemovePort(fd int) {
	for i := range t.ports {
		if t.ports[i].FD == fd {
			t.ports[i].FD = none
			t.free = append(t.free, uint32(i))
			t.EndFlows(fd)
			t.cfg.Poller.Del(fd)
			t.cfg.Sockets.Close(fd)
			return
		}
	}
}

// EndFlows ends the flows of the forwarded port whose socket is fd.
func (t *UDP) EndFlows(fd int) {
	for d := range t.flows {
		t.flows[d].All(func(e *entry) {
			if int(e.Val.port) == fd {
				t.remove(d, e, "the port is not forwarded any more")
			}
		})
	}
}

// PortEvent receives what came to a forwarded port.
func (t *UDP) PortEvent(ref sock.Ref, events uint32, now int64) {
	if int(ref.ID()) >= len(t.ports) {
		return
	}
	p := t.ports[ref.ID()]
	if p.FD == none || uint32(p.FD)&0xffffff != ref.Aux() {
		return
	}
	if events&sock.Err != 0 {
		// Of clients that are gone before their answer.
		for range maxRead {
			if !t.cfg.Sockets.RecvError(p.FD, &t.qerr) {
				break
			}
		}
	}
	t.prepare(maxRead)
	n, e := t.cfg.Sockets.Recv(p.FD, t.in[:])
	if e == 0 {
		t.Datagrams(&p, t.in[:n], now)
	}
}

// prepare gives n places for datagrams their memory.
func (t *UDP) prepare(n int) {
	for i := range n {
		t.body[i][0] = t.mem[i*overLen : (i+1)*overLen]
		t.in[i].Body, t.in[i].Over = t.body[i][:], nil
	}
}

// Datagrams takes datagrams that came to p from local clients. Their memory stays the
// caller's.
func (t *UDP) Datagrams(p *Port, ds []sock.Datagram, now int64) {
	for len(ds) > 0 {
		n := 1
		for n < min(len(ds), maxRead) && ds[n].From == ds[0].From && ds[n].Local == ds[0].Local {
			n++
		}
		if e := t.client(p, &ds[0], now); e != nil {
			t.dest = sock.Dest{}
			if t.send(int(e.Val.fd), ds[:n], &t.Stats.ToTarget) {
				t.refused(p.Out, e)
			} else {
				e.Val.sent += uint64(n)
				t.touch(side(p.Out), e, now)
			}
		}
		ds = ds[n:]
	}
}

// Event handles an event of a flow's socket.
func (t *UDP) Event(ref sock.Ref, now int64) {
	out := ref.ID()&outBit != 0
	d := side(out)
	e := t.flows[d].At(ref.ID()&^outBit, ref.Aux())
	if e == nil {
		return
	}
	f := &e.Val
	want := min(max(2*int(f.burst), 2), maxRead)
	t.prepare(want)
	n, errno := t.cfg.Sockets.Recv(int(f.fd), t.in[:want])
	f.burst = uint8(max(n, 0))
	switch {
	case errno == syscall.EAGAIN || errno == syscall.EINTR:
		return
	case errno != 0:
		t.refused(out, e)
		return
	}
	t.dest = sock.Dest{To: e.Key.Guest, Scope: f.scope, Src: e.Key.Remote.Addr, Wide: f.wide}
	t.send(int(f.port), t.in[:n], &t.Stats.ToClient)
	f.rcvd += uint64(n)
	t.answered(d, e, now)
}

// send sends ds by fd as dest says, and counts those that went. It says whether the socket
// had an error to report, in place of sending.
func (t *UDP) send(fd int, ds []sock.Datagram, count *uint64) (failed bool) {
	for i := 0; i < len(ds); {
		if d := &ds[i]; d.Seg > 0 {
			t.bufs[0] = t.flat(d, i)
			failed = t.sendSome(fd, 1, d.Seg, count) || failed
			i++
			continue
		}
		n := 0
		for ; i < len(ds) && ds[i].Seg == 0; i++ {
			t.bufs[n] = t.flat(&ds[i], i)
			n++
		}
		failed = t.sendSome(fd, n, 0, count) || failed
	}
	return failed
}

// sendSome sends the first n of bufs.
func (t *UDP) sendSome(fd, n, seg int, count *uint64) (failed bool) {
	for b := t.bufs[:n]; len(b) > 0; {
		sent, e := t.cfg.Sockets.Send(fd, &t.dest, b, seg)
		*count += uint64(sent)
		b = b[sent:]
		switch {
		case e != 0 && e != syscall.EAGAIN && e != syscall.ENOBUFS && !failed:
			failed = true // the error of an earlier one: this one has not gone
		case e != 0 || sent == 0:
			t.Stats.Dropped += uint64(len(b))
			return failed
		}
	}
	return failed
}

// flat returns the payload of d in one piece, for which it may take the i-th part of mem.
func (t *UDP) flat(d *sock.Datagram, i int) []byte {
	if len(d.Body) == 0 {
		return d.Over[:d.Len]
	}
	if d.Len <= len(d.Body[0]) {
		return d.Body[0][:d.Len]
	}
	m := t.mem[i*overLen : (i+1)*overLen]
	n := 0
	for _, b := range d.Body {
		n += copy(m[n:], b[:min(len(b), d.Len-n)])
	}
	n += copy(m[n:], d.Over[:min(len(d.Over), d.Len-n)])
	return m[:n]
}
