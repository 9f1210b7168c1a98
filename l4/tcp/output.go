package tcp

// Segments to the guest without payload, and the header of those with (RFC 9293, section
// 3.1).

import (
	"encoding/binary"
	"syscall"

	"passt/l3"
	"passt/l4/flow"
	"passt/l4/sock"
	"passt/link"
)

// putHeader writes a TCP header without options and with a zero checksum.
func putHeader(h []byte, sport, dport uint16, seq, ack uint32, fl uint8, wnd uint16) {
	_ = h[HeaderLen-1]
	binary.BigEndian.PutUint16(h, sport)
	binary.BigEndian.PutUint16(h[2:], dport)
	binary.BigEndian.PutUint32(h[4:], seq)
	binary.BigEndian.PutUint32(h[8:], ack)
	h[12], h[13] = HeaderLen/4<<4, fl
	binary.BigEndian.PutUint16(h[14:], wnd)
	binary.BigEndian.PutUint32(h[16:], 0)
}

// put writes the headers of a segment of e with s.Len bytes of payload into s; opts bytes
// of options follow, which the caller has put behind the TCP header's place.
func (t *Translator) put(e *entry, s *link.Slot, seq uint32, fl uint8, opts int) {
	c := &e.Val
	wnd := c.advertise()
	if fl&SYN != 0 {
		wnd = uint16(min(c.wanted(), 65535)) // never scaled
		c.rcvEdge = c.rcvNxt + uint32(wnd)
	}
	ack := c.rcvNxt
	if fl&ACK == 0 {
		ack = 0
	}
	putHeader(s.Head[c.tpl.L4():], e.Key.Remote.Port, e.Key.Guest.Port, seq, ack, fl, wnd)
	t.finish(&c.tpl, s, opts)
}

// finish puts the IP header in front of a TCP header that is in place, and the checksum, or
// the request for it, into it.
func (t *Translator) finish(tpl *l3.Template, s *link.Slot, opts int) {
	off := tpl.L4()
	h := s.Head[off : off+HeaderLen+opts]
	h[12] = uint8(HeaderLen+opts) / 4 << 4
	s.Head = s.Head[:off+len(h)]
	pseudo := tpl.Put(s.Head, len(h)+s.Len)
	if t.caps.Offload&link.OffloadCsum != 0 {
		binary.BigEndian.PutUint16(h[16:], pseudo)
		s.Meta = link.Meta{Flags: link.NeedsCsum, CsumStart: uint16(off), CsumOff: 16}
		return
	}
	s.Meta = link.Meta{}
	sum := l3.SumPieces(l3.Sum(uint32(pseudo), h), s.Body, s.Len)
	binary.BigEndian.PutUint16(h[16:], ^l3.Fold(sum))
}

// emit sends a segment without payload and says whether the link took it.
func (t *Translator) emit(e *entry, seq uint32, fl uint8) bool {
	s := t.slots[:1]
	if t.cfg.Net.Reserve(s, 0) == 0 {
		t.block(e)
		return false
	}
	s[0].Len = 0
	t.put(e, &s[0], seq, fl, 0)
	if t.cfg.Net.Send(s) == 0 {
		t.block(e)
		return false
	}
	return true
}

// sendSYN sends our SYN, with an ACK unless the connection is offered to the guest. It
// counts the first time only.
func (t *Translator) sendSYN(e *entry) {
	c := &e.Val
	fl := uint8(SYN | ACK)
	if c.state == offering {
		fl = SYN
	}
	iss := c.sndNxt
	if c.sndMax != c.sndUna {
		iss = c.sndUna
	}
	c.sndNxt, c.sndMax = iss+1, iss+1
	s := t.slots[:1]
	if t.cfg.Net.Reserve(s, 0) == 0 {
		t.Stats.LinkFull++
		return // the timer tries again
	}
	s[0].Len = 0
	o := s[0].Head[c.tpl.L4()+HeaderLen:]
	n := 4
	o[0], o[1] = optMSS, 4
	binary.BigEndian.PutUint16(o[2:], c.rcvMSS)
	if c.has(weWantScale) || c.state == offering {
		o[4], o[5], o[6], o[7] = optNop, optScale, 3, rcvScale
		n = 8
	}
	t.put(e, &s[0], iss, fl, n)
	if t.cfg.Net.Send(s) == 0 {
		t.Stats.LinkFull++
	}
}

func (t *Translator) sendFIN(e *entry, now int64) {
	c := &e.Val
	if !t.emit(e, c.sndNxt, FIN|ACK) {
		return
	}
	c.carried()
	c.set(sentFIN)
	c.sndNxt++
	c.sndMax = seqMax(c.sndMax, c.sndNxt)
	c.lastSeen = now
}

// sendReset tells the guest that the connection is gone.
func (t *Translator) sendReset(e *entry) {
	c := &e.Val
	fl, seq := uint8(RST|ACK), c.sndNxt
	if c.state == dialing {
		seq = 0
	}
	t.Stats.ResetsSent++
	s := t.slots[:1]
	if t.cfg.Net.Reserve(s, 0) == 0 {
		t.Stats.LinkFull++
		return
	}
	s[0].Len = 0
	t.put(e, &s[0], seq, fl, 0)
	t.cfg.Net.Send(s)
}

// refuse answers a segment that belongs to no connection, or acknowledges nonsense, with a
// reset (RFC 9293, section 3.10.7.1).
func (t *Translator) refuse(k *flow.Key, h Header) {
	s := t.slots[:1]
	if t.cfg.Net.Reserve(s, 0) == 0 {
		t.Stats.LinkFull++
		return
	}
	t.Stats.ResetsSent++
	seq, ack, fl := uint32(0), h.Seq()+h.segLen(), uint8(RST|ACK)
	if h.Flags()&ACK != 0 {
		seq, ack, fl = h.Ack(), 0, RST
	}
	var tpl l3.Template
	tpl.Make(k.Remote.Addr, k.Guest.Addr, l3.ProtoTCP, 64, 0)
	s[0].Len = 0
	putHeader(s[0].Head[tpl.L4():], k.Remote.Port, k.Guest.Port, seq, ack, fl, 0)
	t.finish(&tpl, &s[0], 0)
	t.cfg.Net.Send(s)
}

// Flush ends a burst: acknowledged data is discarded, data is sent as far as it can be, and
// acknowledgements that nothing carried are sent.
func (t *Translator) Flush(now int64) {
	for i := 0; i < len(t.due); i++ {
		e := t.due[i]
		c := &e.Val
		c.clear(due)
		if c.state == established {
			t.flush(e, now)
		}
	}
	t.due = t.due[:0]
}

func (t *Translator) flush(e *entry, now int64) {
	c := &e.Val
	if c.has(hostReset) {
		t.broken(e, syscall.ECONNRESET, now)
		return
	}
	t.discardOrKeep(e, now)
	if t.push(e, now); c.state == closed {
		return
	}
	if c.has(ackNow) || c.dupAcks > 0 {
		t.acknowledge(e)
	}
	if c.has(gotFIN) && c.has(finAcked) && !c.has(ackNow) {
		t.drop(e, sock.Orderly, "closed")
	}
}

// acknowledge sends the acknowledgements that are due.
func (t *Translator) acknowledge(e *entry) {
	c := &e.Val
	n := int(c.dupAcks)
	if c.has(ackNow) {
		n++
	}
	for ; n > 0; n-- {
		if !t.emit(e, c.sndNxt, ACK) {
			return
		}
		if !c.has(ackNow) {
			c.dupAcks--
		}
		c.carried()
	}
}
