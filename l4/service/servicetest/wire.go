package servicetest

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"passt/l2"
	"passt/l3"
	"passt/l3/inet"
	"passt/link"
	"passt/link/mem"
)

// MAC addresses of both ends.
var (
	OurMAC   = [6]byte{0x9a, 0x55, 0x9a, 0x55, 0x9a, 0x55}
	GuestMAC = [6]byte{0x52, 0x54, 0, 0x12, 0x34, 0x56}
)

// Server is a service under test.
type Server interface {
	Input(p *l3.Packet, now int64) bool
}

// Answer is a datagram that a service sent.
type Answer struct {
	Src, Dst netip.AddrPort
	Payload  []byte
}

// Wire is the guest's end. Now is the time that the next packet arrives at.
type Wire struct {
	Now      int64
	Consumed int // packets that the service took

	t     testing.TB
	dev   *mem.Dev
	eth   *l2.Ethernet
	stack *l3.Stack
	srv   Server
}

// newWire makes a guest on a new link. The service that start makes gets its datagrams.
func newWire(t testing.TB, start func(out l3.Output) Server) *Wire {
	w := &Wire{t: t, dev: mem.New(link.Caps{Batch: 4, Body: 65536})}
	w.eth = l2.New(w.dev, l2.Config{MAC: OurMAC})
	w.stack = l3.New(w.eth, w, l3.Config{V4: true, V6: true})
	w.srv = start(w.stack)
	return w
}

// Client is a Wire with the server at its other end at hand.
type Client[S Server] struct {
	*Wire
	Server S
}

// NewClient makes a guest on a link with a new server.
func NewClient[C any, S Server](t testing.TB, start func(C, l3.Output) S, cfg C) *Client[S] {
	c := &Client[S]{}
	c.Wire = newWire(t, func(out l3.Output) Server {
		c.Server = start(cfg, out)
		return c.Server
	})
	return c
}

// Input implements l3.Upper.
func (w *Wire) Input(batch []l3.Packet, now int64) {
	for i := range batch {
		if w.srv.Input(&batch[i], now) {
			w.Consumed++
		}
	}
}

// SetFull makes the link take nothing.
func (w *Wire) SetFull(full bool) { w.dev.SetFull(full) }

// Frame sends a frame, whatever its destination, and returns the answers to it.
func (w *Wire) Frame(b []byte, m link.Meta) []Answer {
	if len(b) >= 6 && b[0]&1 == 0 {
		b = append(append([]byte(nil), OurMAC[:]...), b[6:]...)
	}
	w.dev.Inject(b, m)
	if _, err := w.eth.Poll(w.stack, w.Now); err != nil {
		w.t.Fatal(err)
	}
	var answers []Answer
	for _, f := range w.dev.Take() {
		answers = append(answers, w.open(f.B))
	}
	return answers
}

// Send sends a datagram and returns the answers to it.
func (w *Wire) Send(src, dst netip.AddrPort, payload []byte) []Answer {
	return w.Frame(Datagram(src, dst, payload), link.Meta{})
}

// Datagram is the frame of a datagram from the guest.
func Datagram(src, dst netip.AddrPort, payload []byte) []byte {
	var t l3.Template
	t.Make(inet.FromNetip(src.Addr()), inet.FromNetip(dst.Addr()), l3.ProtoUDP, 64, 0)
	head := make([]byte, t.L4()+8)
	copy(head, OurMAC[:])
	copy(head[6:], GuestMAC[:])
	binary.BigEndian.PutUint16(head[12:], l2.TypeIPv4)
	if dst.Addr().Is6() {
		binary.BigEndian.PutUint16(head[12:], l2.TypeIPv6)
	}
	pseudo := t.Put(head, 8+len(payload))
	h := head[t.L4():]
	binary.BigEndian.PutUint16(h, src.Port())
	binary.BigEndian.PutUint16(h[2:], dst.Port())
	binary.BigEndian.PutUint16(h[4:], uint16(8+len(payload)))
	binary.BigEndian.PutUint16(h[6:], ^l3.Fold(l3.Sum(l3.Sum(uint32(pseudo), h), payload)))
	return append(head, payload...)
}

// open takes a frame to the guest apart.
func (w *Wire) open(b []byte) Answer {
	w.t.Helper()
	b = append([]byte(nil), b...)
	if l2.MAC(b) != GuestMAC || l2.MAC(b[6:]) != OurMAC {
		w.t.Fatalf("frame from %x to %x", b[6:12], b[:6])
	}
	ip := b[l2.HeaderLen:]
	var src, dst netip.Addr
	var u []byte
	switch binary.BigEndian.Uint16(b[12:]) {
	case l2.TypeIPv4:
		if l3.Checksum(0, ip[:20]) != 0 || int(binary.BigEndian.Uint16(ip[2:])) != len(ip) || ip[0] != 0x45 || ip[9] != l3.ProtoUDP {
			w.t.Fatalf("bad IPv4 header % x", ip[:20])
		}
		src, dst, u = netip.AddrFrom4([4]byte(ip[12:])), netip.AddrFrom4([4]byte(ip[16:])), ip[20:]
	case l2.TypeIPv6:
		if 40+int(binary.BigEndian.Uint16(ip[4:])) != len(ip) || ip[0]>>4 != 6 || ip[6] != l3.ProtoUDP {
			w.t.Fatalf("bad IPv6 header % x", ip[:40])
		}
		src, dst, u = netip.AddrFrom16([16]byte(ip[8:])), netip.AddrFrom16([16]byte(ip[24:])), ip[40:]
	default:
		w.t.Fatalf("frame of type %x", b[12:14])
	}
	sum := l3.Sum(l3.Sum(l3.ProtoUDP+uint32(len(u)), src.AsSlice()), dst.AsSlice())
	if int(binary.BigEndian.Uint16(u[4:])) != len(u) || l3.Fold(l3.Sum(sum, u)) != 0xffff || u[6]|u[7] == 0 {
		w.t.Fatalf("bad UDP header % x", u[:8])
	}
	return Answer{
		Src:     netip.AddrPortFrom(src, binary.BigEndian.Uint16(u)),
		Dst:     netip.AddrPortFrom(dst, binary.BigEndian.Uint16(u[2:])),
		Payload: u[8:],
	}
}
