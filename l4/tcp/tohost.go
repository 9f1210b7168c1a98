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

	"passt/l4/sock"
)

const (
	// overhead is what the kernel counts for one buffer beside its payload, at most.
	overhead = 1280
	// askAfter is how much may be sent before the room is looked at again.
	askAfter = 16 << 10
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
				t.abort(e)
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
			c.set(full)
			fin = false
		}
		if n < total || total > askAfter || c.room < c.sndBuf/2 {
			t.askRoom(e)
		}
		if n < total {
			t.mark(e, ackNow)
		} else {
			t.acknowledgeTaken(e, now)
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
	size, free := t.cfg.Sockets.Room(int(c.fd))
	c.sndBuf, c.room = int32(size), int32(free)
	if free < size/3 || c.has(full) {
		c.set(waitRoom)
		t.cfg.Poller.Mod(int(c.fd), t.ref(e), sock.InOut)
	}
}

// roomy handles the event that askRoom waited for.
func (t *Translator) roomy(e *entry) {
	c := &e.Val
	c.clear(waitRoom)
	if c.has(full) {
		// What did not fit is lost to us, and the guest would notice by a timeout. Three
		// duplicates of an acknowledgement make it send again at once (RFC 5681, section 3.2).
		c.clear(full)
		c.dupAcks += 3
	}
	t.askRoom(e)
	t.mark(e, ackNow)
}

// advertise makes the window field for a segment with RCV.NXT as its acknowledgement, and
// moves the right edge. A quarter of the free room is kept for the kernel's overhead.
func (c *Conn) advertise() uint16 {
	c.rcvAck = c.rcvNxt
	if c.has(full) {
		return 0
	}
	w := max(c.room-c.room/4, 0)
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
