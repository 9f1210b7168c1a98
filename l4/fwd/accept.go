package fwd

import (
	"syscall"

	"passt/l3/inet"
	"passt/l4/sock"
)

// Accepter takes connections that were accepted; *tcp.Translator is one.
type Accepter interface {
	// Accept takes the socket fd, connected to remote from the local address local, for
	// the target to.
	Accept(fd int, remote inet.Endpoint, local inet.Addr, to inet.Endpoint, now int64)
}

// Uppers are those who take connections.
type Uppers struct {
	Guest Accepter // over the guest's link; nil if there is no link, and so no way for remote peers
	Local Accepter // from the host's loopback into the guest's namespace; nil if Guest has those too
	Out   Accepter // from the guest's namespace to the host; nil if there are none
}

// acceptBurst is how many connections one event accepts at most, so that a flood leaves
// time for established ones.
const acceptBurst = 32

// port is a listening socket as Event needs it.
type port struct {
	to  inet.Endpoint
	fd  int32
	gen uint16
	dir Direction
}

// Ports are the listening TCP sockets of one worker. It belongs to its thread.
type Ports struct {
	socks *sock.TCP
	up    Uppers
	poll  sock.Poller
	ports []port
	free  []uint32
	spare int
	Stats Stats
}

// Stats counts connections that were ended instead of passed on.
type Stats struct {
	Refused uint64 // nobody takes them
	Failed  uint64 // for want of a descriptor
}

// NewPorts makes Ports without sockets, to be watched through p.
func NewPorts(socks *sock.TCP, up Uppers, p sock.Poller) *Ports {
	return &Ports{socks: socks, up: up, poll: p, spare: -1}
}

// Add watches the socket of l, which belongs to the Ports from then on. It says whether that
// is possible; if not, the socket stays the caller's.
func (f *Ports) Add(l *Listener) bool {
	var id uint32
	if n := len(f.free); n > 0 {
		id, f.free = f.free[n-1], f.free[:n-1]
	} else {
		id = uint32(len(f.ports))
		f.ports = append(f.ports, port{})
	}
	p := &f.ports[id]
	*p = port{to: l.To, fd: int32(l.FD), gen: p.gen + 1, dir: l.Dir}
	if !f.poll.Add(l.FD, sock.MakeRef(sock.KindListen, uint32(p.gen), id), sock.In|sock.Excl) {
		p.fd = -1
		f.free = append(f.free, id)
		return false
	}
	if f.spare < 0 {
		f.takeSpare()
	}
	return true
}

// Remove closes sockets that were added. It looks at each port once, however many there are.
func (f *Ports) Remove(ls []Listener) {
	gone := make(map[int32]bool, len(ls))
	for i := range ls {
		gone[int32(ls[i].FD)] = true
	}
	for id := range f.ports {
		if p := &f.ports[id]; p.fd >= 0 && gone[p.fd] {
			f.close(p)
			f.free = append(f.free, uint32(id))
		}
	}
}

// close closes the socket of p. Another descriptor may keep it open, so it must be taken
// from the poller too.
func (f *Ports) close(p *port) {
	f.poll.Del(int(p.fd))
	sock.Close(int(p.fd))
	p.fd = -1
}

// takeSpare gets the descriptor for refuseOne, if there is one to be had.
func (f *Ports) takeSpare() {
	if fd, e := sock.Spare(); e == 0 {
		f.spare = fd
	}
}

// Event accepts connections of the socket that ref names.
func (f *Ports) Event(ref sock.Ref, now int64) {
	if int(ref.ID()) >= len(f.ports) {
		return
	}
	p := &f.ports[ref.ID()]
	if p.fd < 0 || uint32(p.gen) != ref.Aux() {
		return
	}
	if f.spare < 0 {
		f.takeSpare() // before a connection does
	}
	for range acceptBurst {
		fd, remote, local, e := f.socks.Accept(int(p.fd))
		switch e {
		case 0:
			u := f.upper(p.dir, &remote)
			if u == nil {
				f.socks.End(fd, sock.Abort)
				f.Stats.Refused++
				continue
			}
			if u == f.up.Guest && remote.Addr.IsLoopback() {
				sock.Calm(fd) // the bypass does it once it pays
			}
			u.Accept(fd, remote, local, p.to, now)
		case syscall.EMFILE, syscall.ENFILE:
			if !f.refuseOne(p) {
				return
			}
			f.Stats.Failed++
		case syscall.EINTR, syscall.ECONNABORTED:
		default:
			return
		}
	}
}

// upper is who takes a connection from remote, nil if nobody does. The host's loopback tells
// local peers: a program of the host that connects to another address of it is as remote as
// any, since that address is what it shows.
func (f *Ports) upper(d Direction, remote *inet.Endpoint) Accepter {
	switch {
	case d == Out:
		return f.up.Out
	case f.up.Local != nil && remote.Addr.IsLoopback():
		return f.up.Local
	}
	return f.up.Guest
}

// refuseOne resets one connection when there are no descriptors left: one that nobody
// accepts would make the listener readable for ever.
func (f *Ports) refuseOne(p *port) bool {
	if f.spare < 0 {
		return false // somebody else was faster
	}
	sock.Close(f.spare)
	f.spare = -1
	fd, _, _, e := f.socks.Accept(int(p.fd))
	if e == 0 {
		f.socks.End(fd, sock.Abort)
	}
	f.takeSpare()
	return e == 0
}

// Close closes the listening sockets.
func (f *Ports) Close() {
	for i := range f.ports {
		if f.ports[i].fd >= 0 {
			f.close(&f.ports[i])
		}
	}
	f.ports, f.free = nil, nil
	if f.spare >= 0 {
		sock.Close(f.spare)
		f.spare = -1
	}
}
