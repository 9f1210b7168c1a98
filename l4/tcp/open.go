package tcp

// The beginning of connections (RFC 9293, section 3.5). The guest's SYN is answered only
// when the host's socket is connected, so a connection that is refused there is refused
// here, with the same reason.

import (
	"syscall"

	"passt/l3"
	"passt/l3/inet"
	"passt/l4/flow"
	"passt/l4/hosterr"
	"passt/l4/sock"
	"passt/nat"
)

const (
	defaultMSS4 = 536  // RFC 9293, section 3.7.1
	defaultMSS6 = 1220 // the same
	leastMSS    = 88   // smaller ones, and 0, would only make the guest hurt itself
	rcvScale    = 8    // windows of up to 16 MiB, in steps of 256 bytes
	// firstRoom is what a new socket is taken to have room for if it does not tell.
	firstRoom = 64 << 10
	// hopsOnPurpose is the largest lifetime that is taken for a wish of the guest's user,
	// as of traceroute's, and not for a default.
	hopsOnPurpose = 32
)

// unknown handles a segment that belongs to no connection.
func (t *Translator) unknown(k *flow.Key, p *l3.Packet, now int64) {
	h := Header(p.L4)
	switch h.Flags() & (SYN | ACK | RST) {
	case SYN:
		t.open(k, p, now)
	case RST, RST | ACK, RST | SYN, RST | SYN | ACK:
		t.Stats.RxUnknown++
	default:
		t.Stats.RxUnknown++
		t.refuse(k, h)
	}
}

// open starts a connection that the guest asks for.
func (t *Translator) open(k *flow.Key, p *l3.Packet, now int64) {
	h := Header(p.L4)
	to, ok := t.cfg.Rules.FromGuest(l3.ProtoTCP, k.Guest, k.Remote)
	if !ok {
		t.Stats.Denied++
		if to.Prohibited {
			t.refuse(k, h)
			t.denied(k)
		}
		return
	}
	var hops uint8
	if p.TTL <= hopsOnPurpose {
		hops = max(p.TTL, 1) - 1
	}
	fd, err := t.cfg.Sockets.Dial(&to.Dst, to.Loopback, hops)
	if err != 0 {
		t.Stats.Refused++
		if kind, isICMP := unreachable(err); isICMP {
			t.cfg.Net.SendError(l3.ICMPError{Kind: kind}, p.B, now)
		} else {
			t.refuse(k, h)
		}
		return
	}
	e := t.start(k, fd, dialing, &to.Dst, now)
	if e == nil {
		t.refuse(k, h)
		return
	}
	t.Stats.FromGuest++
	c := &e.Val
	c.rcvNxt = h.Seq() + 1
	t.negotiate(c, h, true)
}

// denied tells who watches of a connection that the guest may not make.
func (t *Translator) denied(k *flow.Key) {
	if t.cfg.Watch != nil {
		t.cfg.Watch.Denied(flow.Passage{Proto: l3.ProtoTCP, Guest: k.Guest, Remote: k.Remote})
	}
}

// negotiate takes what the guest's SYN says. offered says whether we offer, or have
// offered, window scaling ourselves.
func (t *Translator) negotiate(c *Conn, h Header, offered bool) {
	o := h.options()
	c.mss = o.mss
	if c.mss == 0 {
		if c.mss = defaultMSS6; c.tpl.Len() == l3.HeaderLen4 {
			c.mss = defaultMSS4
		}
	}
	c.mss = min(max(c.mss, leastMSS), uint16(65535-c.tpl.Len()-HeaderLen))
	if o.hasScale && offered {
		c.sndScale, c.rcvScale = o.scale, rcvScale
		c.set(weWantScale)
	}
	c.sndWnd = uint32(h.Window()) // never scaled in a SYN
	c.wl1 = h.Seq()
}

// Accept starts a connection that the host accepted on a forwarded port: fd is connected
// to remote, with the local address local, and to is the target of the rule.
func (t *Translator) Accept(fd int, remote inet.Endpoint, local inet.Addr, to inet.Endpoint, now int64) {
	obs := nat.Observed(*t.cfg.Net.Guest())
	src, dst, ok := t.cfg.Rules.FromHost(l3.ProtoTCP, remote, local, to, &obs)
	k := flow.Key{Guest: dst, Remote: src}
	if !ok || t.conns.Lookup(&k) != nil {
		t.Stats.Refused++
		t.cfg.Sockets.End(fd, sock.Abort)
		return
	}
	e := t.start(&k, fd, offering, &remote, now)
	if e == nil {
		return
	}
	t.Stats.FromHost++
	t.firstLook(&e.Val)
	t.sendSYN(e)
	t.arm(e, now+synRTO)
}

// opening handles a segment for a connection that is not established. It returns true if
// it is now, and the segment is to be looked at like any other.
func (t *Translator) opening(e *entry, h Header, now int64) bool {
	c, fl := &e.Val, h.Flags()
	switch {
	case fl&RST != 0:
		t.openingReset(e, h)
	case c.state == answering && fl&SYN != 0: // sent again: ours was lost
		t.sendSYN(e)
	case c.state == answering && fl&ACK != 0:
		if h.Ack() != c.sndNxt {
			t.refuse(&e.Key, h)
			return false
		}
		c.sndWnd, c.wl1 = uint32(h.Window())<<c.sndScale, h.Seq()
		t.establish(e)
		return true
	case c.state == offering && fl&ACK != 0 && h.Ack() != c.sndNxt:
		// Without a SYN it is of an old connection, which the guest still has: a reset ends that,
		// and our next SYN is answered (RFC 9293, section 3.5.1).
		t.refuse(&e.Key, h)
	case c.state == offering && fl&(SYN|ACK) == SYN|ACK:
		c.rcvNxt = h.Seq() + 1
		c.rcvEdge = c.rcvNxt
		t.negotiate(c, h, true)
		t.establish(e)
		t.mark(e, ackNow)
	}
	return false
}

// openingReset handles a RST while the connection is not established (RFC 9293, section
// 3.10.7.3 for offering). The host's peer sees a reset as well.
func (t *Translator) openingReset(e *entry, h Header) {
	c := &e.Val
	if c.state == offering && (h.Flags()&ACK == 0 || h.Ack() != c.sndNxt) || c.state != offering && h.Seq() != c.rcvNxt {
		t.Stats.RxOutside++
		return
	}
	t.Stats.Refused++
	t.drop(e, sock.Abort, "refused by the guest")
}

func (t *Translator) establish(e *entry) {
	c := &e.Val
	c.state, c.sndUna, c.retries, c.deadline = established, c.sndNxt, 0, 0
	t.mark(e, 0)
}

// connected goes on with a connection of the guest whose socket is connected.
func (t *Translator) connected(e *entry, now int64) {
	c := &e.Val
	c.state, c.rcvEdge = answering, c.rcvNxt
	t.firstLook(c)
	t.sendSYN(e)
	t.arm(e, now+synRTO)
}

// wasConnected says whether err, of a socket that was connecting, is that of a peer that took the
// connection and has reset it since (net/ipv4/tcp_input.c, tcp_reset): the guest is to see it in
// this order too, with what the peer has said in between.
func wasConnected(err syscall.Errno) bool { return err == syscall.ECONNRESET || err == syscall.EPIPE }

// dialFailed tells the guest why its connection could not be made, which is err.
func (t *Translator) dialFailed(e *entry, err syscall.Errno, now int64) {
	t.Stats.Refused++
	kind, isICMP := unreachable(err)
	switch {
	case isICMP:
		t.sendICMP(e, kind, now)
	case err == syscall.ETIMEDOUT: // the guest has run out of patience, or will by itself
	default:
		t.sendReset(e)
	}
	t.drop(e, sock.Orderly, err.Error())
}

// unreachable is the ICMP error that a peer's network would have sent for err, if any. A
// refusal is a reset, not an ICMP error.
func unreachable(err syscall.Errno) (l3.ErrorKind, bool) {
	if err == syscall.ECONNREFUSED {
		return 0, false
	}
	return hosterr.FromErrno(err)
}

// sendICMP sends an ICMP error about the guest's SYN, which is gone: what an error quotes
// of it is made again.
func (t *Translator) sendICMP(e *entry, kind l3.ErrorKind, now int64) {
	c := &e.Val
	var b [l3.LinkLen + l3.HeaderLen6 + HeaderLen]byte
	var tpl l3.Template
	tpl.Make(e.Key.Guest.Addr, e.Key.Remote.Addr, l3.ProtoTCP, 64, 0)
	tpl.Put(b[:], HeaderLen)
	h := b[tpl.L4():]
	putHeader(h, e.Key.Guest.Port, e.Key.Remote.Port, c.rcvNxt-1, 0, SYN, 0)
	t.cfg.Net.SendError(l3.ICMPError{Kind: kind}, b[l3.LinkLen:tpl.L4()+HeaderLen], now)
}
