package mem

import (
	"bytes"
	"errors"

	"passt/link"
)

// errNone is what Recv of a peer returns if the device has sent nothing.
var errNone = errors.New("nothing was sent")

// Peer is the test's end of a link in the form that package linktest wants: it takes one
// frame at a time.
type Peer struct{ d *Dev }

// Peer returns the test's end of d.
func (d *Dev) Peer() *Peer { return &Peer{d} }

// Send gives the device a frame to receive.
func (p *Peer) Send(b []byte, m link.Meta) error {
	p.d.Inject(b, m)
	return nil
}

// Recv returns a copy of the next frame that the device sent, or an error if there is none.
func (p *Peer) Recv() ([]byte, link.Meta, error) {
	if len(p.d.out.f) == 0 {
		return nil, link.Meta{}, errNone
	}
	f := p.d.out.f[0]
	b := bytes.Clone(f.B)
	p.d.out.shift(1)
	return b, f.Meta, nil
}

// MaxFrame is the longest frame that the link has, in bytes.
func (p *Peer) MaxFrame() int { return min(link.MaxFrame, p.d.caps.Body+14) }

// Close is the guest hanging up.
func (p *Peer) Close() error {
	p.d.HangUp()
	return nil
}
