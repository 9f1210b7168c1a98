package nat

// From the guest to the host: what a destination that the guest uses means here.

import "passt/l3/inet"

// IP protocol numbers whose ports are looked at.
const (
	protoTCP = 6
	protoUDP = 17
)

// Ports of DNS and of DNS over TLS.
const (
	portDNS = 53
	portDoT = 853
)

var (
	loopback4 = inet.V4([]byte{127, 0, 0, 1})
	loopback6 = inet.Addr{15: 1}
)

func (r *Rules) family(a *inet.Addr) (f *Family, loopback inet.Addr) {
	if a.Is4() {
		return &r.c.V4, loopback4
	}
	return &r.c.V6, loopback6
}

// FromGuest decides where a flow of the IP protocol proto goes that the guest begins from src
// to dst; for ICMP echo the ports mean nothing. It returns false if the flow is not to be
// made: its destination names no host that a network could reach. The host's loopback is
// reached by the addresses that are mapped to it and by no other.
func (r *Rules) FromGuest(proto uint8, src, dst inet.Endpoint) (Target, bool) {
	f, loopback := r.family(&dst.Addr)
	if !f.Enabled || src.Addr.Is4() != dst.Addr.Is4() {
		return Target{}, false
	}
	dns := (proto == protoTCP || proto == protoUDP) && (dst.Port == portDNS || dst.Port == portDoT)
	switch {
	case dns && is(f.DNSForward, dst.Addr) && !f.DNSHost.IsZero():
		return to(f.DNSHost, dst.Port), true
	case is(f.MapHostLoopback, dst.Addr):
		return to(loopback, dst.Port), true
	case is(f.MapGuestAddr, dst.Addr):
		if f.Host.IsZero() {
			return Target{}, false
		}
		return to(f.Host, dst.Port), true
	case !reachable(&dst.Addr):
		return Target{}, false
	case proto == protoTCP && !dst.Addr.IsUnicast():
		return Target{}, false
	}
	return Target{Dst: dst}, true
}

// is says whether the address a, which may be none, is b.
func is(a, b inet.Addr) bool { return !a.IsZero() && a == b }

// to makes the target of a mapping. The resolver of the host may be a loopback address too.
func to(a inet.Addr, port uint16) Target {
	return Target{Dst: inet.Endpoint{Addr: a, Port: port}, Loopback: a.IsLoopback()}
}

// reachable says whether a network could carry packets to a: not "this network" 0.0.0.0/8
// (RFC 1122, section 3.2.1.3), loopback, the reserved 240.0.0.0/4 but for broadcast, ::, or
// an IPv4-compatible address ::/96 (RFC 4291, section 2.5.5.1), which some systems take
// for the IPv4 address in it.
func reachable(a *inet.Addr) bool {
	if a.IsLoopback() || a.IsUnspecified() {
		return false
	}
	if a.Is4() {
		return a[12] != 0 && (a[12] < 240 || a.IsBroadcast())
	}
	return [12]byte(a[:12]) != [12]byte{}
}
