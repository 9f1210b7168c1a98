package nat

// From the guest to the host. Addresses of the guest's world that stand for something on
// the host are translated, everything else is what it says. What must never happen is that
// an address which is no mapping reaches the host's own loopback: Linux takes not only
// 127.0.0.0/8 and ::1 for that, but also "this host" (0.0.0.0/8, ::; RFC 1122, section
// 3.2.1.3) and multicast that stays inside the interface (RFC 4291, section 2.7).

import "passt/l3/inet"

// Protocol numbers.
const (
	protoTCP = 6
	protoUDP = 17
)

// Ports of a resolver: DNS (RFC 1035) and DNS over TLS (RFC 7858).
const (
	portDNS    = 53
	portDNSTLS = 853
)

var (
	loopback4 = inet.Addr{10: 0xff, 11: 0xff, 12: 127, 15: 1}
	loopback6 = inet.Addr{15: 1}
)

// FromGuest says where a flow of the guest from src to dst goes on the host. ok is false if
// it goes nowhere. proto is an IP protocol number; the ports of an ICMP echo are its
// identifier, and mean nothing here.
func (r *Rules) FromGuest(proto uint8, src, dst inet.Endpoint) (t Target, ok bool) {
	f := r.family(&dst.Addr)
	if !f.Enabled || src.Addr.Is4() != dst.Addr.Is4() || dst.Addr.IsUnspecified() {
		return Target{}, false
	}
	t.Dst.Port = dst.Port
	dns, mapped := IsDNS(proto, dst.Port), true
	switch {
	case dns && f.resolver(dst.Addr):
		t.Dst.Addr = f.DNSHost
		t.Loopback = f.DNSHost.IsLoopback()
	case dst.Addr == f.MapHostLoopback:
		t.Dst.Addr = loopback6
		if dst.Addr.Is4() {
			t.Dst.Addr = loopback4
		}
		t.Loopback = true
	case dst.Addr == f.MapGuestAddr:
		if t.Dst.Addr = f.Host; f.Host.IsZero() {
			return Target{}, false
		}
	default:
		if t.Dst.Addr, mapped = dst.Addr, false; !sendable(proto, &dst.Addr) {
			return Target{}, false
		}
	}
	if !r.allowed(proto, &dst) && !(mapped && f.given(&dst.Addr, dns)) {
		return Target{Prohibited: true}, false
	}
	return t, true
}

// IsDNS says whether a port of a protocol is that of a resolver.
func IsDNS(proto uint8, port uint16) bool {
	return (proto == protoUDP || proto == protoTCP) && (port == portDNS || port == portDNSTLS)
}

// sendable says whether an address that no rule translates may be sent to.
func sendable(proto uint8, a *inet.Addr) bool {
	switch {
	case a.IsLoopback():
		return false
	case a.IsBroadcast():
		return proto == protoUDP
	case a.Is4() && a[12] == 0, a.Is4() && a[12] >= 240: // this network; reserved (RFC 1112, section 4)
		return false
	case a.IsMulticast():
		inside := !a.Is4() && a[1]&0x0f <= 1 // interface-local, or of no scope
		return proto == protoUDP && !inside
	}
	return true
}
