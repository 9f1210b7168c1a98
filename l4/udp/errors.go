package udp

// Errors from the network (RFC 1122, section 4.1.3.3). The host's kernel keeps them in the
// error queue of the socket, each with the destination of the datagram that it is about: that
// gives the flow, and so the datagram as the guest sent it, which the guest gets to see
// quoted.

import (
	"encoding/binary"

	"passt/l3"
	"passt/l4/hosterr"
)

// quotedTTL is the lifetime in the quoted header: nobody knows what it was, and it can't
// have been much.
const quotedTTL = 1

// errors passes on what is in the error queue of a socket and returns how many entries
// there were, a limited number.
func (t *Translator) errors(id, gen uint32, now int64) (n int) {
	for ; n < errorsAtOnce; n++ {
		s := t.sockets.At(id, gen)
		if s == nil || !t.cfg.Sockets.RecvError(int(s.Val.fd), &t.qerr) {
			break
		}
		k := peerKey(id, t.qerr.To)
		var e *entry
		if p := t.peers.Lookup(&k); p != nil {
			e = t.flows.At(p.Val.id, p.Val.gen)
		}
		if e == nil {
			t.Stats.ErrorsUnknown++
			continue
		}
		t.tell(e, now)
	}
	return n
}

// tell sends the guest the error just read, which is about e.
func (t *Translator) tell(e *entry, now int64) {
	c := &e.Val
	err, ok := hosterr.FromQueue(&t.qerr, &c.peer.Addr, &e.Key.Remote.Addr)
	if !ok {
		t.Stats.ErrorsUnknown++
		return
	}
	t.Stats.Errors++
	data := t.qerr.Data
	var tpl l3.Template
	tpl.Make(e.Key.Guest.Addr, e.Key.Remote.Addr, l3.ProtoUDP, quotedTTL, 0)
	at := tpl.L4()
	pseudo := tpl.Put(t.quote[:], headerLen+len(data))
	b := t.quote[at : at+headerLen+copy(t.quote[at+headerLen:], data)]
	binary.BigEndian.PutUint16(b, e.Key.Guest.Port)
	binary.BigEndian.PutUint16(b[2:], e.Key.Remote.Port)
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
	b[6], b[7] = 0, 0
	binary.BigEndian.PutUint16(b[6:], finish(l3.Sum(uint32(pseudo), b)))
	t.cfg.Net.SendError(err, t.quote[l3.LinkLen:at+len(b)], now)
}
