package nat

import "passt/l3/inet"

// Config is what the decisions depend on, for one instance. The zero Addr says "none".
type Config struct {
	V4, V6 Family
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
	MapGuestAddr    inet.Addr // for the guest, the host's own address
	DNSForward      inet.Addr // for the guest, the resolver DNSHost
	DNSHost         inet.Addr
}

// Observed is what the guest was last seen to send from.
type Observed struct {
	V4, V6, LinkLocal inet.Addr
}

// Target is where a flow of the guest goes on the host.
type Target struct {
	Dst      inet.Endpoint
	Loopback bool // Dst is a loopback address that a mapping led to
}

// Rules is a Config to decide by. It is immutable.
type Rules struct{ c Config }

// New makes Rules of c.
func New(c Config) *Rules { return &Rules{c: c} }
