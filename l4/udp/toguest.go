package udp

// From the host to the guest. Datagrams are received straight into the slots of the link,
// and their headers are written in front of them afterwards. A link that cuts trains itself
// gets them whole. What is longer than the guest's MTU takes another way, through memory
// of the translator, and arrives as fragments.

import (
	"encoding/binary"

	"passt/l3"
	"passt/l3/inet"
	"passt/l4/flow"
	"passt/l4/sock"
	"passt/link"
)

const (
	maxRead = 32 // datagrams of one read
	minRead = 2  // so that a single one is seen to be the last
	// portsTried is how many ports are tried for a peer whose endpoint, as the guest would
	// see it, is taken by another.
	portsTried = 16
	// errorsAtOnce is how many entries of an error queue are read at once.
	errorsAtOnce = 16
)

// Event handles events of the socket that ref stands for. What it leaves is reported again.
func (t *Translator) Event(ref sock.Ref, events uint32, now int64) {
	if events&sock.Err != 0 {
		t.errors(ref.ID(), ref.Aux(), now)
	}
	// An error that has no entry in the queue is taken by the read.
	if s := t.sockets.At(ref.ID(), ref.Aux()); s != nil {
		t.receive(s, now)
	}
}

// receive moves one batch of datagrams from s to the guest.
func (t *Translator) receive(s *socketEntry, now int64) {
	v := &s.Val
	size := min(t.caps.Body, t.cfg.MTU-l3.HeaderLen4-headerLen)
	if t.gro(v.wide, v.dual) {
		size = min(t.caps.Body, overLen-headerLen)
	}
	want := min(max(2*int(v.burst), minRead), t.batch)
	if got := t.cfg.Net.Reserve(t.slots[:want], size); got > 0 {
		want = got
	} else {
		// The link is full. What waits is dropped, as at any full interface: it would be
		// reported over and over.
		clear(t.slots[:want])
	}
	for i := range want {
		t.prepare(i)
	}
	n, err := t.cfg.Sockets.Recv(int(v.fd), t.in[:want])
	if err != 0 || n == 0 {
		v.burst = 0
		return
	}
	v.burst = uint16(n)
	if v.listener && t.cfg.Local != nil && t.divert(s, n, now) == n {
		return
	}
	if t.slots[0].Body == nil {
		t.Stats.LinkFull += uint64(n)
		return
	}
	t.deliver(s, n, now)
}

// divert gives those of the n datagrams that came from the host's loopback to cfg.Local, but
// for answers to the guest's own, and returns how many these were. They have no sender any
// more.
func (t *Translator) divert(s *socketEntry, n int, now int64) (gone int) {
	for i := 0; i < n; {
		d := &t.in[i]
		k := peerKey(s.ID(), d.From)
		if !d.From.Addr.IsLoopback() || t.peers.Lookup(&k) != nil {
			i++
			continue
		}
		j := i + 1
		for j < n && t.in[j].From == d.From {
			j++
		}
		v := &s.Val
		t.local = Listener{FD: int(v.fd), Bound: v.bound, Wide: v.wide, Dual: v.dual, To: v.to}
		t.cfg.Local(&t.local, t.in[i:j], now)
		for gone += j - i; i < j; i++ {
			t.in[i].From = inet.Endpoint{}
		}
	}
	return gone
}

// prepare makes the i-th place for a datagram: the body of its slot, and behind that as much
// of its place in over as the longest datagram may need.
func (t *Translator) prepare(i int) {
	d := &t.in[i]
	d.Body = t.slots[i].Body
	d.Body = d.Body[:min(len(d.Body), 2)]
	n := 0
	for _, b := range d.Body {
		n += len(b)
	}
	t.direct[i] = n
	d.Over = t.over[i*overLen+headerLen+min(n, overLen-headerLen) : (i+1)*overLen]
}

// deliver sends the n datagrams that were received to the guest.
func (t *Translator) deliver(s *socketEntry, n int, now int64) {
	var e *entry
	out, long := 0, n
	for i := range n {
		d := &t.in[i]
		if d.From == (inet.Endpoint{}) {
			e = nil // diverted
			continue
		}
		if i == 0 || e == nil || d.From != t.in[i-1].From || d.Local != t.in[i-1].Local {
			e = t.fromHost(s, d, now)
		}
		if e != nil && t.tooLong(e, i) {
			// From here on everything goes through memory, to stay in order.
			long = i
			break
		}
		if e == nil {
			continue
		}
		slot := &t.ready[out]
		*slot = t.slots[i]
		t.head(e, slot, d)
		e.Val.rcvd++
		out++
	}
	for i := long; i < n; i++ {
		t.stash(i)
	}
	if out > 0 {
		sent := t.cfg.Net.Send(t.ready[:out])
		t.Stats.ToGuest += uint64(sent)
		t.Stats.LinkFull += uint64(out - sent)
	}
	for i := long; i < n; i++ {
		if t.in[i].From == (inet.Endpoint{}) {
			continue
		}
		if e := t.fromHost(s, &t.in[i], now); e != nil {
			t.sendLong(e, i)
		}
	}
}

// tooLong says whether the i-th datagram does not fit into one packet, one of its train
// does not, or it did not fit into its slot.
func (t *Translator) tooLong(e *entry, i int) bool {
	d := &t.in[i]
	n := d.Len
	if d.Seg > 0 {
		n = d.Seg
	}
	return e.Val.toGuest.Len()+headerLen+n > t.cfg.MTU || d.Len > min(t.direct[i], sock.MaxPayload)
}

// head writes the headers of the datagram or train d in front of it.
func (t *Translator) head(e *entry, slot *link.Slot, d *sock.Datagram) {
	tpl := &e.Val.toGuest
	at := tpl.L4()
	slot.Head, slot.Len, slot.Meta = slot.Head[:at+headerLen], d.Len, link.Meta{}
	pseudo := tpl.Put(slot.Head, headerLen+d.Len)
	h := slot.Head[at:]
	putHeader(h, &e.Key, d.Len)
	if t.caps.Offload&link.OffloadCsum == 0 {
		binary.BigEndian.PutUint16(h[6:], finish(l3.SumPieces(l3.Sum(uint32(pseudo), h), slot.Body, d.Len)))
		return
	}
	binary.BigEndian.PutUint16(h[6:], pseudo)
	slot.Meta = link.Meta{Flags: link.NeedsCsum, CsumStart: uint16(at), CsumOff: 6}
	if d.Seg > 0 {
		slot.Meta.GSO, slot.Meta.HdrLen, slot.Meta.SegSize = link.GSOUDPL4, uint16(at+headerLen), uint16(d.Seg)
	}
}

// putHeader writes the UDP header of n bytes of payload, its checksum 0.
func putHeader(h []byte, k *flow.Key, n int) {
	binary.BigEndian.PutUint16(h, k.Remote.Port)
	binary.BigEndian.PutUint16(h[2:], k.Guest.Port)
	binary.BigEndian.PutUint16(h[4:], uint16(headerLen+n))
	h[6], h[7] = 0, 0
}

// finish makes the checksum of a sum. 0 would say that there is none (RFC 768).
func finish(sum uint32) uint16 {
	if c := ^l3.Fold(sum); c != 0 {
		return c
	}
	return 0xffff
}

// stash moves the i-th datagram out of its slot, which will soon not be ours any more.
func (t *Translator) stash(i int) {
	b := t.over[i*overLen+headerLen : (i+1)*overLen]
	n := 0
	for _, p := range t.in[i].Body {
		n += copy(b[n:], p[:min(len(p), max(t.in[i].Len-n, 0))])
	}
}

// sendLong sends the stashed i-th datagram, or those of its train, to the guest.
func (t *Translator) sendLong(e *entry, i int) {
	d := &t.in[i]
	seg := d.Seg
	if seg == 0 {
		seg = max(d.Len, 1)
	}
	tpl := &e.Val.toGuest
	for at := 0; at == 0 || at < d.Len; at += seg {
		n := min(seg, d.Len-at)
		// The header goes over the end of the datagram before, which has been sent.
		b := t.over[i*overLen+at:][:headerLen+n]
		putHeader(b, &e.Key, n)
		var head [link.MaxHead]byte
		pseudo := tpl.Put(head[:], len(b))
		binary.BigEndian.PutUint16(b[6:], finish(l3.Sum(uint32(pseudo), b)))
		t.fragID++
		if !l3.Fragment(t.cfg.Net, t.slots[:], tpl, b, t.cfg.MTU, t.fragID) {
			t.Stats.LinkFull++
			return
		}
		e.Val.rcvd++
		t.Stats.ToGuest++
	}
}

// fromHost finds or begins the flow of a datagram that was received on s.
func (t *Translator) fromHost(s *socketEntry, d *sock.Datagram, now int64) *entry {
	k := peerKey(s.ID(), d.From)
	if p := t.peers.Lookup(&k); p != nil {
		e := t.flows.At(p.Val.id, p.Val.gen)
		t.arrived(e, d, now)
		return e
	}
	src, dst, ok := t.cfg.Rules.FromHost(l3.ProtoUDP, d.From, d.Local, s.Val.to, t.obs)
	if !ok || !s.Val.listener && t.prohibited(dst, src) {
		t.Stats.Denied++
		return nil
	}
	key := flow.Key{Guest: dst, Remote: src}
	for range portsTried {
		e := t.flows.Lookup(&key)
		if e == nil {
			return t.beginFromHost(&key, s, d, now)
		}
		if e.Val.peer == d.From {
			// The same peer reached the guest by another socket: answers follow it.
			t.move(e, s)
			t.arrived(e, d, now)
			return e
		}
		// Another peer looks the same to the guest: this one gets another port.
		if key.Remote.Port++; key.Remote.Port == 0 {
			key.Remote.Port = 1024
		}
	}
	t.Stats.TableFull++
	return nil
}

// prohibited says whether the guest may not begin a flow to remote. Whoever finds the port of a
// socket of the guest's own flows may answer for their peers (RFC 4787, REQ-8), but must not
// make the guest reach what it is kept from.
func (t *Translator) prohibited(guest, remote inet.Endpoint) bool {
	to, _ := t.cfg.Rules.FromGuest(l3.ProtoUDP, guest, remote)
	return to.Prohibited
}

func (t *Translator) beginFromHost(key *flow.Key, s *socketEntry, d *sock.Datagram, now int64) *entry {
	at := place{s.ID(), s.Gen()}
	if !t.room(now) {
		return nil
	}
	if s = t.sockets.At(at.id, at.gen); s == nil { // closed to make room
		return nil
	}
	e := t.begin(key, s, d.From, hostInitiated, now)
	t.Stats.FromHost++
	e.Val.scope = d.Scope
	t.arrived(e, d, now)
	return e
}

// arrived notes that d came for e.
func (t *Translator) arrived(e *entry, d *sock.Datagram, now int64) {
	t.touch(e, now)
	c := &e.Val
	if c.flags&hostInitiated == 0 {
		t.reply(e, now)
	} else if source(&d.Local) {
		c.local = d.Local // answers come from where the peer sent to
	}
}

// source says whether a can be the source of an answer.
func source(a *inet.Addr) bool { return !a.IsZero() && a.IsUnicast() }

// move makes s the socket of e.
func (t *Translator) move(e *entry, s *socketEntry) {
	old := t.detach(e)
	t.attach(e, s)
	if old != nil && old.Val.flows == 0 && !old.Val.listener {
		t.opened--
		t.close(old)
	}
}
