package udp

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"testing"

	"passt/l3"
	"passt/l3/inet"
	"passt/l4/sock"
	"passt/l4/wheel"
	"passt/link"
	"passt/nat"
)

func ep(s string) inet.Endpoint {
	a := netip.MustParseAddrPort(s)
	return inet.Endpoint{Addr: inet.FromNetip(a.Addr()), Port: a.Port()}
}

func addr(s string) inet.Addr { return inet.FromNetip(netip.MustParseAddr(s)) }

// message is what went to the host in one call.
type message struct {
	fd   int
	dest sock.Dest
	data []string
	seg  int
}

// fakeSockets stands for the host.
type fakeSockets struct {
	next   int
	open   map[int]uint16 // ports by descriptor
	limit  int
	sent   []message
	fail   func(d *sock.Dest, n, seg int) syscall.Errno
	inbox  map[int][]sock.Datagram // Body[0] is the payload
	errors []sock.QueuedError
	quiet  bool // keep nothing of what is sent
	count  int
}

func newFakeSockets() *fakeSockets {
	return &fakeSockets{next: 10, limit: 1 << 20, open: map[int]uint16{}, inbox: map[int][]sock.Datagram{}}
}

func (f *fakeSockets) Open(_ bool, port uint16, _ bool) (int, syscall.Errno) {
	if len(f.open) >= f.limit {
		return -1, syscall.EMFILE
	}
	f.next++
	f.open[f.next] = port
	return f.next, 0
}

func (f *fakeSockets) Adopt(fd int, _, _ bool) { f.open[fd] = 0 }
func (f *fakeSockets) Close(fd int)            { delete(f.open, fd) }

func (f *fakeSockets) Send(fd int, d *sock.Dest, bufs [][]byte, seg int) (int, syscall.Errno) {
	if f.fail != nil {
		if e := f.fail(d, len(bufs), seg); e != 0 {
			return 0, e
		}
	}
	f.count += len(bufs)
	if !f.quiet {
		m := message{fd: fd, dest: *d, seg: seg}
		for _, b := range bufs {
			m.data = append(m.data, string(b))
		}
		f.sent = append(f.sent, m)
	}
	if seg > 0 {
		return 1, 0
	}
	return len(bufs), 0
}

func (f *fakeSockets) Recv(fd int, d []sock.Datagram) (int, syscall.Errno) {
	q := f.inbox[fd]
	n := min(len(q), len(d))
	if n == 0 {
		return 0, syscall.EAGAIN
	}
	for i := range n {
		d[i].Len, d[i].Seg, d[i].From, d[i].Local, d[i].Scope = len(q[i].Body[0]), q[i].Seg, q[i].From, q[i].Local, q[i].Scope
		at := 0
		for _, p := range d[i].Body {
			at += copy(p, q[i].Body[0][at:])
		}
		copy(d[i].Over, q[i].Body[0][at:])
	}
	f.inbox[fd] = q[n:]
	return n, 0
}

func (f *fakeSockets) RecvError(_ int, q *sock.QueuedError) bool {
	if len(f.errors) == 0 {
		return false
	}
	*q, f.errors = f.errors[0], f.errors[1:]
	return true
}

// fakeNet stands for l3 and the link.
type fakeNet struct {
	caps   link.Caps
	guest  l3.Guest
	mem    [64][link.MaxHead + 65536]byte
	packet [][]byte    // sent, without the link's header
	meta   []link.Meta // of each
	errs   []l3.ICMPError
	quotes [][]byte
	quiet  bool
	full   bool
}

func (n *fakeNet) Reserve(dst []link.Slot, size int) int {
	if n.full {
		return 0
	}
	for i := range dst {
		m := n.mem[i][:]
		body := dst[i].Body[:0]
		if cap(body) == 0 {
			body = make([][]byte, 0, 1)
		}
		dst[i] = link.Slot{Head: m[:link.MaxHead], Body: append(body, m[link.MaxHead:link.MaxHead+size])}
	}
	return len(dst)
}

func (n *fakeNet) Send(s []link.Slot) int {
	if n.quiet {
		return len(s)
	}
	for i := range s {
		b := append([]byte(nil), s[i].Head[l3.LinkLen:]...)
		n.packet = append(n.packet, append(b, s[i].Body[0][:s[i].Len]...))
		n.meta = append(n.meta, s[i].Meta)
	}
	return len(s)
}

func (n *fakeNet) Caps() link.Caps  { return n.caps }
func (n *fakeNet) Guest() *l3.Guest { return &n.guest }
func (n *fakeNet) SendError(e l3.ICMPError, quoted []byte, _ int64) {
	n.errs = append(n.errs, e)
	n.quotes = append(n.quotes, append([]byte(nil), quoted...))
}

// fakeRules maps the gateway to loopback and back, and denies the port 9.
type fakeRules struct{}

// prohibitedPort is one that the guest may not begin flows to; port 9 leads nowhere.
const prohibitedPort = 99

var (
	guest4, gateway4, lo4 = addr("192.0.2.2"), addr("192.0.2.1"), addr("127.0.0.1")
	guest6, gateway6, lo6 = addr("2001:db8::2"), addr("fe80::1"), addr("::1")
)

func (fakeRules) FromGuest(_ uint8, _, dst inet.Endpoint) (nat.Target, bool) {
	switch dst.Addr {
	case gateway4:
		return nat.Target{Dst: inet.Endpoint{Addr: lo4, Port: dst.Port}, Loopback: true}, true
	case gateway6:
		return nat.Target{Dst: inet.Endpoint{Addr: lo6, Port: dst.Port}, Loopback: true}, true
	}
	return nat.Target{Dst: dst, Prohibited: dst.Port == prohibitedPort}, dst.Port != 9 && dst.Port != prohibitedPort
}

func (fakeRules) FromHost(_ uint8, remote inet.Endpoint, _ inet.Addr, to inet.Endpoint, _ *nat.Observed) (src, dst inet.Endpoint, ok bool) {
	if remote.Addr.IsLoopback() {
		gw := gateway6
		if remote.Addr.Is4() {
			gw = gateway4
		}
		remote.Addr = gw
	}
	if to.Addr.IsZero() {
		if to.Addr = guest6; remote.Addr.Is4() {
			to.Addr = guest4
		}
	}
	return remote, to, remote.Port != 9
}

type fakePoller struct{ fds map[int]sock.Ref }

func (p *fakePoller) Add(fd int, r sock.Ref, _ uint32) bool { p.fds[fd] = r; return true }
func (p *fakePoller) Mod(int, sock.Ref, uint32) bool        { return true }
func (p *fakePoller) Del(fd int)                            { delete(p.fds, fd) }

type rig struct {
	*Translator
	host *fakeSockets
	net  *fakeNet
	poll *fakePoller
	now  int64
}

func newRig(t testing.TB, set func(*Config, *link.Caps)) *rig {
	t.Helper()
	r := &rig{host: newFakeSockets(), poll: &fakePoller{map[int]sock.Ref{}}, now: second}
	r.net = &fakeNet{caps: link.Caps{Batch: 64, Body: 65535}}
	c := Config{Net: r.net, Sockets: r.host, Poller: r.poll, Wheel: wheel.New(r.now), Rules: fakeRules{},
		MTU: 65520, MaxFlows: 64, MaxSockets: 32, Seed: [2]uint64{1, 2}}
	if set != nil {
		set(&c, &r.net.caps)
	}
	r.Translator = New(c)
	return r
}

// packet makes a UDP packet as the guest sends it.
func packet(src, dst inet.Endpoint, payload string) l3.Packet {
	var tpl l3.Template
	tpl.Make(src.Addr, dst.Addr, l3.ProtoUDP, 64, 0)
	head := make([]byte, link.MaxHead)
	pseudo := tpl.Put(head, headerLen+len(payload))
	at := tpl.L4()
	b := append(head[:at+headerLen], payload...)
	h := b[at:]
	binary.BigEndian.PutUint16(h, src.Port)
	binary.BigEndian.PutUint16(h[2:], dst.Port)
	binary.BigEndian.PutUint16(h[4:], uint16(len(h)))
	h[6], h[7] = 0, 0
	binary.BigEndian.PutUint16(h[6:], finish(l3.Sum(uint32(pseudo), h)))
	b = b[l3.LinkLen:]
	return l3.Packet{Src: src.Addr, Dst: dst.Addr, Proto: l3.ProtoUDP, TTL: 64, B: b, L4: b[tpl.Len():]}
}

func (r *rig) guestSends(src, dst string, payloads ...string) {
	var batch []l3.Packet
	for _, p := range payloads {
		batch = append(batch, packet(ep(src), ep(dst), p))
	}
	r.Input(batch, r.now)
}

func (r *rig) hostSends(fd int, d ...sock.Datagram) {
	r.host.inbox[fd] = append(r.host.inbox[fd], d...)
	for len(r.host.inbox[fd]) > 0 && !r.net.full {
		before := len(r.host.inbox[fd])
		r.Event(r.poll.fds[fd], sock.In, r.now)
		if len(r.host.inbox[fd]) == before {
			return
		}
	}
}

func from(peer, payload string) sock.Datagram {
	return sock.Datagram{From: ep(peer), Body: [][]byte{[]byte(payload)}}
}

// seen reads a packet to the guest back, its checksums verified.
func seen(t *testing.T, b []byte, partial bool) (src, dst inet.Endpoint, payload string) {
	t.Helper()
	var p l3.Packet
	hl := l3.HeaderLen6
	if b[0]>>4 == 4 {
		hl = l3.HeaderLen4
		p.Src, p.Dst = inet.V4(b[12:]), inet.V4(b[16:])
		if n := int(binary.BigEndian.Uint16(b[2:])); n != len(b) || l3.Checksum(0, b[:hl]) != 0 {
			t.Errorf("IPv4 header: length %d for %d bytes, or checksum wrong", n, len(b))
		}
	} else {
		p.Src, p.Dst = inet.V6(b[8:]), inet.V6(b[24:])
		if n := int(binary.BigEndian.Uint16(b[4:])); n != len(b)-hl {
			t.Errorf("IPv6 length %d for %d bytes", n, len(b))
		}
	}
	h := b[hl:]
	if n := int(binary.BigEndian.Uint16(h[4:])); n != len(h) {
		t.Errorf("UDP length %d for %d bytes", n, len(h))
	}
	if !partial && !checksumOK(&p, h) {
		t.Error("UDP checksum wrong")
	}
	k := inet.Endpoint{Addr: p.Src, Port: binary.BigEndian.Uint16(h)}
	return k, inet.Endpoint{Addr: p.Dst, Port: binary.BigEndian.Uint16(h[2:])}, string(h[headerLen:])
}
