package hostinfo

import (
	"cmp"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// routesFor sets fa.Routes.
//
// The host's routes are copied as they are, the ones that its kernel made for its addresses
// included: whoever sets them can then add the addresses without such routes, and the table
// is the same as the host's, metrics and all. -g, like --no-copy-routes, leaves only the
// default route; it counts for its own IP version.
func (d *decision) routesFor(fam int, fa *Family) {
	if fa.Local || d.o.NoCopyRoute || d.o.Gateway[fam].IsValid() {
		fa.Routes = defaultRoute(fam, fa, d.hasDefault(fam, fa.IfIndex))
		return
	}
	for _, r := range d.routes[fam] {
		h := r.best(func(h hop) bool { return h.index == fa.IfIndex })
		if h == nil || fam == v6 && onEveryLink(r) || d.replaced(fam, fa, r) {
			continue
		}
		c := Route{
			Dst:      r.dst,
			Gateway:  h.gateway,
			Src:      keptSource(fa, r),
			Priority: r.priority,
			Scope:    r.scope,
			Protocol: r.protocol,
			MTU:      r.mtu,
		}
		if h.onlink {
			c.Flags = unix.RTNH_F_ONLINK
		}
		fa.Routes = append(fa.Routes, c)
	}
	slices.SortStableFunc(fa.Routes, settableOrder)
}

// settableOrder puts on-link routes first, since a gateway must be reachable through one of
// them at the moment when a route names it, and the default route last.
func settableOrder(a, b Route) int {
	step := func(r Route) int {
		switch {
		case !r.Gateway.IsValid() && r.Dst.Bits() > 0:
			return 0
		case r.Dst.Bits() > 0:
			return 1
		}
		return 2
	}
	return cmp.Compare(step(a), step(b))
}

// onEveryLink tells routes that say nothing about the network behind an interface. The IPv6
// ones come with the link-local address of the guest's interface itself.
func onEveryLink(r route) bool {
	return r.dst.Addr().IsLinkLocalUnicast() && r.dst.Bits() >= 10 || r.dst.Addr().IsMulticast()
}

// replaced tells the route to the network of an address to which -n has given another
// prefix length.
func (d *decision) replaced(fam int, fa *Family, r route) bool {
	if fam != v4 || d.o.Mask < 0 || r.protocol != unix.RTPROT_KERNEL || r.dst.Bits() == fa.Addr.Bits() {
		return false
	}
	return r.src.IsValid() && r.src == fa.Addr.Addr()
}

// keptSource returns the preferred source of a copied route. The guest may have other
// addresses than the host (-a), and the kernel refuses a source that the guest lacks.
func keptSource(fa *Family, r route) netip.Addr {
	has := func(p netip.Prefix) bool { return p.Addr() == r.src }
	switch {
	case !r.src.IsValid() || slices.ContainsFunc(fa.Addrs, has):
		return r.src
	case r.protocol == unix.RTPROT_KERNEL && fa.Addr.IsValid() && r.dst == fa.Addr.Masked():
		return fa.Addr.Addr()
	}
	return netip.Addr{}
}

func (d *decision) hasDefault(fam, index int) bool {
	return d.find(fam, func(r route, h hop) bool { return r.dst.Bits() == 0 && h.index == index }) != nil
}

// defaultRoute is the only route where none are copied. A gateway outside of the guest's
// networks (RFC 3442 and -g allow that) needs the ONLINK flag; one with no gateway at all is
// that of a point-to-point link on the host.
func defaultRoute(fam int, fa *Family, hostHas bool) []Route {
	if !fa.Gateway.IsValid() && !hostHas {
		return nil
	}
	r := Route{
		Dst:      netip.PrefixFrom([2]netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}[fam], 0),
		Gateway:  fa.Gateway,
		Protocol: unix.RTPROT_BOOT,
		Scope:    unix.RT_SCOPE_UNIVERSE,
	}
	covers := func(p netip.Prefix) bool { return p.Masked().Contains(fa.Gateway) }
	switch {
	case !fa.Gateway.IsValid() && fam == v4:
		r.Scope = unix.RT_SCOPE_LINK
	case !fa.Gateway.IsValid():
	case !(fam == v6 && fa.Gateway.IsLinkLocalUnicast()) && !slices.ContainsFunc(fa.Addrs, covers):
		r.Flags = unix.RTNH_F_ONLINK
	}
	return []Route{r}
}
