package tap

// Receiving. A read takes one frame, so a batch is a number of reads. Frames lie one after
// the other in the arena, each on a cache line of its own: small ones use little of it, and
// the memory that a batch touches stays in the cache from one batch to the next.
//
// How many reads? The obvious answer, until EAGAIN, costs a read that finds nothing for
// each batch. For a request and its answer the batch is one frame, and the useless read is
// one system call of eight. So the device stops before the queue is known to be empty, and
// leaves it to a level-triggered epoll to report what is left: that costs nothing, since
// the worker calls epoll_wait between batches anyway. When to stop is learnt from what
// arrives, see pace.

import (
	"syscall"

	"golang.org/x/sys/unix"

	"passt/link"
	"passt/link/sys"
)

// bulk is the length from which on a frame does not count against the budget, in bytes:
// beside the time to copy it, a read that finds nothing is small, and longer runs of one
// flow save more above.
const bulk = 4096

// Recv implements link.Device.
func (d *Dev) Recv(dst []link.Frame) (int, error) {
	n, off, left := 0, 0, d.pace.budget
	for range min(len(dst), batch) {
		if off+rxRoom > len(d.rx) {
			return n, nil
		}
		buf := d.rx[off : off+rxRoom : off+rxRoom]
		r, e := sys.Read(d.fd, buf)
		if e != 0 || r == 0 {
			d.pace.drained(n)
			if n > 0 || e == unix.EAGAIN || e == unix.EINTR {
				return n, nil // an error that ends the device comes again at the next call
			}
			return 0, readError(e)
		}
		if d.parse(&dst[n], buf[:r:r]) {
			n++
			off += (r + align - 1) &^ (align - 1)
		}
		if r < bulk {
			if left--; left == 0 {
				d.pace.filled(n)
				return n, nil
			}
		}
	}
	return n, nil
}

// readError is what to report for a read that ends the device; 0 stands for an end of file.
func readError(e syscall.Errno) error {
	if e == 0 || final(e) != nil {
		return link.ErrClosed
	}
	return e
}

// parse makes f the frame in b, and says whether it is one.
func (d *Dev) parse(f *link.Frame, b []byte) bool {
	h := d.f.VnetHdr
	switch {
	case len(b) == rxRoom || len(b)-h > link.MaxFrame:
		d.Stats.RxTooLong++
		return false
	case len(b) < h+etherLen:
		d.Stats.RxBad++
		return false
	}
	f.B = b[h:]
	if h == 0 {
		f.Meta = link.Meta{}
		return true
	}
	if !readVnetHdr(&f.Meta, b, len(f.B)) {
		d.Stats.RxBad++
		return false
	}
	return true
}

// pace decides how many small frames one Recv takes. It begins with one. Now and then a
// full batch is followed by one of twice the size, to see whether there is more: as long
// as there is, batches double up to the largest. A read that found nothing ends the try: it
// sets the size to what this batch and the full one before it held, so that a burst which
// took two batches fits into one the next time, and doubles the number of full batches until
// the next try. Traffic that comes frame by frame soon pays for one useless read in
// some thirty.
type pace struct {
	budget int // small frames that the next Recv may take
	last   int // frames of the last batch, if it was full
	wait   int // full batches between tries, a power of two
	left   int // full batches until the next try
}

const maxWait = 64

func newPace() pace { return pace{budget: 1, wait: 1} }

// drained notes that the queue was empty after n frames.
func (p *pace) drained(n int) {
	p.budget = min(max(p.last+n, 1), batch)
	p.last = 0
	p.wait = min(2*p.wait, maxWait)
	p.left = p.wait
}

// filled notes that a batch of n frames used up the budget.
func (p *pace) filled(n int) {
	p.last = n
	if p.left > 0 {
		p.left--
		return
	}
	if p.budget > 1 { // frames do come in bursts
		p.wait = 1
	}
	p.budget = min(2*p.budget, batch)
}
