package flow

import (
	"encoding/binary"
	"math/bits"

	"passt/l3/inet"
)

// Key is what tells one flow from another: both ends as the guest sees them.
type Key struct {
	Guest, Remote inet.Endpoint
}

// Entry is a flow's place in a Table.
type Entry[T any] struct {
	Key  Key
	Val  T
	id   uint32
	gen  uint32 // changes each time the place is used again
	hash uint32
	live bool
}

// ID is the index of the place, for At.
func (e *Entry[T]) ID() uint32 { return e.id }

// Gen is the generation of the place, of 24 bits, for At.
func (e *Entry[T]) Gen() uint32 { return e.gen }

const chunkLen = 128

// cell is one cell of the index: the hash says whether a look at the slab is worth it.
type cell struct {
	hash uint32
	id   uint32 // plus one; 0 if the cell is empty
}

// Table is a table of flows. It belongs to one thread.
type Table[T any] struct {
	seed   [2]uint64
	cells  []cell // open addressing with linear probing; a power of two
	chunks []*[chunkLen]Entry[T]
	free   []uint32
	used   int // places ever used
	n      int
	max    int
}

// New makes a table of up to limit flows, whose hash the two random numbers of seed make
// unpredictable.
func New[T any](limit int, seed [2]uint64) *Table[T] {
	return &Table[T]{seed: seed, cells: make([]cell, 64), max: limit}
}

// Len is the number of flows.
func (t *Table[T]) Len() int { return t.n }

func (t *Table[T]) hash(k *Key) uint32 { return k.Digest(t.seed[0], t.seed[1]) }

// Digest is a hash of k that nobody without s0 and s1 can foresee.
func (k *Key) Digest(s0, s1 uint64) uint32 {
	le := binary.LittleEndian
	a, b := &k.Guest.Addr, &k.Remote.Addr
	h := mix(le.Uint64(a[:])^s0, le.Uint64(a[8:])^s1)
	h = mix(le.Uint64(b[:])^h, le.Uint64(b[8:])^s0)
	h = mix(h^(uint64(k.Guest.Port)<<16|uint64(k.Remote.Port)), s1|1)
	return uint32(h)
}

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0x9e3779b97f4a7c15, b^0xd1b54a32d192ed03)
	return hi ^ lo
}

// Lookup finds the flow of k, nil if there is none.
func (t *Table[T]) Lookup(k *Key) *Entry[T] {
	h := t.hash(k)
	mask := uint32(len(t.cells) - 1)
	for i := h & mask; t.cells[i].id != 0; i = (i + 1) & mask {
		if t.cells[i].hash == h {
			if e := t.at(t.cells[i].id - 1); e.Key == *k {
				return e
			}
		}
	}
	return nil
}

// At finds a flow by its place, nil if the place has had another use since.
func (t *Table[T]) At(id, gen uint32) *Entry[T] {
	if int(id) >= t.used {
		return nil
	}
	if e := t.at(id); e.live && e.gen == gen {
		return e
	}
	return nil
}

func (t *Table[T]) at(id uint32) *Entry[T] { return &t.chunks[id/chunkLen][id%chunkLen] }

// Insert makes a flow for k, which must not be in the table, with a zero Val. It returns
// nil if the table is full.
func (t *Table[T]) Insert(k Key) *Entry[T] {
	if t.n >= t.max {
		return nil
	}
	if t.n >= len(t.cells)/4*3 {
		t.grow()
	}
	var id uint32
	if n := len(t.free); n > 0 {
		id, t.free = t.free[n-1], t.free[:n-1]
	} else {
		id = uint32(t.used)
		if t.used%chunkLen == 0 {
			t.chunks = append(t.chunks, new([chunkLen]Entry[T]))
		}
		t.used++
	}
	e := t.at(id)
	var zero T
	e.Key, e.Val, e.id, e.live, e.hash = k, zero, id, true, t.hash(&k)
	e.gen = (e.gen + 1) & 0xffffff
	t.place(cell{e.hash, id + 1})
	t.n++
	return e
}

func (t *Table[T]) place(c cell) {
	mask := uint32(len(t.cells) - 1)
	i := c.hash & mask
	for t.cells[i].id != 0 {
		i = (i + 1) & mask
	}
	t.cells[i] = c
}

func (t *Table[T]) grow() {
	old := t.cells
	t.cells = make([]cell, 2*len(old))
	for _, c := range old {
		if c.id != 0 {
			t.place(c)
		}
	}
}

// Remove takes e out of the table, if it is still there. Its place is used again, under another
// generation.
func (t *Table[T]) Remove(e *Entry[T]) {
	if !e.live {
		return
	}
	mask := uint32(len(t.cells) - 1)
	i := e.hash & mask
	for t.cells[i].id != e.id+1 {
		i = (i + 1) & mask
	}
	// Close the gap: a later cell of the run moves up unless it would pass its own start.
	for j := (i + 1) & mask; t.cells[j].id != 0; j = (j + 1) & mask {
		if (j-t.cells[j].hash&mask)&mask >= (j-i)&mask {
			t.cells[i] = t.cells[j]
			i = j
		}
	}
	t.cells[i] = cell{}
	e.live = false
	t.free = append(t.free, e.id)
	t.n--
}

// All calls f for every flow; f may remove the one it is given.
func (t *Table[T]) All(f func(*Entry[T])) {
	for id := range t.used {
		if e := t.at(uint32(id)); e.live {
			f(e)
		}
	}
}
