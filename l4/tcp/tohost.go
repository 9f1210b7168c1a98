package tcp

// Payload on its way to the host's socket, and the window that lets it come.
//
// The guest may send what the socket is sure to take: the part of its send buffer that is
// free, in the kernel's own accounting (net/core/stream.c: a socket takes data while
// sk_wmem_queued is below sk_sndbuf, and each buffer in the queue counts with its
// overhead). Whenever that is less than a third, the point where the kernel itself says
// "not writable", an event is armed that will tell when there is more: EPOLL_CTL_MOD makes
// the kernel look, and either reports the socket as writable at once or remembers that
// somebody waits for it (SOCK_NOSPACE), which is also what makes it enlarge the buffer.

import (
	"syscall"

	"passt/l3"
	"passt/l4/sock"
	"passt/link"
)

const (
	// overhead is what the kernel counts for one buffer beside its payload, at most.
	overhead = 1280
	// askAfter is how much may be sent before the room is looked at again.
	askAfter = 16 << 10
	// The cost of payload is in units of 1/costOne. It is unknown at first.
	costOne, costFirst, costMost = 64, 2 * 64, 64 * 64
)

// take gives the gathered pieces, which end before want, to the socket, and the FIN behind
// them, if fin.
func (t *Translator) take(e *entry, want uint32, fin bool, now int64) {
	c := &e.Val
	if total := int(want - c.rcvNxt); total > 0 {
		n, err := t.cfg.Sockets.Send(int(c.fd), t.pieces[:t.npieces])
		t.npieces = 0
		if err != 0 {
			if err != syscall.EAGAIN {
				t.broken(e, err, now)
				return
			}
			n = 0
		}
		c.rcvNxt += uint32(n)
		c.bytesIn += uint64(n)
		c.room -= int32(n + overhead)
		if n < total {
			// The window promised more than there was, as after many small segments that cost
			// more than they carry. The rest is asked for again as soon as there is room.
			t.Stats.RxDropped += uint64(total - n)
			c.set(full | losing)
			c.lostTo, fin = want, false
		}
		if n < total || total > askAfter || c.room < c.sndBuf/2 {
			t.askRoom(e)
		}
		if n < total {
			t.mark(e, ackNow)
		} else {
			t.acknowledgeTaken(e, now)
			t.askAgain(e)
		}
	}
	if fin {
		c.rcvNxt++
		c.set(gotFIN)
		t.cfg.Sockets.End(int(c.fd), sock.Half)
		if c.has(sentFIN) {
			t.mark(e, ackNow)
		} else {
			t.acknowledgeTaken(e, now) // the FIN of the host's peer is often near
		}
	}
}

// askRoom asks the socket how much it can take, and makes sure that an event will come if
// that is little.
func (t *Translator) askRoom(e *entry) {
	c := &e.Val
	size, taken, payload := t.cfg.Sockets.Room(int(c.fd))
	free := size - taken
	c.sndBuf, c.room = int32(size), int32(free)
	if payload > askAfter { // what was dear once may be so again: up at once, down by halves
		now := uint16(min(taken*costOne/payload, costMost))
		c.cost = max(now, (c.cost+now)/2)
	}
	if free < size/3 || c.has(full) {
		c.set(waitRoom)
		t.cfg.Poller.Mod(int(c.fd), t.ref(e), watched)
	}
}

// roomy handles the event that askRoom waited for.
func (t *Translator) roomy(e *entry) {
	c := &e.Val
	c.clear(waitRoom)
	c.clear(full)
	t.askAgain(e)
	t.askRoom(e)
	t.mark(e, ackNow)
}

// firstLook asks a socket that has just been connected what it can take, and chooses the
// largest segment to ask the guest for. A sender does not use a window smaller than its
// segment before a timer expires (RFC 9293, section 3.8.6.2.1), so a segment is no larger
// than what the socket takes whenever the kernel says that it is writable: a third of its
// buffer, less what payload costs there; the buffer starts out small and can only grow.
// Where the guest's frames may be larger than a segment anyway, little is lost by a
// moderate size.
func (t *Translator) firstLook(c *Conn) {
	size, taken, _ := t.cfg.Sockets.Room(int(c.fd))
	if size <= 0 {
		size = firstRoom
	}
	c.sndBuf, c.room = int32(size), int32(size-taken)
	gso := link.OffloadTSO6
	if c.tpl.Len() == l3.HeaderLen4 {
		gso = link.OffloadTSO4
	}
	mss := t.cfg.MTU - c.tpl.Len() - HeaderLen
	if t.caps.Offload&gso != 0 {
		mss = min(mss, gsoMSS)
	}
	c.rcvMSS = uint16(max(min(mss, size/4-2*overhead-1<<rcvScale), defaultMSS4))
}

// gsoMSS divides what a guest puts into one super-frame (65535 bytes less its headers)
// with little left over. It is small enough to fit into a third of the smallest buffers
// also where payload costs three times its size.
const gsoMSS = 4344

// wanted is the window that the socket is good for: what is free, divided by what a byte of
// payload has cost there so far, with an eighth to spare, or less to spare for one whole
// segment. Large buffers cost little more than they carry, segments that wait for the
// small window of a peer more than twice as much.
func (c *Conn) wanted() int32 {
	fits := int32(max(int64(c.room), 0) * costOne / int64(c.cost))
	return max(fits/8*7, min(int32(c.rcvMSS)+1<<rcvScale, fits-2*overhead))
}

// askAgain makes the guest send again what was dropped. It would notice by a timeout; three
// duplicates of an acknowledgement tell it at once (RFC 5681, section 3.2).
func (t *Translator) askAgain(e *entry) {
	c := &e.Val
	if !c.has(losing) {
		return
	}
	if !before(c.rcvNxt, c.lostTo) {
		c.clear(losing)
		return
	}
	c.dupAcks = max(c.dupAcks, 3)
	t.mark(e, ackNow)
}

// advertise makes the window field for a segment with RCV.NXT as its acknowledgement, and
// moves the right edge.
func (c *Conn) advertise() uint16 {
	c.rcvAck = c.rcvNxt
	if c.has(full) {
		return 0
	}
	if c.has(losing) && before(c.rcvNxt, c.lostTo) {
		// Nothing new until the holes are filled: the guest's recovery (RFC 6582) ends with what
		// was outstanding when it began, and a loss behind that would cost it a timeout.
		c.rcvEdge = seqMax(c.rcvEdge, c.lostTo)
		return uint16(min((c.lostTo-c.rcvNxt+1<<c.rcvScale-1)>>c.rcvScale, 65535))
	}
	w := c.wanted()
	edge := c.rcvNxt + uint32(w)>>c.rcvScale<<c.rcvScale
	c.rcvEdge = seqMax(c.rcvEdge, min32(edge, c.rcvNxt, 65535<<c.rcvScale))
	return uint16(min((c.rcvEdge-c.rcvNxt)>>c.rcvScale, 65535))
}

// min32 is edge, or base+most if edge is further from base.
func min32(edge, base, most uint32) uint32 {
	if edge-base > most {
		return base + most
	}
	return edge
}
