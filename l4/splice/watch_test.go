package splice

import (
	"slices"
	"testing"

	"passt/l4/flow"
	"passt/l4/sock"
)

// record is a flow.Watcher that writes down what it hears.
type record []string

func (r *record) Began(p flow.Passage) { *r = append(*r, "began by "+who(&p)) }

func (r *record) Ended(p flow.Passage, why string) { *r = append(*r, "ended by "+who(&p)+": "+why) }

func (r *record) Denied(flow.Passage) {}

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

// TestEach wants bytes counted by where they go, not by who began.
func TestEach(t *testing.T) {
	for _, out := range []bool{false, true} {
		m := newMachine(t)
		m.accept(out)
		m.event(fdServer, sock.Out)
		m.socks[fdClient].in = []byte("question")
		m.event(fdClient, sock.In)
		m.socks[fdServer].in = []byte("yes")
		m.event(fdServer, sock.In)
		var got []flow.Info
		m.tcp.Each(func(i flow.Info) { got = append(got, i) })
		toHost, toGuest := uint64(3), uint64(8)
		if out {
			toHost, toGuest = 8, 3
		}
		if len(got) != 1 || got[0].FromHost == out || got[0].ToHost != toHost || got[0].ToGuest != toGuest || got[0].State != "established" {
			t.Errorf("out %v: %+v", out, got)
		}
	}
}
