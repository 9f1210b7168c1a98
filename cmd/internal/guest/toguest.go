package guest

// From the host to the tap: what came by one receive is looked through for segments that
// are one super-frame to the tap, and each frame is one write. Nothing waits for more to
// come.

import (
	"passt/l4/offload"
	"passt/link"
	"passt/link/sys"
	"passt/link/tap"
)

// atOnce is how many frames of a receive are looked at together: more than fill the
// stream's memory at an MTU of 1500 bytes.
const atOnce = 192

// toGuest is a batch on its way from the host to the tap.
type toGuest struct {
	frames [atOnce]link.Frame
	pieces [1 + atOnce]sys.Iovec
	joins  bool // the tap takes super-frames
}

func newToGuest(dev *tap.Dev) toGuest {
	const tso = link.OffloadTSO4 | link.OffloadTSO6
	return toGuest{joins: dev.Caps().Offload&tso == tso}
}

// fromHost writes what came from the host to the tap.
func (p *pump) fromHost() error {
	for {
		n, err := p.host.Recv(p.in.frames[:])
		if err != nil {
			return err
		}
		for left := p.in.frames[:n]; len(left) > 0; {
			n, m := p.in.next(left)
			if err := p.tap.Pass(p.in.pieces[:1+n], &m); err != nil {
				return tapError(err)
			}
			left = left[n:]
		}
		if !p.host.Buffered() {
			return nil
		}
	}
}

// next makes pieces of the frames at the beginning of left that the tap takes as one, and
// returns how many these are, and how it has to take them. The first piece is the tap's.
func (t *toGuest) next(left []link.Frame) (n int, m link.Meta) {
	n = 1
	if t.joins {
		n, m = offload.Join(left)
	}
	sys.SetIovec(&t.pieces[1], left[0].B)
	for i := 1; i < n; i++ {
		sys.SetIovec(&t.pieces[1+i], left[i].B[m.HdrLen:])
	}
	return n, m
}
