package fault

import (
	"errors"
	"slices"
	"testing"

	"passt/link"
	"passt/link/linktest"
	"passt/link/mem"
)

var caps = link.Caps{Batch: 16, Body: 65535, Offload: link.OffloadCsum | link.OffloadTSO4 | link.OffloadTSO6}

// TestLink runs the suite without faults.
func TestLink(t *testing.T) {
	linktest.Run(t, func(t *testing.T) (link.Device, linktest.Peer) {
		m := mem.New(caps)
		m.SetLimit(200)
		return New(m, List(nil, nil)), m.Peer()
	})
}

// frame makes frame number i.
func frame(i int) []byte { return append(make([]byte, 59), byte(i)) }

// receive injects frames 0 to n-1 and returns what each Recv gave.
func receive(t *testing.T, d *Dev, m *mem.Dev, n int) (calls [][]int) {
	t.Helper()
	for i := range n {
		m.Inject(frame(i), link.Meta{})
	}
	dst := make([]link.Frame, caps.Batch)
	for empty := 0; empty < 3; {
		got, err := d.Recv(dst)
		if errors.Is(err, link.ErrClosed) {
			return append(calls, []int{-1})
		}
		var l []int
		for _, f := range dst[:got] {
			l = append(l, int(f.B[59]))
		}
		if calls = append(calls, l); got == 0 {
			empty++
		} else {
			empty = 0
		}
	}
	return calls[:len(calls)-3]
}

// send sends frames 0 to n-1, the tail of a short Send again, and returns what each Send
// took and what arrived.
func send(t *testing.T, d *Dev, m *mem.Dev, n int) (calls []int, arrived []int) {
	t.Helper()
	for i := 0; i < n; {
		s := make([]link.Slot, min(n-i, caps.Batch))
		d.Reserve(s, 60-14)
		for k := range s {
			f := frame(i + k)
			s[k].Head = s[k].Head[:copy(s[k].Head, f[:14])]
			s[k].Len = copy(s[k].Body[0], f[14:])
		}
		sent, err := d.Send(s)
		calls = append(calls, sent)
		if err != nil {
			break
		}
		i += sent
	}
	for _, f := range m.Take() {
		arrived = append(arrived, int(f.B[59]))
	}
	return calls, arrived
}

func TestActions(t *testing.T) {
	for _, c := range []struct {
		name    string
		script  []Action
		n       int
		recv    [][]int // frames of each Recv; -1 for ErrClosed
		calls   []int   // results of each Send
		arrived []int
	}{
		{"nothing", nil, 3, [][]int{{0, 1, 2}}, []int{3}, []int{0, 1, 2}},
		{"drop", []Action{Pass, Drop}, 3, [][]int{{0, 2}}, []int{3}, []int{0, 2}},
		{"duplicate", []Action{Pass, Duplicate}, 3, [][]int{{0, 1, 1, 2}}, []int{3}, []int{0, 1, 1, 2}},
		{"swap", []Action{Pass, Swap}, 3, [][]int{{0, 2, 1}}, []int{3}, []int{0, 2, 1}},
		{"swap twice", []Action{Swap, Swap}, 3, [][]int{{1, 0, 2}}, []int{3}, []int{1, 0, 2}},
		{"stall", []Action{Pass, Stall}, 3, [][]int{{0}, {1, 2}}, []int{1, 2}, []int{0, 1, 2}},
		{"stall first", []Action{Stall}, 2, [][]int{nil, {0, 1}}, []int{0, 2}, []int{0, 1}},
		{"close", []Action{Pass, Close}, 3, [][]int{{0}, {-1}}, []int{1}, []int{0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := mem.New(caps)
			if got := receive(t, New(m, List(c.script, nil)), m, c.n); !slices.EqualFunc(got, c.recv, slices.Equal[[]int]) {
				t.Errorf("Recv: got %v, want %v", got, c.recv)
			}
			m = mem.New(caps)
			calls, arrived := send(t, New(m, List(nil, c.script)), m, c.n)
			if !slices.Equal(calls, c.calls) || !slices.Equal(arrived, c.arrived) {
				t.Errorf("Send: got %v and frames %v, want %v and %v", calls, arrived, c.calls, c.arrived)
			}
		})
	}
}

// TestHeld sees that a frame to be swapped with the next comes even if there is none.
func TestHeld(t *testing.T) {
	m := mem.New(caps)
	if got := receive(t, New(m, List([]Action{Swap}, nil)), m, 1); !slices.EqualFunc(got, [][]int{nil, {0}}, slices.Equal[[]int]) {
		t.Errorf("got %v", got)
	}
}

func TestCorrupt(t *testing.T) {
	for n := range uint64(1000) {
		b := make([]byte, 15+n%50)
		corrupt(b, n)
		bits := 0
		for i, v := range b {
			for ; v != 0; v &= v - 1 {
				bits++
			}
			if i < 14 && bits != 0 {
				t.Fatal("the Ethernet header was changed")
			}
		}
		if bits != 1 {
			t.Fatalf("%d bits changed", bits)
		}
	}
	corrupt(make([]byte, 14), 1)
}

// TestRandom compares two runs of a script by chance, and counts.
func TestRandom(t *testing.T) {
	r := Rates{Drop: 100, Duplicate: 100, Swap: 50, Corrupt: 10, Stall: 20}
	a, b := Random(7, r), Random(7, r)
	var counts [Close + 1]int
	for n := range uint64(10000) {
		x := a(FromGuest, n)
		if y := b(FromGuest, n); x != y {
			t.Fatalf("frame %d: %d and %d with the same seed", n, x, y)
		}
		counts[x]++
	}
	if counts[Drop] < 800 || counts[Drop] > 1200 || counts[Pass] < 6800 || counts[Corrupt] == 0 || counts[Stall] == 0 {
		t.Errorf("counts %v for %+v", counts, r)
	}
}
