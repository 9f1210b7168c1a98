package tcp

// A guest, a network and sockets of the host, all in memory, with a clock that the test
// moves: tests are scripts of segments.

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"passt/l3"
	"passt/l3/inet"
	"passt/l4/sock"
	"passt/l4/wheel"
	"passt/link"
	"passt/nat"
)

var (
	guest4 = ep("192.0.2.2:40000")
	host4  = ep("198.51.100.9:80")
	guest6 = ep("[2001:db8::2]:40000")
	host6  = ep("[2001:db8:9::9]:80")
)

func ep(s string) inet.Endpoint {
	a := netip.MustParseAddrPort(s)
	return inet.Endpoint{Addr: inet.FromNetip(a.Addr()), Port: a.Port()}
}

// fakeNet is the way down: it keeps what was sent.
type fakeNet struct {
	caps    link.Caps
	head    [maxSlots][link.MaxHead]byte
	body    [maxSlots][]byte
	sent    []sentSegment
	count   int  // of segments sent, also while they are not kept
	discard bool // keep nothing, allocate nothing
	limit   int  // how many more segments the link takes; -1: any number
	errors  []l3.ICMPError
	guest   l3.Guest
}

type sentSegment struct {
	h    Header
	meta link.Meta
	ip   []byte
}

func newFakeNet(off link.Offload) *fakeNet {
	n := &fakeNet{caps: link.Caps{Batch: maxSlots, Body: 65535, Offload: off}, limit: -1}
	for i := range n.body {
		n.body[i] = make([]byte, 65535)
	}
	return n
}

func (n *fakeNet) Caps() link.Caps  { return n.caps }
func (n *fakeNet) Guest() *l3.Guest { return &n.guest }

func (n *fakeNet) Reserve(dst []link.Slot, size int) int {
	for i := range dst {
		dst[i] = link.Slot{Head: n.head[i][:], Body: dst[i].Body[:0]}
		if dst[i].Body == nil {
			dst[i].Body = make([][]byte, 0, 1)
		}
		dst[i].Body = append(dst[i].Body, n.body[i][:size])
	}
	return len(dst)
}

func (n *fakeNet) Send(s []link.Slot) int {
	for i := range s {
		if n.limit == 0 {
			return i
		}
		if f := len(s[i].Head) + s[i].Len; f > link.MaxFrame {
			panic(fmt.Sprintf("a frame of %d bytes", f))
		}
		n.limit = max(n.limit-1, -1)
		n.count++
		if n.discard {
			continue
		}
		ip := append([]byte(nil), s[i].Head[l3.LinkLen:]...)
		for left, b := s[i].Len, s[i].Body; left > 0; b = b[1:] {
			k := min(left, len(b[0]))
			ip = append(ip, b[0][:k]...)
			left -= k
		}
		hl := l3.HeaderLen4
		if ip[0]>>4 == 6 {
			hl = l3.HeaderLen6
		}
		n.sent = append(n.sent, sentSegment{h: Header(ip[hl:]), meta: s[i].Meta, ip: ip})
	}
	return len(s)
}

func (n *fakeNet) SendError(e l3.ICMPError, quoted []byte, now int64) { n.errors = append(n.errors, e) }

// fakeSock is one socket of the host.
type fakeSock struct {
	got       []byte // sent by us
	queue     []byte // receive queue
	eof       bool   // behind the queue
	err       syscall.Errno
	sndBuf    int
	peek      int
	ended     []sock.Ending
	keepAlive bool
	hops      uint8
	dst       inet.Endpoint
	local     bool
}

type fakeSockets struct {
	socks   []*fakeSock // by descriptor
	dialErr syscall.Errno
	sends   int
	count   bool // only count what is sent
}

func (f *fakeSockets) add() int {
	f.socks = append(f.socks, &fakeSock{sndBuf: 1 << 20})
	return len(f.socks) - 1
}

func (f *fakeSockets) Dial(dst *inet.Endpoint, local bool, hops uint8) (int, syscall.Errno) {
	if f.dialErr != 0 {
		return -1, f.dialErr
	}
	fd := f.add()
	s := f.socks[fd]
	s.dst, s.local, s.hops = *dst, local, hops
	return fd, 0
}

func (f *fakeSockets) Err(fd int) syscall.Errno {
	err := f.socks[fd].err
	f.socks[fd].err = 0
	return err
}
func (f *fakeSockets) KeepAlive(fd int) { f.socks[fd].keepAlive = true }

func (f *fakeSockets) Send(fd int, v [][]byte) (int, syscall.Errno) {
	s, n := f.socks[fd], 0
	f.sends++
	for _, b := range v {
		if f.count {
			n += len(b)
			continue
		}
		b = b[:min(len(b), s.sndBuf-len(s.got))]
		s.got = append(s.got, b...)
		n += len(b)
	}
	if n == 0 {
		return -1, syscall.EAGAIN
	}
	return n, 0
}

func (f *fakeSockets) Peek(fd, skip int, moved bool, v [][]byte) (int, syscall.Errno) {
	s, n := f.socks[fd], 0
	if moved {
		s.peek = skip
	}
	if s.peek != skip {
		panic(fmt.Sprintf("peek at %d, but the socket is at %d", skip, s.peek))
	}
	if f.count {
		for _, b := range v {
			n += len(b)
		}
		s.peek += n
		return n, 0
	}
	for _, b := range v {
		n += copy(b, s.queue[min(skip+n, len(s.queue)):])
	}
	if n == 0 && !s.eof {
		return -1, syscall.EAGAIN
	}
	s.peek += n
	return n, 0
}

func (f *fakeSockets) Discard(fd, n int) {
	s := f.socks[fd]
	if !f.count {
		s.queue = s.queue[n:]
	}
	s.peek -= n
}

func (f *fakeSockets) Room(fd int) (size, taken, payload int) {
	s := f.socks[fd]
	return s.sndBuf, len(s.got), len(s.got)
}

func (f *fakeSockets) End(fd int, how sock.Ending) {
	if !f.count {
		f.socks[fd].ended = append(f.socks[fd].ended, how)
	}
}

// fakePoller gives references of descriptors back.
type fakePoller struct {
	refs map[int]sock.Ref
	mods map[int]int
	evs  map[int]uint32 // asked for
}

func (p *fakePoller) Add(fd int, ref sock.Ref, ev uint32) bool {
	p.refs[fd], p.evs[fd] = ref, ev
	return true
}

func (p *fakePoller) Mod(fd int, ref sock.Ref, ev uint32) bool {
	p.mods[fd]++
	p.evs[fd] = ev
	return true
}

func (p *fakePoller) Del(fd int) { delete(p.refs, fd) }

// bench is a Translator with everything around it.
type bench struct {
	t     testing.TB
	net   *fakeNet
	socks *fakeSockets
	poll  *fakePoller
	wheel *wheel.Wheel
	tr    *Translator
	now   int64
	guest inet.Endpoint
	host  inet.Endpoint
}

const allOffloads = link.OffloadCsum | link.OffloadTSO4 | link.OffloadTSO6

func newBench(t testing.TB, off link.Offload) *bench {
	b := &bench{
		t: t, net: newFakeNet(off), socks: &fakeSockets{},
		poll: &fakePoller{refs: map[int]sock.Ref{}, mods: map[int]int{}, evs: map[int]uint32{}},
		now:  1 << 40, guest: guest4, host: host4,
	}
	b.wheel = wheel.New(b.now)
	b.net.guest.V4, b.net.guest.V6 = guest4.Addr, guest6.Addr
	b.tr = New(Config{
		Net: b.net, Sockets: b.socks, Poller: b.poll, Wheel: b.wheel, MTU: 65520, MaxConns: 1000, Seed: [4]uint64{1, 2, 3, 4},
		Rules: nat.New(nat.Config{
			V4: nat.Family{Enabled: true, Guest: guest4.Addr, Host: guest4.Addr, Ours: ep("192.0.2.1:0").Addr, MapHostLoopback: ep("192.0.2.1:0").Addr},
			V6: nat.Family{Enabled: true, Guest: guest6.Addr, Host: guest6.Addr, Ours: ep("[fe80::1]:0").Addr},
		}),
	})
	return b
}

// seg is a segment of the guest.
type seg struct {
	flags    uint8
	seq, ack uint32
	wnd      uint16
	data     string
	opts     []byte
}

func (b *bench) packet(s seg) l3.Packet {
	opts := s.opts
	for len(opts)%4 != 0 {
		opts = append(opts, 0)
	}
	h := make([]byte, HeaderLen+len(opts), HeaderLen+len(opts)+len(s.data))
	putHeader(h, b.guest.Port, b.host.Port, s.seq, s.ack, s.flags, s.wnd)
	h[12] = uint8(len(h)) / 4 << 4
	copy(h[HeaderLen:], opts)
	h = append(h, s.data...)
	sum := l3.Fold(l3.Sum(l3.PseudoSum(&b.guest.Addr, &b.host.Addr, l3.ProtoTCP, len(h)), h))
	binary.BigEndian.PutUint16(h[16:], ^sum)
	p := l3.Packet{Src: b.guest.Addr, Dst: b.host.Addr, Proto: l3.ProtoTCP, TTL: 64, L4: h}
	p.B = make([]byte, l3.HeaderLen4+len(h))
	return p
}

// in gives segments of the guest to the translator as one burst.
func (b *bench) in(segs ...seg) {
	var batch []l3.Packet
	for _, s := range segs {
		batch = append(batch, b.packet(s))
	}
	b.tr.Input(batch, b.now)
	b.tr.Flush(b.now)
}

// feed makes more data arrive at the socket fd.
func (b *bench) feed(fd int, data []byte) {
	s := b.socks.socks[fd]
	s.queue = append(s.queue, data...)
	b.event(fd, sock.In|sock.Out)
}

// took is the guest's acknowledgement of n bytes, with its window, scaled by 7.
func (b *bench) took(n int, wnd uint16) seg {
	return seg{flags: ACK, seq: irs + 1, ack: b.iss() + 1 + uint32(n), wnd: wnd}
}

// late makes acknowledgements that wait for an answer go out.
func (b *bench) late() {
	b.pass(lateAfter + 2*wheel.Tick)
}

// event makes an event of the socket fd happen, as far as it is watched for that (epoll_ctl(2)).
func (b *bench) event(fd int, ev uint32) {
	b.tr.Event(b.poll.refs[fd], ev&(b.poll.evs[fd]|sock.Err|sock.Hup), b.now)
	b.tr.Flush(b.now)
}

// pass lets time go by, and timers fire.
func (b *bench) pass(ns int64) {
	for end := b.now + ns; b.now < end; {
		b.now = min(b.now+50*millisecond, end)
		for _, r := range b.wheel.Advance(make([]uint64, 0, 64), b.now) {
			b.tr.Timer(sock.Ref(r), b.now)
		}
		b.tr.Flush(b.now)
	}
}

// want checks that exactly the given segments were sent since the last call, written as
// "flags seq ack len", with numbers relative to ours and the guest's initial ones.
func (b *bench) want(what string, segs ...string) {
	b.t.Helper()
	var got []string
	for _, s := range b.net.sent {
		got = append(got, describe(s.h, b.iss(), irs))
	}
	b.net.sent = nil
	if strings.Join(got, ", ") != strings.Join(segs, ", ") {
		b.t.Fatalf("%s: sent\n\t%s\nwant\n\t%s", what, strings.Join(got, "\n\t"), strings.Join(segs, "\n\t"))
	}
}

const irs = 1000 // the guest's initial sequence number

// iss is our initial sequence number for the one connection that the tests use.
func (b *bench) iss() uint32 {
	k := key(b.guest, b.host)
	return b.tr.isn(&k, 1<<40)
}

func describe(h Header, iss, irs uint32) string {
	names := []string{"FIN", "SYN", "RST", "PSH", "ACK"}
	var fl []string
	for i, n := range names {
		if h.Flags()>>i&1 != 0 && n != "PSH" {
			fl = append(fl, n)
		}
	}
	s := strings.Join(fl, "|")
	s += fmt.Sprintf(" %d", int32(h.Seq()-iss))
	if h.Flags()&ACK != 0 {
		s += fmt.Sprintf(" %d", int32(h.Ack()-irs))
	}
	if n := len(h.Payload()); n > 0 {
		s += fmt.Sprintf(" len %d", n)
	}
	return s
}

// synOpts are the options of an ordinary SYN: MSS 65480, window scale 7.
var synOpts = []byte{2, 4, 0xff, 0xc8, 1, 3, 3, 7}

// connect makes an established connection that the guest began, and returns its socket.
func (b *bench) connect() (fd int) {
	b.t.Helper()
	b.in(seg{flags: SYN, seq: irs, wnd: 65535, opts: synOpts})
	fd = len(b.socks.socks) - 1
	b.event(fd, sock.Out)
	b.want("SYN", "SYN|ACK 0 1")
	b.in(seg{flags: ACK, seq: irs + 1, ack: b.iss() + 1, wnd: 512})
	b.want("ACK")
	return fd
}

func (b *bench) conn() *Conn {
	b.t.Helper()
	k := key(b.guest, b.host)
	e := b.tr.conns.Lookup(&k)
	if e == nil {
		b.t.Fatal("no connection")
	}
	return &e.Val
}

func (b *bench) wantGone() {
	b.t.Helper()
	if n := b.tr.Len(); n != 0 {
		b.t.Fatalf("%d connections left", n)
	}
}

func (b *bench) wantEnded(fd int, how ...sock.Ending) {
	b.t.Helper()
	if got := b.socks.socks[fd].ended; fmt.Sprint(got) != fmt.Sprint(how) {
		b.t.Fatalf("socket ended %v, want %v", got, how)
	}
}
