package hostinfo

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"

	"passt/cmd/internal/conf"
)

// Describe writes what start prints: which interface the network comes from, and what the
// guest is given, in the order in which it asks (ARP, DHCP, then NDP and DHCPv6). It
// writes once, and leaves errors of w to the caller's interest in them.
func (n *Network) Describe(w io.Writer, o *conf.Options) {
	if o.SpliceOnly {
		_, _ = io.WriteString(w, "Namespace interface: none, forwarded ports only\n")
		return
	}
	var b strings.Builder
	b.WriteString(n.interfaces())
	if o.Mode == conf.ModePasta {
		fmt.Fprintf(&b, ", namespace interface: %s", n.IfName)
	}
	b.WriteByte('\n')
	for fam, fa := range n.families() {
		if fa.OutIf != "" && fa.OutIf != fa.IfName {
			fmt.Fprintf(&b, "%s sockets bound to interface: %s\n", familyNames[fam], fa.OutIf)
		}
		if fa.OutAddr.IsValid() {
			fmt.Fprintf(&b, "%s sockets bound to address: %s\n", familyNames[fam], fa.OutAddr)
		}
	}
	fmt.Fprintf(&b, "ARP:\n    address: %s\n", n.MAC)
	n.describeV4(&b, o)
	n.describeV6(&b, o)
	_, _ = io.WriteString(w, b.String())
}

// interfaces names the host's side of both IP versions, once where they share it.
func (n *Network) interfaces() string {
	side := func(fa *Family) string {
		switch {
		case !fa.Enabled:
			return ""
		case fa.Local:
			return "none, local mode"
		}
		return fa.IfName
	}
	a, b := side(&n.V4), side(&n.V6)
	switch {
	case a == b && a == "":
		return "No outbound interface"
	case a == b:
		return "Outbound interface: " + a
	case b == "":
		return "Outbound interface: " + a + " (IPv4 only)"
	case a == "":
		return "Outbound interface: " + b + " (IPv6 only)"
	}
	return "Outbound interface: " + a + " (IPv4), " + b + " (IPv6)"
}

func (n *Network) describeV4(b *strings.Builder, o *conf.Options) {
	fa := &n.V4
	if !fa.Enabled {
		return
	}
	switch {
	case n.ServesDHCP(o):
		b.WriteString("DHCP:\n")
	case o.ConfigNet:
		b.WriteString("IPv4:\n")
	default:
		return
	}
	if fa.Addr.IsValid() {
		fmt.Fprintf(b, "    assign: %s\n    mask: %s\n", fa.Addr.Addr(), net.IP(net.CIDRMask(fa.Addr.Bits(), 32)))
	}
	if fa.Gateway.IsValid() {
		fmt.Fprintf(b, "    router: %s\n", fa.Gateway)
	}
	if n.ServesDHCP(o) {
		n.describeDNS(b, fa, o)
	}
}

func (n *Network) describeV6(b *strings.Builder, o *conf.Options) {
	fa := &n.V6
	if !fa.Enabled {
		return
	}
	ndp, dhcpv6 := !o.NoNDP && !o.NoRA, !o.NoDHCPv6
	switch {
	case ndp && dhcpv6:
		b.WriteString("NDP/DHCPv6:\n")
	case ndp:
		b.WriteString("NDP:\n")
	case dhcpv6:
		b.WriteString("DHCPv6:\n")
	case o.ConfigNet:
		b.WriteString("IPv6:\n")
	default:
		return
	}
	if fa.Addr.IsValid() {
		fmt.Fprintf(b, "    assign: %s\n", fa.Addr.Addr())
	}
	// Routers of IPv6 are learned from the source of their advertisements, which are ours.
	router := fa.Gateway
	if !router.IsValid() {
		router = fa.OurAddr
	}
	fmt.Fprintf(b, "    router: %s\n", router)
	if ndp || dhcpv6 {
		n.describeDNS(b, fa, o)
	}
}

// describeDNS lists what is really passed to the guest only.
func (n *Network) describeDNS(b *strings.Builder, fa *Family, o *conf.Options) {
	if o.DHCPDNS {
		list(b, "DNS", fa.DNS, netip.Addr.String)
	}
	if o.DHCPSearch {
		list(b, "search", n.Search, func(s string) string { return s })
	}
}

func list[T any](b *strings.Builder, title string, items []T, text func(T) string) {
	if len(items) == 0 {
		return
	}
	fmt.Fprintf(b, "    %s:\n", title)
	for _, it := range items {
		fmt.Fprintf(b, "        %s\n", text(it))
	}
}
