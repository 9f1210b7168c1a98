package flow

import (
	"math/rand/v2"
	"testing"

	"passt/l3/inet"
)

func testKey(i int) Key {
	var k Key
	k.Guest.Port, k.Remote.Port = uint16(i), uint16(i>>16)
	k.Remote.Addr = inet.V4([]byte{10, 0, byte(i >> 8), byte(i)})
	return k
}

// TestAgainstMap compares the table with Go's own under random use.
func TestAgainstMap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	tab := New[int](1000, [2]uint64{1, 2})
	want := map[Key]int{}
	for i := range 100000 {
		k := testKey(r.IntN(1500))
		e := tab.Lookup(&k)
		v, ok := want[k]
		if (e != nil) != ok || ok && (e.Val != v || e.Key != k) {
			t.Fatalf("step %d: got %v, want %d, %v", i, e, v, ok)
		}
		switch {
		case e != nil && r.IntN(2) == 0:
			id, gen := e.ID(), e.Gen()
			tab.Remove(e)
			delete(want, k)
			if tab.At(id, gen) != nil {
				t.Fatalf("step %d: found by its place after its removal", i)
			}
		case e == nil && len(want) < 1000:
			e = tab.Insert(k)
			e.Val = i
			want[k] = i
			if tab.At(e.ID(), e.Gen()) != e {
				t.Fatalf("step %d: not found by its place", i)
			}
		case e == nil:
			if tab.Insert(k) != nil {
				t.Fatalf("step %d: more than the limit", i)
			}
		}
		if tab.Len() != len(want) {
			t.Fatalf("step %d: %d flows, want %d", i, tab.Len(), len(want))
		}
	}
	n := 0
	tab.All(func(e *Entry[int]) {
		n++
		tab.Remove(e)
	})
	if n != len(want) || tab.Len() != 0 {
		t.Errorf("visited %d of %d, %d left", n, len(want), tab.Len())
	}
}

func TestStalePlaces(t *testing.T) {
	tab := New[int](10, [2]uint64{1, 2})
	e := tab.Insert(testKey(1))
	id, gen := e.ID(), e.Gen()
	tab.Remove(e)
	if e = tab.Insert(testKey(2)); e.ID() != id || e.Gen() == gen {
		t.Errorf("place %d of generation %d, was %d of %d", e.ID(), e.Gen(), id, gen)
	}
	if tab.At(id, gen) != nil || tab.At(1000, 0) != nil {
		t.Error("found what is not there")
	}
}

func TestRemoveTwice(t *testing.T) {
	tab := New[int](10, [2]uint64{1, 2})
	tab.Insert(testKey(1))
	e := tab.Insert(testKey(2))
	tab.Remove(e)
	tab.Remove(e)
	if k := testKey(1); tab.Len() != 1 || tab.Lookup(&k) == nil {
		t.Errorf("%d flows, want the other one", tab.Len())
	}
	if a, b := tab.Insert(testKey(3)), tab.Insert(testKey(4)); a.ID() == b.ID() {
		t.Errorf("two flows at place %d", a.ID())
	}
}

func TestNoAllocation(t *testing.T) {
	tab := New[[100]byte](1000, [2]uint64{1, 2})
	for i := range 1000 {
		tab.Insert(testKey(i))
	}
	k := testKey(77)
	if n := testing.AllocsPerRun(1000, func() {
		tab.Remove(tab.Lookup(&k))
		tab.Insert(k)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkLookup(b *testing.B) {
	tab := New[[100]byte](100000, [2]uint64{1, 2})
	for i := range 50000 {
		tab.Insert(testKey(i))
	}
	i := 0
	for b.Loop() {
		k := testKey(i % 50000)
		tab.Lookup(&k)
		i += 7
	}
}
