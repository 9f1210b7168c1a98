package hostinfo

import (
	"net/netip"
	"slices"
)

// resolvers sets DNS and DNSHost of both IP versions, and the search list.
func (d *decision) resolvers() {
	o := d.o
	if d.prev != nil && len(d.resolv.Nameservers) == 0 {
		d.keepResolvers()
		return
	}
	switch {
	case o.SearchNone:
	case len(o.Search) > 0:
		d.n.Search = o.Search
	default:
		d.n.Search = d.resolv.Search
	}
	for fam, fa := range d.n.families() {
		if !fa.Enabled {
			continue
		}
		given, found := ofFamily(o.DNS, fam), ofFamily(d.resolv.Nameservers, fam)
		fa.DNSHost = o.DNSHost[fam]
		if !fa.DNSHost.IsValid() && len(found) > 0 {
			fa.DNSHost = found[0]
		}
		switch {
		case o.DNSNone:
		case len(o.DNS) > 0:
			fa.DNS = given
		default:
			fa.DNS = d.reachable(fam, fa, found)
		}
	}
}

func ofFamily(all []netip.Addr, fam int) (out []netip.Addr) {
	for _, a := range all {
		if a.Is4() == (fam == v4) {
			out = append(out, a)
		}
	}
	return out
}

// reachable turns the host's resolvers into addresses that lead the guest to them:
//
//   - on the host's loopback: the address that is mapped there, or else the one that
//     --dns-forward maps; left out if there is neither;
//   - at an address that means the host's loopback to the guest (often the gateway is the
//     resolver, too): the one of --dns-forward, if given;
//   - at the host's own address that the guest has too: the one of --map-guest-addr, if
//     given.
//
// A zone names one of the host's interfaces and means nothing to the guest.
func (d *decision) reachable(fam int, fa *Family, found []netip.Addr) (out []netip.Addr) {
	for _, a := range found {
		a = a.WithZone("")
		same := func(p netip.Prefix) bool { return p.Addr() == a }
		loopback, forward := d.loopbackAddr(fam, fa), d.o.DNSForward[fam]
		switch {
		case a.IsLoopback() && loopback.IsValid():
			a = loopback
		case a.IsLoopback(), a == loopback && forward.IsValid():
			a = forward
		case d.o.MapGuestAddr[fam].IsValid() && slices.ContainsFunc(fa.Addrs, same):
			a = d.o.MapGuestAddr[fam]
		}
		if a.IsValid() && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

// loopbackAddr returns the address that means the host's loopback to the guest; invalid if
// none does.
func (d *decision) loopbackAddr(fam int, fa *Family) netip.Addr {
	switch o := d.o; {
	case o.MapHostLoopback[fam].IsValid():
		return o.MapHostLoopback[fam]
	case o.NoMapGW || o.MapHostLoopbackNone:
		return netip.Addr{}
	}
	return fa.Gateway
}
