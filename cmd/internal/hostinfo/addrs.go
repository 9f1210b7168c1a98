package hostinfo

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// ulaV6 is the block of unique local addresses (RFC 4193, 3.1).
var ulaV6 = netip.MustParsePrefix("fc00::/7")

// addresses sets HostAddr, LinkLocal, Addr and Addrs; Addr holds local mode's, if any.
//
// -a stands for the address of its own IP version only, and so does its "no copies of the
// host's addresses".
func (d *decision) addresses(fam int, fa *Family) {
	own := d.own(fam, fa.IfIndex)
	if i := d.preferred(fam, fa.IfIndex, own); i >= 0 {
		fa.HostAddr = own[i].prefix.Addr()
		fa.Addr = own[i].prefix
	}
	if fam == v6 {
		fa.LinkLocal = d.linkLocal(fa.IfIndex)
	}

	given := d.o.Addr[fam]
	if given.Addr().IsValid() {
		fa.Addr = netip.PrefixFrom(given.Addr(), d.prefixLen(fam, given))
	}
	if fam == v4 && d.o.Mask >= 0 && fa.Addr.IsValid() {
		fa.Addr = netip.PrefixFrom(fa.Addr.Addr(), d.o.Mask)
	}
	if !fa.Addr.IsValid() {
		return
	}
	fa.Addrs = []netip.Prefix{fa.Addr}
	if given.Addr().IsValid() || d.o.NoCopyAddrs {
		return
	}
	for _, a := range own {
		if a.prefix.Addr() != fa.HostAddr && !a.prefix.Addr().IsLinkLocalUnicast() {
			fa.Addrs = append(fa.Addrs, a.prefix)
		}
	}
}

// own lists the addresses of an interface that a guest could have.
func (d *decision) own(fam, index int) (own []addr) {
	for _, a := range d.addrs[fam] {
		if a.index == index && a.copyable() {
			own = append(own, a)
		}
	}
	return own
}

// copyable is about scope, not about the block of the address: 169.254.2.1 with global
// scope is what a namespace in local mode has, and a second one inside it can share that.
func (a addr) copyable() bool {
	return a.scope < unix.RT_SCOPE_LINK && !a.prefix.Addr().IsLoopback() && !a.prefix.Addr().IsMulticast()
}

// linkLocal returns the interface's IPv6 link-local address; invalid if it has none.
func (d *decision) linkLocal(index int) netip.Addr {
	for _, a := range d.addrs[v6] {
		if a.index == index && a.prefix.Addr().IsLinkLocalUnicast() {
			return a.prefix.Addr()
		}
	}
	return netip.Addr{}
}

// preferred picks the address that the guest gets where it can have one only (DHCP,
// DHCPv6): the one that the host's default route prefers, else the best by rank, of equal
// ones the first. It returns an index into own, -1 if that is empty.
func (d *decision) preferred(fam, index int, own []addr) int {
	def := slices.IndexFunc(d.routes[fam], func(r route) bool {
		return r.dst.Bits() == 0 && slices.ContainsFunc(r.hops, func(h hop) bool { return h.index == index })
	})
	best := -1
	for i, a := range own {
		if def >= 0 && a.prefix.Addr() == d.routes[fam][def].src {
			return i
		}
		if best < 0 || a.rank() > own[best].rank() {
			best = i
		}
	}
	return best
}

// rank orders addresses by how well they stand for the host: lasting ones before passing
// ones, global before unique local before link-local ones. Among IPv6 addresses, a longer
// prefix is one that an administrator or DHCPv6 assigned, and goes before SLAAC's.
func (a addr) rank() int {
	r := 0
	for _, is := range []bool{
		!a.deprecated,
		!a.prefix.Addr().IsLinkLocalUnicast(),
		!a.temporary,
		!ulaV6.Contains(a.prefix.Addr()),
	} {
		r <<= 1
		if is {
			r |= 1
		}
	}
	r <<= 8
	if a.prefix.Addr().Is6() {
		r += a.prefix.Bits()
	}
	return r
}

// prefixLen finds the prefix length for an address given by -a (passt.1, option -n): its
// own, else that of the host's network that it lies in, else that of its block.
func (d *decision) prefixLen(fam int, given netip.Prefix) int {
	if given.Bits() >= 0 {
		return given.Bits()
	}
	best := -1
	for _, a := range d.addrs[fam] {
		if !a.copyable() {
			continue
		}
		if a.prefix.Addr() == given.Addr() {
			return a.prefix.Bits()
		}
		if a.prefix.Contains(given.Addr()) {
			best = max(best, a.prefix.Bits())
		}
	}
	if best >= 0 {
		return best
	}
	return blockLen(given.Addr())
}

// blockLen: for IPv4, the address blocks that RFC 4632, 3.1 lists by their old classes;
// for IPv6, the length of every subnet prefix (RFC 4291, 2.5.4).
func blockLen(a netip.Addr) int {
	if a.Is6() {
		return 64
	}
	switch first := a.As4()[0]; {
	case first < 128:
		return 8
	case first < 192:
		return 16
	case first < 224:
		return 24
	}
	return 32
}
