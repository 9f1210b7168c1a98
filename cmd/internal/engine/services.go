package engine

// The services that configure a guest: Neighbour Discovery, DHCP, DHCPv6.

import (
	"math/rand/v2"

	"passt/cmd/internal/conf"
	"passt/cmd/internal/hostinfo"
	"passt/l3/inet"
	"passt/l3/ndp"
	"passt/l4/dhcp"
	"passt/l4/dhcpv6"
	"passt/l4/sock"
)

// services makes those that are on.
func (w *worker) services() {
	o, n := w.e.p.Options, w.e.p.Network
	if n.V6.Enabled && !o.NoNDP {
		w.ndp = ndp.New(w.ndpConfig(o, n), w.ip)
		w.ip.SetControl(w.ndp)
		w.advertise(w.now())
	}
	w.serveDHCP(o, n)
	if n.V6.Enabled && !o.NoDHCPv6 {
		w.dhcpv6 = dhcpv6.New(dhcpv6Config(o, n), w.ip)
		w.mux.DHCPv6 = w.dhcpv6
	}
}

// serveDHCP makes DHCP give out what n says, or nothing where there is nothing to give.
func (w *worker) serveDHCP(o *conf.Options, n *hostinfo.Network) {
	switch {
	case !n.ServesDHCP(o):
		w.mux.DHCP = nil
		return
	case w.dhcp == nil:
		w.dhcp = dhcp.New(dhcpConfig(o, n), w.ip)
	default:
		w.dhcp.Change(dhcpConfig(o, n))
	}
	w.mux.DHCP = w.dhcp
}

func (w *worker) ndpConfig(o *conf.Options, n *hostinfo.Network) ndp.Config {
	return ndp.Config{
		MAC: [6]byte(n.MAC), LinkLocal: n.V6.OurAddr, Gateway: n.V6.Gateway, Ignore: w.isGuestAddr, Tested: w.ip.Expect,
		Prefix: n.V6.Addr, MTU: uint32(announcedMTU(n)), DNS: dnsOf(&n.V6, o.DHCPDNS), Search: searchOf(n, o),
		Managed: !o.NoDHCPv6, Other: !o.NoDHCPv6, NoRA: o.NoRA, Rand: rand.Int64N,
	}
}

func dhcpConfig(o *conf.Options, n *hostinfo.Network) dhcp.Config {
	return dhcp.Config{
		Ours: n.V4.OurAddr, Guest: n.V4.Addr, Router: n.V4.Gateway, MTU: announcedMTU(n),
		DNS: dnsOf(&n.V4, o.DHCPDNS), Search: searchOf(n, o), Hostname: o.Hostname, FQDN: o.FQDN,
	}
}

func dhcpv6Config(o *conf.Options, n *hostinfo.Network) dhcpv6.Config {
	return dhcpv6.Config{
		MAC: [6]byte(n.MAC), LinkLocal: n.V6.OurAddr, Guest: n.V6.Addr.Addr(),
		DNS: dnsOf(&n.V6, o.DHCPDNS), Search: searchOf(n, o), FQDN: o.FQDN,
	}
}

// announcedMTU is the MTU that the guest is told, 0 if it is not.
func announcedMTU(n *hostinfo.Network) int {
	if !n.AnnounceMTU {
		return 0
	}
	return n.MTU
}

// searchOf is the search list that the guest is told.
func searchOf(n *hostinfo.Network, o *conf.Options) []string {
	if !o.DHCPSearch {
		return nil
	}
	return n.Search
}

func (w *worker) isGuestAddr(a inet.Addr) bool { return w.isGuest(&a) }

// advertise lets the router speak, and sets its timer. What has been given to the wheel comes
// back in any case, so nothing is added while the last one is still to come and early enough.
func (w *worker) advertise(now int64) {
	next := w.ndp.Timer(now)
	if next == 0 || w.ndpTimer > now && w.ndpTimer <= next {
		return
	}
	w.ndpTimer = next
	w.wheel.Add(uint64(sock.MakeRef(sock.KindNDP, 0, 0)), next)
}
