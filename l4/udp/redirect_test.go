package udp

import (
	"slices"
	"testing"

	"passt/l3/inet"
	"passt/link"
	"passt/nat"
)

// changing are rules by which port 53 leads to a resolver that may change.
type changing struct {
	fakeRules
	resolver *inet.Addr
}

func (c changing) FromGuest(proto uint8, src, dst inet.Endpoint) (nat.Target, bool) {
	if dst.Port == 53 {
		return nat.Target{Dst: inet.Endpoint{Addr: *c.resolver, Port: 53}}, true
	}
	return c.fakeRules.FromGuest(proto, src, dst)
}

// TestRedirect: of the flows of one socket of the guest, the one to a name server goes to
// another one now.
func TestRedirect(t *testing.T) {
	resolver := addr("198.51.100.53")
	r := newRig(t, func(c *Config, _ *link.Caps) { c.Rules = changing{resolver: &resolver} })
	send := func() (to []string) {
		r.host.sent = nil
		for _, dst := range []string{"169.254.1.1:53", "192.0.2.1:80", "203.0.113.5:80"} {
			r.guestSends("192.0.2.2:1000", dst, "query")
		}
		for _, m := range r.host.sent {
			to = append(to, m.dest.To.String())
		}
		return to
	}
	before := []string{"198.51.100.53:53", "127.0.0.1:80", "203.0.113.5:80"}
	if got := send(); !slices.Equal(got, before) {
		t.Fatalf("got %v, want %v", got, before)
	}
	started := r.Stats.FromGuest
	r.Redirect()
	if got := send(); !slices.Equal(got, before) || r.Stats.FromGuest != started {
		t.Errorf("with the same rules: %v, and %d new flows", got, r.Stats.FromGuest-started)
	}
	resolver = addr("198.51.100.54")
	r.Redirect()
	after := []string{"198.51.100.54:53", "127.0.0.1:80", "203.0.113.5:80"}
	if got := send(); !slices.Equal(got, after) || r.Stats.FromGuest != started+1 {
		t.Errorf("got %v, want %v; and %d new flows, want 1", got, after, r.Stats.FromGuest-started)
	}
	if r.Len() != 3 || len(r.host.open) != 1 {
		t.Errorf("%d flows over %d sockets, want 3 over 1", r.Len(), len(r.host.open))
	}
}
