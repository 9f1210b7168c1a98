package guest

// From the tap to the host: super-frames are cut, and checksums completed, into pieces of
// memory for sendmsg(2), two for each frame: its length, with the new headers of one that
// was cut, and what stays where the tap has put it. What the socket does not take waits, and
// with it the rest of the batch.

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"passt/l4/offload"
	"passt/link"
	"passt/link/sys"
)

const (
	batch     = 64 // frames from the tap
	lenLen    = 4  // bytes of the length before a frame
	maxPieces = 1024
	headSize  = 64 << 10 // for lengths and headers of maxPieces/2 frames, as they are mostly
)

// toHost is a batch on its way from the tap to the host.
type toHost struct {
	frames  [batch]link.Frame
	left    []link.Frame // those of frames that are not in pieces yet
	cutter  offload.Cutter
	segment int // of the first one left, the next to be cut; 0: not begun
	heads   []byte
	pieces  [maxPieces]sys.Iovec // as many as one call takes (UIO_MAXIOV)
	unsent  []sys.Iovec          // the end of pieces
	msg     unix.Msghdr
	dropped uint64 // frames that contradict themselves
}

func newToHost() toHost { return toHost{heads: make([]byte, headSize)} }

// forget drops what was not sent.
func (t *toHost) forget() { t.left, t.unsent, t.segment = nil, nil, 0 }

// fill makes pieces of the frames left, as far as there is room.
func (t *toHost) fill() {
	v, heads := t.pieces[:0], t.heads
	for len(t.left) > 0 && len(v)+2 <= maxPieces && len(heads) >= lenLen+offload.MaxHead {
		head, body := t.next(heads[lenLen:])
		if head+len(body) == 0 {
			t.dropped++
			continue
		}
		binary.BigEndian.PutUint32(heads, uint32(head+len(body)))
		v = sys.AddIovec(v, heads[:lenLen+head])
		v = sys.AddIovec(v, body)
		heads = heads[lenLen+head:]
	}
	t.unsent = v
}

// next takes one frame off those left: how many bytes of it are written to b, and what
// follows them. A frame of no bytes stands for one that contradicts itself.
func (t *toHost) next(b []byte) (head int, body []byte) {
	f := &t.left[0]
	if f.Meta.GSO == link.GSONone {
		t.left = t.left[1:]
		if offload.Finish(f) {
			body = f.B
		}
		return 0, body
	}
	if t.segment == 0 && !t.cutter.Set(f) {
		t.left = t.left[1:]
		return 0, nil
	}
	head, body = t.cutter.Segment(t.segment, b)
	if t.segment++; t.segment == t.cutter.Segments() {
		t.segment = 0
		t.left = t.left[1:]
	}
	return head, body
}

// fromTap sends a batch from the tap.
func (p *pump) fromTap() error {
	if p.waits {
		return nil
	}
	n, err := p.tap.Recv(p.out.frames[:])
	if err != nil {
		return tapError(err)
	}
	p.out.left = p.out.frames[:n]
	return p.send()
}

// send sends what is unsent, as far as the socket takes it.
func (p *pump) send() error {
	t := &p.out
	full := false
	for !full {
		if len(t.unsent) == 0 {
			if t.fill(); len(t.unsent) == 0 {
				break
			}
		}
		sys.SetMsg(&t.msg, nil, t.unsent, nil)
		n, e := sys.Sendmsg(p.host.FD(), &t.msg, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		switch e {
		case 0:
			t.unsent = sys.Advance(t.unsent, n)
		case unix.EINTR:
		case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM:
			full = true
		default:
			return link.ErrClosed
		}
	}
	if full != p.waits {
		p.waits = full
		host, guest := uint32(unix.EPOLLIN), uint32(unix.EPOLLIN)
		if full {
			host, guest = unix.EPOLLIN|unix.EPOLLOUT, 0
		}
		p.epoll.Mod(p.host.FD(), refHost, host)
		p.epoll.Mod(p.tap.FD(), refTap, guest)
	}
	return nil
}
