package udp

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"passt/l3"
	"passt/l3/inet"
	"passt/l4/sock"
	"passt/link"
)

func TestToHostGrouping(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct {
		name string
		in   []string
		want []string // datagrams:segment of each call
	}{
		{"one", []string{x(10)}, []string{"1:0"}},
		{"empty one", []string{""}, []string{"1:0"}},
		{"equal", []string{x(10), x(10), x(10)}, []string{"3:10"}},
		{"last shorter", []string{x(10), x(10), x(3)}, []string{"3:10"}},
		{"shorter ends the train", []string{x(10), x(3), x(10), x(10)}, []string{"2:10", "2:10"}},
		{"rising", []string{x(1), x(2), x(3)}, []string{"3:0"}},
		{"rising, then a train", []string{x(1), x(2), x(3), x(3)}, []string{"2:0", "2:3"}},
		{"empty among equal", []string{x(4), "", x(4)}, []string{"3:0"}},
		{"no more than a train takes", []string{x(40000), x(40000)}, []string{"2:0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, nil)
			r.guestSends("192.0.2.2:1000", "198.51.100.1:7", c.in...)
			var got, data []string
			for _, m := range r.host.sent {
				got = append(got, fmt.Sprintf("%d:%d", len(m.data), m.seg))
				data = append(data, m.data...)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("calls: got %v, want %v", got, c.want)
			}
			if !slices.Equal(data, c.in) {
				t.Error("payloads differ")
			}
		})
	}
}

func TestToHostDest(t *testing.T) {
	for _, c := range []struct {
		name     string
		src, dst string
		want     sock.Dest
	}{
		{"IPv4", "192.0.2.2:1000", "198.51.100.1:7", sock.Dest{To: ep("198.51.100.1:7"), Src: addr("192.0.2.9"), If: 4, Scope: 4, TTL: 63}},
		{"gateway", "192.0.2.2:1000", "192.0.2.1:7", sock.Dest{To: ep("127.0.0.1:7"), Scope: 4, TTL: 63}},
		{"IPv6", "[2001:db8::2]:1000", "[2001:db8::9]:7", sock.Dest{To: ep("[2001:db8::9]:7"), If: 6, Scope: 6, TTL: 63, Wide: true}},
		{"gateway IPv6", "[2001:db8::2]:1000", "[fe80::1]:7", sock.Dest{To: ep("[::1]:7"), Scope: 6, TTL: 63, Wide: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, func(c *Config, _ *link.Caps) {
				c.Out4 = sock.Outbound{Addr: addr("192.0.2.9"), If: "x", Index: 4, Scope: 4}
				c.Out6 = sock.Outbound{If: "x", Index: 6, Scope: 6}
			})
			r.guestSends(c.src, c.dst, "q")
			if len(r.host.sent) != 1 || r.host.sent[0].dest != c.want {
				t.Errorf("got %+v, want %+v", r.host.sent, c.want)
			}
			if p := r.host.open[r.host.sent[0].fd]; p != 1000 {
				t.Errorf("port %d, want 1000", p)
			}
		})
	}
}

func TestToHostRejects(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(p *l3.Packet)
		bad   uint64
	}{
		{"short", func(p *l3.Packet) { p.L4 = p.L4[:7] }, 1},
		{"length beyond the packet", func(p *l3.Packet) { p.L4[5]++; p.Meta.Flags = link.DataValid }, 1},
		{"length less than a header", func(p *l3.Packet) { p.L4[5] = 7; p.Meta.Flags = link.DataValid }, 1},
		{"checksum wrong", func(p *l3.Packet) { p.L4[6] ^= 1 }, 1},
		{"checksum not there yet", func(p *l3.Packet) { p.L4[6] ^= 1; p.Meta.Flags = link.NeedsCsum }, 0},
		{"no checksum, IPv6", func(p *l3.Packet) { // which would be right, if 0 could be
			word := uint32(binary.BigEndian.Uint16(p.L4[8:])) + uint32(binary.BigEndian.Uint16(p.L4[6:]))
			binary.BigEndian.PutUint16(p.L4[8:], l3.Fold(word))
			p.L4[6], p.L4[7] = 0, 0
		}, 1},
		{"to port 0", func(p *l3.Packet) { p.L4[2], p.L4[3] = 0, 0; p.Meta.Flags = link.DataValid }, 1},
		{"train of segments of 0", func(p *l3.Packet) { p.Meta.GSO = link.GSOUDPL4 }, 1},
		{"train of TCP", func(p *l3.Packet) { p.Meta.GSO, p.Meta.SegSize = link.GSOTCPv6, 1 }, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, nil)
			p := packet(ep("[2001:db8::2]:1000"), ep("[2001:db8::9]:7"), "hello")
			c.spoil(&p)
			r.Input([]l3.Packet{p}, r.now)
			if r.Stats.RxBad != c.bad || r.Stats.ToHost != 1-c.bad {
				t.Errorf("bad %d, want %d", r.Stats.RxBad, c.bad)
			}
		})
	}
}

// TestToHostTrailer: what the IP packet has behind the datagram is none of it, and not
// covered by its checksum.
func TestToHostTrailer(t *testing.T) {
	for src, dst := range map[string]string{"192.0.2.2:1000": "198.51.100.1:7", "[2001:db8::2]:1000": "[2001:db8::9]:7"} {
		r := newRig(t, nil)
		p := packet(ep(src), ep(dst), "hello")
		p.L4 = append(p.L4, "not of it"...)
		r.Input([]l3.Packet{p}, r.now)
		if len(r.host.sent) != 1 || !slices.Equal(r.host.sent[0].data, []string{"hello"}) {
			t.Errorf("from %s: sent %+v, %d bad", src, r.host.sent, r.Stats.RxBad)
		}
	}
}

func TestTrainFromGuest(t *testing.T) {
	r := newRig(t, nil)
	p := packet(ep("192.0.2.2:1000"), ep("198.51.100.1:7"), strings.Repeat("a", 100*70+5))
	p.Meta = link.Meta{GSO: link.GSOUDPL4, SegSize: 100, Flags: link.NeedsCsum}
	r.Input([]l3.Packet{p}, r.now)
	if r.Stats.ToHost != 71 || len(r.host.sent) != 2 || r.host.sent[0].seg != 100 {
		t.Errorf("%d datagrams in %d calls, want 71 in 2", r.Stats.ToHost, len(r.host.sent))
	}
}

func TestTrainRefusedByHost(t *testing.T) {
	r := newRig(t, nil)
	r.host.fail = func(_ *sock.Dest, _, seg int) syscall.Errno {
		if seg > 5 {
			return syscall.EINVAL
		}
		return 0
	}
	r.guestSends("192.0.2.2:1000", "198.51.100.1:7", "aaaaaaaaaa", "bbbbbbbbbb", "cccc", "dddd")
	var got []string
	for _, m := range r.host.sent {
		got = append(got, fmt.Sprintf("%v:%d", m.data, m.seg))
	}
	if want := []string{"[aaaaaaaaaa bbbbbbbbbb]:0", "[cccc dddd]:4"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSendErrors(t *testing.T) {
	for _, c := range []struct {
		name    string
		err     syscall.Errno
		earlier bool // the error is that of an earlier datagram
		errs    []l3.ErrorKind
		sent    uint64
	}{
		{"no route", syscall.ENETUNREACH, false, []l3.ErrorKind{l3.NetUnreachable}, 0},
		{"firewall", syscall.EPERM, false, []l3.ErrorKind{l3.AdminProhibited}, 0},
		{"buffer full", syscall.EAGAIN, false, nil, 0},
		{"not said in ICMP", syscall.EINVAL, false, nil, 0},
		{"refused earlier", syscall.ECONNREFUSED, true, []l3.ErrorKind{l3.PortUnreachable}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, nil)
			r.guestSends("192.0.2.2:1000", "198.51.100.1:7", "first")
			r.Stats.ToHost = 0
			if c.earlier {
				r.host.errors = []sock.QueuedError{{To: ep("198.51.100.1:7"), ICMP: true, Type: 3, Code: 3, Data: []byte("first")}}
			}
			r.host.fail = func(*sock.Dest, int, int) syscall.Errno {
				if c.earlier {
					r.host.fail = nil
				}
				return c.err
			}
			r.guestSends("192.0.2.2:1000", "198.51.100.1:7", "second")
			var kinds []l3.ErrorKind
			for _, e := range r.net.errs {
				kinds = append(kinds, e.Kind)
			}
			if !slices.Equal(kinds, c.errs) || r.Stats.ToHost != c.sent {
				t.Errorf("errors %v, sent %d, want %v, %d", kinds, r.Stats.ToHost, c.errs, c.sent)
			}
		})
	}
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name           string
		guest, to      string
		peer, wantPeer string
	}{
		{"IPv4", "192.0.2.2:1000", "198.51.100.1:7", "198.51.100.1:7", "198.51.100.1:7"},
		{"IPv6", "[2001:db8::2]:1000", "[2001:db8::9]:7", "[2001:db8::9]:7", "[2001:db8::9]:7"},
		{"gateway", "192.0.2.2:1000", "192.0.2.1:7", "127.0.0.1:7", "192.0.2.1:7"},
		{"from another port", "192.0.2.2:1000", "198.51.100.1:69", "198.51.100.1:3000", "198.51.100.1:3000"},
		{"from another address", "192.0.2.2:1000", "198.51.100.1:69", "203.0.113.5:69", "203.0.113.5:69"},
	} {
		for _, offload := range []link.Offload{0, link.OffloadCsum} {
			t.Run(fmt.Sprintf("%s, offload %d", c.name, offload), func(t *testing.T) {
				r := newRig(t, func(_ *Config, l *link.Caps) { l.Offload = offload })
				r.guestSends(c.guest, c.to, "question")
				r.hostSends(r.host.sent[0].fd, from(c.peer, "answer"), from(c.peer, ""))
				if len(r.net.packet) != 2 {
					t.Fatalf("%d packets, want 2", len(r.net.packet))
				}
				for i, want := range []string{"answer", ""} {
					src, dst, data := seen(t, r.net.packet[i], offload != 0)
					if src != ep(c.wantPeer) || dst != ep(c.guest) || data != want {
						t.Errorf("got %v > %v %q", src, dst, data)
					}
				}
				if len(r.host.open) != 1 {
					t.Errorf("%d sockets, want 1", len(r.host.open))
				}
			})
		}
	}
}

// TestChecksumNeverZero: a checksum that comes out as 0 is sent as 0xffff, because 0 says
// that there is none, which IPv6 does not allow.
func TestChecksumNeverZero(t *testing.T) {
	for _, c := range []struct {
		name        string
		guest, peer string
		size        int
	}{
		{"IPv4", "192.0.2.2:1000", "198.51.100.1:7", 2},
		{"IPv6", "[2001:db8::2]:1000", "[2001:db8::9]:7", 2},
		{"IPv4, fragments", "192.0.2.2:1000", "198.51.100.1:7", 4000},
		{"IPv6, fragments", "[2001:db8::2]:1000", "[2001:db8::9]:7", 4000},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, func(cfg *Config, _ *link.Caps) { cfg.MTU = 1500 })
			r.guestSends(c.guest, c.peer, "question")
			// The first packet's checksum field. That of 0 as payload, as payload, makes a sum of 0.
			checksum := func(payload []byte) []byte {
				r.net.packet = nil
				r.hostSends(r.host.sent[0].fd, from(c.peer, string(payload)))
				b := r.net.packet[0]
				at := l3.HeaderLen4
				if b[0]>>4 == 6 {
					if at = l3.HeaderLen6; b[6] != l3.ProtoUDP {
						at += 8 // of the fragment header
					}
				}
				return b[at+6:][:2]
			}
			payload := make([]byte, c.size)
			copy(payload, checksum(payload))
			if got := binary.BigEndian.Uint16(checksum(payload)); got != 0xffff {
				t.Errorf("checksum %#x, want 0xffff", got)
			}
		})
	}
}

func TestTrainToGuest(t *testing.T) {
	r := newRig(t, func(_ *Config, l *link.Caps) { l.Offload = link.OffloadCsum | link.OffloadUSO4 | link.OffloadUSO6 })
	r.guestSends("192.0.2.2:1000", "198.51.100.1:7", "q")
	d := from("198.51.100.1:7", strings.Repeat("z", 3500))
	d.Seg = 1000
	r.hostSends(r.host.sent[0].fd, d)
	want := link.Meta{GSO: link.GSOUDPL4, Flags: link.NeedsCsum, HdrLen: 42, SegSize: 1000, CsumStart: 34, CsumOff: 6}
	if len(r.net.meta) != 1 || r.net.meta[0] != want {
		t.Errorf("got %+v, want %+v", r.net.meta, want)
	}
}

func TestLongToGuest(t *testing.T) {
	for _, c := range []struct {
		name    string
		offload link.Offload
		seg     int
		sizes   []int
		packets int // after reassembly
	}{
		{"over the MTU", 0, 0, []int{4000}, 1},
		{"the longest", 0, 0, []int{65507}, 1},
		{"among short ones, in order", 0, 0, []int{10, 4000, 20, 5000, 1472}, 5},
		{"train over the MTU", link.OffloadCsum | link.OffloadUSO4 | link.OffloadUSO6, 2000, []int{5000}, 3},
		{"long with offload", link.OffloadCsum | link.OffloadUSO4 | link.OffloadUSO6, 0, []int{1, 60000}, 2},
	} {
		for _, guest := range []string{"192.0.2.2:1000", "[2001:db8::2]:1000"} {
			t.Run(c.name+" "+guest, func(t *testing.T) {
				r := newRig(t, func(cfg *Config, l *link.Caps) { cfg.MTU, l.Offload = 1500, c.offload })
				peer := "198.51.100.1:7"
				if guest[0] == '[' {
					peer = "[2001:db8::9]:7"
				}
				r.guestSends(guest, peer, "q")
				var in []sock.Datagram
				var want strings.Builder
				for i, n := range c.sizes {
					d := from(peer, strings.Repeat(string(rune('a'+i)), n))
					d.Seg = c.seg
					in = append(in, d)
					want.Write(d.Body[0])
				}
				r.hostSends(r.host.sent[0].fd, in...)
				got, n := collect(t, r.net)
				if got != want.String() || n != c.packets {
					t.Errorf("%d bytes in %d datagrams, want %d in %d", len(got), n, want.Len(), c.packets)
				}
			})
		}
	}
}

// collect puts fragments together and gives all payload.
func collect(t *testing.T, n *fakeNet) (string, int) {
	var re l3.Reassembler
	var got strings.Builder
	count := 0
	for i, b := range n.packet {
		if len(b) > 1500 {
			t.Errorf("packet of %d bytes", len(b))
		}
		if b[0]>>4 == 4 && (b[6]&0x20 != 0 || b[7] != 0 || b[6]&0x1f != 0) {
			b = re.Input4(b, 1)
		} else if b[0]>>4 == 6 && b[6] == 44 {
			b = re.Input6(b, 40, 1)
		}
		if b == nil {
			continue
		}
		_, _, data := seen(t, b, n.meta[i].Flags&link.NeedsCsum != 0)
		got.WriteString(data)
		count++
		re.Release()
	}
	return got.String(), count
}

func TestForwarded(t *testing.T) {
	r := newRig(t, nil)
	ref := r.AddListener(Listener{FD: 5, Bound: ep("0.0.0.0:8053"), To: inet.Endpoint{Port: 5353}})
	if ref == 0 {
		t.Fatal("no place")
	}
	d := from("198.51.100.7:4000", "question")
	d.Local = addr("192.0.2.9")
	r.hostSends(5, d)
	src, dst, data := seen(t, r.net.packet[0], false)
	if src != ep("198.51.100.7:4000") || dst != ep("192.0.2.2:5353") || data != "question" {
		t.Fatalf("got %v > %v %q", src, dst, data)
	}
	r.guestSends("192.0.2.2:5353", "198.51.100.7:4000", "answer")
	if m := r.host.sent[0]; m.fd != 5 || m.dest.Src != addr("192.0.2.9") || m.dest.To != ep("198.51.100.7:4000") {
		t.Errorf("answer: got %+v", m)
	}
	r.guestSends("192.0.2.2:5353", "198.51.100.8:1", "own")
	if m := r.host.sent[1]; m.fd != 5 || m.dest.Src != (inet.Addr{}) {
		t.Errorf("own flow: got %+v, want it to leave by the listener", m)
	}
	r.RemoveListener(ref)
	if r.Len() != 0 || len(r.host.open) != 0 {
		t.Errorf("%d flows, %d sockets left", r.Len(), len(r.host.open))
	}
	r.guestSends("192.0.2.2:5353", "198.51.100.8:1", "own")
	if m := r.host.sent[2]; m.fd == 5 {
		t.Error("removed listener used")
	}
}

func TestForwardedLookAlikes(t *testing.T) {
	r := newRig(t, nil)
	r.AddListener(Listener{FD: 5, Bound: ep("0.0.0.0:7"), To: inet.Endpoint{Port: 7}})
	r.hostSends(5, from("127.0.0.1:4000", "a"), from("127.0.0.2:4000", "b"), from("127.0.0.1:4000", "c"))
	var got []string
	for _, b := range r.net.packet {
		src, _, data := seen(t, b, false)
		got = append(got, fmt.Sprintf("%v %s", src, data))
	}
	if want := []string{"192.0.2.1:4000 a", "192.0.2.1:4001 b", "192.0.2.1:4000 c"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	r.guestSends("192.0.2.2:7", "192.0.2.1:4001", "to b")
	if m := r.host.sent[0]; m.dest.To != ep("127.0.0.2:4000") {
		t.Errorf("got %v", m.dest.To)
	}
}

// TestForwardedLookAlikesLastPort: the port after the last one is no 0, nor one that needs
// privileges.
func TestForwardedLookAlikesLastPort(t *testing.T) {
	r := newRig(t, nil)
	r.AddListener(Listener{FD: 5, Bound: ep("0.0.0.0:7"), To: inet.Endpoint{Port: 7}})
	r.hostSends(5, from("127.0.0.1:65535", "a"), from("127.0.0.2:65535", "b"), from("127.0.0.3:65535", "c"))
	var got []string
	for _, b := range r.net.packet {
		src, _, data := seen(t, b, false)
		got = append(got, fmt.Sprintf("%v %s", src, data))
	}
	if want := []string{"192.0.2.1:65535 a", "192.0.2.1:1024 b", "192.0.2.1:1025 c"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestScope: the answer to a link-local peer leaves by the link that the peer is on.
func TestScope(t *testing.T) {
	r := newRig(t, func(c *Config, _ *link.Caps) { c.Out6 = sock.Outbound{Scope: 6} })
	r.AddListener(Listener{FD: 5, Bound: ep("[::]:7"), Wide: true, To: inet.Endpoint{Port: 7}})
	d := from("[fe80::5]:4000", "question")
	d.Scope = 3
	r.hostSends(5, d)
	r.guestSends("[2001:db8::2]:7", "[fe80::5]:4000", "answer")
	r.guestSends("[2001:db8::2]:8", "[fe80::5]:4000", "the guest's own")
	var got []uint32
	for _, m := range r.host.sent {
		got = append(got, m.dest.Scope)
	}
	if want := []uint32{3, 6}; !slices.Equal(got, want) {
		t.Errorf("scopes %v, want %v", got, want)
	}
}

func TestSamePeerSeenTwice(t *testing.T) {
	// Two addresses that mean the same to the host: answers go to the one used last.
	r := newRig(t, nil)
	r.guestSends("192.0.2.2:1000", "127.0.0.1:7", "direct")
	r.guestSends("192.0.2.2:1000", "192.0.2.1:7", "gateway")
	r.hostSends(r.host.sent[0].fd, from("127.0.0.1:7", "1"))
	r.guestSends("192.0.2.2:1000", "127.0.0.1:7", "direct")
	r.hostSends(r.host.sent[0].fd, from("127.0.0.1:7", "2"))
	for i, want := range []string{"192.0.2.1:7", "127.0.0.1:7"} {
		if src, _, _ := seen(t, r.net.packet[i], false); src != ep(want) {
			t.Errorf("answer %d from %v, want %v", i, src, want)
		}
	}
}

func TestNetworkErrors(t *testing.T) {
	r := newRig(t, nil)
	r.guestSends("192.0.2.2:1000", "192.0.2.1:7", "question")
	r.host.errors = []sock.QueuedError{
		{To: ep("127.0.0.1:7"), ICMP: true, Type: 3, Code: 3, Offender: lo4, Data: []byte("question")},
		{To: ep("127.0.0.1:8"), ICMP: true, Type: 3, Code: 3, Offender: lo4},
	}
	r.Event(r.poll.fds[r.host.sent[0].fd], sock.Err, r.now)
	if len(r.net.errs) != 1 || r.net.errs[0] != (l3.ICMPError{Kind: l3.PortUnreachable, From: gateway4}) {
		t.Fatalf("got %+v", r.net.errs)
	}
	src, dst, data := seen(t, r.net.quotes[0], false)
	if src != ep("192.0.2.2:1000") || dst != ep("192.0.2.1:7") || data != "question" {
		t.Errorf("quoted %v > %v %q", src, dst, data)
	}
	if r.Stats.ErrorsUnknown != 1 {
		t.Errorf("%d unknown errors, want 1", r.Stats.ErrorsUnknown)
	}
}

func TestDenied(t *testing.T) {
	r := newRig(t, nil)
	r.guestSends("192.0.2.2:1000", "198.51.100.1:9", "x")
	r.AddListener(Listener{FD: 5, Bound: ep("0.0.0.0:7"), To: inet.Endpoint{Port: 7}})
	r.hostSends(5, from("198.51.100.1:9", "x"))
	if r.Stats.Denied != 2 || r.Len() != 0 || len(r.host.open) != 1 {
		t.Errorf("denied %d, %d flows, %d sockets", r.Stats.Denied, r.Len(), len(r.host.open))
	}
}

func TestProhibited(t *testing.T) {
	for _, addrs := range [][2]string{{"192.0.2.2:1000", "198.51.100.1:99"}, {"[2001:db8::2]:1000", "[2001:db8:1::1]:99"}} {
		var watched record
		r := newRig(t, func(c *Config, _ *link.Caps) { c.Watch = &watched })
		r.guestSends(addrs[0], addrs[1], "a", "b", "c")
		if r.Stats.Denied != 3 || r.Len() != 0 || len(r.host.open) != 0 {
			t.Errorf("denied %d, %d flows, %d sockets", r.Stats.Denied, r.Len(), len(r.host.open))
		}
		if len(r.net.errs) != 1 || r.net.errs[0].Kind != l3.AdminProhibited {
			t.Errorf("errors %+v", r.net.errs)
		}
		if want := (record{"denied " + addrs[1]}); !slices.Equal(watched, want) {
			t.Errorf("watched %q, want %q", watched, want)
		}
	}
}

// TestProhibitedPeer has a peer write to a socket of the guest's own flows that the guest may
// not write to, and then to a forwarded port.
func TestProhibitedPeer(t *testing.T) {
	r := newRig(t, nil)
	r.guestSends("192.0.2.2:1000", "198.51.100.1:7", "q")
	r.hostSends(r.host.sent[0].fd, from("198.51.100.1:99", "x"), from("198.51.100.1:98", "x"))
	if r.Stats.Denied != 1 || r.Len() != 2 || r.Stats.ToGuest != 1 {
		t.Errorf("%+v, %d flows", r.Stats, r.Len())
	}
	r.AddListener(Listener{FD: 90, Bound: ep("0.0.0.0:5000"), To: inet.Endpoint{Port: 53}})
	r.hostSends(90, from("198.51.100.1:99", "x"))
	r.guestSends("192.0.2.2:53", "198.51.100.1:99", "answer")
	if r.Stats.Denied != 1 || r.Len() != 3 || r.Stats.ToGuest != 2 || r.Stats.ToHost != 2 {
		t.Errorf("forwarded port: %+v, %d flows", r.Stats, r.Len())
	}
}

func TestLinkFull(t *testing.T) {
	r := newRig(t, nil)
	r.guestSends("192.0.2.2:1000", "198.51.100.1:7", "q")
	fd := r.host.sent[0].fd
	r.net.full = true
	r.host.inbox[fd] = []sock.Datagram{from("198.51.100.1:7", "a")}
	r.Event(r.poll.fds[fd], sock.In, r.now)
	if r.Stats.LinkFull != 1 || len(r.host.inbox[fd]) != 0 {
		t.Errorf("dropped %d, want 1", r.Stats.LinkFull)
	}
}
