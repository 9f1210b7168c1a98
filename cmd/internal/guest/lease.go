package guest

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// settings is what a lease makes of the interface.
type settings struct {
	mtu    int // 0: the lease does not say
	addr   netip.Prefix
	routes []route // in the order in which they can be set
}

// route leads to dst by way of a router, or to the link itself if that is not valid.
type route struct {
	dst netip.Prefix
	via netip.Addr
}

// decide reads a lease. Routes of the classless option replace the router (RFC 3442); a
// router outside of the subnet gets a route of its own first.
func decide(ack *dhcpv4.DHCPv4) (settings, error) {
	var s settings
	if mtu := ack.Options.Get(dhcpv4.OptionInterfaceMTU); len(mtu) == 2 {
		s.mtu = int(binary.BigEndian.Uint16(mtu))
	}
	mask := ack.SubnetMask()
	if mask == nil {
		mask = ack.YourIPAddr.DefaultMask()
	}
	var ok bool
	if s.addr, ok = prefix(&net.IPNet{IP: ack.YourIPAddr, Mask: mask}); !ok {
		return s, fmt.Errorf("the lease has no usable address: %s, mask %s", ack.YourIPAddr, mask)
	}
	if list := ack.ClasslessStaticRoute(); len(list) > 0 {
		for _, r := range list {
			dst, ok := prefix(r.Dest)
			via, good := netip.AddrFromSlice(r.Router.To4())
			if !ok || !good {
				continue
			}
			if via.IsUnspecified() {
				via = netip.Addr{}
			}
			s.routes = append(s.routes, route{dst, via})
		}
		return s, nil
	}
	for _, ip := range ack.Router() {
		via, ok := netip.AddrFromSlice(ip.To4())
		if !ok || via.IsUnspecified() {
			continue
		}
		if !s.addr.Contains(via) {
			s.routes = append(s.routes, route{dst: netip.PrefixFrom(via, 32)})
		}
		s.routes = append(s.routes, route{netip.PrefixFrom(netip.IPv4Unspecified(), 0), via})
		break // the first is the preferred one
	}
	return s, nil
}

// prefix is n as a value, with its host bits. It is not one if n is nil, or no IPv4 network.
func prefix(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(n.IP.To4())
	ones, bits := n.Mask.Size()
	return netip.PrefixFrom(addr, ones), ok && bits == 32 && !(addr.IsUnspecified() && ones > 0)
}
