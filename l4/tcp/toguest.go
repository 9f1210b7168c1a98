package tcp

// Data for the guest: peeked at in the socket's receive queue, straight into slots of the
// link, as large frames that the link segments where it can. The queue is the
// retransmission buffer: data leaves it when the guest has acknowledged it.

import (
	"syscall"

	"passt/l3"
	"passt/l4/sock"
	"passt/link"
)

// Acknowledged data may stay in the receive queue for a while, to save a system call for
// each small answer: this many bytes, after this many acknowledgements. The kernel counts
// whole buffers, into which it also merges what comes behind, so that one byte left of them
// holds the memory of all, and may close the window of the host's peer for good. So it
// is done only for a flow that has had nothing but small pieces for a while, one at a time,
// and sendLate takes what stays for too long.
const (
	keepPiece = 1 << 10
	keepBytes = 4 << 10
	keepAcks  = 8
	calmAfter = 4 // small pieces until it begins
)

// dataEnd is the sequence number behind the last byte of data ever sent.
func (c *Conn) dataEnd() uint32 {
	if c.has(sentFIN) {
		return c.sndMax - 1
	}
	return c.sndMax
}

// room is how much the guest's window has left.
func (c *Conn) guestRoom() int {
	return int(int32(c.sndUna + c.sndWnd - c.sndNxt))
}

// hasData says whether there is data to send, for the first time or again.
func (c *Conn) hasData() bool {
	return c.has(readable) && !c.has(hostEOF) || before(c.sndNxt, c.dataEnd())
}

// waits says whether there is data that the guest's window has no room for: the guest has to be
// asked for its window from time to time, as what tells that it has opened may be lost.
func (c *Conn) waits() bool { return c.guestRoom() <= 0 && c.hasData() }

// frameSize is the most payload of one frame to the guest, and the type of GSO that makes
// segments of it.
func (t *Translator) frameSize(c *Conn) (int, uint8) {
	v4 := c.tpl.Len() == l3.HeaderLen4
	gso, longest := uint8(link.GSONone), 65535-c.tpl.Len()-HeaderLen // as link.MaxFrame has it
	switch {
	case v4 && t.caps.Offload&link.OffloadTSO4 != 0:
		gso = link.GSOTCPv4
	case !v4 && t.caps.Offload&link.OffloadTSO6 != 0:
		gso = link.GSOTCPv6
	default:
		longest = int(c.mss)
	}
	return min(longest, t.caps.Body), gso
}

// pushData sends the guest what its window and the link allow.
func (t *Translator) pushData(e *entry, now int64) {
	c := &e.Val
	for c.hasData() {
		room := c.guestRoom()
		if room <= 0 || c.has(blocked) { // what is peeked for a full link is peeked in vain
			break
		}
		if !t.pushBatch(e, room, now) {
			break
		}
	}
}

// push sends the guest data, and the FIN behind the last of it.
func (t *Translator) push(e *entry, now int64) {
	c := &e.Val
	if t.pushData(e, now); c.state == closed {
		return
	}
	if c.has(hostEOF) && c.sndNxt == c.dataEnd() && (!c.has(sentFIN) || c.sndNxt != c.sndMax) {
		t.sendFIN(e, now)
	}
	if c.inFlight() > 0 {
		if c.deadline == 0 {
			t.arm(e, now+rto)
		}
	} else if c.waits() && c.deadline == 0 {
		t.arm(e, now+rto)
	}
}

// pushBatch sends up to room bytes in one batch of frames and says whether there may be
// more to send.
func (t *Translator) pushBatch(e *entry, room int, now int64) bool {
	c := &e.Val
	size, gso := t.frameSize(c)
	if c.retries > 0 {
		room = min(room, size)
	}
	k := min((room+size-1)/size, t.caps.Batch, maxSlots)
	if k = t.cfg.Net.Reserve(t.slots[:k], min(size, room)); k == 0 {
		t.block(e)
		return false
	}
	want := min(room, k*size)
	n, err := t.cfg.Sockets.Peek(int(c.fd), int(c.sndNxt-c.qHead), c.peekAt != c.sndNxt, t.bodiesOf(t.slots[:k], size, want))
	switch {
	case err == syscall.EAGAIN:
		c.clear(readable)
		c.peekAt = c.qHead - 1 // unknown: say where to peek next time
		return false
	case err != 0:
		t.abort(e, err.Error())
		return false
	case n == 0:
		c.set(hostEOF)
		c.peekAt = c.sndNxt // where the socket was made to peek
		return false
	}
	c.peekAt = c.sndNxt + uint32(n)
	if n > keepPiece || n == want || c.inFlight() > 0 {
		c.calm = 0
	} else {
		c.calm = min(c.calm+1, calmAfter)
	}
	if n < want && !c.has(hostClosing|urgent) && !before(c.peekAt, c.dataEnd()) {
		// Drained: the next edge tells of more. Not so where the end follows, which had its edge,
		// nor in front of urgent data, nor if what there is was peeked at before.
		c.clear(readable)
	}
	return t.sendData(e, n, size, gso, now)
}

// bodiesOf collects the memory of slots, size bytes of each and want in all.
func (t *Translator) bodiesOf(slots []link.Slot, size, want int) [][]byte {
	v := t.bodies[:0]
	for i := range slots {
		n := min(size, want)
		want -= n
		for _, b := range slots[i].Body {
			if n == 0 || len(v) == cap(v) {
				break
			}
			b = b[:min(n, len(b))]
			n -= len(b)
			v = append(v, b)
		}
	}
	return v
}

// sendData sends n bytes that were peeked into the first slots, size to each, and says
// whether the link took them all.
func (t *Translator) sendData(e *entry, n, size int, gso uint8, now int64) bool {
	c := &e.Val
	k, seq := 0, c.sndNxt
	for ; n > 0; k++ {
		s := &t.slots[k]
		s.Len = min(n, size)
		n -= s.Len
		fl := uint8(ACK)
		if n == 0 {
			fl |= PSH
		}
		t.put(e, s, seq, fl, 0)
		if s.Len > int(c.mss) {
			s.Meta.GSO, s.Meta.SegSize, s.Meta.HdrLen = gso, c.mss, uint16(len(s.Head))
		}
		seq += uint32(s.Len)
	}
	sent := t.cfg.Net.Send(t.slots[:k])
	for i := range sent {
		c.sndNxt += uint32(t.slots[i].Len)
		c.bytesOut += uint64(t.slots[i].Len)
	}
	c.sndMax = seqMax(c.sndMax, c.sndNxt)
	if sent > 0 {
		c.carried()
		c.lastSeen = now
	}
	if sent < k {
		c.set(readable) // what was peeked is there still
		t.block(e)
		return false
	}
	return c.retries == 0 // one frame at a time to a guest that does not answer
}

// discard takes what the guest has acknowledged off the receive queue.
func (t *Translator) discard(c *Conn) {
	end := c.sndUna
	if c.has(finAcked) {
		end--
	}
	if n := int32(end - c.qHead); n > 0 && c.state == established {
		t.cfg.Sockets.Discard(int(c.fd), int(n))
		c.qHead, c.kept = end, 0
	}
}

// discardOrKeep discards what the guest has acknowledged, or leaves it for later.
func (t *Translator) discardOrKeep(e *entry, now int64) {
	c := &e.Val
	n := c.sndUna - c.qHead
	if n == 0 {
		return
	}
	if c.kept++; c.calm < calmAfter || n >= keepBytes || c.kept >= keepAcks {
		t.discard(c)
		return
	}
	t.wait(e, now)
}

// block makes e wait for the link.
func (t *Translator) block(e *entry) {
	t.Stats.LinkFull++
	if c := &e.Val; !c.has(blocked) {
		c.set(blocked)
		t.blocked = append(t.blocked, e)
	}
}

// Blocked says whether a connection waits for the link to become writable.
func (t *Translator) Blocked() bool { return len(t.blocked) > 0 }

// LinkWritable goes on with the connections that waited for the link, at the next Flush.
func (t *Translator) LinkWritable() {
	for _, e := range t.blocked {
		if e.Val.state != closed && e.Val.has(blocked) {
			e.Val.clear(blocked)
			t.mark(e, 0)
		}
	}
	t.blocked = t.blocked[:0]
}

// Event handles events of a connection's socket. What it makes possible is done by Flush.
func (t *Translator) Event(ref sock.Ref, ev uint32, now int64) {
	e := t.conns.At(ref.ID(), ref.Aux())
	if e == nil {
		return
	}
	c := &e.Val
	if c.state == dialing {
		if ev&(sock.Err|sock.Hup) != 0 {
			if err := t.cfg.Sockets.Err(int(c.fd)); !wasConnected(err) {
				t.dialFailed(e, err, now)
				return
			}
			c.set(hostReset)
		} else if ev&sock.Out == 0 {
			return
		}
		t.connected(e, now) // and the same event may tell of data, or the end: a peer that speaks first
	}
	if ev&(sock.RdHup|sock.Hup) != 0 {
		c.set(hostClosing)
	}
	if ev&sock.Pri != 0 {
		c.set(urgent)
	}
	if ev&(sock.In|sock.Pri|sock.RdHup|sock.Hup) != 0 {
		c.set(readable)
		t.mark(e, 0)
	}
	if ev&sock.Err != 0 && t.failed(e, now) {
		return
	}
	if ev&sock.Out != 0 && c.has(waitRoom) {
		t.roomy(e)
	}
}

// failed handles an error of the socket and says whether e is over.
func (t *Translator) failed(e *entry, now int64) bool {
	err := t.cfg.Sockets.Err(int(e.Val.fd))
	switch {
	case err == 0:
		return false
	case e.Val.state == answering: // the guest takes nothing yet
		e.Val.set(hostReset)
		return false
	}
	t.broken(e, err, now)
	return true
}

// broken ends e, whose socket has failed: its peer is gone. What had arrived before that still
// goes to the guest, as far as its window allows: often it is the peer's reason, as of a server
// that refuses what the guest is still sending.
func (t *Translator) broken(e *entry, err syscall.Errno, now int64) {
	c := &e.Val
	if c.state == established {
		c.set(readable)
		t.pushData(e, now) // and no FIN: this is no orderly end
	}
	if c.state != closed {
		t.abort(e, err.Error())
	}
}
