package fault

import (
	"bytes"

	"passt/link"
)

// Dev is a device with faults. It belongs to one thread.
type Dev struct {
	dev    link.Device
	script Script
	count  [2]uint64 // frames that the script was asked about, by direction
	closed bool

	in      []link.Frame // received from below and not passed up yet
	stalled []bool       // beside in: the next Recv ends before this frame
	held    *link.Frame  // received, to come after the next one
	batch   []link.Frame // memory for Recv of dev

	slots  []link.Slot // memory handed out by Reserve
	pieces [][1][]byte
	out    *link.Frame  // to be sent after the next one
	below  [1]link.Slot // a slot of dev

	Counts [Close + 1]uint64 // frames that met each action
}

var _ link.Device = (*Dev)(nil)

// New puts faults on dev, as script says.
func New(dev link.Device, script Script) *Dev {
	n := dev.Caps().Batch
	return &Dev{dev: dev, script: script, batch: make([]link.Frame, n), pieces: make([][1][]byte, n)}
}

// FD implements link.Device.
func (d *Dev) FD() int { return d.dev.FD() }

// Caps implements link.Device.
func (d *Dev) Caps() link.Caps { return d.dev.Caps() }

// Close implements link.Device.
func (d *Dev) Close() error { return d.dev.Close() }

// ask asks the script about the next frame of a direction.
func (d *Dev) ask(dir Direction) (Action, uint64) {
	n := d.count[dir]
	d.count[dir]++
	a := d.script(dir, n)
	d.Counts[a]++
	return a, n
}

// Recv implements link.Device.
func (d *Dev) Recv(dst []link.Frame) (int, error) {
	if len(d.in) == 0 && !d.closed && len(dst) > 0 {
		got, err := d.dev.Recv(d.batch[:min(len(dst), len(d.batch))])
		if err != nil {
			return 0, err
		}
		if got == 0 && d.held != nil { // no next one came
			d.arrive(*d.held, false)
			d.held = nil
		}
		for _, f := range d.batch[:got] {
			if d.closed {
				break
			}
			d.meet(link.Frame{B: bytes.Clone(f.B), Meta: f.Meta})
		}
	}
	n := 0
	for n < len(dst) && n < len(d.in) {
		if d.stalled[n] {
			d.stalled[n] = false
			break
		}
		dst[n] = d.in[n]
		n++
	}
	d.in, d.stalled = d.in[n:], d.stalled[n:]
	if n == 0 && d.closed && len(d.in) == 0 {
		return 0, link.ErrClosed
	}
	return n, nil
}

// meet does to a received frame what the script says.
func (d *Dev) meet(f link.Frame) {
	a, n := d.ask(FromGuest)
	switch a {
	case Drop:
		return
	case Swap:
		if d.held == nil {
			d.held = &f
			return
		}
	case Corrupt:
		corrupt(f.B, n)
	case Close:
		d.closed = true
		return
	}
	d.arrive(f, a == Stall)
	if a == Duplicate {
		d.arrive(link.Frame{B: bytes.Clone(f.B), Meta: f.Meta}, false)
	}
	if d.held != nil {
		h := *d.held
		d.held = nil
		d.arrive(h, false)
	}
}

func (d *Dev) arrive(f link.Frame, stalled bool) {
	f.B = f.B[:len(f.B):len(f.B)]
	d.in, d.stalled = append(d.in, f), append(d.stalled, stalled)
}

// Reserve implements link.Device. The memory is not that of the device below, since a
// frame may be sent twice, or late.
func (d *Dev) Reserve(dst []link.Slot, size int) int {
	n := d.dev.Reserve(dst, size)
	for len(d.slots) < n {
		d.slots = append(d.slots, link.Slot{Head: make([]byte, link.MaxHead)})
	}
	for i := range n {
		b := d.pieces[i][0]
		if cap(b) < size {
			b = make([]byte, size)
		}
		d.pieces[i][0] = b[:size]
		dst[i] = link.Slot{Head: d.slots[i].Head, Body: d.pieces[i][:]}
	}
	return n
}

// Send implements link.Device.
func (d *Dev) Send(s []link.Slot) (int, error) {
	for i := range s {
		if d.closed {
			return i, link.ErrClosed
		}
		a, n := d.ask(ToGuest)
		if a == Stall {
			return i, nil
		}
		if a == Close {
			d.closed = true
			return i, link.ErrClosed
		}
		ok, err := d.deliver(a, n, &s[i])
		if !ok || err != nil {
			return i, err
		}
	}
	return len(s), nil
}

// deliver sends the frame in s with what the script says of it. ok is false if the link
// below is full, and then nothing has happened.
func (d *Dev) deliver(a Action, n uint64, s *link.Slot) (ok bool, err error) {
	f := link.Frame{B: bytes.Clone(s.Head), Meta: s.Meta}
	if s.Len > 0 {
		f.B = append(f.B, s.Body[0][:s.Len]...)
	}
	switch a {
	case Drop:
		return true, nil
	case Swap:
		if d.out == nil {
			d.out = &f
			return true, nil
		}
	case Corrupt:
		corrupt(f.B, n)
	}
	if ok, err = d.send(&f, len(s.Head)); !ok || err != nil {
		d.count[ToGuest]--
		d.Counts[a]--
		return false, err
	}
	if a == Duplicate {
		d.send(&f, len(s.Head)) // if the link is full by now, the second one is lost
	}
	if d.out != nil {
		d.send(d.out, min(len(d.out.B), link.MaxHead))
		d.out = nil
	}
	return true, nil
}

// send sends f, its first head bytes as the head, on the device below.
func (d *Dev) send(f *link.Frame, head int) (ok bool, err error) {
	if d.dev.Reserve(d.below[:], len(f.B)-head) == 0 {
		return false, nil
	}
	s := &d.below[0]
	s.Head = s.Head[:copy(s.Head, f.B[:head])]
	s.Len = len(f.B) - head
	s.Meta = f.Meta
	b := f.B[head:]
	for _, p := range s.Body {
		b = b[copy(p, b):]
	}
	n, err := d.dev.Send(d.below[:])
	return n == 1, err
}

// corrupt changes one bit of b behind the Ethernet header, which one depends on n.
func corrupt(b []byte, n uint64) {
	if len(b) > 14 {
		b[14+n*2654435761%uint64(len(b)-14)] ^= 1 << (n % 8)
	}
}
