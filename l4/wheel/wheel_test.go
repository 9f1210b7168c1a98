package wheel

import (
	"math/rand/v2"
	"testing"
)

func TestAdvance(t *testing.T) {
	const start = 1 << 40
	for _, tt := range []struct {
		name  string
		after int64 // when the timer is due
		look  int64 // when it is looked for
		want  bool
	}{
		{"at once", 0, Tick, true},
		{"in the past", -100 * Tick, Tick, true},
		{"not before its time", 5*Tick + 1, 5 * Tick, false},
		{"on its tick", 5 * Tick, 6 * Tick, true},
		{"one turn later", slots * Tick, (slots + 1) * Tick, true},
		{"not one turn early", (slots + 5) * Tick, 6 * Tick, false},
		{"after a long sleep", 5 * Tick, 100 * slots * Tick, true},
		{"far away", 50 * slots * Tick, 49 * slots * Tick, false},
		{"far away, and reached", 50 * slots * Tick, 50*slots*Tick + Tick, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := New(start)
			w.Add(7, start+tt.after)
			got := w.Advance(make([]uint64, 0, 4), start+tt.look)
			if len(got) == 1 != tt.want {
				t.Errorf("fired %v, want %v", got, tt.want)
			}
			if next := w.Next(start + tt.look); tt.want && next != -1 {
				t.Errorf("next in %d although nothing is left", next)
			}
		})
	}
}

// TestAgainstList compares the wheel with a plain list of deadlines under a clock that
// moves in steps of any size.
func TestAgainstList(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	now := int64(1 << 40)
	w := New(now)
	want := map[uint64]int64{}
	for id := uint64(0); id < 3000; id++ {
		at := now + r.Int64N(3*slots*Tick)
		w.Add(id, at)
		want[id] = at
		if next := w.Next(now); next < 0 {
			t.Fatal("nothing is due although there are timers")
		}
		if r.IntN(3) > 0 {
			continue
		}
		step := r.Int64N(20 * Tick)
		if r.IntN(100) == 0 {
			step = r.Int64N(2 * slots * Tick)
		}
		now += step
		for {
			due := w.Advance(make([]uint64, 0, 16), now)
			for _, id := range due {
				if want[id] > now {
					t.Fatalf("%d fired %d ns early", id, want[id]-now)
				}
				delete(want, id)
			}
			if len(due) < 16 {
				break
			}
		}
		for id, at := range want {
			if at <= now-2*Tick {
				t.Fatalf("%d is %d ns late", id, now-at)
			}
		}
	}
	if w.Len() != len(want) {
		t.Errorf("%d timers, want %d", w.Len(), len(want))
	}
}

func TestNext(t *testing.T) {
	w := New(0)
	if got := w.Next(0); got != -1 {
		t.Errorf("empty: %d", got)
	}
	w.Add(1, 100*Tick)
	w.Add(2, 3*Tick)
	if got := w.Next(0); got > 3*Tick || got <= 0 {
		t.Errorf("next in %d, want at most %d", got, 3*Tick)
	}
	w.Advance(make([]uint64, 0, 1), 4*Tick)
	if got := w.Next(4 * Tick); got <= 0 || got > 96*Tick {
		t.Errorf("next in %d", got)
	}
}

func TestNoAllocation(t *testing.T) {
	w := New(0)
	now, due := int64(0), make([]uint64, 0, 8)
	w.Add(1, 0)
	if n := testing.AllocsPerRun(1000, func() {
		now += Tick
		for _, ref := range w.Advance(due, now) {
			w.Add(ref, now+Tick/2)
		}
		w.Next(now)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAdvance(b *testing.B) {
	w := New(0)
	for i := range uint64(10000) {
		w.Add(i, int64(i)*Tick/10)
	}
	now, due := int64(0), make([]uint64, 0, 128)
	for b.Loop() {
		now += Tick
		for _, ref := range w.Advance(due, now) {
			w.Add(ref, now+1000*Tick)
		}
	}
}
