package engine

// The services that configure a guest: Neighbour Discovery, DHCP, DHCPv6.

import (
	"math/rand/v2"

	"passt/l3/inet"
	"passt/l3/ndp"
	"passt/l4/dhcp"
	"passt/l4/dhcpv6"
)

// services makes those that are on.
func (w *worker) services() {
	o, n := w.e.p.Options, w.e.p.Network
	mtu := 0
	if n.AnnounceMTU {
		mtu = n.MTU
	}
	var search []string
	if o.DHCPSearch {
		search = n.Search
	}
	if n.V6.Enabled && !o.NoNDP {
		w.ndp = ndp.New(ndp.Config{
			MAC: [6]byte(n.MAC), LinkLocal: n.V6.OurAddr, Gateway: n.V6.Gateway, Ignore: w.isGuestAddr, Tested: w.ip.Expect,
			Prefix: n.V6.Addr, MTU: uint32(mtu), DNS: dnsOf(&n.V6, o.DHCPDNS), Search: search,
			Managed: !o.NoDHCPv6, Other: !o.NoDHCPv6, NoRA: o.NoRA, Rand: rand.Int64N,
		}, w.ip)
		w.ip.SetControl(w.ndp)
		w.advertise(w.now())
	}
	if n.V4.Gateway.IsValid() && n.V4.Addr.IsValid() && !o.NoDHCP {
		w.mux.DHCP = dhcp.New(dhcp.Config{
			Ours: n.V4.OurAddr, Guest: n.V4.Addr, Router: n.V4.Gateway, MTU: mtu,
			DNS: dnsOf(&n.V4, o.DHCPDNS), Search: search, Hostname: o.Hostname, FQDN: o.FQDN,
		}, w.ip)
	}
	if n.V6.Enabled && !o.NoDHCPv6 {
		w.mux.DHCPv6 = dhcpv6.New(dhcpv6.Config{
			MAC: [6]byte(n.MAC), LinkLocal: n.V6.OurAddr, Guest: n.V6.Addr.Addr(),
			DNS: dnsOf(&n.V6, o.DHCPDNS), Search: search, FQDN: o.FQDN,
		}, w.ip)
	}
}

func (w *worker) isGuestAddr(a inet.Addr) bool { return w.isGuest(&a) }
