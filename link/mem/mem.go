package mem

import (
	"fmt"

	"passt/link"
)

// poison is what memory is filled with that was borrowed and is so no longer.
const poison = 0xdb

// Dev is a link in memory and the test's end of it. All of it belongs to one thread.
type Dev struct {
	caps   link.Caps
	limit  int
	full   bool
	hungUp bool
	rxErr  error
	txErr  error

	in   queue // injected, not received yet
	lent queue // received by the last Recv
	out  queue // sent, not taken yet
	took queue // taken by the last Take

	head     []byte
	body     []byte
	pieces   [][1][]byte
	reserved []bool // slots of the last Reserve that were not sent yet
}

var _ link.Device = (*Dev)(nil)

// New makes a link with the capabilities caps.
func New(caps link.Caps) *Dev {
	return &Dev{
		caps:     caps,
		head:     make([]byte, caps.Batch*link.MaxHead),
		pieces:   make([][1][]byte, caps.Batch),
		reserved: make([]bool, 0, caps.Batch),
	}
}

// Inject puts a frame, which is copied, where Recv finds it.
func (d *Dev) Inject(b []byte, m link.Meta) {
	f := d.in.add()
	f.B, f.Meta = append(f.B, b...), m
}

// Pending is how many injected frames have not been received yet.
func (d *Dev) Pending() int { return len(d.in.f) }

// Sent is how many frames were sent and not taken yet.
func (d *Dev) Sent() int { return len(d.out.f) }

// Take returns what was sent since the last Take, in order. It is valid until the next.
func (d *Dev) Take() []link.Frame {
	d.took.drop()
	d.out, d.took = d.took, d.out
	return d.took.f
}

// SetLimit makes the link full while n frames were sent and not taken. 0 is no limit.
func (d *Dev) SetLimit(n int) { d.limit = n }

// SetFull makes the link full, whatever it holds, or ends that.
func (d *Dev) SetFull(full bool) { d.full = full }

// FailRecv makes every Recv return err, nil for none.
func (d *Dev) FailRecv(err error) { d.rxErr = err }

// FailSend makes every Send return err, nil for none.
func (d *Dev) FailSend(err error) { d.txErr = err }

// HangUp is the guest closing its end: what it had sent can still be received.
func (d *Dev) HangUp() { d.hungUp = true }

// FD implements link.Device.
func (d *Dev) FD() int { return -1 }

// Caps implements link.Device.
func (d *Dev) Caps() link.Caps { return d.caps }

// Recv implements link.Device.
func (d *Dev) Recv(dst []link.Frame) (int, error) {
	d.lent.drop()
	if d.rxErr != nil {
		return 0, d.rxErr
	}
	n := min(len(dst), len(d.in.f), d.caps.Batch)
	if n == 0 && d.hungUp {
		return 0, link.ErrClosed
	}
	for i := range n {
		f := d.lent.add()
		*f, d.in.f[i] = d.in.f[i], *f
		dst[i] = link.Frame{B: f.B[:len(f.B):len(f.B)], Meta: f.Meta}
	}
	d.in.shift(n)
	return n, nil
}

// Reserve implements link.Device.
func (d *Dev) Reserve(dst []link.Slot, size int) int {
	if size < 0 || size > d.caps.Body {
		panic(fmt.Sprintf("mem: Reserve of %d bytes; Caps().Body is %d", size, d.caps.Body))
	}
	n := min(len(dst), d.caps.Batch)
	if n*size > len(d.body) {
		d.body = make([]byte, n*size)
	}
	fill(d.head[:n*link.MaxHead])
	fill(d.body[:n*size])
	d.reserved = d.reserved[:n]
	for i := range dst[:n] {
		h := d.head[i*link.MaxHead : (i+1)*link.MaxHead : (i+1)*link.MaxHead]
		d.pieces[i][0] = d.body[i*size : (i+1)*size : (i+1)*size]
		d.reserved[i] = true
		dst[i] = link.Slot{Head: h, Body: d.pieces[i][:]}
	}
	return n
}

// Send implements link.Device.
func (d *Dev) Send(s []link.Slot) (int, error) {
	if d.txErr != nil {
		return 0, d.txErr
	}
	if d.hungUp {
		return 0, link.ErrClosed
	}
	n := 0
	for ; n < len(s) && !d.full && (d.limit == 0 || len(d.out.f) < d.limit); n++ {
		d.check(&s[n])
		f := d.out.add()
		f.B, f.Meta = append(f.B, s[n].Head...), s[n].Meta
		for _, p := range s[n].Body {
			left := s[n].Len - (len(f.B) - len(s[n].Head))
			f.B = append(f.B, p[:min(left, len(p))]...)
		}
	}
	return n, nil
}

// check panics if s is not a slot to send.
func (d *Dev) check(s *link.Slot) {
	i := 0
	for ; i < len(d.reserved); i++ {
		if len(s.Head) > 0 && &s.Head[0] == &d.head[i*link.MaxHead] {
			break
		}
	}
	room := 0
	for _, p := range s.Body {
		room += len(p)
	}
	m := &s.Meta
	switch {
	case i == len(d.reserved) || !d.reserved[i]:
		panic("mem: Send of a slot that is not of the last Reserve, or was sent before")
	case len(s.Head) < 14 || s.Len < 0 || s.Len > room || len(s.Head)+s.Len > link.MaxFrame:
		panic(fmt.Sprintf("mem: Send of %d+%d bytes in a slot of %d+%d", len(s.Head), s.Len, link.MaxHead, room))
	case need(m)&^d.caps.Offload != 0:
		panic(fmt.Sprintf("mem: Send of %+v, which this link can't do", *m))
	case m.Flags&link.NeedsCsum != 0 && int(m.CsumStart)+int(m.CsumOff)+2 > len(s.Head)+s.Len:
		panic(fmt.Sprintf("mem: checksum field outside of a frame of %d bytes: %+v", len(s.Head)+s.Len, *m))
	case m.GSO != link.GSONone && (m.SegSize == 0 || m.Flags&link.NeedsCsum == 0):
		panic(fmt.Sprintf("mem: incomplete description of a super-frame: %+v", *m))
	}
	d.reserved[i] = false
}

// need is what a link must be able to do to take a frame with m.
func need(m *link.Meta) (o link.Offload) {
	if m.Flags&link.NeedsCsum != 0 {
		o = link.OffloadCsum
	}
	switch m.GSO &^ link.GSOECN {
	case link.GSOTCPv4:
		o |= link.OffloadTSO4
	case link.GSOTCPv6:
		o |= link.OffloadTSO6
	case link.GSOUDPL4:
		o |= link.OffloadUSO4 // the type does not tell the IP version: links have both or none
	}
	return o
}

// Close implements link.Device.
func (d *Dev) Close() error {
	d.lent.drop()
	d.hungUp = true
	return nil
}

// queue is a list of frames whose memory is used again.
type queue struct {
	f    []link.Frame
	free [][]byte
}

// add appends an empty frame and returns it.
func (q *queue) add() *link.Frame {
	var b []byte
	if n := len(q.free); n > 0 {
		b, q.free = q.free[n-1], q.free[:n-1]
	}
	q.f = append(q.f, link.Frame{B: b[:0]})
	return &q.f[len(q.f)-1]
}

// shift removes the first n frames, which may hold memory swapped in from elsewhere.
func (q *queue) shift(n int) {
	for i := range q.f[:n] {
		q.free = append(q.free, q.f[i].B)
	}
	q.f = q.f[:copy(q.f, q.f[n:])]
}

// drop removes all frames and spoils their memory.
func (q *queue) drop() {
	for i := range q.f {
		fill(q.f[i].B)
	}
	q.shift(len(q.f))
}

// fill overwrites b.
func fill(b []byte) {
	if len(b) == 0 {
		return
	}
	b[0] = poison
	for n := 1; n < len(b); n *= 2 {
		copy(b[n:], b[:n])
	}
}
