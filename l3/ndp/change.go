package ndp

// A change of the host's network under a running guest. The guest learns of it by the next
// advertisement, which comes at once, or when RFC 4861, section 6.2.4, allows it, and is
// followed by two more like the first ones. It says what holds now, and takes back what
// does not hold any more: a prefix by lifetimes of 0, of which the guest makes that its
// addresses are for connections that there are, and for two hours at most (RFC 4862, section
// 5.5.3); resolvers and names in the same way (RFC 8106, section 5). All later
// advertisements take it back too, for a guest that has missed one.
//
// Where our own link-local address is another one, the old one is a router that is no
// more, and it says so itself (RFC 4861, sections 6.2.5 and 6.2.8). What the guest sends
// there still arrives, as all of it does.

import (
	"net/netip"
	"slices"
	"time"

	"github.com/mdlayher/ndp"

	"passt/l3/inet"
)

// maxPast is how many things of a kind are taken back, the last ones.
const maxPast = 8

// past is what was announced before and does not hold any more, the last first.
type past struct {
	prefixes []netip.Prefix
	servers  []netip.Addr
	names    []string
}

// farewell is the last advertisement of a router that we were.
type farewell struct {
	from inet.Addr
	msg  []byte
}

// Change makes cfg what the Router says from now on. MinInterval, MaxInterval and the functions
// may change as well. Timer must be called next.
func (r *Router) Change(cfg Config, now int64) {
	a := &r.adv
	old, was := r.linkLocal, a.msg != nil
	var before []netip.Prefix
	if p := r.cfg.prefix(); p.IsValid() && was {
		before = append(before, p)
	}
	if was {
		a.past.servers = leave(a.past.servers, r.cfg.resolvers(), cfg.resolvers())
		a.past.names = leave(a.past.names, r.cfg.names(), cfg.names())
	}
	a.past.prefixes = leave(a.past.prefixes, before, []netip.Prefix{cfg.prefix()})
	r.configure(cfg)
	if was && old != r.linkLocal {
		a.farewells = append(a.farewells, farewell{old, buildFarewell(&r.cfg)})
		a.farewells = a.farewells[max(len(a.farewells)-maxPast, 0):]
	}
	a.farewells = slices.DeleteFunc(a.farewells, func(f farewell) bool { return f.from == r.linkLocal })
	a.initial = 0
	if a.started {
		a.due = max(now, a.last+int64(minDelayBetweenRAs))
	}
}

// leave is what is past once before has become after.
func leave[T comparable](past, before, after []T) []T {
	all := slices.Concat(before, past)
	var out []T
	for _, x := range all {
		if !slices.Contains(after, x) && !slices.Contains(out, x) && len(out) < maxPast {
			out = append(out, x)
		}
	}
	return out
}

// add makes ra take back what is past, as far as there is room.
func (p *past) add(ra *ndp.RouterAdvertisement) {
	for _, prefix := range p.prefixes {
		if o := prefixOption(prefix, 0); fits(ra, o) {
			ra.Options = append(ra.Options, o)
		}
	}
	addLists(ra, p.servers, p.names, 0)
}

// buildFarewell makes the advertisement by which an address of ours stops to be a router's.
func buildFarewell(c *Config) []byte {
	b, _ := ndp.MarshalMessage(&ndp.RouterAdvertisement{
		CurrentHopLimit:      curHopLimit,
		ManagedConfiguration: c.Managed,
		OtherConfiguration:   c.Other,
		RouterLifetime:       time.Duration(0),
		Options:              []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: c.MAC[:]}},
	}) // which cannot fail
	return b
}

// sayFarewell sends what is to be sent with an initial advertisement.
func (r *Router) sayFarewell() {
	a := &r.adv
	for _, f := range a.farewells {
		if r.send(f.from, allNodes, f.msg) {
			r.Stats.TxRouter++
		}
	}
	if a.initial >= maxInitialRAs {
		a.farewells = nil
	}
}
