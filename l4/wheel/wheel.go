package wheel

// Tick is the wheel's resolution in nanoseconds: no timer fires earlier than asked, or
// more than a tick later.
const Tick = 10_000_000

const slots = 1024 // a turn of the wheel takes about ten seconds

type node struct {
	ref  uint64
	due  int64 // in ticks
	next int32
}

// Wheel is a set of timers. It belongs to one thread. The zero Wheel is not ready: use New.
type Wheel struct {
	head  [slots]int32 // index into nodes of the first timer of a slot, or -1
	nodes []node
	free  int32
	now   int64 // ticks: everything due by then has fired
	count int
	soon  int64 // no timer is due before this tick; a hint that may be too early
}

// New makes a wheel whose time starts at now, in nanoseconds of any monotonic clock.
func New(now int64) *Wheel {
	w := &Wheel{free: -1, now: now / Tick}
	for i := range w.head {
		w.head[i] = -1
	}
	return w
}

// Add makes ref fire at the time at, in nanoseconds, or at the next tick if that has passed.
func (w *Wheel) Add(ref uint64, at int64) {
	due := max((at+Tick-1)/Tick, w.now+1)
	i := w.free
	if i >= 0 {
		w.free = w.nodes[i].next
	} else {
		w.nodes = append(w.nodes, node{})
		i = int32(len(w.nodes) - 1)
	}
	s := due % slots
	w.nodes[i] = node{ref: ref, due: due, next: w.head[s]}
	w.head[s] = i
	if w.count == 0 || due < w.soon {
		w.soon = due
	}
	w.count++
}

// Next is how many nanoseconds from now until Advance has something to do, perhaps sooner,
// never later; -1 if there are no timers.
func (w *Wheel) Next(now int64) int64 {
	if w.count == 0 {
		return -1
	}
	w.soon = max(w.soon, w.now+1)
	for end := w.now + slots; w.soon < end && w.head[w.soon%slots] < 0; w.soon++ {
	}
	return max(w.soon*Tick-now, 0)
}

// Advance appends to dst, which is usually empty with room to spare, what is due at now, up to
// the capacity of dst, and returns it. If dst came back full there may be more at once.
func (w *Wheel) Advance(dst []uint64, now int64) []uint64 {
	end := now / Tick
	for w.now < end {
		if w.count == 0 {
			w.now = end
			break
		}
		t := w.now + 1
		if end-t >= slots { // after a long sleep one turn visits every slot
			t = end - slots + 1
			w.now = t - 1
		}
		s := t % slots
		for p := &w.head[s]; *p >= 0; {
			i := *p
			n := &w.nodes[i]
			if n.due > end {
				p = &n.next
				continue
			}
			if len(dst) == cap(dst) {
				return dst
			}
			dst = append(dst, n.ref)
			*p = n.next
			n.next, w.free = w.free, i
			w.count--
		}
		w.now = t
	}
	return dst
}

// Len is the number of timers.
func (w *Wheel) Len() int { return w.count }
