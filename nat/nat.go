package nat

import (
	"slices"

	"passt/l3/inet"
)

// Config is what the decisions depend on, for one instance. The zero Addr says "none".
type Config struct {
	V4, V6 Family
	// SpliceToLoopback makes the bypass lead to the guest's loopback, not its own address.
	SpliceToLoopback bool
	// Limited allows the guest to begin flows to the destinations in Allowed only, and to what
	// an option or we ourselves have told it to use.
	Limited bool
	Allowed []Destination
}

// Family is the part of Config for one IP version.
type Family struct {
	Enabled bool
	Guest   inet.Addr // the address that the guest was given
	Host    inet.Addr // the host's own address, usually the same
	// Ours is the address that the guest sees for whatever on the host has none that it
	// could answer to: the gateway.
	Ours            inet.Addr
	MapHostLoopback inet.Addr // for the guest, the host's loopback
	LoopbackChosen  bool      // MapHostLoopback is of an option's choice, not just the gateway
	MapGuestAddr    inet.Addr // for the guest, the host's own address
	DNSForward      inet.Addr // for the guest, the resolver DNSHost
	DNSHost         inet.Addr
	// DNSPast are resolvers that the guest was told of and that are not the host's any more.
	// The guest may still ask them, and reaches DNSHost.
	DNSPast []inet.Addr
	// DNSTold are the resolvers that the guest is told of, and DNSForward if an option chose it.
	DNSTold []inet.Addr
}

// Observed is what the guest was last seen to send from.
type Observed struct {
	V4, V6, LinkLocal inet.Addr
}

// Target is where a flow of the guest goes on the host.
type Target struct {
	Dst      inet.Endpoint
	Loopback bool // Dst is a loopback address that a mapping led to
	// Prohibited says that the flow goes nowhere only because its destination is not allowed,
	// which the guest is to be told.
	Prohibited bool
}

// Rules is a Config to decide by. It is immutable, and any thread may ask it.
type Rules struct{ c Config }

// New makes Rules of c.
//
// A host whose resolver is at a loopback address other than 127.0.0.1 is common. The
// guest is told that its resolver is MapHostLoopback then (Nameserver), so unless another
// address was chosen for DNSForward, that one's DNS ports lead to the resolver.
func New(c Config) *Rules {
	for _, f := range []*Family{&c.V4, &c.V6} {
		if f.DNSForward.IsZero() && f.DNSHost.IsLoopback() {
			f.DNSForward = f.MapHostLoopback
		}
	}
	return &Rules{c: c}
}

// resolver says whether the DNS ports of a lead to the host's resolver.
func (f *Family) resolver(a inet.Addr) bool {
	return !f.DNSHost.IsZero() && (a == f.DNSForward || slices.Contains(f.DNSPast, a))
}

// family is the part of the Config for a's IP version.
func (r *Rules) family(a *inet.Addr) *Family {
	if a.Is4() {
		return &r.c.V4
	}
	return &r.c.V6
}

// Nameserver says by which address the guest reaches the resolver that the host knows as
// host. ok is false if there is none, because it would be the guest itself.
func (r *Rules) Nameserver(host inet.Addr) (guest inet.Addr, ok bool) {
	f := r.family(&host)
	switch {
	case host.IsUnspecified():
		return inet.Addr{}, false
	case host == f.DNSHost && !f.DNSForward.IsZero():
		return f.DNSForward, true
	case host.IsLoopback():
		return f.MapHostLoopback, !f.MapHostLoopback.IsZero()
	case host == f.Guest:
		return f.MapGuestAddr, !f.MapGuestAddr.IsZero()
	}
	return host, true
}
