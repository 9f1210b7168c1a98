package flow

import (
	"slices"
	"testing"
)

func drain(o *Order, list int) (ids []uint32) {
	for {
		id, _, ok := o.Oldest(list)
		if !ok {
			return ids
		}
		ids = append(ids, id)
		o.Remove(id)
	}
}

func TestOrder(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(o *Order)
		want [2][]uint32
	}{
		{"empty", func(*Order) {}, [2][]uint32{}},
		{"in order of arrival", func(o *Order) { o.Move(0, 5, 1); o.Move(0, 1, 1); o.Move(0, 3, 1) }, [2][]uint32{{5, 1, 3}}},
		{"first moves to the end", func(o *Order) { o.Move(0, 0, 1); o.Move(0, 1, 1); o.Move(0, 0, 1) }, [2][]uint32{{1, 0}}},
		{"only one moves to the end", func(o *Order) { o.Move(0, 0, 1); o.Move(0, 0, 1) }, [2][]uint32{{0}}},
		{"to the other list", func(o *Order) { o.Move(0, 0, 1); o.Move(0, 1, 1); o.Move(0, 2, 1); o.Move(1, 1, 1) }, [2][]uint32{{0, 2}, {1}}},
		{"middle removed", func(o *Order) { o.Move(0, 0, 1); o.Move(0, 1, 1); o.Move(0, 2, 1); o.Remove(1) }, [2][]uint32{{0, 2}}},
		{"last removed", func(o *Order) { o.Move(0, 0, 1); o.Move(0, 1, 1); o.Remove(1); o.Move(0, 4, 1) }, [2][]uint32{{0, 4}}},
		{"unknown removed", func(o *Order) { o.Move(0, 7, 1); o.Remove(3); o.Remove(9) }, [2][]uint32{{7}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := NewOrder(2)
			c.do(o)
			for list := range 2 {
				if got := drain(o, list); !slices.Equal(got, c.want[list]) {
					t.Errorf("list %d: got %v, want %v", list, got, c.want[list])
				}
			}
		})
	}
	o := NewOrder(1)
	o.Move(0, 9, 77)
	if _, gen, _ := o.Oldest(0); gen != 77 {
		t.Errorf("generation: got %d, want 77", gen)
	}
}
