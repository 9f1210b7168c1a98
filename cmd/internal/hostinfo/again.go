package hostinfo

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"passt/cmd/internal/conf"
)

// Theory of operation: the guest is there, and the host's network may have changed. What
// the guest gets is decided anew, by the same options, but for two things. What can't
// change under a running guest stays: which IP versions there are, its interface and
// ours. And nothing is taken away while there is nothing better: a host between two
// networks has no default route, or only those of bridges of its own, and a guest that was
// renumbered to one of them, and a second later once more, would have lost for nothing.

// Again looks at the host once more for a guest that has got prev, with the same options.
// An error, of an interface in the options that is gone for instance, is no reason for
// anything but to wait.
func Again(prev *Network, o *conf.Options) (*Network, error) {
	f, err := gather()
	if err != nil {
		return nil, err
	}
	n, _, err := decide(f, o, prev)
	return n, err
}

// Equal says whether the guest gets the same by n and m.
func (n *Network) Equal(m *Network) bool { return reflect.DeepEqual(n, m) }

// Outline is n without what only whoever configures the guest's interface from inside needs
// to know, which may be much.
func (n *Network) Outline() *Network {
	m := *n
	for _, fa := range m.families() {
		fa.Addrs, fa.Routes = nil, nil
	}
	return &m
}

// String is n in one line, for a log.
func (n *Network) String() string {
	var parts []string
	for fam, fa := range n.families() {
		switch {
		case !fa.Enabled:
			continue
		case fa.Local:
			parts = append(parts, familyNames[fam]+" local mode")
			continue
		}
		s := fmt.Sprintf("%s %v", fa.IfName, fa.Addr)
		if fa.Gateway.IsValid() {
			s += fmt.Sprintf(" via %v", fa.Gateway)
		}
		parts = append(parts, s)
	}
	var dns []string
	for _, fa := range n.families() {
		if fa.DNSHost.IsValid() {
			dns = append(dns, fa.DNSHost.String())
		}
	}
	if len(dns) > 0 {
		parts = append(parts, "name server "+strings.Join(dns, " and "))
	}
	return strings.Join(parts, ", ")
}

// worth orders what a Family was made of: nothing, an interface, one with a default route.
func (fa *Family) worth() int {
	switch {
	case fa.Local:
		return 0
	case slices.ContainsFunc(fa.Routes, func(r Route) bool { return r.Dst.Bits() == 0 }):
		return 2
	}
	return 1
}

// keepLost puts back what the host had for an IP version and has no equal of now.
func (d *decision) keepLost() {
	if d.prev == nil {
		return
	}
	for fam, fa := range d.n.families() {
		if old := d.prev.families()[fam]; fa.Enabled && fa.worth() < old.worth() {
			out := fa.OutIdx
			*fa = *old
			fa.OutIdx, fa.DNS, fa.DNSHost = out, nil, netip.Addr{} // these are decided on apart
		}
	}
}

// keepResolvers is resolvers for a host that has none: it will have some again.
func (d *decision) keepResolvers() {
	d.n.Search = d.prev.Search
	for fam, fa := range d.n.families() {
		old := d.prev.families()[fam]
		fa.DNS, fa.DNSHost = old.DNS, old.DNSHost
	}
}
