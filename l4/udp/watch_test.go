package udp

import (
	"slices"
	"testing"

	"passt/l4/flow"
	"passt/link"
)

// record is a flow.Watcher that writes down what it hears.
type record []string

func (r *record) Began(p flow.Passage) { *r = append(*r, "began "+ends(&p)) }

func (r *record) Ended(p flow.Passage, why string) { *r = append(*r, "ended "+ends(&p)+": "+why) }

func (r *record) Denied(p flow.Passage) { *r = append(*r, "denied "+p.Remote.String()) }

func ends(p *flow.Passage) string {
	if p.FromHost {
		return p.Host.String() + " by host"
	}
	return p.Host.String() + " by guest"
}

func TestWatch(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(r *rig)
		want []string
	}{
		{"the guest goes", func(r *rig) { r.Reset() }, []string{"began 198.51.100.1:7 by guest", "ended 198.51.100.1:7 by guest: the guest has gone"}},
		{"idle", func(r *rig) {
			for range 200 {
				r.pass(second)
			}
		}, []string{"began 198.51.100.1:7 by guest", "ended 198.51.100.1:7 by guest: idle"}},
		{"forwarded port", func(r *rig) {
			ref := r.AddListener(Listener{FD: 90, Bound: ep("0.0.0.0:5000"), To: ep("192.0.2.2:53")})
			r.hostSends(90, from("198.51.100.9:8", "q"))
			r.RemoveListener(ref)
		}, []string{"began 198.51.100.1:7 by guest", "began 198.51.100.9:8 by host", "ended 198.51.100.9:8 by host: the port is not forwarded any more"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got record
			r := newRig(t, func(c *Config, _ *link.Caps) { c.Watch = &got })
			r.guestSends("192.0.2.2:1000", "198.51.100.1:7", "q")
			tt.do(r)
			if !slices.Equal([]string(got), tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
