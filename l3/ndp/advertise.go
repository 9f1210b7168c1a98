package ndp

// Router Advertisements (RFC 4861, sections 4.2 and 6.2; RFC 8106 for resolvers and search
// lists; RFC 8319 for the router lifetime). What they say changes only with the host's
// network (change.go), so the message is built in advance, and only its checksum depends on
// the destination.
//
// A solicitation is answered to its source at once: the random delay of section 6.2.6 is
// there to keep several routers from answering together, and we are the only one. One from
// the unspecified address can only be answered to all nodes, and those advertisements keep
// the distance that the section demands: a host that hits the gap solicits again after it.
//
// Lifetimes are infinite, or the longest there is for the router: a guest that was stopped
// for a day finds its configuration valid when it goes on.

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/mdlayher/ndp"

	"passt/l3"
)

// Router constants and defaults (RFC 4861, sections 6.2.1 and 10; RFC 8319, section 4).
const (
	defaultMaxInterval = 600 * time.Second
	defaultMinInterval = 200 * time.Second
	minDelayBetweenRAs = 3 * time.Second
	maxInitialInterval = 16 * time.Second
	maxInitialRAs      = 3
	routerLifetime     = 65535 * time.Second
	curHopLimit        = 64
)

// maxMessage is the size up to which lists are taken into an advertisement, in bytes: it
// goes unfragmented over any IPv6 link (RFC 8200, section 5).
const maxMessage = 1280 - l3.HeaderLen6

// The rate of answers to solicitations: one in solicitCost on average.
const (
	solicitCost  = int64(100 * time.Millisecond)
	solicitBurst = 20 * solicitCost
)

// advertiser is the state of our advertisements.
type advertiser struct {
	msg      []byte // the message without its checksum; nil if none is ever sent
	min, max int64  // limits of the interval, in nanoseconds
	started  bool   // an advertisement went to all nodes, at last
	last     int64
	due      int64 // when the next one goes to all nodes
	initial  int   // of the first maxInitialRAs, how many went out
	credit   int64 // for answers to solicitations, in nanoseconds of waiting
	filled   int64 // when credit was computed

	past      past       // what was said before and does not hold any more
	farewells []farewell // to be sent with the initial advertisements
}

// configure takes what c says about advertisements.
func (a *advertiser) configure(c *Config) {
	if c.NoRA || !c.LinkLocal.Is6() || !c.LinkLocal.IsLinkLocalUnicast() {
		a.msg = nil
		return
	}
	a.msg = build(c, &a.past)
	a.max, a.min = int64(c.MaxInterval), int64(c.MinInterval)
	if a.max <= 0 {
		a.max, a.min = int64(defaultMaxInterval), int64(defaultMinInterval)
	}
	a.min = max(a.min, int64(minDelayBetweenRAs))
	a.max = max(a.max, a.min)
}

// Timer sends an unsolicited advertisement if one is due at now, and returns when it wants
// to be called next, 0 for never. Both are monotonic times in nanoseconds. Calls in between
// do no harm.
func (r *Router) Timer(now int64) (next int64) {
	if r.adv.msg == nil {
		return 0
	}
	if !r.adv.started || now >= r.adv.due {
		r.advertiseToAll(now)
	}
	return r.adv.due
}

// advertiseToAll sends an advertisement to all nodes and sets the time of the next one.
func (r *Router) advertiseToAll(now int64) {
	a := &r.adv
	interval := a.min
	if a.max > a.min {
		interval += r.cfg.Rand(a.max - a.min + 1)
	}
	if a.initial < maxInitialRAs { // RFC 4861, section 6.2.4
		a.initial++
		interval = min(interval, int64(maxInitialInterval))
	}
	a.started, a.last, a.due = true, now, now+interval
	if r.send(r.linkLocal, allNodes, a.msg) {
		r.Stats.TxRouter++
	}
	r.sayFarewell()
}

// routerSolicitation answers p, whose length and options have been checked.
func (r *Router) routerSolicitation(p *l3.Packet, opts options, now int64) {
	a := &r.adv
	unspecified := p.Src.IsUnspecified()
	switch {
	case unspecified && opts.sourceLLA:
		r.Stats.RxBad++ // RFC 4861, section 6.1.1
	case a.msg == nil:
		r.Stats.RxIgnored++
	case unspecified && a.started && now-a.last < int64(minDelayBetweenRAs) || !a.take(now):
		r.Stats.RxLimited++
	case unspecified:
		r.advertiseToAll(now)
	case r.send(r.linkLocal, p.Src, a.msg):
		r.Stats.TxRouter++
	}
}

// take says whether one more answer is within the rate.
func (a *advertiser) take(now int64) bool {
	a.credit = min(a.credit+max(now-a.filled, 0), solicitBurst)
	a.filled = now
	if a.credit < solicitCost {
		return false
	}
	a.credit -= solicitCost
	return true
}

// build makes the advertisement that c describes, and that takes back p. What does not fit is
// left out, from the end of the lists, and so are names that are none.
func build(c *Config, p *past) []byte {
	ra := &ndp.RouterAdvertisement{
		CurrentHopLimit:      curHopLimit,
		ManagedConfiguration: c.Managed,
		OtherConfiguration:   c.Other,
		RouterLifetime:       routerLifetime,
		Options:              []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: c.MAC[:]}},
	}
	if c.MTU > 0 {
		ra.Options = append(ra.Options, ndp.NewMTU(c.MTU))
	}
	if prefix := c.prefix(); prefix.IsValid() {
		ra.Options = append(ra.Options, prefixOption(prefix, ndp.Infinity))
	}
	addLists(ra, c.resolvers(), c.names(), ndp.Infinity)
	p.add(ra)
	b, _ := ndp.MarshalMessage(ra) // with none but these options it cannot fail
	return b
}

// prefixOption announces prefix for autoconfiguration, to be used for lifetime; with 0, not to
// be used any more.
func prefixOption(prefix netip.Prefix, lifetime time.Duration) ndp.Option {
	return &ndp.PrefixInformation{
		PrefixLength:                   64, // RFC 4291, section 2.5.1: interface identifiers have 64 bits
		OnLink:                         true,
		AutonomousAddressConfiguration: true,
		ValidLifetime:                  lifetime,
		PreferredLifetime:              lifetime,
		Prefix:                         prefix.Addr(),
	}
}

// prefix is the prefix that c announces; invalid if there is none.
func (c *Config) prefix() netip.Prefix {
	if a := c.Prefix.Addr(); a.Is6() && !a.IsLinkLocalUnicast() {
		return netip.PrefixFrom(a.WithZone(""), 64).Masked()
	}
	return netip.Prefix{}
}

// resolvers are those of c that can be announced.
func (c *Config) resolvers() (out []netip.Addr) {
	for _, d := range c.DNS {
		if d.Is6() && !d.Is4In6() {
			out = append(out, d.WithZone(""))
		}
	}
	return out
}

// names is the part of the search list of c that can be announced.
func (c *Config) names() (out []string) {
	for _, name := range c.Search {
		if name = strings.TrimSuffix(name, "."); isName(name) {
			out = append(out, name)
		}
	}
	return out
}

// addLists adds resolvers and a search list to ra.
func addLists(ra *ndp.RouterAdvertisement, servers []netip.Addr, names []string, lifetime time.Duration) {
	addList(ra, servers, func(s []netip.Addr) ndp.Option {
		return &ndp.RecursiveDNSServer{Lifetime: lifetime, Servers: s}
	})
	addList(ra, names, func(s []string) ndp.Option {
		return &ndp.DNSSearchList{Lifetime: lifetime, DomainNames: s}
	})
}

// addList adds items to ra, in as few options as it takes: one holds a limited number, and
// several add up (RFC 8106, section 5.3.1).
func addList[T any](ra *ndp.RouterAdvertisement, items []T, option func([]T) ndp.Option) {
	for len(items) > 0 {
		n := 0
		for n < len(items) && fits(ra, option(items[:n+1])) {
			n++
		}
		if n == 0 {
			items = items[1:]
			continue
		}
		ra.Options = append(ra.Options, option(items[:n]))
		items = items[n:]
	}
}

// fits says whether ra with the option o is a message that can be sent.
func fits(ra *ndp.RouterAdvertisement, o ndp.Option) bool {
	longer := *ra
	longer.Options = append(slices.Clip(ra.Options), o)
	b, err := ndp.MarshalMessage(&longer)
	return err == nil && len(b) <= maxMessage
}

// isName says whether s is a domain name in its usual text: labels of 1 to 63 bytes of
// printable ASCII, at most 253 together (RFC 1035, section 2.3.4).
func isName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if len(label) < 1 || len(label) > 63 {
			return false
		}
		for _, c := range []byte(label) {
			if c <= ' ' || c > '~' {
				return false
			}
		}
	}
	return true
}
