package stream

// Receiving. One system call fills the arena with whatever there is, which is then taken
// apart without being copied. What is left at its end, a part of a frame, moves to the front
// before the next call: at most once for each arena, so bulk traffic copies an eighth of its
// bytes on average, and small frames next to nothing.
//
// A batch may hold fewer frames than the arena: as long as something is Buffered, a caller
// must come back before it waits for the descriptor, which knows nothing of what is here.

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"passt/link"
	"passt/link/sys"
)

// Recv implements link.Device.
func (d *Dev) Recv(dst []link.Frame) (int, error) {
	dst = dst[:min(len(dst), batch)]
	if d.fd < 0 || len(dst) == 0 {
		return 0, nil
	}
	if n := d.parse(dst); n > 0 {
		return n, nil
	}
	if d.err != nil {
		return 0, d.err
	}
	if d.begin > 0 {
		d.begin, d.end = 0, copy(d.rx, d.rx[d.begin:d.end])
	}
	r, e := sys.Recv(d.fd, d.rx[d.end:], unix.MSG_DONTWAIT)
	switch {
	case e != 0:
		return 0, ended(e)
	case r == 0:
		return 0, link.ErrClosed
	}
	d.end += r
	n := d.parse(dst)
	if n == 0 && d.err != nil {
		return 0, d.err
	}
	return n, nil
}

// Buffered says whether the next Recv finds a frame, or an error, without a system call.
func (d *Dev) Buffered() bool {
	if d.err != nil {
		return true
	}
	n := d.end - d.begin
	return n >= lenLen && uint64(n) >= lenLen+uint64(binary.BigEndian.Uint32(d.rx[d.begin:]))
}

// parse fills dst with the whole frames at the beginning of what was read. An impossible
// length sets d.err: what follows it can't be found again.
func (d *Dev) parse(dst []link.Frame) (n int) {
	for n < len(dst) && d.end-d.begin >= lenLen {
		l := int64(binary.BigEndian.Uint32(d.rx[d.begin:]))
		if l < minFrame || l > link.MaxFrame {
			d.Stats.RxBad++
			d.err = link.ErrProtocol
			d.begin = d.end
			break
		}
		at := d.begin + lenLen
		end := at + int(l)
		if end > d.end {
			break
		}
		dst[n] = link.Frame{B: d.rx[at:end:end]}
		n++
		d.begin = end
	}
	return n
}
