package udp

// The translator over real sockets of the host's loopback, with the epoll instance of a
// worker.

import (
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"passt/l3"
	"passt/l3/inet"
	"passt/l4/sock"
	"passt/link"
	"passt/link/sys"
)

type realRig struct {
	*rig
	epoll *sys.Epoll
}

func newRealRig(t testing.TB, set func(*Config, *link.Caps)) *realRig {
	t.Helper()
	p, err := sys.NewEpoll(16)
	if err != nil {
		t.Fatal(err)
	}
	r := &realRig{epoll: p}
	r.rig = newRig(t, func(c *Config, l *link.Caps) {
		c.Sockets, c.Poller = sock.NewUDP(), sock.Epoll{Epoll: p}
		if set != nil {
			set(c, l)
		}
	})
	t.Cleanup(func() {
		r.flows.All(func(e *entry) { r.remove(e, "") })
		p.Close()
	})
	return r
}

// wait handles events until ok or a second has passed.
func (r *realRig) wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	const alarm = 0 // a reference of no kind
	timer, err := sys.NewTimer()
	if err != nil {
		t.Fatal(err)
	}
	defer timer.Close()
	r.epoll.Add(timer.FD(), alarm, sock.In)
	timer.Set(int64(time.Second))
	var ev [16]sys.Event
	for !ok() {
		n, _ := r.epoll.Wait(ev[:])
		for _, e := range ev[:n] {
			if e.Ref == alarm {
				t.Fatalf("no %s", what)
			}
			r.Event(sock.Ref(e.Ref), e.Events, r.now)
		}
	}
}

func listen(t testing.TB, at string) (*net.UDPConn, netip.AddrPort) {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(at)))
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, c.LocalAddr().(*net.UDPAddr).AddrPort()
}

// pair is the same test for both IP versions.
var pairs = []struct {
	name, loopback, guest, gateway string
	offload                        link.Offload
}{
	{"IPv4", "127.0.0.1:0", "192.0.2.2:40001", "192.0.2.1", 0},
	{"IPv6", "[::1]:0", "[2001:db8::2]:40001", "fe80::1", 0},
	{"IPv4, trains", "127.0.0.1:0", "192.0.2.2:40002", "192.0.2.1", link.OffloadCsum | link.OffloadUSO4 | link.OffloadUSO6},
	{"IPv6, trains", "[::1]:0", "[2001:db8::2]:40002", "fe80::1", link.OffloadCsum | link.OffloadUSO4 | link.OffloadUSO6},
}

func TestRealRoundTrip(t *testing.T) {
	for _, c := range pairs {
		t.Run(c.name, func(t *testing.T) {
			r := newRealRig(t, func(_ *Config, l *link.Caps) { l.Offload = c.offload })
			server, at := listen(t, c.loopback)
			seenAs := netip.AddrPortFrom(netip.MustParseAddr(c.gateway), at.Port()).String()
			buf := make([]byte, 70000)
			for _, sizes := range [][]int{{5}, {0}, {1400, 1400, 1400, 1400, 900}, {1, 2, 3}, {65507}} {
				var in []string
				for i, n := range sizes {
					in = append(in, strings.Repeat(string(rune('a'+i)), n))
				}
				r.guestSends(c.guest, seenAs, in...)
				var got strings.Builder
				for i, want := range in {
					server.SetReadDeadline(time.Now().Add(time.Second))
					n, from, err := server.ReadFromUDPAddrPort(buf)
					if err != nil || string(buf[:n]) != want {
						t.Fatalf("datagram %d of %v: %v, %d bytes", i, sizes, err, n)
					}
					r.net.packet, r.net.meta = nil, nil
					server.WriteToUDPAddrPort(buf[:n], from)
					r.wait(t, "answer", func() bool { return len(r.net.packet) > 0 })
					data, _ := collectAny(t, r.net)
					got.WriteString(data)
				}
				if got.String() != strings.Join(in, "") {
					t.Errorf("%v: answers differ", sizes)
				}
			}
			if r.Stats.HostError != 0 || len(r.net.errs) != 0 {
				t.Errorf("%d errors, %v", r.Stats.HostError, r.net.errs)
			}
		})
	}
}

// collectAny is collect for any MTU.
func collectAny(t *testing.T, n *fakeNet) (string, int) {
	var got strings.Builder
	var re l3.Reassembler
	for i, b := range n.packet {
		switch {
		case b[0]>>4 == 4 && (b[6]&0x3f != 0 || b[7] != 0):
			b = re.Input4(b, 1)
		case b[0]>>4 == 6 && b[6] == 44:
			b = re.Input6(b, 40, 1)
		}
		if b == nil {
			continue
		}
		_, _, data := seen(t, b, n.meta[i].Flags&link.NeedsCsum != 0)
		got.WriteString(data)
	}
	return got.String(), len(n.packet)
}

func TestRealPortUnreachable(t *testing.T) {
	for _, c := range pairs[:2] {
		t.Run(c.name, func(t *testing.T) {
			r := newRealRig(t, nil)
			server, at := listen(t, c.loopback)
			server.Close()
			seenAs := netip.AddrPortFrom(netip.MustParseAddr(c.gateway), at.Port()).String()
			r.guestSends(c.guest, seenAs, "hello")
			r.wait(t, "error", func() bool { return len(r.net.errs) > 0 })
			want := l3.ICMPError{Kind: l3.PortUnreachable, From: addr(c.gateway)}
			if r.net.errs[0] != want {
				t.Errorf("got %+v, want %+v", r.net.errs[0], want)
			}
			src, dst, data := seen(t, r.net.quotes[0], false)
			if src != ep(c.guest) || dst != ep(seenAs) || data != "hello" {
				t.Errorf("quoted %v > %v %q", src, dst, data)
			}
			// The error is taken: the next datagram to another port is not harmed.
			second, at := listen(t, c.loopback)
			r.guestSends(c.guest, netip.AddrPortFrom(netip.MustParseAddr(c.gateway), at.Port()).String(), "again")
			second.SetReadDeadline(time.Now().Add(time.Second))
			if _, err := second.Read(make([]byte, 10)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRealForwarded(t *testing.T) {
	for _, c := range []struct {
		name, bound, client string
		wide, dual          bool
	}{
		{"IPv4", "0.0.0.0:0", "127.0.0.5", false, false},
		{"IPv6", "[::]:0", "::1", true, true},
		{"IPv4 on a dual-stack socket", "[::]:0", "127.0.0.5", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRealRig(t, nil)
			l, at := listen(t, c.bound)
			f, err := l.File()
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			fd, e := syscall.Dup(int(f.Fd()))
			if e != nil {
				t.Fatal(e)
			}
			ref := r.AddListener(Listener{FD: fd, Bound: inet.Endpoint{Port: at.Port()}, Wide: c.wide, Dual: c.dual, To: inet.Endpoint{Port: 99}})
			defer r.RemoveListener(ref)
			client, err := net.Dial("udp", netip.AddrPortFrom(netip.MustParseAddr(c.client), at.Port()).String())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			client.Write([]byte("question"))
			r.wait(t, "question", func() bool { return len(r.net.packet) > 0 })
			src, dst, data := seen(t, r.net.packet[0], false)
			if data != "question" || dst.Port != 99 {
				t.Fatalf("got %v > %v %q", src, dst, data)
			}
			// The client's socket is connected: the answer must come from the address asked.
			r.guestSends(dst.String(), src.String(), "answer")
			buf := make([]byte, 100)
			client.SetReadDeadline(time.Now().Add(time.Second))
			if n, err := client.Read(buf); err != nil || string(buf[:n]) != "answer" {
				t.Errorf("got %q, %v; stats %+v", buf[:n], err, r.Stats)
			}
		})
	}
}

func BenchmarkRealRoundTrip(b *testing.B) {
	r := newRealRig(b, nil)
	server, at := listen(b, "127.0.0.1:0")
	r.net.quiet = true
	go func() {
		buf := make([]byte, 2000)
		for {
			n, from, err := server.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			server.WriteToUDPAddrPort(buf[:n], from)
		}
	}()
	batch := []l3.Packet{packet(ep("192.0.2.2:40003"), inet.Endpoint{Addr: gateway4, Port: at.Port()}, "hello")}
	b.ReportAllocs()
	for b.Loop() {
		before := r.Stats.ToGuest
		r.Input(batch, r.now)
		r.wait(b, "answer", func() bool { return r.Stats.ToGuest > before })
	}
}

func BenchmarkRealSend(b *testing.B) {
	r := newRealRig(b, nil)
	_, at := listen(b, "127.0.0.1:0")
	var batch []l3.Packet
	payload := string(make([]byte, 1400))
	for range 32 {
		p := packet(ep("192.0.2.2:40004"), inet.Endpoint{Addr: gateway4, Port: at.Port()}, payload)
		p.Meta.Flags = link.NeedsCsum
		batch = append(batch, p)
	}
	b.SetBytes(32 * 1400)
	b.ReportAllocs()
	for b.Loop() {
		r.Input(batch, r.now)
	}
}
