package splice

import (
	"slices"
	"testing"

	"passt/l4/flow"
)

// record is a flow.Watcher that writes down what it hears.
type record []string

func (r *record) Began(p flow.Passage) { *r = append(*r, "began by "+who(&p)) }

func (r *record) Ended(p flow.Passage, why string) { *r = append(*r, "ended by "+who(&p)+": "+why) }

func who(p *flow.Passage) string {
	if p.FromHost {
		return "host"
	}
	return "guest"
}

func TestWatch(t *testing.T) {
	var got record
	m := newMachine(t)
	m.tcp.cfg.Watch = &got
	m.accept(false)
	m.accept(true)
	m.tcp.Reset()
	want := []string{"began by host", "began by guest", "ended by host: stopped", "ended by guest: stopped"}
	if !slices.Equal([]string(got), want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
