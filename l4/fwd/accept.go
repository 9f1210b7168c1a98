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

// acceptBurst is how many connections one event accepts at most, so that a flood leaves
// time for established ones.
const acceptBurst = 32

// Ports are the listening TCP sockets of one worker. It belongs to its thread.
type Ports struct {
	socks *sock.TCP
	up    Accepter
	ls    []Listener
	spare int
	// Failed counts connections that could not be accepted, and were ended instead.
	Failed uint64
}

// NewPorts watches the sockets of ls through p, and gives connections to up.
func NewPorts(socks *sock.TCP, up Accepter, p sock.Poller, ls []Listener) *Ports {
	f := &Ports{socks: socks, up: up, ls: ls, spare: -1}
	for i := range ls {
		p.Add(ls[i].FD, sock.MakeRef(sock.KindListen, 0, uint32(i)), sock.In|sock.Excl)
	}
	if len(ls) > 0 {
		f.takeSpare()
	}
	return f
}

func (f *Ports) takeSpare() {
	if fd, e := sock.Spare(); e == 0 {
		f.spare = fd
	}
}

// Event accepts connections of the listener that ref names.
func (f *Ports) Event(ref sock.Ref, now int64) {
	if int(ref.ID()) >= len(f.ls) {
		return
	}
	l := &f.ls[ref.ID()]
	for range acceptBurst {
		fd, remote, local, e := f.socks.Accept(l.FD)
		switch e {
		case 0:
			f.up.Accept(fd, remote, local, l.To, now)
		case syscall.EMFILE, syscall.ENFILE:
			f.Failed++
			if !f.refuseOne(l) {
				return
			}
		case syscall.EINTR, syscall.ECONNABORTED:
		default:
			return
		}
	}
}

// refuseOne resets one connection when there are no descriptors left: one that nobody
// accepts would make the listener readable for ever.
func (f *Ports) refuseOne(l *Listener) bool {
	if f.spare < 0 {
		return false
	}
	sock.Close(f.spare)
	f.spare = -1
	fd, _, _, e := f.socks.Accept(l.FD)
	if e == 0 {
		f.socks.End(fd, sock.Abort)
	}
	f.takeSpare()
	return e == 0
}

// Close closes the listening sockets.
func (f *Ports) Close() {
	for i := range f.ls {
		sock.Close(f.ls[i].FD)
	}
	f.ls = nil
	if f.spare >= 0 {
		sock.Close(f.spare)
		f.spare = -1
	}
}
