package tcp

// Segments from the guest (RFC 9293, section 3.10.7; RFC 5961 for what an attacker might
// send). A batch is taken in runs of one connection: one look-up, and one call of the
// host's socket for the payload of the whole run.

import (
	"encoding/binary"

	"passt/l3"
	"passt/l3/inet"
	"passt/l4/flow"
	"passt/l4/sock"
	"passt/link"
)

// Input takes a batch of TCP segments from the guest. Acknowledgements wait for Flush.
func (t *Translator) Input(batch []l3.Packet, now int64) {
	for len(batch) > 0 {
		p := &batch[0]
		if !t.valid(p) {
			t.Stats.RxBad++
			batch = batch[1:]
			continue
		}
		h := Header(p.L4)
		k := flow.Key{Guest: inet.Endpoint{Addr: p.Src, Port: h.SrcPort()}, Remote: inet.Endpoint{Addr: p.Dst, Port: h.DstPort()}}
		e := t.conns.Lookup(&k)
		if e == nil {
			t.unknown(&k, p, now)
			batch = batch[1:]
			continue
		}
		n := 1
		for n < len(batch) && sameFlow(p, &batch[n]) {
			n++
		}
		t.run(e, batch[:n], now)
		batch = batch[n:]
	}
}

// sameFlow says whether q belongs to the same connection as p, which is valid.
func sameFlow(p, q *l3.Packet) bool {
	return len(q.L4) >= HeaderLen && binary.NativeEndian.Uint32(p.L4) == binary.NativeEndian.Uint32(q.L4) &&
		p.Src == q.Src && p.Dst == q.Dst
}

// valid checks the header and, unless the link vouches for it, the checksum.
func (t *Translator) valid(p *l3.Packet) bool {
	if !Header(p.L4).Valid() {
		return false
	}
	if p.Meta.Flags&(link.NeedsCsum|link.DataValid) != 0 {
		return true
	}
	return l3.Fold(l3.Sum(l3.PseudoSum(&p.Src, &p.Dst, l3.ProtoTCP, len(p.L4)), p.L4)) == 0xffff
}

// run takes consecutive segments of one connection, of which the first is valid.
func (t *Translator) run(e *entry, segs []l3.Packet, now int64) {
	c := &e.Val
	c.lastSeen = now
	want, fin := c.rcvNxt, false
	t.npieces = 0
	for i := range segs {
		if i > 0 && !t.valid(&segs[i]) {
			t.Stats.RxBad++
			continue
		}
		h := Header(segs[i].L4)
		if c.state != established {
			more := t.opening(e, h, now)
			if c.state == closed {
				return
			}
			if want = c.rcvNxt; !more {
				continue
			}
		}
		if h.Flags()&(RST|SYN) != 0 {
			if t.resetOrSyn(e, h, want) {
				return
			}
			continue
		}
		if h.Flags()&ACK == 0 || !t.acked(e, h, now) {
			continue
		}
		if c.state == closed { // what was to be sent again is gone, and the socket with it
			return
		}
		if t.npieces == maxPieces {
			if t.take(e, want, false, now); c.state == closed || c.rcvNxt != want {
				return
			}
		}
		want, fin = t.gather(e, h, want, fin)
	}
	t.take(e, want, fin, now)
}

// gather adds the payload of h, as far as it continues at want and lies inside the window,
// to the pieces for the socket. It returns what is expected next, and whether a FIN stands
// there.
func (t *Translator) gather(e *entry, h Header, want uint32, fin bool) (uint32, bool) {
	c, b, seq := &e.Val, h.Payload(), h.Seq()
	hasFIN := h.Flags()&FIN != 0
	if len(b) == 0 && !hasFIN {
		if seq != want { // a probe of the window, or of whether we live (RFC 9293, section 3.8.4)
			t.mark(e, ackNow)
		}
		return want, fin
	}
	if fin || c.has(gotFIN) || before(seq+uint32(len(b)), want) || seq+uint32(len(b)) == want && !hasFIN {
		t.Stats.RxOutside++ // sent again, or behind the FIN
		t.mark(e, ackNow)
		return want, fin
	}
	if before(want, seq) { // a hole: one duplicate acknowledgement for each (RFC 5681, section 4.2)
		t.Stats.RxOutside++
		if c.has(losing) {
			c.lose(seq + uint32(len(b)))
			c.dupAcks += 2 // the guest is to notice at once, also by the only segment that follows
		}
		c.dupAcks = min(c.dupAcks+1, 100)
		t.mark(e, 0)
		return want, fin
	}
	b = b[want-seq:]
	if room := int(c.rcvEdge - want); len(b) > room || c.has(full) {
		if c.has(full) {
			room = 0
			c.lose(want + uint32(len(b)))
		}
		t.Stats.RxOutside++
		b, hasFIN = b[:room], false
		t.mark(e, ackNow)
	}
	if len(b) > 0 {
		t.pieces[t.npieces] = b
		t.npieces++
	}
	return want + uint32(len(b)), hasFIN
}

// lose notes that what the guest has sent before end, as far as the window allowed it, is to
// be sent again.
func (c *Conn) lose(end uint32) { c.lostTo = seqMax(c.lostTo, seqMin(end, c.rcvEdge)) }

// resetOrSyn handles a RST or SYN on an established connection, and says whether it is
// over (RFC 5961, sections 3 and 4).
func (t *Translator) resetOrSyn(e *entry, h Header, want uint32) bool {
	c := &e.Val
	switch {
	case h.Flags()&RST == 0: // a SYN: the guest may have been restarted, and will tell
		t.mark(e, ackNow)
	case h.Seq() == want || h.Seq() == c.rcvNxt:
		t.flushPieces(e)
		t.drop(e, sock.Abort, "reset by the guest")
		return true
	case h.Seq()-c.rcvNxt < c.window():
		t.mark(e, ackNow)
	default:
		t.Stats.RxOutside++
	}
	return false
}

// flushPieces gives the socket what was gathered before a reset.
func (t *Translator) flushPieces(e *entry) {
	if t.npieces > 0 {
		t.cfg.Sockets.Send(int(e.Val.fd), t.pieces[:t.npieces])
		t.npieces = 0
	}
}

// acked takes the acknowledgement and the window of h. It returns false if h is to be
// dropped: it acknowledges what was never sent.
func (t *Translator) acked(e *entry, h Header, now int64) bool {
	c, ack, seq := &e.Val, h.Ack(), h.Seq()
	if before(c.sndMax, ack) {
		t.Stats.RxOutside++
		t.mark(e, ackNow)
		return false
	}
	if before(ack, c.sndUna) {
		return true // old, but its payload may be new
	}
	wnd := uint32(h.Window()) << c.sndScale
	// What acknowledges more was sent later, whatever its sequence number: data sent again has an old one.
	newer := ack != c.sndUna || !before(seq, c.wl1)
	switch {
	case ack != c.sndUna:
		t.advance(e, ack, now)
	case wnd == 0: // full, but it lives, and may be full for as long as it likes (RFC 9293, section 3.8.6.1)
		c.retries = min(c.retries, probeRetries)
	case c.inFlight() > 0 && wnd == c.sndWnd && h.segLen() == 0:
		if c.guestDup++; c.guestDup == 3 {
			t.fastRetransmit(e, now)
		}
	}
	if newer {
		if wnd > c.sndWnd {
			if c.inFlight() == 0 { // what the window lets go now is no retry
				c.retries, c.deadline = 0, 0
			}
			t.mark(e, 0)
		}
		c.sndWnd, c.wl1 = wnd, seq
	}
	return true
}

// advance moves SND.UNA to ack, which is new.
func (t *Translator) advance(e *entry, ack uint32, now int64) {
	c := &e.Val
	c.sndUna = ack
	c.sndNxt = seqMax(c.sndNxt, ack)
	c.retries, c.guestDup = 0, 0
	if c.has(sentFIN) && ack == c.sndMax {
		c.set(finAcked)
	}
	if c.has(recovering) {
		if before(ack, c.recover) {
			t.resend(e, now) // the next hole of the same loss (RFC 6582, section 3.2)
		} else {
			c.clear(recovering)
		}
	}
	c.deadline = 0
	if c.inFlight() > 0 {
		t.arm(e, now+rto)
	}
	t.mark(e, 0)
}
