package hostinfo

import (
	"net"
	"net/netip"

	"passt/cmd/internal/conf"
)

// Indices of pairs that have one element for each IP version, as in conf.Options.
const (
	v4 = 0
	v6 = 1
)

// Network is what the guest gets: the outcome of the command line and of what the host
// has. It is written once, by Resolve or Again, and read-only after that; it travels to
// other stages of the process (encoding/gob and JSON).
type Network struct {
	V4, V6 Family
	IfName string           // name of the interface in the namespace
	MTU    int              // bytes, of the guest's interface; DHCP and RA announce it if AnnounceMTU
	MAC    net.HardwareAddr // ours, as the guest sees it
	Search []string         // DNS search list for the guest

	AnnounceMTU bool // false if -m 0: then MTU is only the limit for what we send
}

// Family is one IP version's part of a Network.
type Family struct {
	Enabled bool
	Local   bool // local mode: no usable host interface (IfIndex is 0, IfName is empty)

	IfIndex int    // host interface that addresses and routes come from
	IfName  string // its name

	HostAddr  netip.Addr     // the host's own address on that interface, if any
	LinkLocal netip.Addr     // IPv6: the host's link-local address there, if any; no zone
	Addr      netip.Prefix   // the guest's address and its prefix length; invalid if none (IPv6 local mode)
	Addrs     []netip.Prefix // --config-net: every address to set, Addr first
	Routes    []Route        // --config-net: every route to set, in an order in which they can be set
	Gateway   netip.Addr     // the guest's default router; invalid if the host's default route has none

	// OurAddr is the address that we answer as ourselves from. IPv4: the gateway, or
	// 169.254.2.2 where there is none. IPv6: always a link-local address, since router
	// advertisements must come from one (RFC 4861, 4.2): the gateway if it is link-local,
	// else the host's link-local address, else fe80::1.
	OurAddr netip.Addr

	OutIf   string     // bind outbound sockets to this host interface; empty: to none
	OutIdx  int        // its index; 0 if there is none
	OutAddr netip.Addr // bind outbound sockets to this address; invalid: to none

	DNS     []netip.Addr // resolvers to give to the guest, as the guest reaches them; no zones
	DNSHost netip.Addr   // the resolver behind --dns-forward; invalid if none; may have a zone
}

// Route is one route of the host's interface, as netlink's RTM_NEWROUTE has it.
type Route struct {
	Dst      netip.Prefix // the default route has 0 bits
	Gateway  netip.Addr   // invalid if on-link; an IPv4 route may have an IPv6 one (RTA_VIA)
	Src      netip.Addr   // preferred source; invalid if none
	Priority int          // metric
	Scope    uint8        // RT_SCOPE_*
	Protocol uint8        // RTPROT_*
	Flags    int          // RTNH_F_ONLINK only
	MTU      int          // RTAX_MTU in bytes; 0 if none
}

// families returns the two parts of n, indexed as in conf.Options.
func (n *Network) families() [2]*Family { return [2]*Family{&n.V4, &n.V6} }

// ServesDHCP says whether the guest is to be served by DHCP. A guest without a gateway is not
// (passt(1), --no-dhcp).
func (n *Network) ServesDHCP(o *conf.Options) bool {
	return !o.NoDHCP && n.V4.Addr.IsValid() && n.V4.Gateway.IsValid()
}
