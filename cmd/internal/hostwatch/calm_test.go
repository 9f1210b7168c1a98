package hostwatch

import (
	"testing"
	"time"
)

// TestCalm is a script of events at times, and of the looks that come of them.
func TestCalm(t *testing.T) {
	const ms = time.Millisecond
	every := func(step, until time.Duration) (at []time.Duration) {
		for d := time.Duration(0); d < until; d += step {
			at = append(at, d)
		}
		return at
	}
	for _, tc := range []struct {
		name   string
		events []time.Duration
		took   time.Duration // each look
		looks  []time.Duration
	}{
		{"nothing", nil, 0, nil},
		{"one", []time.Duration{0}, 0, []time.Duration{quiet}},
		{"a burst", []time.Duration{0, 10 * ms, 200 * ms, 400 * ms}, 0, []time.Duration{400*ms + quiet}},
		{"two bursts", []time.Duration{0, 10 * ms, 1000 * ms}, 0, []time.Duration{10*ms + quiet, 1000*ms + quiet}},
		{"never quiet", every(100*ms, 5000*ms), 0, []time.Duration{most, most + 2100*ms, 4900*ms + quiet}},
		{"an event at the moment of the look", []time.Duration{0, quiet}, 0, []time.Duration{2 * quiet}},
		{"a look that takes long", []time.Duration{0, 500 * ms}, 100 * ms, []time.Duration{quiet, quiet + 100*ms + share*100*ms}},
		{"an event during the look", []time.Duration{0, quiet + 50*ms}, 100 * ms, []time.Duration{quiet, quiet + 100*ms + share*100*ms}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var c calm
			start := time.Unix(1000, 0)
			var got []time.Duration
			events := tc.events
			busy := time.Time{} // until then, nobody can look
			for d := time.Duration(0); d < 10*time.Second; d += 10 * ms {
				now := start.Add(d)
				for len(events) > 0 && events[0] <= d {
					c.event(now)
					events = events[1:]
				}
				if at, ok := c.due(); ok && !at.After(now) && !busy.After(now) {
					got = append(got, d)
					c.look()
					busy = now.Add(tc.took)
					c.looked(now, busy)
				}
			}
			if len(got) != len(tc.looks) {
				t.Fatalf("looks at %v, want %v", got, tc.looks)
			}
			for i, want := range tc.looks {
				if off := got[i] - want; off < 0 || off > 20*ms {
					t.Errorf("looks at %v, want %v", got, tc.looks)
					break
				}
			}
		})
	}
}
