package ndp

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/ndp"

	"passt/l2"
	"passt/l3"
	"passt/l3/inet"
	"passt/link"
	"passt/link/mem"
)

var (
	ourMAC   = l2.MAC{0x9a, 0x55, 0x9a, 0x55, 0x9a, 0x55}
	guestMAC = l2.MAC{0x52, 0x54, 0, 0x12, 0x34, 0x56}
)

const (
	ourLL    = "fe80::1"
	gateway  = "2001:db8::1"
	guestLL  = "fe80::5054:ff:fe12:3456"
	guestOwn = "2001:db8::2"
)

func ip(s string) inet.Addr { return inet.FromNetip(netip.MustParseAddr(s)) }

// config is a Config with everything in it, and numbers that are not random.
func config() Config {
	return Config{
		MAC:       ourMAC,
		LinkLocal: netip.MustParseAddr(ourLL),
		Gateway:   netip.MustParseAddr(gateway),
		Ignore:    func(a inet.Addr) bool { return a == ip(guestOwn) || a == ip(guestLL) },
		Prefix:    netip.MustParsePrefix("2001:db8::2/64"),
		MTU:       65520,
		DNS:       []netip.Addr{netip.MustParseAddr("2001:db8::53"), netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("fe80::53%eth0")},
		Search:    []string{"example.com.", "no such..name", "lan"},
		Managed:   true,
		Other:     true,
		Rand:      func(n int64) int64 { return n - 1 },
	}
}

// wire is the guest's end of a link whose other end is a Router.
type wire struct {
	t     testing.TB
	dev   *mem.Dev
	eth   *l2.Ethernet
	stack *l3.Stack
	r     *Router
	up    int // packets that were not for the router
	now   int64
}

func newWire(t testing.TB, cfg Config) *wire {
	w := &wire{t: t, dev: mem.New(link.Caps{Batch: 4, Body: 65536})}
	w.eth = l2.New(w.dev, l2.Config{MAC: ourMAC, GuestMAC: guestMAC})
	w.stack = l3.New(w.eth, w, l3.Config{V6: true})
	w.r = New(cfg, w.stack)
	w.stack.SetControl(w.r)
	return w
}

func (w *wire) Input(batch []l3.Packet, _ int64) { w.up += len(batch) }

// answer is a message that the router sent.
type answer struct {
	src, dst string
	msg      ndp.Message
}

// take takes the packets apart that were sent, checking lengths, hop limit and checksum.
func (w *wire) take() (answers []answer) {
	w.t.Helper()
	for _, f := range w.dev.Take() {
		b := f.B[l2.HeaderLen:]
		if b[0]>>4 != 6 || b[6] != l3.ProtoICMPv6 || b[7] != 255 || 40+int(binary.BigEndian.Uint16(b[4:])) != len(b) {
			w.t.Fatalf("bad IPv6 header % x", b[:40])
		}
		if sum := l3.Sum(l3.Sum(l3.ProtoICMPv6+uint32(len(b)-40), b[8:40]), b[40:]); l3.Fold(sum) != 0xffff {
			w.t.Fatalf("bad checksum in % x", b)
		}
		m, err := ndp.ParseMessage(b[40:])
		if err != nil {
			w.t.Fatalf("%v in % x", err, b)
		}
		answers = append(answers, answer{inet.V6(b[8:]).String(), inet.V6(b[24:]).String(), m})
	}
	return answers
}

func (w *wire) frame(b []byte, m link.Meta) []answer {
	w.t.Helper()
	w.dev.Inject(b, m)
	if _, err := w.eth.Poll(w.stack, w.now); err != nil {
		w.t.Fatal(err)
	}
	return w.take()
}

// message is a message of the guest, to be spoilt.
type message struct {
	src, dst string
	hops     uint8
	b        []byte
	badSum   bool
	meta     link.Meta
}

func (m *message) frame() []byte {
	var t l3.Template
	t.Make(ip(m.src), ip(m.dst), l3.ProtoICMPv6, m.hops, 0)
	head := make([]byte, t.L4())
	copy(head, []byte{0x33, 0x33})
	copy(head[6:], guestMAC[:])
	binary.BigEndian.PutUint16(head[12:], l2.TypeIPv6)
	pseudo := t.Put(head, len(m.b))
	b := bytes.Clone(m.b)
	if len(b) >= 4 {
		binary.BigEndian.PutUint16(b[2:], 0)
		binary.BigEndian.PutUint16(b[2:], l3.Checksum(pseudo, b))
		if m.badSum {
			b[3] ^= 1
		}
	}
	return append(head, b...)
}

func marshal(m ndp.Message) []byte {
	b, err := ndp.MarshalMessage(m)
	if err != nil {
		panic(err)
	}
	return b
}

func solicit(src, dst, target string, opts ...ndp.Option) message {
	b := marshal(&ndp.NeighborSolicitation{TargetAddress: netip.MustParseAddr("::"), Options: opts})
	a := ip(target)
	copy(b[8:], a[:]) // the library refuses mapped addresses
	return message{src: src, dst: dst, hops: 255, b: b}
}

var guestLLA = &ndp.LinkLayerAddress{Direction: ndp.Source, Addr: guestMAC[:]}

func TestNeighborSolicitation(t *testing.T) {
	tests := []struct {
		name   string
		m      message
		change func(m *message)
		want   *ndp.NeighborAdvertisement // without its option; nil: no answer
		dst    string
		bad    bool
	}{
		{
			name: "our link-local address",
			m:    solicit(guestLL, "ff02::1:ff00:1", ourLL, guestLLA),
			want: &ndp.NeighborAdvertisement{Router: true, Solicited: true, Override: true}, dst: guestLL,
		}, {
			name: "the gateway, by unicast",
			m:    solicit(guestOwn, gateway, gateway),
			want: &ndp.NeighborAdvertisement{Router: true, Solicited: true, Override: true}, dst: guestOwn,
		}, {
			name: "another host",
			m:    solicit(guestLL, "ff02::1:ff00:99", "2001:db8::99", guestLLA),
			want: &ndp.NeighborAdvertisement{Solicited: true, Override: true}, dst: guestLL,
		}, {
			name: "a host elsewhere",
			m:    solicit(guestLL, "ff02::1:ff00:99", "2001:db8:1::99", guestLLA),
			want: &ndp.NeighborAdvertisement{Solicited: true, Override: true}, dst: guestLL,
		},
		{name: "the guest's address", m: solicit(guestLL, "ff02::1:ff00:2", guestOwn, guestLLA)},
		{name: "test of the guest's address", m: solicit("::", "ff02::1:ff00:2", guestOwn)},
		{name: "test of an address unknown to us", m: solicit("::", "ff02::1:ff00:77", "2001:db8::77")},
		{name: "test with a nonce", m: solicit("::", "ff02::1:ff00:77", "fe80::77", ndp.NewNonce())},
		{
			name: "test of our address",
			m:    solicit("::", "ff02::1:ff00:1", ourLL),
			want: &ndp.NeighborAdvertisement{Router: true, Override: true}, dst: "ff02::1",
		},
		{name: "loopback address", m: solicit(guestLL, "ff02::1:ff00:1", "::1", guestLLA)},
		{name: "mapped IPv4 address", m: solicit(guestLL, "ff02::1:ff00:201", "::ffff:192.0.2.1", guestLLA)},
		{name: "unspecified address", m: solicit(guestLL, "ff02::1:ff00:0", "::", guestLLA)},
		{name: "group as target", m: solicit(guestLL, "ff02::1:ff00:1", "fe80::2", guestLLA), change: func(m *message) { m.b[8] = 0xff }, bad: true},
		{name: "test with a link-layer address", m: solicit("::", "ff02::1:ff00:1", ourLL, guestLLA), bad: true},
		{name: "test to another group", m: solicit("::", "ff02::1", ourLL), bad: true},
		{name: "forwarded", m: solicit(guestLL, "ff02::1:ff00:1", ourLL), change: func(m *message) { m.hops = 254 }, bad: true},
		{name: "code", m: solicit(guestLL, "ff02::1:ff00:1", ourLL), change: func(m *message) { m.b[1] = 1 }, bad: true},
		{name: "checksum", m: solicit(guestLL, "ff02::1:ff00:1", ourLL), change: func(m *message) { m.badSum = true }, bad: true},
		{
			name: "checksum left to the link", m: solicit(guestLL, "ff02::1:ff00:1", ourLL),
			change: func(m *message) { m.badSum = true; m.meta.Flags = link.NeedsCsum },
			want:   &ndp.NeighborAdvertisement{Router: true, Solicited: true, Override: true}, dst: guestLL,
		},
		{name: "too short", m: solicit(guestLL, "ff02::1:ff00:1", ourLL), change: func(m *message) { m.b = m.b[:23] }, bad: true},
		{name: "type only", m: solicit(guestLL, "ff02::1:ff00:1", ourLL), change: func(m *message) { m.b = m.b[:1] }, bad: true},
		{name: "option of length 0", m: solicit(guestLL, "ff02::1:ff00:1", ourLL, guestLLA), change: func(m *message) { m.b[25] = 0 }, bad: true},
		{name: "option beyond the end", m: solicit(guestLL, "ff02::1:ff00:1", ourLL, guestLLA), change: func(m *message) { m.b[25] = 2 }, bad: true},
		{name: "half an option", m: solicit(guestLL, "ff02::1:ff00:1", ourLL, guestLLA), change: func(m *message) { m.b = m.b[:28] }, bad: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.change != nil {
				tt.change(&tt.m)
			}
			w := newWire(t, config())
			got := w.frame(tt.m.frame(), tt.m.meta)
			if w.up != 0 {
				t.Error("the message was passed on")
			}
			if bad := w.r.Stats.RxBad == 1; bad != tt.bad || w.r.Stats.Rx != 1 {
				t.Errorf("counted as bad: %v, want %v", bad, tt.bad)
			}
			if tt.want == nil {
				if len(got) != 0 {
					t.Errorf("got answer %+v, want none", got)
				}
				return
			}
			if len(got) != 1 {
				t.Fatalf("got %d answers, want 1", len(got))
			}
			na, ok := got[0].msg.(*ndp.NeighborAdvertisement)
			if !ok {
				t.Fatalf("got %T", got[0].msg)
			}
			target := netip.AddrFrom16([16]byte(tt.m.b[8:24]))
			if na.Router != tt.want.Router || na.Solicited != tt.want.Solicited || na.Override != tt.want.Override || na.TargetAddress != target {
				t.Errorf("got %+v, want %+v for %v", na, tt.want, target)
			}
			if got[0].src != target.String() || got[0].dst != tt.dst {
				t.Errorf("got it from %v to %v, want %v to %v", got[0].src, got[0].dst, target, tt.dst)
			}
			if lla := na.Options[0].(*ndp.LinkLayerAddress); len(na.Options) != 1 || lla.Direction != ndp.Target || !bytes.Equal(lla.Addr, ourMAC[:]) {
				t.Errorf("got options %+v", na.Options)
			}
		})
	}
}

func TestOtherMessages(t *testing.T) {
	redirect := make([]byte, lenRedirect)
	redirect[0] = typeRedirect
	tests := []struct {
		name             string
		b                []byte
		rx, bad, ignored uint64
		up               int
	}{
		{"advertisement of a neighbor", marshal(&ndp.NeighborAdvertisement{TargetAddress: netip.MustParseAddr(guestOwn)}), 1, 0, 1, 0},
		{"advertisement of a router", marshal(&ndp.RouterAdvertisement{}), 1, 0, 1, 0},
		{"redirect", redirect, 1, 0, 1, 0},
		{"short redirect", redirect[:39], 1, 1, 0, 0},
		{"echo request", []byte{128, 0, 0, 0, 0, 0, 0, 0}, 0, 0, 0, 1},
		{"multicast listener report", []byte{143, 0, 0, 0, 0, 0, 0, 0}, 0, 0, 0, 1},
		{"empty", nil, 0, 0, 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWire(t, config())
			m := message{src: guestLL, dst: "ff02::1", hops: 255, b: tt.b}
			got := w.frame(m.frame(), link.Meta{})
			s := w.r.Stats
			if len(got) != 0 || w.up != tt.up || s.Rx != tt.rx || s.RxBad != tt.bad || s.RxIgnored != tt.ignored {
				t.Errorf("got %d answers, %d passed on, %+v", len(got), w.up, s)
			}
		})
	}
}

// TestTested tells of what the guest tests, and of nothing else.
func TestTested(t *testing.T) {
	var got []inet.Addr
	c := config()
	c.Tested = func(a inet.Addr) { got = append(got, a) }
	w := newWire(t, c)
	for _, m := range []message{
		solicit("::", "ff02::1:ff00:77", "2001:db8::77"),
		solicit("::", "ff02::1:ff00:1", ourLL),
		solicit("::", "ff02::1:ff00:1", "::1"),
		solicit(guestLL, "ff02::1:ff00:78", "2001:db8::78", guestLLA),
	} {
		w.frame(m.frame(), m.meta)
	}
	if len(got) != 1 || got[0] != ip("2001:db8::77") {
		t.Errorf("told of %v", got)
	}
}

// TestIPv4 passes on what only looks like Neighbor Discovery: an IPv4 packet.
func TestIPv4(t *testing.T) {
	w := newWire(t, config())
	m := solicit(guestLL, "ff02::1:ff00:1", ourLL)
	p := l3.Packet{Src: ip("192.0.2.2"), Dst: ip("192.0.2.1"), Proto: l3.ProtoICMPv6, TTL: 255, L4: m.b}
	if w.r.Input(&p, 0) || len(w.take()) != 0 {
		t.Error("taken for Neighbor Discovery")
	}
}

// TestRealFrames answers frames that were taken from the wire.
func TestRealFrames(t *testing.T) {
	want := map[string]int{"linux-neighbor-solicitation": 1, "linux-router-solicitation": 1, "dhcpcd-router-solicitation": 1}
	for name, b := range realFrames(t) {
		t.Run(name, func(t *testing.T) {
			copy(b, []byte{0x33, 0x33}) // any group, whoever it was for
			w := newWire(t, config())
			if got := w.frame(b, link.Meta{}); len(got) != want[name] || w.r.Stats.RxBad != 0 || w.r.Stats.Rx != 1 {
				t.Errorf("got %d answers, want %d; %+v", len(got), want[name], w.r.Stats)
			}
		})
	}
}

func realFrames(t testing.TB) map[string][]byte {
	b, err := os.ReadFile("testdata/frames.txt")
	if err != nil {
		t.Fatal(err)
	}
	frames := map[string][]byte{}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		if name, digits, ok := strings.Cut(s.Text(), " "); ok && name != "#" {
			if frames[name], err = hex.DecodeString(digits); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	return frames
}

func TestNoRoom(t *testing.T) {
	w := newWire(t, config())
	w.dev.SetFull(true)
	m := solicit(guestLL, "ff02::1:ff00:1", ourLL)
	w.frame(m.frame(), link.Meta{})
	w.r.Timer(0)
	if s := w.r.Stats; s.TxNeighbor != 0 || s.TxRouter != 0 || s.TxNoRoom != 2 {
		t.Errorf("got %+v", s)
	}
	w.dev.SetFull(false)
	if got := w.frame(m.frame(), link.Meta{}); len(got) != 1 {
		t.Errorf("got %d answers once there is room", len(got))
	}
}

// TestAllocs holds the answer to a solicitation, which a guest can ask for at any rate, to
// no allocation.
func TestAllocs(t *testing.T) {
	for _, tt := range []struct {
		name string
		m    message
	}{
		{"neighbor", solicit(guestLL, "ff02::1:ff00:99", "2001:db8::99", guestLLA)},
		{"router", message{src: guestLL, dst: "ff02::2", hops: 255, b: marshal(&ndp.RouterSolicitation{})}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWire(t, config())
			f := tt.m.frame()
			n := testing.AllocsPerRun(100, func() {
				w.now += int64(time.Second)
				w.dev.Inject(f, link.Meta{})
				if _, err := w.eth.Poll(w.stack, w.now); err != nil || w.dev.Sent() != 1 {
					t.Fatal(err, w.dev.Sent())
				}
				w.dev.Take()
			})
			if n != 0 {
				t.Errorf("got %v allocations, want 0", n)
			}
		})
	}
}

func BenchmarkNeighborSolicitation(b *testing.B) {
	m := solicit(guestLL, "ff02::1:ff00:99", "2001:db8::99", guestLLA)
	p := l3.Packet{Src: ip(guestLL), Dst: ip("ff02::1:ff00:99"), Proto: l3.ProtoICMPv6, TTL: 255, L4: m.frame()[54:]}
	w := newWire(b, config())
	b.ReportAllocs()
	for b.Loop() {
		w.r.Input(&p, 0)
		w.dev.Take()
	}
}

func FuzzInput(f *testing.F) {
	for _, b := range realFrames(f) {
		f.Add(b[54:], uint8(255), b[22:38])
	}
	f.Fuzz(func(t *testing.T, b []byte, ttl uint8, src []byte) {
		if len(src) != 16 {
			return
		}
		w := newWire(t, config())
		p := l3.Packet{Src: inet.V6(src), Dst: ip("ff02::1"), Proto: l3.ProtoICMPv6, TTL: ttl, L4: b}
		p.Meta.Flags = link.DataValid // so that the fuzzer gets past the checksum
		w.r.Input(&p, 0)
		if len(w.take()) > 1 {
			t.Error("more than one answer")
		}
	})
}
