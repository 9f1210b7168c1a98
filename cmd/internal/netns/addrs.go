package netns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"passt/cmd/internal/hostinfo"
)

// addresses sets fa.Addrs. For an address whose network is among the routes to be set, the
// kernel is told not to make that route itself: its own would differ in metric from the
// host's where a network manager has made that one.
func (c *config) addresses(fa *hostinfo.Family, flags int) {
	for _, p := range fa.Addrs {
		a := &netlink.Addr{IPNet: toIPNet(p), Flags: flags}
		if hasNetwork(fa.Routes, p) {
			a.Flags |= unix.IFA_F_NOPREFIXROUTE
		}
		if err := c.h.AddrAdd(c.link, a); err != nil && !errors.Is(err, unix.EEXIST) {
			c.warnf("address %s not set on %s: %v", p, c.name, err)
		}
	}
}

// hasNetwork says whether the routes contain the one that the kernel would make for p.
func hasNetwork(routes []hostinfo.Route, p netip.Prefix) bool {
	return slices.ContainsFunc(routes, func(r hostinfo.Route) bool {
		return r.Dst == p.Masked() && !r.Gateway.IsValid()
	})
}

// linkLocal sets the address that the kernel would make itself from the MAC address, but
// at once and without detection of duplicates.
func (c *config) linkLocal() {
	ll, ok := LinkLocal(c.mac)
	if !ok {
		return
	}
	a := &netlink.Addr{IPNet: toIPNet(netip.PrefixFrom(ll, 64)), Flags: unix.IFA_F_NODAD, Scope: unix.RT_SCOPE_LINK}
	if err := c.h.AddrAdd(c.link, a); err != nil && !errors.Is(err, unix.EEXIST) {
		c.warnf("address %s not set on %s: %v", ll, c.name, err)
	}
	// Back to what a new interface has, for the time after somebody sets it down and up. The
	// kernel takes the value without acting on it, and at worst refuses.
	_ = c.h.LinkSetIP6AddrGenMode(c.link, addrGenEUI64)
}

// LinkLocal returns the link-local address with the interface identifier of an Ethernet
// address (RFC 4291, appendix A): what the kernel gives to the guest's interface. It is
// false for an address that is not 6 bytes long.
func LinkLocal(mac net.HardwareAddr) (netip.Addr, bool) {
	if len(mac) != 6 {
		return netip.Addr{}, false
	}
	return netip.AddrFrom16([16]byte{
		0: 0xfe, 1: 0x80,
		8: mac[0] ^ 2, 9: mac[1], 10: mac[2], 11: 0xff, 12: 0xfe, 13: mac[3], 14: mac[4], 15: mac[5],
	}), true
}

func toIPNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// routes sets fa.Routes in order.
func (c *config) routes(fa *hostinfo.Family) {
	for _, r := range fa.Routes {
		if err := c.route(r); err != nil {
			c.warnf("route %s not set: %s", c.describe(r), reason(err))
		}
	}
}

// route sets one route. Where the kernel knows no way to the gateway (it is outside of the
// guest's networks, as clouds and VPNs have it), the gateway is declared to be on the link,
// which for this link is always true.
func (c *config) route(r hostinfo.Route) error {
	nr := c.toNetlink(r)
	err := c.h.RouteAdd(nr)
	if unreachable(err) && r.Gateway.IsValid() && nr.Flags&unix.RTNH_F_ONLINK == 0 {
		nr.Flags |= unix.RTNH_F_ONLINK
		if again := c.h.RouteAdd(nr); again == nil || errors.Is(again, unix.EEXIST) {
			return nil
		}
	}
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

// unreachable: IPv4 says ENETUNREACH, IPv6 EHOSTUNREACH or EINVAL, of a gateway to which
// there is no direct route.
func unreachable(err error) bool {
	return errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.EINVAL)
}

func (c *config) toNetlink(r hostinfo.Route) *netlink.Route {
	nr := &netlink.Route{
		LinkIndex: c.link.Attrs().Index,
		Dst:       toIPNet(r.Dst),
		Priority:  r.Priority,
		Scope:     netlink.Scope(r.Scope),
		Protocol:  netlink.RouteProtocol(r.Protocol),
		Flags:     r.Flags,
		MTU:       r.MTU,
	}
	if r.Src.IsValid() {
		nr.Src = r.Src.AsSlice()
	}
	switch {
	case !r.Gateway.IsValid():
	case r.Gateway.Is6() && r.Dst.Addr().Is4():
		nr.Via = &netlink.Via{AddrFamily: unix.AF_INET6, Addr: r.Gateway.AsSlice()}
	default:
		nr.Gw = r.Gateway.AsSlice()
	}
	return nr
}

// describe names a route as ip-route(8) prints it.
func (c *config) describe(r hostinfo.Route) string {
	s := r.Dst.String()
	if r.Dst.Bits() == 0 {
		s = map[bool]string{true: "default (IPv4)", false: "default (IPv6)"}[r.Dst.Addr().Is4()]
	}
	if r.Gateway.IsValid() {
		s += " via " + r.Gateway.String()
	}
	s += " dev " + c.name
	if r.Src.IsValid() {
		s += " src " + r.Src.String()
	}
	if r.Priority != 0 {
		s += fmt.Sprintf(" metric %d", r.Priority)
	}
	return s
}

// reason adds to the kernel's error what it means for a route.
func reason(err error) string {
	switch {
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH):
		return fmt.Sprintf("the gateway cannot be reached through this interface (%v)", err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Sprintf("the namespace has no such source address, or the gateway is one of its own (%v)", err)
	}
	return err.Error()
}
