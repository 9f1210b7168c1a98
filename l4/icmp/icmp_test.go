package icmp

import (
	"encoding/binary"
	"fmt"
	"slices"
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

func TestEcho(t *testing.T) {
	for _, c := range []struct {
		name            string
		guest, to       string
		replier, target string
		typ             uint8
		want            string
	}{
		{"IPv4", "192.0.2.2", "198.51.100.1", "198.51.100.1", "198.51.100.1", 0, `198.51.100.1 > 192.0.2.2 ttl 49: type 0 id 77 seq 3 "data"`},
		{"IPv6", "2001:db8::2", "2001:db8::9", "2001:db8::9", "2001:db8::9", 129, `2001:db8::9 > 2001:db8::2 ttl 49: type 129 id 77 seq 3 "data"`},
		{"gateway", "192.0.2.2", "192.0.2.1", "127.0.0.1", "127.0.0.1", 0, `192.0.2.1 > 192.0.2.2 ttl 49: type 0 id 77 seq 3 "data"`},
		{"gateway IPv6", "2001:db8::2", "fe80::1", "::1", "::1", 129, `fe80::1 > 2001:db8::2 ttl 49: type 129 id 77 seq 3 "data"`},
		{"another host replies", "192.0.2.2", "192.0.2.255", "192.0.2.7", "192.0.2.255", 0, `192.0.2.7 > 192.0.2.2 ttl 49: type 0 id 77 seq 3 "data"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(nil)
			r.Input([]l3.Packet{request(c.guest, c.to, 77, 3, "data")}, r.now)
			if len(r.host.sent) != 1 || r.host.sent[0].msg.Peer != addr(c.target) || r.host.sent[0].msg.TTL != 63 {
				t.Fatalf("sent %+v", r.host.sent)
			}
			fd := r.host.sent[0].fd
			if id := r.host.open[fd]; id != 77 {
				t.Errorf("socket has identifier %d", id)
			}
			// The socket may have got another identifier.
			r.host.inbox[fd] = []sock.Echo{{Peer: addr(c.replier), TTL: 50, Msg: message(c.typ, 1234, 3, "data")}}
			r.Event(r.poll[fd], sock.In, r.now)
			if len(r.net.packet) != 1 {
				t.Fatalf("%d packets, want 1", len(r.net.packet))
			}
			if got := seen(t, r.net.packet[0]); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestInputCounts(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(p *l3.Packet)
		want Stats
	}{
		{"short", func(p *l3.Packet) { p.L4 = p.L4[:7] }, Stats{RxBad: 1}},
		{"checksum wrong", func(p *l3.Packet) { p.L4[3]++ }, Stats{RxBad: 1}},
		{"ICMPv6 over IPv4", func(p *l3.Packet) { p.Proto = l3.ProtoICMPv6 }, Stats{RxBad: 1}},
		{"an error of the guest", func(p *l3.Packet) { p.L4[0] = 3; p.Meta.Flags = link.DataValid }, Stats{RxOther: 1}},
		{"echo with a code", func(p *l3.Packet) { p.L4[1] = 3; p.Meta.Flags = link.DataValid }, Stats{RxOther: 1}},
		{"denied", func(p *l3.Packet) { p.Dst = addr("203.0.113.9") }, Stats{Denied: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(nil)
			p := request("192.0.2.2", "198.51.100.1", 1, 1, "x")
			c.edit(&p)
			r.Input([]l3.Packet{p}, r.now)
			if r.Stats != c.want || len(r.host.open) != 0 {
				t.Errorf("got %+v, want %+v", r.Stats, c.want)
			}
		})
	}
}

func TestDenied(t *testing.T) {
	for _, tt := range []struct {
		name, to string
		errors   int
		watched  record
	}{
		{"nowhere", "203.0.113.9", 0, nil},
		{"prohibited", "203.0.113.10", 1, record{"denied 203.0.113.10:0"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var watched record
			r := newRig(func(c *Config) { c.Watch = &watched })
			r.Input([]l3.Packet{request("192.0.2.2", tt.to, 1, 1, "x")}, r.now)
			if want := (Stats{Denied: 1}); r.Stats != want || r.Len() != 0 || len(r.host.open) != 0 {
				t.Errorf("got %+v, %d flows, %d sockets", r.Stats, r.Len(), len(r.host.open))
			}
			if len(r.net.errs) != tt.errors || tt.errors > 0 && r.net.errs[0].Kind != l3.AdminProhibited {
				t.Errorf("errors %+v, want %d", r.net.errs, tt.errors)
			}
			if !slices.Equal(watched, tt.watched) {
				t.Errorf("watched %q, want %q", watched, tt.watched)
			}
		})
	}
}

func TestNoSockets(t *testing.T) {
	for _, c := range []struct {
		name string
		err  syscall.Errno
		want Stats
	}{
		{"not permitted", syscall.EACCES, Stats{NotPermitted: 1}},
		{"no descriptors", syscall.EMFILE, Stats{NoSocket: 1}},
		{"no IPv6", syscall.EAFNOSUPPORT, Stats{NoSocket: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(nil)
			r.host.err = c.err
			r.Input([]l3.Packet{request("192.0.2.2", "198.51.100.1", 1, 1, "x")}, r.now)
			if r.Stats != c.want || len(r.net.errs) != 1 || r.net.errs[0].Kind != l3.AdminProhibited {
				t.Errorf("got %+v, %+v", r.Stats, r.net.errs)
			}
		})
	}
}

func TestOutbound(t *testing.T) {
	r := newRig(func(c *Config) { c.Out4 = sock.Outbound{If: "eth0"} })
	r.Input([]l3.Packet{request("192.0.2.2", "198.51.100.1", 1, 1, ""), request("192.0.2.2", "192.0.2.1", 1, 1, "")}, r.now)
	if o := r.host.outs[r.host.sent[0].fd]; o == nil || o.If != "eth0" {
		t.Errorf("network: bound to %v", o)
	}
	if o := r.host.outs[r.host.sent[1].fd]; o != nil {
		t.Errorf("loopback: bound to %v", o)
	}
}

func TestTTL(t *testing.T) {
	r := newRig(nil)
	for _, ttl := range []uint8{2, 2, 3, 64} {
		p := request("192.0.2.2", "198.51.100.1", 1, 1, "")
		p.TTL = ttl
		r.Input([]l3.Packet{p}, r.now)
	}
	var got []uint8
	for _, s := range r.host.sent {
		got = append(got, s.msg.TTL)
	}
	if want := []uint8{1, 0, 2, 63}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestErrors(t *testing.T) {
	r := newRig(nil)
	p := request("192.0.2.2", "198.51.100.1", 77, 3, "data")
	r.Input([]l3.Packet{p}, r.now)
	quoted := slices.Clone(p.L4)
	// As the host sent it: with the identifier of the socket, and its checksum.
	binary.BigEndian.PutUint16(quoted[4:], 1234)
	quoted[2], quoted[3] = 0, 0
	binary.BigEndian.PutUint16(quoted[2:], l3.Checksum(0, quoted))
	r.host.errors = []sock.QueuedError{{To: inet.Endpoint{Addr: p.Dst}, ICMP: true, Type: 11, Offender: addr("198.51.100.254"), Data: quoted}}
	r.Event(r.poll[r.host.sent[0].fd], sock.Err, r.now)
	if len(r.net.errs) != 1 || r.net.errs[0] != (l3.ICMPError{Kind: l3.TimeExceeded, From: addr("198.51.100.254")}) {
		t.Fatalf("got %+v", r.net.errs)
	}
	if want := `192.0.2.2 > 198.51.100.1 ttl 1: type 8 id 77 seq 3 "data"`; seen(t, r.net.quotes[0]) != want {
		t.Errorf("quoted %s", seen(t, r.net.quotes[0]))
	}
	r.host.fail = syscall.ENETUNREACH
	r.Input([]l3.Packet{p}, r.now)
	if len(r.net.errs) != 2 || r.net.errs[1].Kind != l3.NetUnreachable {
		t.Errorf("no route: got %+v", r.net.errs[1:])
	}
}

func TestLongReply(t *testing.T) {
	r := newRig(func(c *Config) { c.MTU = 1500 })
	data := strings.Repeat("0123456789", 6550)
	r.Input([]l3.Packet{request("192.0.2.2", "198.51.100.1", 77, 3, data)}, r.now)
	fd := r.host.sent[0].fd
	r.host.inbox[fd] = []sock.Echo{{Peer: addr("198.51.100.1"), Msg: message(0, 5, 3, data)}}
	r.Event(r.poll[fd], sock.In, r.now)
	var re l3.Reassembler
	var whole []byte
	for _, b := range r.net.packet {
		if len(b) > 1500 {
			t.Fatalf("packet of %d bytes", len(b))
		}
		whole = re.Input4(b, 1)
	}
	if want := fmt.Sprintf("198.51.100.1 > 192.0.2.2 ttl 64: type 0 id 77 seq 3 %q", data); whole == nil || seen(t, whole) != want {
		t.Errorf("got %d bytes in %d packets", len(whole), len(r.net.packet))
	}
}

func TestFloodAndExpiry(t *testing.T) {
	r := newRig(nil)
	r.host.limit = 5
	for id := range uint16(100) {
		r.now += second
		r.Input([]l3.Packet{request("192.0.2.2", "198.51.100.1", 1000, 1, ""), request("192.0.2.2", "198.51.100.1", id, 1, "")}, r.now)
	}
	if r.Stats.ToHost != 200 || len(r.host.open) != 5 || r.Stats.Flows != 101 {
		t.Errorf("sent %d, %d sockets, %d flows begun", r.Stats.ToHost, len(r.host.open), r.Stats.Flows)
	}
	var buf [8]uint64
	for range 70 {
		r.now += second
		for _, ref := range r.cfg.Wheel.Advance(buf[:0], r.now) {
			r.Timer(sock.Ref(ref), r.now)
		}
	}
	if r.Len() != 0 || len(r.host.open) != 0 || len(r.poll) != 0 || r.cfg.Wheel.Len() != 0 {
		t.Errorf("%d flows left, %d timers", r.Len(), r.cfg.Wheel.Len())
	}
}

func TestNoAllocations(t *testing.T) {
	r := newRig(nil)
	r.host.quiet, r.net.quiet = true, true
	batch := []l3.Packet{request("192.0.2.2", "198.51.100.1", 77, 3, "data")}
	r.Input(batch, r.now)
	if n := testing.AllocsPerRun(100, func() { r.Input(batch, r.now) }); n != 0 {
		t.Errorf("Input allocates %v times", n)
	}
	box := []sock.Echo{{Peer: addr("198.51.100.1"), TTL: 50, Msg: message(0, 1234, 3, "data")}}
	fd := r.host.next
	r.host.inbox[fd] = box
	if n := testing.AllocsPerRun(100, func() {
		r.host.inbox[fd] = box
		r.Event(r.poll[fd], sock.In, r.now)
	}); n != 0 {
		t.Errorf("Event allocates %v times", n)
	}
}

func FuzzInput(f *testing.F) {
	f.Add(request("192.0.2.2", "198.51.100.1", 1, 1, "x").L4, false)
	f.Add(request("2001:db8::2", "2001:db8::9", 1, 1, "x").L4, true)
	f.Fuzz(func(t *testing.T, l4 []byte, six bool) {
		r := newRig(nil)
		p := request("192.0.2.2", "198.51.100.1", 1, 1, "x")
		if six {
			p = request("2001:db8::2", "2001:db8::9", 1, 1, "x")
		}
		p.L4, p.B, p.Meta.Flags = l4, l4, link.DataValid
		r.Input([]l3.Packet{p}, r.now)
		if s := &r.Stats; s.RxBad+s.RxOther+s.ToHost != 1 {
			t.Errorf("not counted once: %+v", s)
		}
	})
}

// TestReal pings the host's loopback, if the system lets it.
func TestReal(t *testing.T) {
	if err := Check(); err != nil {
		t.Skip(err)
	}
	for _, c := range []struct {
		name, guest, gateway string
		want                 string
	}{
		{"IPv4", "192.0.2.2", "192.0.2.1", `192.0.2.1 > 192.0.2.2 ttl 63: type 0 id 77 seq 3 `},
		{"IPv6", "2001:db8::2", "fe80::1", `fe80::1 > 2001:db8::2 ttl 63: type 129 id 77 seq 3 `},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := sys.NewEpoll(4)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			const alarm = 0 // a reference of no kind
			timer, err := sys.NewTimer()
			if err != nil {
				t.Fatal(err)
			}
			defer timer.Close()
			p.Add(timer.FD(), alarm, sock.In)
			r := newRig(func(c *Config) { c.Sockets, c.Poller = sock.NewPing(), sock.Epoll{Epoll: p} })
			for _, data := range []string{"hello", "", strings.Repeat("x", 60000)} {
				r.net.packet = nil
				r.Input([]l3.Packet{request(c.guest, c.gateway, 77, 3, data)}, r.now)
				var ev [4]sys.Event
				timer.Set(int64(time.Second))
				for len(r.net.packet) == 0 {
					n, _ := p.Wait(ev[:])
					for _, e := range ev[:n] {
						if e.Ref == alarm {
							t.Fatalf("no reply; %+v", r.Stats)
						}
						r.Event(sock.Ref(e.Ref), e.Events, r.now)
					}
				}
				if got, want := seen(t, r.net.packet[0]), c.want+fmt.Sprintf("%q", data); got != want {
					t.Errorf("got  %.90s\nwant %.90s", got, want)
				}
			}
			r.flows.All(func(e *entry) { r.remove(e, "") })
		})
	}
}
