package stream

// Sending. A batch is one system call. A socket that is nearly full takes a part of it, which
// may end inside of a frame: the rest of that frame is kept and goes first the next time,
// since nothing else may come between. So at most one frame is ever stored, and a slot
// counts as sent once its first byte is.

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"passt/link"
	"passt/link/sys"
)

// Backlog says whether a part of a frame waits for room in the socket. Then a Send, of
// nothing if there is nothing else, is due once the descriptor is writable.
func (d *Dev) Backlog() bool { return len(d.rest) > 0 }

// Send implements link.Device. Slots are only read: the caller has them again after it.
func (d *Dev) Send(s []link.Slot) (int, error) {
	if d.fd < 0 {
		d.Stats.TxNoGuest += uint64(len(s))
		return len(s), nil
	}
	s = s[:min(len(s), batch)]
	iov := d.iov[:0]
	if len(d.rest) > 0 {
		iov = sys.AddIovec(iov, d.rest)
	}
	for i := range s {
		iov = d.add(iov, i, &s[i])
	}
	if len(iov) == 0 {
		return len(s), nil
	}
	sys.SetMsg(&d.msg, nil, iov, nil)
	n, e := sys.Sendmsg(d.fd, &d.msg, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	if e != 0 {
		return 0, ended(e)
	}
	return d.sent(s, n), nil
}

// add appends the frame in the i-th slot of a Send to v.
func (d *Dev) add(v []sys.Iovec, i int, s *link.Slot) []sys.Iovec {
	n := len(s.Head) + s.Len
	if n > link.MaxFrame {
		d.size[i] = 0
		d.Stats.TxTooLong++
		return v
	}
	d.size[i] = lenLen + n
	binary.BigEndian.PutUint32(d.lens[i][:], uint32(n))
	v = sys.AddIovec(v, d.lens[i][:])
	v = sys.AddIovec(v, s.Head)
	if s.Len > 0 {
		v = sys.AddIovec(v, s.Body[0][:s.Len])
	}
	return v
}

// sent returns how many slots went with n bytes, and keeps the rest of the last one.
func (d *Dev) sent(s []link.Slot, n int) int {
	if len(d.rest) > 0 {
		k := min(n, len(d.rest))
		d.rest = d.rest[k:]
		n -= k
		if len(d.rest) > 0 {
			return 0
		}
	}
	for i := range s {
		switch {
		case n >= d.size[i]:
			n -= d.size[i]
		case n == 0:
			return i
		default:
			d.keep(i, &s[i], n)
			return i + 1
		}
	}
	return len(s)
}

// keep stores the frame in the i-th slot without its first n bytes, which were sent.
func (d *Dev) keep(i int, s *link.Slot, n int) {
	d.Stats.TxPartial++
	b := append(d.left[:0], d.lens[i][:]...)
	b = append(b, s.Head...)
	if s.Len > 0 {
		b = append(b, s.Body[0][:s.Len]...)
	}
	d.rest = b[n:]
}
