package icmp

import (
	"fmt"
	"slices"
	"testing"

	"passt/l3"
	"passt/l4/flow"
)

// record is a flow.Watcher that writes down what it hears.
type record []string

func (r *record) Began(p flow.Passage) { *r = append(*r, "began "+ends(&p)) }

func (r *record) Ended(p flow.Passage, why string) { *r = append(*r, "ended "+ends(&p)+": "+why) }

func (r *record) Denied(p flow.Passage) { *r = append(*r, "denied "+p.Remote.String()) }

func ends(p *flow.Passage) string {
	return fmt.Sprintf("%d id %d to %v", p.Proto, p.Guest.Port, p.Host.Addr)
}

func TestWatch(t *testing.T) {
	var got record
	r := newRig(func(c *Config) { c.Watch = &got })
	r.Input([]l3.Packet{request("192.0.2.2", "192.0.2.1", 77, 3, "data"), request("2001:db8::2", "2001:db8::9", 78, 3, "data")}, r.now)
	r.Reset()
	want := []string{
		"began 1 id 77 to 127.0.0.1", "began 58 id 78 to 2001:db8::9",
		"ended 1 id 77 to 127.0.0.1: the guest has gone", "ended 58 id 78 to 2001:db8::9: the guest has gone",
	}
	if !slices.Equal([]string(got), want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
