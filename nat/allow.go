package nat

// Where a guest with limits may begin flows. A destination is what the guest writes to, not
// what that means on the host, so one who reads a list of them needs to know nothing of
// mappings; and a list goes on to mean the same when the host's network changes.
//
// Some mappings need no place in the list, since nobody makes them but for the guest to use
// them: those that an option has chosen, and the DNS ports of resolvers that the guest is told
// of. The gateway, which means the host's loopback just because there is a gateway, needs one.

import (
	"bytes"
	"slices"

	"passt/l3/inet"
)

// Destination is a set of endpoints.
type Destination struct {
	Net         inet.Addr // the bits behind the prefix are 0
	Bits        int       // length of the prefix, of 32 for IPv4
	First, Last uint16    // ports of TCP and UDP; both 0: all of them, and echo
}

// allowed says whether the guest may begin a flow to dst.
func (r *Rules) allowed(proto uint8, dst *inet.Endpoint) bool {
	return !r.c.Limited || slices.ContainsFunc(r.c.Allowed, func(d Destination) bool { return d.has(proto, dst) })
}

// has says whether e is in d.
func (d *Destination) has(proto uint8, e *inet.Endpoint) bool {
	if d.Last != 0 && (proto != protoTCP && proto != protoUDP || e.Port < d.First || e.Port > d.Last) {
		return false
	}
	// An IPv4 address has an IPv6 prefix in inet.Addr, which is none of the guest's business.
	if d.Net.Is4() != e.Addr.Is4() {
		return false
	}
	bits := d.Bits
	if d.Net.Is4() {
		bits += 96
	}
	n, rest := bits/8, bits%8
	return bytes.Equal(d.Net[:n], e.Addr[:n]) && (rest == 0 || (d.Net[n]^e.Addr[n])>>(8-rest) == 0)
}

// given says whether the guest was given a, which is mapped, to use: on ports of DNS if dns.
func (f *Family) given(a *inet.Addr, dns bool) bool {
	return *a == f.MapGuestAddr || *a == f.MapHostLoopback && f.LoopbackChosen ||
		dns && (slices.Contains(f.DNSTold, *a) || slices.Contains(f.DNSPast, *a))
}
