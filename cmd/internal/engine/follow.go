package engine

// A change of the host's network. What the guest gets is a snapshot that nobody writes to,
// so the worker takes the new one between two events: the rules of nat by one pointer, and
// the services, which keep what they have counted.
//
// The guest may not take part in any of it: it keeps the address that it has, the gateway,
// and the name servers that it was told of. Addresses mean nothing on the way out, and on the
// way in the one counts that it was last seen to use, so it need not; only what it was
// told before must not come to mean something else.

import (
	"net/netip"
	"slices"

	"passt/cmd/internal/hostinfo"
	"passt/l3"
	"passt/l3/inet"
	"passt/nat"
)

// rules are the present ones. They belong to the worker's thread.
type rules struct{ *nat.Rules }

// maxPast is how many addresses of a kind are remembered, the last ones.
const maxPast = 8

// past is what the guest got before, of IPv4 and of IPv6.
type past [2]struct {
	addrs     []inet.Addr // its own
	resolvers []inet.Addr // that it was told of
}

// isGuest says whether a was the guest's address.
func (p *past) isGuest(a *inet.Addr) bool {
	return slices.Contains(p[0].addrs, *a) || slices.Contains(p[1].addrs, *a)
}

// next is p once the network n has taken the place of old. unused says whether a name server of
// old is one that the guest was not told of, or could not ask. The slices are new ones.
func (p *past) next(old, n *hostinfo.Network, unused func(netip.Addr) bool) (q past) {
	for i, f := range []struct{ old, now *hostinfo.Family }{{&old.V4, &n.V4}, {&old.V6, &n.V6}} {
		// An address that is the gateway now has stopped to be the guest's.
		q[i].addrs = remember(p[i].addrs, []netip.Addr{f.old.Addr.Addr()}, f.now.Addr.Addr(), f.now.Gateway, f.now.OurAddr)
		used := slices.DeleteFunc(slices.Clone(f.old.DNS), unused)
		q[i].resolvers = remember(p[i].resolvers, used, f.now.DNS...)
	}
	return q
}

// remember puts old in front of past, without what is there now.
func remember(past []inet.Addr, old []netip.Addr, now ...netip.Addr) (out []inet.Addr) {
	var all []inet.Addr
	for _, a := range old {
		all = append(all, inet.FromNetip(a))
	}
	for _, a := range append(all, past...) {
		present := slices.ContainsFunc(now, func(n netip.Addr) bool { return inet.FromNetip(n) == a })
		if !a.IsZero() && !present && !slices.Contains(out, a) && len(out) < maxPast {
			out = append(out, a)
		}
	}
	return out
}

// Follow makes n what the guest gets from now on, and tells it where that can be done. IP
// versions, MTU and our hardware address must be those that it has.
func (e *Engine) Follow(n *hostinfo.Network) {
	for _, w := range e.workers {
		w.call(func() { w.follow(n) })
	}
}

// unused says whether the present name server a is one that the guest was not told of, or may
// not ask.
func (w *worker) unused(a netip.Addr) bool {
	to := inet.Endpoint{Addr: inet.FromNetip(a), Port: 53}
	_, ok := w.rules.FromGuest(l3.ProtoUDP, inet.Endpoint{Addr: to.Addr}, to)
	return !ok || !w.e.p.Options.DHCPDNS
}

// follow is Follow for the worker, on its thread.
func (w *worker) follow(n *hostinfo.Network) {
	o, now := w.e.p.Options, w.now()
	w.past = w.past.next(w.e.p.Network, n, w.unused)
	w.e.p.Network = n // there is one worker
	w.rules.Rules = nat.New(natConfig(o, n, &w.past))
	w.ip.SetOurs(inet.FromNetip(n.V4.OurAddr), inet.FromNetip(n.V6.OurAddr))
	out4, out6 := outbound(&n.V4), outbound(&n.V6)
	w.socks.Out4, w.socks.Out6 = out4, out6
	if w.udp != nil {
		w.udp.SetOutbound(out4, out6)
		w.udp.Redirect()
	}
	if w.icmp != nil {
		w.icmp.SetOutbound(out4, out6)
	}
	w.serveDHCP(o, n)
	if w.dhcpv6 != nil {
		w.dhcpv6.Change(dhcpv6Config(o, n))
	}
	if w.ndp != nil {
		w.ndp.Change(w.ndpConfig(o, n), now)
		w.advertise(now)
	}
}
