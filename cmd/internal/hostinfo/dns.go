package hostinfo

import (
	"net/netip"
	"slices"
)

// maxDNS4 is how many name servers DHCP can announce in its option.
const maxDNS4 = 63

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
		fa.DNSHost = d.resolver(fam, fa, given, found)
		if forward := o.DNSForward[fam]; forward.IsValid() && !fa.DNSHost.IsValid() {
			d.warnf("--dns-forward %s: no answers to queries until %s has an %s name server (--dns-host names another one)",
				forward, ResolvPath, familyNames[fam])
		}
		switch {
		case o.DNSNone:
		case len(o.DNS) > 0:
			fa.DNS = given
		default:
			fa.DNS = d.reachable(fam, fa, found)
		}
		if fam == v4 && len(fa.DNS) > maxDNS4 {
			if o.DHCPDNS {
				d.warnf("the guest gets %d of %d IPv4 name servers: DHCP has no room for more", maxDNS4, len(fa.DNS))
			}
			fa.DNS = fa.DNS[:maxDNS4]
		}
	}
}

// resolver is the one behind --dns-forward: that of --dns-host, the host's first one, or the
// first one given to the guest that is at the same address for the host.
func (d *decision) resolver(fam int, fa *Family, given, found []netip.Addr) netip.Addr {
	if a := d.o.DNSHost[fam]; a.IsValid() {
		return a
	}
	if len(found) > 0 {
		return found[0]
	}
	for _, a := range given {
		if !a.IsLoopback() && a != d.o.DNSForward[fam] && a != d.loopbackAddr(fam, fa) && a != d.o.MapGuestAddr[fam] {
			return a
		}
	}
	return netip.Addr{}
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
