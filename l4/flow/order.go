package flow

// Order keeps entries of a Table in lists, each in the order of their last move to its
// end, so that the one unused for longest is found at once. It is what expiry and eviction
// need: within a list all flows have the same lifetime, so only the first can be due.
//
// Links are kept beside the Table, by the number of the entry's place, and so hold no
// pointers. An Order belongs to one thread.
type Order struct {
	links []orderLink
	ends  []orderEnds
}

type orderLink struct {
	prev, next int32 // places, or none
	gen        uint32
	list       int8 // or none
}

type orderEnds struct{ first, last int32 }

const none = -1

// NewOrder makes an Order of the given number of empty lists.
func NewOrder(lists int) *Order {
	o := &Order{ends: make([]orderEnds, lists)}
	for i := range o.ends {
		o.ends[i] = orderEnds{none, none}
	}
	return o
}

// Move puts the entry with the given place and generation at the end of a list, taking it
// out of the one that it is in, if any.
func (o *Order) Move(list int, id, gen uint32) {
	for int(id) >= len(o.links) {
		o.links = append(o.links, orderLink{list: none})
	}
	o.Remove(id)
	end := &o.ends[list]
	o.links[id] = orderLink{prev: end.last, next: none, gen: gen, list: int8(list)}
	if end.last == none {
		end.first = int32(id)
	} else {
		o.links[end.last].next = int32(id)
	}
	end.last = int32(id)
}

// Remove takes an entry out of its list, if it is in one.
func (o *Order) Remove(id uint32) {
	if int(id) >= len(o.links) || o.links[id].list == none {
		return
	}
	l := &o.links[id]
	end := &o.ends[l.list]
	if l.prev == none {
		end.first = l.next
	} else {
		o.links[l.prev].next = l.next
	}
	if l.next == none {
		end.last = l.prev
	} else {
		o.links[l.next].prev = l.prev
	}
	l.list = none
}

// Oldest is the first entry of a list, for Table.At; ok is false if the list is empty.
func (o *Order) Oldest(list int) (id, gen uint32, ok bool) {
	f := o.ends[list].first
	if f == none {
		return 0, 0, false
	}
	return uint32(f), o.links[f].gen, true
}
