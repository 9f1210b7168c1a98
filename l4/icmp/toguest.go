package icmp

// From the host to the guest: echo replies, and errors about requests.

import (
	"encoding/binary"

	"passt/l3"
	"passt/l4/hosterr"
	"passt/l4/sock"
	"passt/link"
)

// Event handles events of the socket that ref stands for. What it leaves is reported again.
func (t *Translator) Event(ref sock.Ref, events uint32, now int64) {
	e := t.flows.At(ref.ID(), ref.Aux())
	if e == nil {
		return
	}
	if events&sock.Err != 0 {
		t.errors(e, now)
	}
	// An error that has no entry in the queue is taken by the read.
	for range atOnce {
		if t.cfg.Sockets.Recv(int(e.Val.fd), &t.msg, t.buf) != 0 {
			return
		}
		t.reply(e, now)
	}
}

// reply sends the message just received to the guest.
func (t *Translator) reply(e *entry, now int64) {
	c, m := &e.Val, &t.msg
	v4 := e.Key.Guest.Addr.Is4()
	want, proto := uint8(echoReply6), uint8(l3.ProtoICMPv6)
	if v4 {
		want, proto = echoReply4, l3.ProtoICMP
	}
	if len(m.Msg) < headerLen || m.Msg[0] != want {
		t.Stats.ErrorsUnknown++
		return
	}
	src := e.Key.Remote.Addr
	if m.Peer != c.peer { // another host answers, as to a request to a group
		if src = m.Peer; src.IsLoopback() || src.Is4() != v4 {
			t.Stats.Denied++
			return
		}
	}
	t.touch(e, now)
	hops := uint8(64)
	if m.TTL > 1 {
		hops = m.TTL - 1
	}
	var tpl l3.Template
	tpl.Make(src, e.Key.Guest.Addr, proto, hops, 0)
	var head [link.MaxHead]byte
	pseudo := tpl.Put(head[:], len(m.Msg))
	if v4 {
		pseudo = 0
	}
	binary.BigEndian.PutUint16(m.Msg[4:], e.Key.Guest.Port)
	m.Msg[2], m.Msg[3] = 0, 0
	binary.BigEndian.PutUint16(m.Msg[2:], l3.Checksum(pseudo, m.Msg))
	t.fragID++
	if !l3.Fragment(t.cfg.Net, t.slots[:], &tpl, m.Msg, t.cfg.MTU, t.fragID) {
		t.Stats.LinkFull++
		return
	}
	c.rcvd++
	t.Stats.ToGuest++
}

// errors passes on what is in the error queue of e's socket, and returns how many entries
// there were.
func (t *Translator) errors(e *entry, now int64) (n int) {
	for ; n < atOnce && t.cfg.Sockets.RecvError(int(e.Val.fd), &t.qerr); n++ {
		err, ok := hosterr.FromQueue(&t.qerr, &e.Val.peer, &e.Key.Remote.Addr)
		if !ok || len(t.qerr.Data) < headerLen {
			t.Stats.ErrorsUnknown++
			continue
		}
		t.Stats.Errors++
		t.cfg.Net.SendError(err, t.quoted(e), now)
	}
	return n
}

// quoted makes the request that the error just read is about, as the guest sent it. The
// queue has the beginning of the message, with the identifier of the socket in it.
func (t *Translator) quoted(e *entry) []byte {
	data := t.qerr.Data
	proto := uint8(l3.ProtoICMPv6)
	if e.Key.Guest.Addr.Is4() {
		proto = l3.ProtoICMP
	}
	var tpl l3.Template
	tpl.Make(e.Key.Guest.Addr, e.Key.Remote.Addr, proto, 1, 0)
	tpl.Put(t.quote[:], len(data))
	b := t.quote[tpl.L4():]
	b = b[:copy(b, data)]
	// The checksum changes by what the identifier changes (RFC 1624, equation 3).
	old, id := binary.BigEndian.Uint16(b[4:]), e.Key.Guest.Port
	sum := uint32(^binary.BigEndian.Uint16(b[2:])) + uint32(^old) + uint32(id)
	binary.BigEndian.PutUint16(b[2:], ^l3.Fold(sum))
	binary.BigEndian.PutUint16(b[4:], id)
	return t.quote[l3.LinkLen : tpl.L4()+len(b)]
}
