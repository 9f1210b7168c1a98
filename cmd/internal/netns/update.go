package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"passt/cmd/internal/conf"
	"passt/cmd/internal/hostinfo"
)

// Theory of operation: the host's network has changed, and a namespace that Configure has
// set up is to look like it again, with programs running in it that may have connections.
//
// So an address that the host does not have any more stays for two hours, which is how long
// IPv6 hosts keep one that a router has taken back (RFC 4862, section 5.5.3), deprecated,
// and the kernel removes it then. Meanwhile, IPv6 has the kernel prefer others, and IPv4
// has it prefer one in the network of the gateway. Routes are what new connections go by: those
// that we have set and that do not hold any more go, and what somebody else has changed in
// the namespace is left as it is.

// lingering is how long an address stays that the host has lost, in seconds.
const lingering = 2 * 60 * 60

// Update changes what the interface ifname in the network namespace of the calling thread has
// by old, as Configure set it, to what it is to have by n. MTU and IP versions are the same.
// The warnings are for the user, one line each.
func Update(old, n *hostinfo.Network, ifname string, _ *conf.Options) (warnings []string, err error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket in the namespace: %w", err)
	}
	defer h.Close()
	l, err := h.LinkByName(ifname)
	if err != nil {
		return nil, fmt.Errorf("looking for interface %s in the namespace: %w", ifname, err)
	}
	c := &config{h: h, link: linkAt(l.Attrs().Index), name: ifname}
	if n.V4.Enabled {
		c.update(&old.V4, &n.V4, unix.AF_INET)
	}
	if n.V6.Enabled {
		c.update(&old.V6, &n.V6, unix.AF_INET6)
	}
	return c.warnings, nil
}

func (c *config) update(old, fa *hostinfo.Family, family int) {
	if slices.Equal(old.Addrs, fa.Addrs) && slices.Equal(old.Routes, fa.Routes) {
		return
	}
	have, err := c.h.AddrList(c.link, family)
	if err != nil {
		c.warnf("addresses of %s not changed: %v", c.name, err)
		return
	}
	flags := 0
	if family == unix.AF_INET6 {
		flags = unix.IFA_F_NODAD
	}
	c.renew(fa, have, flags)
	for _, r := range old.Routes {
		if !slices.Contains(fa.Routes, r) {
			c.removeRoute(r)
		}
	}
	c.addresses(fa, flags)
	c.routes(fa)
	for _, p := range old.Addrs {
		if !slices.ContainsFunc(fa.Addrs, func(q netip.Prefix) bool { return q.Addr() == p.Addr() }) {
			c.retire(p, have)
		}
	}
}

// renew removes addresses of fa that linger, or have another prefix length, so that they can
// be added as new ones.
func (c *config) renew(fa *hostinfo.Family, have []netlink.Addr, flags int) {
	for i := range have {
		a := &have[i]
		p, ok := hostinfo.Prefix(a.IPNet)
		if !ok || !slices.ContainsFunc(fa.Addrs, func(q netip.Prefix) bool { return q.Addr() == p.Addr() }) {
			continue
		}
		if slices.Contains(fa.Addrs, p) && a.Flags&unix.IFA_F_DEPRECATED == 0 {
			continue
		}
		if slices.Contains(fa.Addrs, p) {
			// It is made to last again without a gap.
			b := &netlink.Addr{IPNet: toIPNet(p), Flags: flags | a.Flags&unix.IFA_F_NOPREFIXROUTE, ValidLft: forever, PreferedLft: forever}
			if c.h.AddrReplace(c.link, b) == nil {
				continue
			}
		}
		if err := c.h.AddrDel(c.link, a); err != nil {
			c.warnf("address %s not removed from %s: %v", p, c.name, err)
		}
	}
}

// forever is the kernel's lifetime without end (INFINITY_LIFE_TIME).
const forever = 0xffff_ffff

// retire deprecates the address p, if it is there.
func (c *config) retire(p netip.Prefix, have []netlink.Addr) {
	i := slices.IndexFunc(have, func(a netlink.Addr) bool {
		q, ok := hostinfo.Prefix(a.IPNet)
		return ok && q == p
	})
	if i < 0 || have[i].Flags&unix.IFA_F_DEPRECATED != 0 {
		return
	}
	// Without a route to its network, which is one that we can't know anything about now.
	a := &netlink.Addr{IPNet: toIPNet(p), Flags: unix.IFA_F_NODAD | unix.IFA_F_NOPREFIXROUTE, ValidLft: lingering}
	if p.Addr().Is4() {
		a.Flags = unix.IFA_F_NOPREFIXROUTE
	}
	if err := c.h.AddrReplace(c.link, a); err != nil {
		c.warnf("address %s not deprecated on %s: %v", p, c.name, err)
	}
}

// removeRoute removes a route that we have set. It may be gone.
func (c *config) removeRoute(r hostinfo.Route) {
	nr := c.toNetlink(r)
	nr.Flags = 0
	if err := c.h.RouteDel(nr); err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.ENOENT) {
		c.warnf("route %s not removed: %v", c.describe(r), err)
	}
}
