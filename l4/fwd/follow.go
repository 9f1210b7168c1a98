package fwd

// The ports of "auto": those that are bound on the other side. The tables of that side are
// read again and again; what is new in them is bound here, what is gone is let go. A port
// counts only if it can be reached from here, and for the IP versions that it is bound for,
// so that a client of another one is refused by the system and not by a reset. What this
// program has bound on the other side, to forward ports in the other direction, must not
// come back as something to forward.
//
// UDP follows listening TCP ports too: protocols that set up datagrams over a TCP
// connection to the same port are served from the first one on. Of UDP's own ports the
// ephemeral ones are left out, since a bound socket there is mostly a client's.

import (
	"cmp"
	"fmt"
	"slices"

	"passt/l3"
	"passt/l3/inet"
	"passt/l4/sock"
)

// ipVersions is a set of IP versions.
type ipVersions uint8

const (
	version4 ipVersions = 1 << iota
	version6
)

// Follow looks at what is bound, and changes the sockets of "auto" rules accordingly. It is
// to be called about twice a second. An error says that the other side can't be looked at;
// it is reported once.
func (t *Table) Follow() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for d := In; d <= Out; d++ {
		tcp, udp := t.hasAuto(d, l3.ProtoTCP), t.hasAuto(d, l3.ProtoUDP)
		if !tcp && !udp || t.c.Tables[d] == nil {
			continue
		}
		if err := t.look(d, udp); err != nil {
			if t.wrong[d] {
				continue
			}
			t.wrong[d] = true
			return fmt.Errorf("ports of auto stay as they are: %w", err)
		}
		t.wrong[d] = false
		for _, e := range t.entries {
			if e.Rule.Auto && e.Dir == d {
				t.follow(e)
			}
		}
	}
	return nil
}

func (t *Table) hasAuto(d Direction, proto uint8) bool {
	return slices.ContainsFunc(t.entries, func(e *entry) bool { return e.Rule.Auto && e.Dir == d && e.Proto == proto })
}

// look fills seen with what is bound on the side that d leads to.
func (t *Table) look(d Direction, udp bool) error {
	tcpSeen, udpSeen := &t.seen[0], &t.seen[1]
	clear(tcpSeen[:])
	err := t.c.Tables[d].Bound(l3.ProtoTCP, func(at inet.Endpoint, dual bool) {
		tcpSeen[at.Port] |= t.reachable(d, l3.ProtoTCP, at, dual)
	})
	if err != nil || !udp {
		return err
	}
	*udpSeen = *tcpSeen
	return t.c.Tables[d].Bound(l3.ProtoUDP, func(at inet.Endpoint, dual bool) {
		if !t.c.ephemeral(at.Port) {
			udpSeen[at.Port] |= t.reachable(d, l3.ProtoUDP, at, dual)
		}
	})
}

// reachable says for which IP versions a socket at at can be reached through a port of d.
func (t *Table) reachable(d Direction, proto uint8, at inet.Endpoint, dual bool) ipVersions {
	switch {
	case at.Addr.IsUnspecified():
	case d == Out && at.Addr != lo4 && at.Addr != lo6, d == In && at.Addr.IsLoopback() && !t.c.ToLoopback:
		return 0
	}
	for _, e := range t.entries {
		if e.Dir != d && e.Proto == proto && e.find(at) != nil {
			return 0
		}
	}
	switch {
	case at.Addr.Is4():
		return version4
	case dual:
		return version4 | version6
	}
	return version6
}

// follow makes the sockets of e those of the ports seen.
func (t *Table) follow(e *entry) {
	seen := &t.seen[0]
	if e.Proto == l3.ProtoUDP {
		seen = &t.seen[1]
	}
	var gone []Listener
	keep := e.ls[:0]
	for _, l := range e.ls {
		if seen[l.Bound.Port]&version(l.Bound.Addr) == 0 {
			gone = append(gone, l)
		} else {
			keep = append(keep, l)
		}
	}
	e.ls = keep
	o := opener{c: &t.c, e: &entry{Forward: e.Forward}}
	if missing := t.missing(e, seen); len(missing) > 0 {
		t.c.Within(e.Dir, func() { o.some(missing) })
		t.withoutMine(o.e)
	}
	if len(gone)+len(o.e.ls) == 0 {
		return
	}
	e.ls = append(e.ls, o.e.ls...)
	slices.SortFunc(e.ls, func(a, b Listener) int { return cmp.Compare(a.Bound.Port, b.Bound.Port) })
	t.c.Change(o.e.ls, gone)
}

func version(a inet.Addr) ipVersions {
	if a.Is4() {
		return version4
	}
	return version6
}

// missing lists where e should be bound and is not.
func (t *Table) missing(e *entry, seen *[1 << 16]ipVersions) (at []inet.Endpoint) {
	r := &e.Rule
	at4, at6 := everywhere(e.Dir)
	want := []inet.Addr{}
	switch {
	case r.Addr.IsValid():
		want = append(want, inet.FromNetip(r.Addr))
	default:
		want = append(want, at4, at6)
	}
	for _, ports := range r.Ports() {
		for p := int(ports.First); p <= int(ports.Last); p++ {
			if seen[p] == 0 {
				continue
			}
			for _, a := range want {
				ep := inet.Endpoint{Addr: a, Port: uint16(p)}
				if seen[p]&version(a) != 0 && t.on(a) && e.find(ep) == nil {
					at = append(at, ep)
				}
			}
		}
	}
	return at
}

// on says whether the IP version of a is.
func (t *Table) on(a inet.Addr) bool {
	if a.Is4() {
		return t.c.V4
	}
	return t.c.V6
}

// some binds what can be bound of at. The rest is tried again next time.
func (o *opener) some(at []inet.Endpoint) {
	for _, ep := range at {
		_ = o.bind(ep.Port, ep.Addr, false) // somebody else has it, or we may not
	}
}

// withoutMine closes those sockets of e that are for a port which only we have bound on the
// other side. To ask is dear, so it comes after the port was there to be bound.
func (t *Table) withoutMine(e *entry) {
	if t.c.Mine == nil {
		return
	}
	e.ls = slices.DeleteFunc(e.ls, func(l Listener) bool {
		mine := t.c.Mine(l.Dir, l.Proto, l.Bound.Port)
		if mine {
			sock.Close(l.FD)
		}
		return mine
	})
}
