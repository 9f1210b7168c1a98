package udp

// From the guest to the host (RFC 768; RFC 8200, section 8.1). Datagrams of one flow that
// follow each other are a run: one look-up, and as few calls as their sizes allow.

import (
	"encoding/binary"
	"syscall"

	"passt/l3"
	"passt/l3/inet"
	"passt/l4/flow"
	"passt/l4/hosterr"
	"passt/l4/sock"
	"passt/link"
)

const (
	headerLen = 8
	maxRun    = sock.MaxBatch
)

// run is a run of datagrams of one flow.
type run struct {
	n    int
	key  flow.Key
	data [maxRun][]byte     // payloads
	from [maxRun]*l3.Packet // where each came
}

// Input takes a batch of UDP packets from the guest. Nothing of it is kept.
func (t *Translator) Input(batch []l3.Packet, now int64) {
	r := &t.run
	for i := range batch {
		p := &batch[i]
		data, ok := t.payload(p)
		if !ok {
			t.Stats.RxBad++
			continue
		}
		train := p.Meta.GSO == link.GSOUDPL4
		if r.n > 0 && (train || r.n == maxRun || !r.takes(p)) {
			t.flush(now)
		}
		if r.n == 0 {
			r.key = keyOf(p)
		}
		r.data[r.n], r.from[r.n] = data, p
		r.n++
		if train {
			t.unroll(p, data, now)
		}
	}
	if r.n > 0 {
		t.flush(now)
	}
}

func keyOf(p *l3.Packet) flow.Key {
	return flow.Key{
		Guest:  inet.Endpoint{Addr: p.Src, Port: binary.BigEndian.Uint16(p.L4)},
		Remote: inet.Endpoint{Addr: p.Dst, Port: binary.BigEndian.Uint16(p.L4[2:])},
	}
}

// takes says whether p belongs to the run: the same flow, and the same in what one call
// says for all of its datagrams.
func (r *run) takes(p *l3.Packet) bool {
	f := r.from[0]
	return binary.BigEndian.Uint32(p.L4) == binary.BigEndian.Uint32(f.L4) &&
		p.TTL == f.TTL && p.TOS == f.TOS && p.Src == f.Src && p.Dst == f.Dst
}

// payload checks the UDP header of p and returns what is behind it.
func (t *Translator) payload(p *l3.Packet) ([]byte, bool) {
	if len(p.L4) < headerLen {
		return nil, false
	}
	n := int(binary.BigEndian.Uint16(p.L4[4:]))
	if p.Meta.GSO != link.GSONone {
		// A train's header may have the length of one of its datagrams.
		ok := p.Meta.GSO == link.GSOUDPL4 && p.Meta.SegSize > 0
		return p.L4[headerLen:], ok && binary.BigEndian.Uint16(p.L4[2:]) != 0
	}
	if n < headerLen || n > len(p.L4) || binary.BigEndian.Uint16(p.L4[2:]) == 0 {
		return nil, false
	}
	b := p.L4[:n]
	if p.Meta.Flags&(link.NeedsCsum|link.DataValid) == 0 && !checksumOK(p, b) {
		return nil, false
	}
	return b[headerLen:], true
}

// checksumOK verifies the checksum of the datagram b. IPv4 allows none.
func checksumOK(p *l3.Packet, b []byte) bool {
	var sum uint32
	if p.Src.Is4() {
		if b[6] == 0 && b[7] == 0 {
			return true
		}
		sum = l3.Sum(l3.Sum(0, p.Src[12:]), p.Dst[12:])
	} else {
		if b[6] == 0 && b[7] == 0 {
			return false
		}
		sum = l3.Sum(l3.Sum(0, p.Src[:]), p.Dst[:])
	}
	sum = uint32(l3.Fold(sum)) + l3.ProtoUDP + uint32(len(b))
	return l3.Fold(l3.Sum(sum, b)) == 0xffff
}

// unroll turns the train in data, the only one of the run, into datagrams and sends them.
func (t *Translator) unroll(p *l3.Packet, data []byte, now int64) {
	r := &t.run
	seg := int(p.Meta.SegSize)
	r.n = 0
	for len(data) > 0 {
		n := min(seg, len(data))
		r.data[r.n], r.from[r.n] = data[:n], p
		r.n++
		if data = data[n:]; r.n == maxRun {
			t.flush(now)
		}
	}
	if r.n > 0 {
		t.flush(now)
	}
}

// flush sends the run and empties it.
func (t *Translator) flush(now int64) {
	r := &t.run
	if e := t.fromGuest(now); e != nil {
		t.touch(e, now)
		if e.Val.flags&hostInitiated != 0 {
			t.reply(e, now)
		}
		t.send(e, now)
	}
	r.n = 0
}

// fromGuest finds or begins the flow of the run.
func (t *Translator) fromGuest(now int64) *entry {
	r := &t.run
	if e := t.flows.Lookup(&r.key); e != nil {
		if e.Val.flags&shared != 0 {
			t.own(e)
		}
		return e
	}
	to, ok := t.cfg.Rules.FromGuest(l3.ProtoUDP, r.key.Guest, r.key.Remote)
	if !ok {
		t.Stats.Denied += uint64(r.n)
		if to.Prohibited {
			t.cfg.Net.SendError(l3.ICMPError{Kind: l3.AdminProhibited}, r.from[0].B, now)
			t.denied(&r.key)
		}
		return nil
	}
	var s *socketEntry
	if t.room(now) {
		if s = t.source(r.key.Guest, now); s == nil {
			t.Stats.TableFull++
		}
	}
	if s == nil {
		t.cfg.Net.SendError(l3.ICMPError{Kind: l3.AdminProhibited}, r.from[0].B, now)
		return nil
	}
	e := t.begin(&r.key, s, to.Dst, 0, now)
	t.Stats.FromGuest++
	c := &e.Val
	out := &t.cfg.Out6
	if to.Dst.Addr.Is4() {
		out = &t.cfg.Out4
	}
	if !to.Loopback {
		c.local, c.oif = out.Addr, out.Index
	}
	c.scope = out.Scope
	return e
}

// denied tells who watches of a flow that the guest may not begin.
func (t *Translator) denied(k *flow.Key) {
	if t.cfg.Watch != nil {
		t.cfg.Watch.Denied(flow.Passage{Proto: l3.ProtoUDP, Guest: k.Guest, Remote: k.Remote})
	}
}

// own makes e, whose peer is also that of another flow of its socket, the one that answers
// go to: the guest spoke to it last.
func (t *Translator) own(e *entry) {
	k := peerKey(e.Val.sock, e.Val.peer)
	p := t.peers.Lookup(&k)
	if p == nil {
		p = t.peers.Insert(k)
	}
	p.Val = place{e.ID(), e.Gen()}
}

// send sends the run to the peer of e.
func (t *Translator) send(e *entry, now int64) {
	c, r := &e.Val, &t.run
	s := &t.sockets.At(c.sock, c.sockGen).Val
	fd := int(s.fd)
	hops := r.from[0].TTL
	if hops > 1 { // only datagrams to groups or to our own address come with less
		hops--
	}
	t.dest = sock.Dest{To: c.peer, Scope: c.scope, Src: c.local, If: c.oif, TTL: hops, TOS: r.from[0].TOS, Wide: s.wide}
	retried := false
	for i := 0; i < r.n; {
		k, seg := r.group(i, int(c.segMax))
		n, err := t.cfg.Sockets.Send(fd, &t.dest, r.data[i:i+k], seg)
		if n > 0 {
			if seg > 0 {
				n = k
			}
			i += n
			c.sent += uint64(n)
			t.Stats.ToHost += uint64(n)
			retried = false
			continue
		}
		switch {
		case seg > 0 && (err == syscall.EINVAL || err == syscall.EIO):
			// The way to this peer takes no such train: too large, or no checksums by hardware.
			c.segMax = uint16(seg - 1)
			if err == syscall.EIO {
				c.segMax = 0
			}
		case hosterr.Passing(err) && !retried && t.errors(e.Val.sock, e.Val.sockGen, now) > 0:
			retried = true // the error was that of an earlier datagram
		case err == syscall.EAGAIN || err == syscall.ENOBUFS:
			t.Stats.HostFull += uint64(r.n - i)
			return
		default:
			t.Stats.HostError++
			if kind, ok := hosterr.FromErrno(err); ok {
				t.cfg.Net.SendError(l3.ICMPError{Kind: kind}, r.from[i].B, now)
			}
			i++
			retried = false
		}
	}
}

// group says how many datagrams of the run, from the i-th on, go in one call: as a train of
// datagrams of seg bytes, or one by one if seg is 0.
func (r *run) group(i, segMax int) (k, seg int) {
	if k = r.train(i, segMax); k > 1 {
		return k, len(r.data[i])
	}
	for k = 1; i+k < r.n && r.train(i+k, segMax) == 1; k++ {
	}
	return k, 0
}

// train is how many datagrams, from the i-th on, can be one train: all of one size, but
// the last may be shorter.
func (r *run) train(i, segMax int) int {
	seg := len(r.data[i])
	if seg == 0 || seg > segMax {
		return 1
	}
	k, total := 1, seg
	for i+k < r.n && k < sock.MaxSegments {
		n := len(r.data[i+k])
		if n == 0 || n > seg || total+n > sock.MaxPayload {
			break
		}
		k++
		total += n
		if n < seg {
			break
		}
	}
	return k
}
