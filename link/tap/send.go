package tap

// Sending. A write gives the kernel one frame, and the guest's side of the stack runs in
// the same system call: when it returns, the guest has the frame or has dropped it. So the
// link is never full, memory can be used again at once, and one header does for all.

import (
	"syscall"

	"golang.org/x/sys/unix"

	"passt/link"
	"passt/link/sys"
)

// Send implements link.Device. Frames that the kernel refuses are counted and left out.
func (d *Dev) Send(s []link.Slot) (int, error) {
	for i := range s {
		e := d.write(&s[i])
		for e == unix.EINTR {
			e = d.write(&s[i])
		}
		if e == 0 {
			continue
		}
		if e == unix.EAGAIN {
			return i, nil
		}
		if err := final(e); err != nil {
			return i, err
		}
		d.Stats.TxRefused++
	}
	return len(s), nil
}

// write sends one frame.
func (d *Dev) write(s *link.Slot) syscall.Errno {
	iov := d.iov[:0]
	if d.f.VnetHdr > 0 {
		putVnetHdr(d.hdr[:], &s.Meta)
		iov = sys.AddIovec(iov, d.hdr[:])
	} else if s.Meta.GSO != link.GSONone || s.Meta.Flags&link.NeedsCsum != 0 {
		return unix.EOPNOTSUPP // there is no way to say so
	}
	iov = sys.AddIovec(iov, s.Head)
	if s.Len > 0 {
		iov = sys.AddIovec(iov, s.Body[0][:s.Len])
	}
	_, e := sys.Writev(d.fd, iov)
	return e
}
