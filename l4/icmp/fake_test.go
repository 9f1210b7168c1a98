package icmp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"passt/l3"
	"passt/l3/inet"
	"passt/l4/sock"
	"passt/l4/wheel"
	"passt/link"
	"passt/nat"
)

func addr(s string) inet.Addr { return inet.FromNetip(netip.MustParseAddr(s)) }

// sent is one request as it went to the host.
type sent struct {
	fd  int
	msg sock.Echo
}

type fakeSockets struct {
	next   int
	open   map[int]uint16
	outs   map[int]*sock.Outbound
	err    syscall.Errno // of Open
	fail   syscall.Errno // of the next Send
	limit  int
	sent   []sent
	inbox  map[int][]sock.Echo
	errors []sock.QueuedError
	quiet  bool
}

func (f *fakeSockets) Open(_ bool, id uint16, out *sock.Outbound) (int, syscall.Errno) {
	if f.err != 0 {
		return -1, f.err
	}
	if len(f.open) >= f.limit {
		return -1, syscall.EMFILE
	}
	f.next++
	f.open[f.next], f.outs[f.next] = id, out
	return f.next, 0
}

func (f *fakeSockets) Close(fd int) { delete(f.open, fd) }

func (f *fakeSockets) Send(fd int, m *sock.Echo) syscall.Errno {
	if e := f.fail; e != 0 {
		f.fail = 0
		return e
	}
	if !f.quiet {
		c := *m
		c.Msg = slices.Clone(m.Msg)
		f.sent = append(f.sent, sent{fd, c})
	}
	return 0
}

func (f *fakeSockets) Recv(fd int, m *sock.Echo, buf []byte) syscall.Errno {
	q := f.inbox[fd]
	if len(q) == 0 {
		return syscall.EAGAIN
	}
	*m = q[0]
	m.Msg = buf[:copy(buf, q[0].Msg)]
	f.inbox[fd] = q[1:]
	return 0
}

func (f *fakeSockets) RecvError(_ int, q *sock.QueuedError) bool {
	if len(f.errors) == 0 {
		return false
	}
	*q, f.errors = f.errors[0], f.errors[1:]
	return true
}

type fakeNet struct {
	mem    [16][link.MaxHead + 65536]byte
	bodies [16][1][]byte
	packet [][]byte
	errs   []l3.ICMPError
	quotes [][]byte
	quiet  bool
}

func (n *fakeNet) Reserve(dst []link.Slot, size int) int {
	for i := range dst {
		m := n.mem[i][:]
		n.bodies[i][0] = m[link.MaxHead : link.MaxHead+size]
		dst[i] = link.Slot{Head: m[:link.MaxHead], Body: n.bodies[i][:]}
	}
	return len(dst)
}

func (n *fakeNet) Send(s []link.Slot) int {
	for i := range s {
		if !n.quiet {
			n.packet = append(n.packet, append(slices.Clone(s[i].Head[l3.LinkLen:]), s[i].Body[0][:s[i].Len]...))
		}
	}
	return len(s)
}

func (n *fakeNet) Caps() link.Caps { return link.Caps{Batch: 64, Body: 65535} }

func (n *fakeNet) Guest() *l3.Guest { return &l3.Guest{} }

func (n *fakeNet) SendError(e l3.ICMPError, quoted []byte, _ int64) {
	n.errs = append(n.errs, e)
	n.quotes = append(n.quotes, slices.Clone(quoted))
}

// fakeRules maps the gateway to loopback, has no way to 203.0.113.9, and prohibits 203.0.113.10.
type fakeRules struct{}

func (fakeRules) FromGuest(_ uint8, _, dst inet.Endpoint) (nat.Target, bool) {
	switch dst.Addr {
	case addr("192.0.2.1"):
		return nat.Target{Dst: inet.Endpoint{Addr: addr("127.0.0.1")}, Loopback: true}, true
	case addr("fe80::1"):
		return nat.Target{Dst: inet.Endpoint{Addr: addr("::1")}, Loopback: true}, true
	}
	prohibited := dst.Addr == addr("203.0.113.10")
	return nat.Target{Dst: dst, Prohibited: prohibited}, !prohibited && dst.Addr != addr("203.0.113.9")
}

type fakePoller map[int]sock.Ref

func (p fakePoller) Add(fd int, r sock.Ref, _ uint32) bool { p[fd] = r; return true }
func (p fakePoller) Mod(int, sock.Ref, uint32) bool        { return true }
func (p fakePoller) Del(fd int)                            { delete(p, fd) }

type rig struct {
	*Translator
	host *fakeSockets
	net  *fakeNet
	poll fakePoller
	now  int64
}

func newRig(set func(*Config)) *rig {
	r := &rig{net: &fakeNet{}, poll: fakePoller{}, now: second}
	r.host = &fakeSockets{limit: 1000, open: map[int]uint16{}, outs: map[int]*sock.Outbound{}, inbox: map[int][]sock.Echo{}}
	c := Config{Net: r.net, Sockets: r.host, Poller: r.poll, Wheel: wheel.New(r.now), Rules: fakeRules{}, MTU: 65520, MaxFlows: 8, Seed: [2]uint64{1, 2}}
	if set != nil {
		set(&c)
	}
	r.Translator = New(c)
	return r
}

// message makes an echo message of the given type, without checksum.
func message(typ uint8, id, seq uint16, data string) []byte {
	b := append([]byte{typ, 0, 0, 0, 0, 0, 0, 0}, data...)
	binary.BigEndian.PutUint16(b[4:], id)
	binary.BigEndian.PutUint16(b[6:], seq)
	return b
}

// request makes an echo request as the guest sends it.
func request(src, dst string, id, seq uint16, data string) l3.Packet {
	p := l3.Packet{Src: addr(src), Dst: addr(dst), Proto: l3.ProtoICMP, TTL: 64}
	typ, pseudo := uint8(echoRequest4), uint16(0)
	if !p.Src.Is4() {
		typ, p.Proto = echoRequest6, l3.ProtoICMPv6
	}
	var tpl l3.Template
	tpl.Make(p.Src, p.Dst, p.Proto, 64, 0)
	head := make([]byte, link.MaxHead)
	if pseudo = tpl.Put(head, headerLen+len(data)); p.Src.Is4() {
		pseudo = 0
	}
	m := message(typ, id, seq, data)
	binary.BigEndian.PutUint16(m[2:], l3.Checksum(pseudo, m))
	p.B = append(head[l3.LinkLen:tpl.L4()], m...)
	p.L4 = p.B[tpl.Len():]
	return p
}

// seen reads a packet to the guest back.
func seen(t *testing.T, b []byte) string {
	t.Helper()
	var p l3.Packet
	if b[0]>>4 == 4 {
		p = l3.Packet{Src: inet.V4(b[12:]), Dst: inet.V4(b[16:]), TTL: b[8], L4: b[l3.HeaderLen4:]}
	} else {
		p = l3.Packet{Src: inet.V6(b[8:]), Dst: inet.V6(b[24:]), TTL: b[7], L4: b[l3.HeaderLen6:]}
	}
	if !checksumOK(&p) {
		t.Error("checksum wrong")
	}
	h := p.L4
	return fmt.Sprintf("%v > %v ttl %d: type %d id %d seq %d %q", p.Src, p.Dst, p.TTL, h[0],
		binary.BigEndian.Uint16(h[4:]), binary.BigEndian.Uint16(h[6:]), h[8:])
}
