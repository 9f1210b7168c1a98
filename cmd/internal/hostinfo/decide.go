package hostinfo

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"passt/cmd/internal/conf"
)

// Local mode: what a guest gets for an IP version for which the host has no usable
// interface.
var (
	localAddr    = netip.MustParsePrefix("169.254.2.1/16")
	localGateway = [2]netip.Addr{netip.MustParseAddr("169.254.2.2"), netip.MustParseAddr("fe80::1")}
)

const (
	localIfName = "tap0"
	defaultMTU  = 65520 // the largest IPv4 packet in an Ethernet frame, in whole 32-bit words
)

// fallbackMAC is ours where the host has no interface to take one from: unicast, locally
// administered.
var fallbackMAC = net.HardwareAddr{0x9a, 0x55, 0x9a, 0x55, 0x9a, 0x55}

var (
	familyNames = [2]string{"IPv4", "IPv6"}
	outIfNames  = [2]string{"--outbound-if4", "--outbound-if6"}
	onlyNames   = [2]string{"--ipv4-only", "--ipv6-only"}
)

// Resolve looks at the network of the calling thread's namespace and at resolv.conf, and
// decides with o what the guest gets. The warnings are for the user, one line each, in
// order; an error is one line that names the option and says what would be right.
func Resolve(o *conf.Options) (n *Network, warnings []string, err error) {
	f, err := gather()
	if err != nil {
		return nil, nil, err
	}
	return decide(f, o, nil)
}

// decision is the state of one call of decide.
type decision struct {
	*facts
	o        *conf.Options
	prev     *Network // what the guest has, if it is there already; else nil
	n        *Network
	warnings []string
}

// decide is Resolve, or Again if prev is given, without the system: the same facts and
// options, the same outcome.
func decide(f *facts, o *conf.Options, prev *Network) (*Network, []string, error) {
	d := &decision{facts: f, o: o, prev: prev, n: &Network{}, warnings: f.problems}
	if err := d.checkNames(); err != nil {
		return nil, nil, err
	}
	for fam, fa := range d.n.families() {
		if d.enabled(fam) {
			d.family(fam, fa)
		}
	}
	d.keepLost()
	d.warnLocal()
	d.device()
	d.resolvers()
	return d.n, d.warnings, nil
}

func (d *decision) warnf(format string, a ...any) {
	d.warnings = append(d.warnings, fmt.Sprintf(format, a...))
}

// checkNames refuses interface names that the host does not have.
func (d *decision) checkNames() error {
	for _, opt := range []struct{ name, value string }{
		{"--interface", d.o.Interface},
		{outIfNames[v4], d.o.OutIf[v4]},
		{outIfNames[v6], d.o.OutIf[v6]},
	} {
		if opt.value == "" || d.linkByName(opt.value) != nil {
			continue
		}
		have := "there are none but loopback"
		if names := d.linkNames(); len(names) > 0 {
			have = "there are: " + strings.Join(names, ", ")
		}
		return fmt.Errorf("%s %s: no such interface; %s", opt.name, opt.value, have)
	}
	return nil
}

// enabled applies -4 and -6, and leaves IPv6 out where the kernel has it switched off: a
// reason for a warning only to those who asked for IPv6.
func (d *decision) enabled(fam int) bool {
	if d.prev != nil {
		return d.prev.families()[fam].Enabled
	}
	if fam == v4 {
		return !d.o.IPv6Only
	}
	if d.o.IPv4Only {
		return false
	}
	if d.ipv6 {
		return true
	}
	switch o := d.o; {
	case o.IPv6Only:
		d.warnf("%s: IPv6 is switched off in the host's kernel (net.ipv6.conf.all.disable_ipv6, ipv6.disable): "+
			"no network but loopback", onlyNames[v6])
	case o.Addr[v6].Addr().IsValid(), o.Gateway[v6].IsValid(), o.OutAddr[v6].IsValid(), o.OutIf[v6] != "":
		d.warnf("IPv6 options have no effect: IPv6 is switched off in the host's kernel " +
			"(net.ipv6.conf.all.disable_ipv6, ipv6.disable)")
	}
	return false
}

// family decides on everything but the resolvers.
func (d *decision) family(fam int, fa *Family) {
	fa.Enabled = true
	// Without --outbound-if4 or 6, sockets are bound to no interface: the host's routing
	// decides for each destination, so that hosts behind its other interfaces (VPNs,
	// bridges) can be reached too, and a change of the default route needs no restart.
	fa.OutIf, fa.OutAddr = d.o.OutIf[fam], d.o.OutAddr[fam]
	if l := d.linkByName(fa.OutIf); l != nil {
		fa.OutIdx = l.index
	}
	if fa.OutAddr.IsValid() && !d.hostHas(fam, fa.OutAddr) {
		d.warnf("--outbound %s: the host has no such address; connections fail until it has", fa.OutAddr)
	}

	l, def := d.choose(fam)
	if l == nil {
		fa.Local = true
		fa.Gateway = localGateway[fam]
		if fam == v4 {
			fa.Addr = localAddr
		}
	} else {
		fa.IfIndex, fa.IfName = l.index, l.name
		if def != nil && def.gateway.Is4() == (fam == v4) {
			fa.Gateway = def.gateway
		}
	}
	d.addresses(fam, fa)
	if gw := d.o.Gateway[fam]; gw.IsValid() {
		fa.Gateway = gw
	}
	fa.OurAddr = ourAddr(fam, fa)
	d.routesFor(fam, fa)
}

// ourAddr: see Family.OurAddr.
func ourAddr(fam int, fa *Family) netip.Addr {
	switch {
	case fam == v4 && fa.Gateway.IsValid(), fa.Gateway.IsLinkLocalUnicast():
		return fa.Gateway
	case fa.LinkLocal.IsValid():
		return fa.LinkLocal
	}
	return localGateway[fam]
}

// warnLocal says that there is nothing to copy from where the user asked for something
// that the host does not have, or where there is no network at all. A host with one IP
// version only is nothing to warn about.
func (d *decision) warnLocal() {
	all := true
	for fam, fa := range d.n.families() {
		if !fa.Enabled || !fa.Local {
			all = all && !fa.Enabled
			continue
		}
		if fa.OutIf != "" && d.o.Interface == "" {
			d.warnf("%s %s: no %s address to copy on that interface: local mode", outIfNames[fam], fa.OutIf, familyNames[fam])
		}
	}
	switch {
	case !all || !d.n.V4.Enabled && !d.n.V6.Enabled:
	case d.o.Interface != "":
		d.warnf("--interface %s: no address to copy on that interface: local mode", d.o.Interface)
	default:
		d.warnf("no host interface with an address and a route: local mode")
	}
}

// device decides on what both IP versions share.
func (d *decision) device() {
	n, o := d.n, d.o
	if p := d.prev; p != nil {
		n.MTU, n.AnnounceMTU, n.IfName, n.MAC = p.MTU, p.AnnounceMTU, p.IfName, p.MAC
		return
	}
	n.MTU, n.AnnounceMTU = defaultMTU, o.MTU != 0
	if o.MTU > 0 {
		n.MTU = o.MTU
	}
	n.IfName, n.MAC = o.IfName, o.MAC
	for _, fa := range n.families() {
		if fa.IfName == "" {
			continue
		}
		if n.IfName == "" {
			n.IfName = fa.IfName
		}
		if l := d.linkByName(fa.IfName); n.MAC == nil {
			n.MAC = l.mac
		}
	}
	if n.IfName == "" {
		n.IfName = localIfName
	}
	if n.MAC == nil {
		n.MAC = fallbackMAC
	}
	if bytes.Equal(n.MAC, o.NsMAC) {
		d.warnf("--ns-mac-addr %s: that is also our own address on that link; another one is needed (or another --mac-addr)", o.NsMAC)
	}
}

func (d *decision) linkByName(name string) *link {
	return d.findLink(func(l link) bool { return l.name == name })
}

func (d *decision) linkByIndex(index int) *link {
	return d.findLink(func(l link) bool { return l.index == index })
}

func (d *decision) findLink(match func(link) bool) *link {
	if i := slices.IndexFunc(d.links, match); i >= 0 {
		return &d.links[i]
	}
	return nil
}

func (d *decision) linkNames() (names []string) {
	for _, l := range d.links {
		if !l.loopback {
			names = append(names, l.name)
		}
	}
	return names
}

func (d *decision) hostHas(fam int, a netip.Addr) bool {
	return slices.ContainsFunc(d.addrs[fam], func(h addr) bool { return h.prefix.Addr() == a.WithZone("") })
}
