package udp

// The life of flows and sockets. A flow begins with a datagram from either side and ends
// when neither side has sent for a while (RFC 4787, section 4.3), or when a new one needs
// its place; a socket ends with its last flow. Flows that were never answered are the first
// to go, so that a flood of them does not end honest ones.

import (
	"syscall"

	"passt/l3"
	"passt/l3/inet"
	"passt/l4/flow"
	"passt/l4/sock"
	"passt/nat"
)

// The order of use has one list for each kind of flow, in the order of eviction.
const (
	unanswered = iota
	oneShot    // answered, and not likely to be used again
	answered
	lists
)

const second = 1_000_000_000

// idle is how long the flows of each list may be silent, in nanoseconds. RFC 4787, REQ-5,
// asks for two minutes at least, and allows less for well-known ports.
var idle = [lists]int64{unanswered: 180 * second, oneShot: 10 * second, answered: 180 * second}

const (
	// keepBusy is how long a flow that is answered is safe from eviction after its last
	// datagram, in nanoseconds.
	keepBusy = 20 * second
	dnsPort  = 53
	// sweepAtMost is how many flows one call of Timer ends, so that it does not take long.
	sweepAtMost = 1024
	evictAtMost = 64
)

// room makes sure that there is a place for one more flow.
func (t *Translator) room(now int64) bool {
	if t.flows.Len() < t.cfg.MaxFlows || t.evict(now) {
		return true
	}
	t.Stats.TableFull++
	return false
}

// begin makes the flow k over the socket s with the given peer. There must be room.
func (t *Translator) begin(k *flow.Key, s *socketEntry, peer inet.Endpoint, flags uint8, now int64) *entry {
	e := t.flows.Insert(*k)
	c := &e.Val
	c.peer, c.flags, c.started, c.last, c.moved, c.segMax = peer, flags, now, now, now, 65535
	c.toGuest.Make(k.Remote.Addr, k.Guest.Addr, l3.ProtoUDP, 64, 0)
	t.attach(e, s)
	t.order.Move(unanswered, e.ID(), e.Gen())
	if !t.armed {
		t.armed = true
		t.arm(now + idle[oneShot])
	}
	if t.cfg.Watch != nil {
		t.cfg.Watch.Began(passage(e))
	}
	return e
}

// attach makes s the socket of e, and e the flow of its peer there.
func (t *Translator) attach(e *entry, s *socketEntry) {
	c := &e.Val
	c.sock, c.sockGen = s.ID(), s.Gen()
	s.Val.flows++
	k := peerKey(s.ID(), c.peer)
	p := t.peers.Lookup(&k)
	if p == nil {
		p = t.peers.Insert(k)
	} else if o := t.flows.At(p.Val.id, p.Val.gen); o != nil {
		o.Val.flags |= shared
		c.flags |= shared
	}
	p.Val = place{e.ID(), e.Gen()}
}

// detach undoes attach, without closing the socket.
func (t *Translator) detach(e *entry) *socketEntry {
	c := &e.Val
	k := peerKey(c.sock, c.peer)
	if p := t.peers.Lookup(&k); p != nil && p.Val == (place{e.ID(), e.Gen()}) {
		t.peers.Remove(p)
	}
	s := t.sockets.At(c.sock, c.sockGen)
	if s != nil {
		s.Val.flows--
	}
	return s
}

// peerKey is the key of the flow with peer over the socket with the given place.
func peerKey(id uint32, peer inet.Endpoint) flow.Key {
	return flow.Key{Guest: inet.Endpoint{Addr: number(id, 2)}, Remote: peer}
}

// passage is e for those who watch.
func passage(e *entry) flow.Passage {
	return flow.Passage{
		Proto: l3.ProtoUDP, FromHost: e.Val.flags&hostInitiated != 0, Guest: e.Key.Guest, Remote: e.Key.Remote, Host: e.Val.peer,
	}
}

// remove ends e, and its socket if e was the last flow there; why is for those who watch.
func (t *Translator) remove(e *entry, why string) {
	if t.cfg.Watch != nil {
		t.cfg.Watch.Ended(passage(e), why)
	}
	s := t.detach(e)
	t.order.Remove(e.ID())
	t.flows.Remove(e)
	if s != nil && s.Val.flows == 0 && !s.Val.listener {
		t.opened--
		t.close(s)
	}
}

// Reset ends all flows: the guest they belonged to is gone. Forwarded ports stay.
func (t *Translator) Reset() {
	t.flows.All(func(e *entry) { t.remove(e, "the guest has gone") })
}

// Redirect ends the flows to a name server that the rules now send elsewhere, so that the
// next datagram goes there. Others are left where they are, whatever the rules say now.
func (t *Translator) Redirect() {
	t.flows.All(func(e *entry) {
		if e.Val.flags&hostInitiated != 0 || !nat.IsDNS(l3.ProtoUDP, e.Key.Remote.Port) {
			return
		}
		if to, ok := t.cfg.Rules.FromGuest(l3.ProtoUDP, e.Key.Guest, e.Key.Remote); !ok || to.Dst != e.Val.peer {
			t.remove(e, "the name server is another one")
		}
	})
}

func (t *Translator) close(s *socketEntry) {
	t.cfg.Poller.Del(int(s.Val.fd))
	t.cfg.Sockets.Close(int(s.Val.fd))
	t.sockets.Remove(s)
}

// touch notes that a datagram passed. The order of use is kept to a second, so that a busy
// flow costs no more than a comparison.
func (t *Translator) touch(e *entry, now int64) {
	c := &e.Val
	c.last = now
	if now-c.moved >= second {
		c.moved = now
		t.order.Move(int(c.list), e.ID(), e.Gen())
	}
}

// reply notes that a flow was answered by the side that did not begin it.
func (t *Translator) reply(e *entry, now int64) {
	c := &e.Val
	if c.list != unanswered {
		return
	}
	c.list = answered
	if c.peer.Port == dnsPort || c.flags&hostInitiated != 0 && e.Key.Guest.Port == dnsPort {
		c.list = oneShot
	}
	c.moved = now
	t.order.Move(int(c.list), e.ID(), e.Gen())
}

// evict ends the flow that is missed least and says whether there was one.
func (t *Translator) evict(now int64) bool {
	for list := range lists {
		id, gen, ok := t.order.Oldest(list)
		if !ok {
			continue
		}
		e := t.flows.At(id, gen)
		if list == answered && now-e.Val.last < keepBusy {
			return false
		}
		t.Stats.Evicted++
		t.remove(e, "evicted for another")
		return true
	}
	return false
}

// source finds or makes the socket for flows that the guest begins from src.
func (t *Translator) source(src inet.Endpoint, now int64) *socketEntry {
	k := flow.Key{Guest: src}
	if s := t.sockets.Lookup(&k); s != nil {
		return s
	}
	wide := !src.Addr.Is4()
	if s := t.listener(src, wide); s != nil {
		return s
	}
	fd := -1
	e := syscall.EMFILE
	for range evictAtMost {
		if t.opened < t.cfg.MaxSockets {
			if fd, e = t.cfg.Sockets.Open(wide, src.Port, t.gro(wide, false)); e == 0 {
				break
			}
		}
		// Eviction ends a flow, not always a socket.
		if e != syscall.EMFILE && e != syscall.ENFILE && e != syscall.ENOBUFS && e != syscall.ENOMEM || !t.evict(now) {
			return nil
		}
	}
	if e != 0 {
		return nil
	}
	s := t.sockets.Insert(k)
	if s == nil {
		t.cfg.Sockets.Close(fd)
		return nil
	}
	s.Val = hostSocket{to: src, fd: int32(fd), wide: wide}
	if !t.cfg.Poller.Add(fd, sock.MakeRef(sock.KindUDP, s.Gen(), s.ID()), sock.In) {
		t.close(s)
		return nil
	}
	t.opened++
	return s
}

// listener finds a forwarded port that src is the guest's end of, so that what the guest
// sends from there leaves from the port that it is known by, as on a native host.
func (t *Translator) listener(src inet.Endpoint, wide bool) *socketEntry {
	for _, p := range t.listeners[src.Port] {
		s := t.sockets.At(p.id, p.gen)
		if s != nil && s.Val.wildcard && (s.Val.wide == wide || s.Val.dual) && (s.Val.to.Addr.IsZero() || s.Val.to.Addr == src.Addr) {
			return s
		}
	}
	return nil
}

// Timer ends flows that were silent for too long. ref is what was given to the wheel.
func (t *Translator) Timer(_ sock.Ref, now int64) {
	left := sweepAtMost
	next := int64(-1)
	for list := range lists {
		for ; left > 0; left-- {
			id, gen, ok := t.order.Oldest(list)
			if !ok {
				break
			}
			e := t.flows.At(id, gen)
			if due := e.Val.last + idle[list]; due > now {
				if next < 0 || due < next {
					next = due
				}
				break
			}
			t.Stats.Expired++
			t.remove(e, "idle")
		}
	}
	t.armed = t.flows.Len() > 0
	switch {
	case !t.armed:
	case left == 0:
		t.arm(now)
	default:
		// A flow may become one of the short-lived ones meanwhile.
		t.arm(min(max(next, now+second), now+idle[oneShot]))
	}
}

func (t *Translator) arm(at int64) {
	t.cfg.Wheel.Add(uint64(sock.MakeRef(sock.KindUDP, 0, 0)), at)
}
