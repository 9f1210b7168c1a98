package engine

// What each layer is told, from the command line and what the host has.

import (
	"net/netip"
	"slices"

	"passt/cmd/internal/conf"
	"passt/cmd/internal/hostinfo"
	"passt/l3"
	"passt/l3/inet"
	"passt/l4/sock"
	"passt/nat"
)

// outbound says how sockets of one IP version leave the host.
func outbound(f *hostinfo.Family) sock.Outbound {
	return sock.Outbound{Addr: inet.FromNetip(f.OutAddr), If: f.OutIf, Index: uint32(f.OutIdx), Scope: uint32(f.IfIndex)}
}

// natConfig is the configuration of the decisions about addresses.
func natConfig(o *conf.Options, n *hostinfo.Network, told *past) nat.Config {
	c := nat.Config{V4: natFamily(o, 0, &n.V4), V6: natFamily(o, 1, &n.V6), SpliceToLoopback: toLoopback(o)}
	c.V4.DNSPast, c.V6.DNSPast = told[0].resolvers, told[1].resolvers
	c.Limited = o.OutAllow.Given
	for _, d := range o.OutAllow.Dests {
		c.Allowed = append(c.Allowed, nat.Destination{
			Net: inet.FromNetip(d.Net.Addr()), Bits: d.Net.Bits(), First: d.Ports.First, Last: d.Ports.Last,
		})
	}
	return c
}

// natFamily is the part for one IP version, 0 for IPv4 and 1 for IPv6.
func natFamily(o *conf.Options, v int, f *hostinfo.Family) nat.Family {
	c := nat.Family{
		Enabled:      f.Enabled,
		Guest:        inet.FromNetip(f.Addr.Addr()),
		Host:         inet.FromNetip(f.HostAddr),
		Ours:         inet.FromNetip(f.OurAddr),
		MapGuestAddr: inet.FromNetip(o.MapGuestAddr[v]),
		DNSForward:   inet.FromNetip(o.DNSForward[v]),
		DNSHost:      inet.FromNetip(f.DNSHost),
	}
	if c.DNSForward.IsZero() && f.Gateway.IsValid() && f.DNSHost == f.Gateway {
		// Port 53 of a gateway that is the host's resolver is that resolver, not the host's
		// loopback: the guest often has it as its own, and would find no names otherwise.
		c.DNSForward = inet.FromNetip(f.Gateway)
	}
	for _, a := range slices.Concat(dnsOf(f, o.DHCPDNS), o.DNSForward[v:v+1]) {
		c.DNSTold = append(c.DNSTold, inet.FromNetip(a))
	}
	switch {
	case o.MapHostLoopback[v].IsValid():
		c.MapHostLoopback, c.LoopbackChosen = inet.FromNetip(o.MapHostLoopback[v]), true
	case !o.NoMapGW && !o.MapHostLoopbackNone:
		c.MapHostLoopback = inet.FromNetip(f.Gateway)
	}
	return c
}

// l3Config is the configuration of the internet layer.
func l3Config(n *hostinfo.Network) l3.Config {
	return l3.Config{
		V4: n.V4.Enabled, V6: n.V6.Enabled,
		Ours4: inet.FromNetip(n.V4.OurAddr), Ours6: inet.FromNetip(n.V6.OurAddr),
	}
}

// dnsOf is the resolvers of f that the guest is told of, none unless announce.
func dnsOf(f *hostinfo.Family, announce bool) []netip.Addr {
	if !announce {
		return nil
	}
	return f.DNS
}
