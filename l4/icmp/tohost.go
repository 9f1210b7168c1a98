package icmp

// From the guest to the host: echo requests (RFC 792, page 14; RFC 4443, section 4.1).

import (
	"encoding/binary"
	"syscall"

	"passt/l3"
	"passt/l3/inet"
	"passt/l4/flow"
	"passt/l4/hosterr"
	"passt/l4/sock"
	"passt/link"
)

const (
	echoRequest4, echoReply4 = 8, 0
	echoRequest6, echoReply6 = 128, 129
)

// Input takes a batch of ICMP and ICMPv6 packets from the guest. Nothing of it is kept.
func (t *Translator) Input(batch []l3.Packet, now int64) {
	for i := range batch {
		t.input(&batch[i], now)
	}
}

func (t *Translator) input(p *l3.Packet, now int64) {
	request, proto := uint8(echoRequest6), uint8(l3.ProtoICMPv6)
	if p.Src.Is4() {
		request, proto = echoRequest4, l3.ProtoICMP
	}
	if p.Proto != proto || len(p.L4) < headerLen || p.Meta.Flags&(link.NeedsCsum|link.DataValid) == 0 && !checksumOK(p) {
		t.Stats.RxBad++
		return
	}
	if p.L4[0] != request || p.L4[1] != 0 {
		t.Stats.RxOther++
		return
	}
	k := flow.Key{
		Guest:  inet.Endpoint{Addr: p.Src, Port: binary.BigEndian.Uint16(p.L4[4:])},
		Remote: inet.Endpoint{Addr: p.Dst},
	}
	e := t.flows.Lookup(&k)
	if e == nil {
		if e = t.begin(&k, p, now); e == nil {
			return
		}
	}
	t.touch(e, now)
	t.send(e, p, now)
}

// checksumOK verifies the checksum of p, which covers a pseudo-header for IPv6 only.
func checksumOK(p *l3.Packet) bool {
	var sum uint32
	if !p.Src.Is4() {
		sum = l3.Sum(l3.Sum(l3.ProtoICMPv6, p.Src[:]), p.Dst[:])
		sum = uint32(l3.Fold(sum)) + uint32(len(p.L4))
	}
	return l3.Fold(l3.Sum(sum, p.L4)) == 0xffff
}

// begin makes the flow k for the request p.
func (t *Translator) begin(k *flow.Key, p *l3.Packet, now int64) *entry {
	to, ok := t.cfg.Rules.FromGuest(p.Proto, k.Guest, k.Remote)
	if !ok {
		t.Stats.Denied++
		if to.Prohibited {
			t.cfg.Net.SendError(l3.ICMPError{Kind: l3.AdminProhibited}, p.B, now)
			if t.cfg.Watch != nil {
				t.cfg.Watch.Denied(flow.Passage{Proto: p.Proto, Guest: k.Guest, Remote: k.Remote})
			}
		}
		return nil
	}
	if t.flows.Len() >= t.cfg.MaxFlows {
		t.evict()
	}
	wide := !to.Dst.Addr.Is4()
	out := &t.cfg.Out4
	if wide {
		out = &t.cfg.Out6
	}
	scope := out.Scope
	if to.Loopback {
		out = nil
	}
	fd := t.open(wide, k.Guest.Port, out)
	if fd < 0 {
		t.cfg.Net.SendError(l3.ICMPError{Kind: l3.AdminProhibited}, p.B, now)
		return nil
	}
	e := t.flows.Insert(*k)
	if e == nil {
		t.cfg.Sockets.Close(fd)
		return nil
	}
	e.Val = echo{peer: to.Dst.Addr, scope: scope, fd: int32(fd), last: now, moved: now, started: now}
	t.order.Move(0, e.ID(), e.Gen())
	if t.cfg.Watch != nil {
		t.cfg.Watch.Began(passage(e))
	}
	if !t.cfg.Poller.Add(fd, sock.MakeRef(sock.KindICMP, e.Gen(), e.ID()), sock.In) {
		t.remove(e, "no room to watch its socket")
		return nil
	}
	t.Stats.Flows++
	if !t.armed {
		t.arm(now + idle)
	}
	return e
}

// open makes a socket, at the cost of older flows if there are no descriptors left. It
// returns -1 if it can't.
func (t *Translator) open(wide bool, id uint16, out *sock.Outbound) int {
	for range evictAtMost {
		fd, e := t.cfg.Sockets.Open(wide, id, out)
		switch e {
		case 0:
			return fd
		case syscall.EACCES, syscall.EPERM:
			t.Stats.NotPermitted++
			return -1
		case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRINUSE:
			if t.evict() {
				continue
			}
		}
		break
	}
	t.Stats.NoSocket++
	return -1
}

// send sends the request p.
func (t *Translator) send(e *entry, p *l3.Packet, now int64) {
	c := &e.Val
	m := sock.Echo{Peer: c.peer, Scope: c.scope, Msg: p.L4}
	if hops := max(p.TTL, 2) - 1; hops != c.ttl {
		c.ttl, m.TTL = hops, hops
	}
	t.msg = m
	err := t.cfg.Sockets.Send(int(c.fd), &t.msg)
	if hosterr.Passing(err) && t.errors(e, now) > 0 {
		err = t.cfg.Sockets.Send(int(c.fd), &t.msg) // the error was that of an earlier request
	}
	if err == 0 {
		c.sent++
		t.Stats.ToHost++
		return
	}
	t.Stats.HostError++
	if kind, ok := hosterr.FromErrno(err); ok {
		t.cfg.Net.SendError(l3.ICMPError{Kind: kind}, p.B, now)
	}
}
