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

// Pass sends one frame that was not made in slots of the device: the pieces v[1:], with the
// offloads m. v[0] is for the device. A frame that the kernel refuses is counted, and no error;
// any error is final, as for Send.
func (d *Dev) Pass(v []sys.Iovec, m *link.Meta) error {
	if d.f.VnetHdr > 0 {
		putVnetHdr(d.hdr[:], m)
		sys.SetIovec(&v[0], d.hdr[:])
	} else {
		v = v[1:]
	}
	if e := d.writev(v); e != 0 {
		if err := final(e); err != nil {
			return err
		}
		d.Stats.TxRefused++
	}
	return nil
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
	return d.writev(iov)
}

// writev gives the kernel the pieces of one frame, again if a signal came between.
func (d *Dev) writev(v []sys.Iovec) syscall.Errno {
	for {
		if _, e := sys.Writev(d.fd, v); e != unix.EINTR {
			return e
		}
	}
}
