package splice

// The life of UDP flows.

import (
	"passt/l3"
	"passt/l3/inet"
	"passt/l4/flow"
	"passt/l4/sock"
)

// Lists of the order of use, in the order of eviction.
const (
	unanswered = iota
	answered
	lists
)

// idle is how long the flows of each list may be silent, in nanoseconds.
var idle = [lists]int64{unanswered: 60 * second, answered: 180 * second}

const (
	// busy is how long a flow that is answered is safe from eviction.
	busy = 20 * second
	// sweepEvery is how often silent flows are looked for.
	sweepEvery = 10 * second
	// outBit marks references to flows out of the guest's namespace.
	outBit = 1 << 31
)

func side(out bool) int {
	if out {
		return 1
	}
	return 0
}

// client finds or makes the flow of the client that sent d to p; nil if there can be none. Into
// the guest's namespace, it is only for clients on the host's loopback: its own loopback is
// nothing that the network may reach.
func (t *UDP) client(p *Port, d *sock.Datagram, now int64) *entry {
	if !p.Out && !d.From.Addr.IsLoopback() {
		t.Stats.Dropped++
		return nil
	}
	s := side(p.Out)
	local := d.Local
	if local.IsZero() {
		local = p.Bound.Addr
	}
	k := flow.Key{Guest: d.From, Remote: inet.Endpoint{Addr: local, Port: p.Bound.Port}}
	if e := t.flows[s].Lookup(&k); e != nil {
		if int(e.Val.port) == p.FD {
			return e
		}
		t.remove(s, e, "bound anew") // of a socket that was bound here before
	}
	if d.From.Port == 0 || !t.room(s, now) {
		t.Stats.TableFull++
		return nil
	}
	dst := t.cfg.Rules.FromSplice(p.Out, d.From.Addr.Is4(), p.To, t.cfg.Observed)
	fd, errno := t.cfg.Sockets.Connect(p.Out, &dst)
	if errno != 0 {
		t.Stats.Refused++
		return nil
	}
	e := t.flows[s].Insert(k)
	e.Val = dgramFlow{fd: int32(fd), port: int32(p.FD), wide: p.Wide, scope: d.Scope, last: now, moved: now, started: now, dst: dst}
	id := e.ID()
	if p.Out {
		id |= outBit
	}
	if !t.cfg.Poller.Add(fd, sock.MakeRef(sock.KindSpliceUDP, e.Gen(), id), sock.In) {
		t.cfg.Sockets.Close(fd)
		t.flows[s].Remove(e)
		return nil
	}
	t.Stats.Flows++
	if t.cfg.Watch != nil {
		t.cfg.Watch.Began(passage(side(p.Out), e))
	}
	t.order[s].Move(unanswered, e.ID(), e.Gen())
	t.arm(now)
	return e
}

// room makes sure that there is a place for one more flow.
func (t *UDP) room(s int, now int64) bool {
	if t.flows[0].Len()+t.flows[1].Len() < t.cfg.MaxFlows {
		return true
	}
	for _, o := range [2]int{s, 1 - s} {
		for list := range lists {
			id, gen, ok := t.order[o].Oldest(list)
			if !ok {
				continue
			}
			if e := t.flows[o].At(id, gen); list == unanswered || now-e.Val.last > busy {
				t.Stats.Evicted++
				t.remove(o, e, "evicted for another")
				return true
			}
		}
	}
	return false
}

// touch notes that a datagram passed; the order of use is kept to a second.
func (t *UDP) touch(s int, e *entry, now int64) {
	f := &e.Val
	f.last = now
	if now-f.moved >= second {
		f.moved = now
		t.order[s].Move(int(f.list), e.ID(), e.Gen())
	}
}

// answered notes that the target has sent something.
func (t *UDP) answered(s int, e *entry, now int64) {
	if e.Val.list != answered {
		e.Val.list = answered
		t.order[s].Move(answered, e.ID(), e.Gen())
	}
	t.touch(s, e, now)
}

// refused ends a flow whose target can't be reached, and tells the client if it can be told.
func (t *UDP) refused(out bool, e *entry) {
	t.Stats.Refused++
	client, to := e.Key.Guest, e.Key.Remote
	t.remove(side(out), e, "refused")
	if out && t.cfg.Unreachable != nil {
		t.cfg.Unreachable(client, to)
	}
}

// passage is a flow of side s for those who watch.
func passage(s int, e *entry) flow.Passage {
	p := flow.Passage{Proto: l3.ProtoUDP, Bypass: true, FromHost: s == 0, Guest: e.Val.dst, Host: e.Key.Guest}
	if s == 1 {
		p.Guest, p.Remote, p.Host = e.Key.Guest, e.Key.Remote, e.Val.dst
	}
	return p
}

// remove ends e; why is for those who watch.
func (t *UDP) remove(s int, e *entry, why string) {
	if t.cfg.Watch != nil {
		t.cfg.Watch.Ended(passage(s, e), why)
	}
	t.cfg.Sockets.Close(int(e.Val.fd))
	t.order[s].Remove(e.ID())
	t.flows[s].Remove(e)
}

func (t *UDP) arm(now int64) {
	if !t.armed {
		t.armed = true
		t.cfg.Wheel.Add(uint64(sock.MakeRef(sock.KindSpliceUDP, 0, timerID)), now+sweepEvery)
	}
}

// Timer ends flows that have been silent for too long.
func (t *UDP) Timer(now int64) {
	t.armed = false
	for s := range t.flows {
		for list := range lists {
			for {
				id, gen, ok := t.order[s].Oldest(list)
				if !ok {
					break
				}
				e := t.flows[s].At(id, gen)
				if now-e.Val.last < idle[list] {
					break
				}
				t.Stats.Expired++
				t.remove(s, e, "idle")
			}
		}
	}
	if t.Len() > 0 {
		t.arm(now)
	}
}

// Len is the number of flows.
func (t *UDP) Len() int { return t.flows[0].Len() + t.flows[1].Len() }

// Close closes all sockets; those of forwarded ports first.
func (t *UDP) Close() {
	for i := range t.ports {
		if p := &t.ports[i]; p.FD != none {
			t.cfg.Sockets.Close(p.FD)
			p.FD = none
		}
	}
	for s := range t.flows {
		t.flows[s].All(func(e *entry) { t.remove(s, e, "stopped") })
	}
}

// Each calls f for every flow.
func (t *UDP) Each(f func(flow.Info)) {
	for s := range t.flows {
		t.flows[s].All(func(e *entry) {
			v := &e.Val
			i := flow.Info{Passage: passage(s, e), ToHost: v.sent, ToGuest: v.rcvd, Started: v.started, LastSeen: v.last}
			if i.FromHost {
				i.ToHost, i.ToGuest = i.ToGuest, i.ToHost
			}
			f(i)
		})
	}
}
