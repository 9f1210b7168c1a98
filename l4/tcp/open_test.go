package tcp

import (
	"encoding/binary"
	"slices"
	"syscall"
	"testing"

	"passt/l3"
	"passt/l3/inet"
	"passt/l4/flow"
	"passt/l4/sock"
	"passt/link"
	"passt/nat"
)

func key(guest, host inet.Endpoint) flow.Key { return flow.Key{Guest: guest, Remote: host} }

func TestGuestConnects(t *testing.T) {
	b := newBench(t, allOffloads)
	b.in(seg{flags: SYN, seq: irs, wnd: 65535, opts: synOpts})
	b.want("before the host is connected")
	b.in(seg{flags: SYN, seq: irs, wnd: 65535, opts: synOpts})
	b.want("the SYN again")
	if n := len(b.socks.socks); n != 1 {
		t.Fatalf("%d sockets", n)
	}
	if s := b.socks.socks[0]; s.dst != host4 || s.local || s.hops != 0 {
		t.Fatalf("dialled %v, local %v, hops %d", s.dst, s.local, s.hops)
	}
	b.event(0, sock.Out)
	if h := b.net.sent[0].h; h.options().mss != gsoMSS || !h.options().hasScale {
		t.Errorf("options %+v", h.options())
	}
	b.want("connected", "SYN|ACK 0 1")
	b.in(seg{flags: ACK, seq: irs + 1, ack: b.iss() + 1, wnd: 512})
	if c := b.conn(); c.state != established || c.sndWnd != 512<<7 {
		t.Errorf("state %v, window %d", c.state, c.sndWnd)
	}
	b.want("ACK")
}

func TestMappedConnectionIsLocal(t *testing.T) {
	b := newBench(t, allOffloads)
	b.host = ep("192.0.2.1:80")
	b.in(seg{flags: SYN, seq: irs, wnd: 65535})
	if s := b.socks.socks[0]; s.dst != ep("127.0.0.1:80") || !s.local {
		t.Errorf("dialled %v, local %v", s.dst, s.local)
	}
}

func TestSYNOptions(t *testing.T) {
	for _, tt := range []struct {
		name  string
		opts  []byte
		v6    bool
		mss   uint16
		scale uint8
		ours  bool // we offer window scaling
	}{
		{"none, IPv4", nil, false, 536, 0, false},
		{"none, IPv6", nil, true, 1220, 0, false},
		{"MSS 1460", []byte{2, 4, 5, 0xb4}, false, 1460, 0, false},
		{"MSS 0", []byte{2, 4, 0, 0}, false, 536, 0, false},
		{"MSS 1", []byte{2, 4, 0, 1}, false, leastMSS, 0, false},
		{"MSS 65535", []byte{2, 4, 0xff, 0xff}, false, 65495, 0, false},
		{"scale 14", []byte{3, 3, 14}, false, 536, 14, true},
		{"scale 255 means 14", []byte{3, 3, 255}, false, 536, 14, true},
		{"length 0 ends the list", []byte{2, 0, 5, 0xb4}, false, 536, 0, false},
		{"length beyond the header", []byte{2, 40, 5, 0xb4}, false, 536, 0, false},
		{"MSS of another length is skipped", []byte{2, 3, 5, 3, 3, 2, 0}, false, 536, 2, true},
		{"kind without length", []byte{1, 1, 1, 3}, false, 536, 0, false},
		{"unknown ones are skipped", []byte{8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 2, 4, 5, 0xb4}, false, 1460, 0, false},
		{"end hides the rest", []byte{0, 2, 4, 5, 0xb4}, false, 536, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, allOffloads)
			if tt.v6 {
				b.guest, b.host = guest6, host6
			}
			b.in(seg{flags: SYN, seq: irs, wnd: 1000, opts: tt.opts})
			b.event(0, sock.Out)
			c := b.conn()
			if c.mss != tt.mss || c.sndScale != tt.scale {
				t.Errorf("mss %d, scale %d; want %d, %d", c.mss, c.sndScale, tt.mss, tt.scale)
			}
			if o := b.net.sent[0].h.options(); o.hasScale != tt.ours || o.mss == 0 {
				t.Errorf("we offer %+v", o)
			}
			if c.sndWnd != 1000 {
				t.Errorf("a SYN's window was scaled: %d", c.sndWnd)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for _, tt := range []struct {
		name  string
		dial  syscall.Errno // at once
		later syscall.Errno
		want  []string
		icmp  []l3.ErrorKind
	}{
		{name: "refused at once", dial: syscall.ECONNREFUSED, want: []string{"RST|ACK %d 1"}},
		{name: "no descriptors", dial: syscall.EMFILE, want: []string{"RST|ACK %d 1"}},
		{name: "no route", dial: syscall.ENETUNREACH, icmp: []l3.ErrorKind{l3.NetUnreachable}},
		{name: "forbidden", dial: syscall.EPERM, icmp: []l3.ErrorKind{l3.AdminProhibited}},
		{name: "refused", later: syscall.ECONNREFUSED, want: []string{"RST|ACK %d 1"}},
		{name: "no such host", later: syscall.EHOSTUNREACH, icmp: []l3.ErrorKind{l3.HostUnreachable}},
		{name: "no answer", later: syscall.ETIMEDOUT},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, allOffloads)
			b.socks.dialErr = tt.dial
			b.in(seg{flags: SYN, seq: irs, wnd: 65535, opts: synOpts})
			if tt.later != 0 {
				b.socks.socks[0].err = tt.later
				b.event(0, sock.Err|sock.Hup)
			}
			if len(b.net.sent) != len(tt.want) {
				t.Fatalf("sent %d segments, want %d", len(b.net.sent), len(tt.want))
			}
			for _, s := range b.net.sent {
				if s.h.Flags() != RST|ACK || s.h.Ack() != irs+1 || s.h.Seq() != 0 {
					t.Errorf("sent %s, seq %d", describe(s.h, 0, irs), s.h.Seq())
				}
			}
			if len(b.net.errors) != len(tt.icmp) {
				t.Fatalf("sent %v", b.net.errors)
			}
			for i, k := range tt.icmp {
				if b.net.errors[i].Kind != k {
					t.Errorf("ICMP kind %d, want %d", b.net.errors[i].Kind, k)
				}
			}
			b.wantGone()
		})
	}
}

func TestDenied(t *testing.T) {
	for _, tt := range []struct {
		name    string
		limited bool
		to      string
		resets  int
		watched record
	}{
		{"prohibited", true, "198.51.100.9:80", 1, record{"denied 198.51.100.9:80"}},
		{"loopback, with limits", true, "127.0.0.1:80", 0, nil},
		{"loopback, without", false, "127.0.0.1:80", 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, allOffloads)
			var watched record
			b.tr.cfg.Watch = &watched
			b.tr.cfg.Rules = nat.New(nat.Config{V4: nat.Family{Enabled: true}, Limited: tt.limited})
			b.host = ep(tt.to)
			b.in(seg{flags: SYN, seq: irs, wnd: 65535, opts: synOpts})
			if len(b.net.sent) != tt.resets {
				t.Fatalf("sent %d segments, want %d", len(b.net.sent), tt.resets)
			}
			for _, s := range b.net.sent {
				if s.h.Flags() != RST|ACK || s.h.Ack() != irs+1 || s.h.Seq() != 0 {
					t.Errorf("sent %s, seq %d", describe(s.h, 0, irs), s.h.Seq())
				}
			}
			if b.tr.Stats.Denied != 1 || b.tr.Stats.Refused != 0 || len(b.net.errors) != 0 || !slices.Equal(watched, tt.watched) {
				t.Errorf("%+v, errors %v, watched %q", b.tr.Stats, b.net.errors, watched)
			}
			b.wantGone()
		})
	}
}

func TestUnknownSegments(t *testing.T) {
	b := newBench(t, allOffloads)
	for _, tt := range []struct {
		name string
		s    seg
		want string
	}{
		{"ACK", seg{flags: ACK, seq: 7, ack: 99}, "RST 99"},
		{"FIN with ACK", seg{flags: FIN | ACK, seq: 7, ack: 99}, "RST 99"},
		{"no ACK", seg{flags: 0, seq: 7, data: "abc"}, "RST|ACK 0 10"},
		{"FIN alone", seg{flags: FIN, seq: 7}, "RST|ACK 0 8"},
		{"SYN with ACK", seg{flags: SYN | ACK, seq: 7, ack: 5}, "RST 5"},
		{"RST", seg{flags: RST, seq: 7}, ""},
		{"RST with ACK", seg{flags: RST | ACK, seq: 7, ack: 4}, ""},
	} {
		b.net.sent = nil
		b.in(tt.s)
		got := ""
		if len(b.net.sent) > 0 {
			got = describe(b.net.sent[0].h, 0, 0)
		}
		if got != tt.want {
			t.Errorf("%s: sent %q, want %q", tt.name, got, tt.want)
		}
	}
	b.wantGone()
}

func TestAnswering(t *testing.T) {
	start := func(t *testing.T) *bench {
		b := newBench(t, allOffloads)
		b.in(seg{flags: SYN, seq: irs, wnd: 65535, opts: synOpts})
		b.event(0, sock.Out)
		b.want("SYN", "SYN|ACK 0 1")
		return b
	}
	t.Run("the SYN again", func(t *testing.T) {
		b := start(t)
		b.in(seg{flags: SYN, seq: irs, wnd: 65535, opts: synOpts})
		b.want("answered again", "SYN|ACK 0 1")
	})
	t.Run("a wrong ACK", func(t *testing.T) {
		b := start(t)
		b.in(seg{flags: ACK, seq: irs + 1, ack: b.iss() + 2})
		b.want("refused", "RST 2")
		if b.conn().state != answering {
			t.Error("connection lost")
		}
	})
	t.Run("a reset inside", func(t *testing.T) {
		b := start(t)
		b.in(seg{flags: RST, seq: irs + 1})
		b.wantGone()
		b.wantEnded(0, sock.Abort)
	})
	t.Run("a reset elsewhere", func(t *testing.T) {
		b := start(t)
		b.in(seg{flags: RST, seq: irs + 2})
		b.conn()
	})
	t.Run("no ACK comes", func(t *testing.T) {
		b := start(t)
		b.pass(60 * second)
		b.want("sent again, then given up", "SYN|ACK 0 1", "SYN|ACK 0 1", "SYN|ACK 0 1", "SYN|ACK 0 1", "RST|ACK 1 1")
		b.wantGone()
		b.wantEnded(0, sock.Abort)
	})
	t.Run("a host that spoke and ended before", func(t *testing.T) {
		b := newBench(t, allOffloads)
		b.in(seg{flags: SYN, seq: irs, wnd: 65535, opts: synOpts})
		b.socks.socks[0].queue, b.socks.socks[0].eof = []byte("hello"), true
		b.event(0, sock.In|sock.Out|sock.RdHup) // all of it in the event of the connection, and no other follows
		b.want("SYN", "SYN|ACK 0 1")
		b.in(seg{flags: ACK, seq: irs + 1, ack: b.iss() + 1, wnd: 512})
		b.want("all that it said", "ACK 1 1 len 5", "FIN|ACK 6 1")
	})
	t.Run("a host that spoke and reset before", func(t *testing.T) {
		for _, when := range []string{"before it was known to be connected", "before the guest's ACK"} {
			b := newBench(t, allOffloads)
			b.in(seg{flags: SYN, seq: irs, wnd: 65535, opts: synOpts})
			if when == "before the guest's ACK" {
				b.event(0, sock.Out)
			}
			b.socks.socks[0].queue, b.socks.socks[0].eof, b.socks.socks[0].err = []byte("hello"), true, syscall.ECONNRESET
			b.event(0, sock.In|sock.Out|sock.RdHup|sock.Hup|sock.Err)
			b.want(when+": SYN", "SYN|ACK 0 1")
			b.in(seg{flags: ACK, seq: irs + 1, ack: b.iss() + 1, wnd: 512})
			b.want(when+": all that it said", "ACK 1 1 len 5", "RST|ACK 6 1")
			b.wantGone()
		}
	})
	t.Run("data with the ACK", func(t *testing.T) {
		b := start(t)
		b.in(seg{flags: ACK, seq: irs + 1, ack: b.iss() + 1, wnd: 512, data: "hello"})
		if got := string(b.socks.socks[0].got); got != "hello" {
			t.Errorf("socket got %q", got)
		}
		b.late()
		b.want("acknowledged", "ACK 1 6")
	})
}

func TestHostConnects(t *testing.T) {
	start := func(t *testing.T) (*bench, int) {
		b := newBench(t, allOffloads)
		b.guest, b.host = ep("192.0.2.2:22"), ep("198.51.100.9:5555")
		fd := b.socks.add()
		b.tr.Accept(fd, b.host, ep("192.0.2.2:0").Addr, inet.Endpoint{Port: 22}, b.now)
		b.want("SYN", "SYN 0")
		return b, fd
	}
	t.Run("accepted", func(t *testing.T) {
		b, fd := start(t)
		b.in(seg{flags: SYN | ACK, seq: irs, ack: b.iss() + 1, wnd: 1000, opts: synOpts})
		b.want("established", "ACK 1 1")
		b.socks.socks[fd].queue = []byte("hello")
		b.event(fd, sock.In|sock.Out)
		b.want("data", "ACK 1 1 len 5")
	})
	t.Run("data before the guest has accepted", func(t *testing.T) {
		b, fd := start(t)
		b.socks.socks[fd].queue = []byte("hello")
		b.event(fd, sock.In|sock.Out)
		b.want("nothing yet")
		b.in(seg{flags: SYN | ACK, seq: irs, ack: b.iss() + 1, wnd: 1000, opts: synOpts})
		b.want("carries the acknowledgement", "ACK 1 1 len 5")
	})
	t.Run("no scaling in the answer", func(t *testing.T) {
		b, _ := start(t)
		b.in(seg{flags: SYN | ACK, seq: irs, ack: b.iss() + 1, wnd: 1000})
		if c := b.conn(); c.rcvScale != 0 || c.sndScale != 0 {
			t.Errorf("scales %d, %d", c.rcvScale, c.sndScale)
		}
	})
	t.Run("refused", func(t *testing.T) {
		b, fd := start(t)
		b.in(seg{flags: RST | ACK, seq: 0, ack: b.iss() + 1})
		b.wantGone()
		b.wantEnded(fd, sock.Abort)
	})
	t.Run("a reset that acknowledges something else", func(t *testing.T) {
		b, _ := start(t)
		b.in(seg{flags: RST | ACK, seq: 0, ack: b.iss() + 5})
		b.conn()
	})
	t.Run("wrong ACK", func(t *testing.T) {
		b, _ := start(t)
		b.in(seg{flags: SYN | ACK, seq: irs, ack: b.iss() + 9})
		b.want("refused", "RST 9")
	})
	t.Run("an old connection that the guest has", func(t *testing.T) {
		b, _ := start(t)
		b.in(seg{flags: ACK, seq: 77777, ack: b.iss() + 12345})
		b.want("reset", "RST 12345")
		b.pass(synRTO + 100*millisecond)
		b.want("and asked again", "SYN 0")
		b.in(seg{flags: SYN | ACK, seq: irs, ack: b.iss() + 1, wnd: 1000, opts: synOpts})
		b.want("established", "ACK 1 1")
	})
	t.Run("no answer", func(t *testing.T) {
		b, fd := start(t)
		b.pass(60 * second)
		b.want("sent again, then given up", "SYN 0", "SYN 0", "SYN 0", "SYN 0", "RST|ACK 1 -1000")
		b.wantGone()
		b.wantEnded(fd, sock.Abort)
	})
	t.Run("the peer goes before the guest answers", func(t *testing.T) {
		b, fd := start(t)
		b.socks.socks[fd].err = syscall.ECONNRESET
		b.event(fd, sock.Err|sock.Hup)
		b.want("reset", "RST|ACK 1 -1000")
		b.wantGone()
	})
	t.Run("from the host's loopback", func(t *testing.T) {
		b := newBench(t, allOffloads)
		fd := b.socks.add()
		b.tr.Accept(fd, ep("127.0.0.1:5555"), ep("127.0.0.1:0").Addr, inet.Endpoint{Port: 22}, b.now)
		k := key(ep("192.0.2.2:22"), ep("192.0.2.1:5555"))
		if b.tr.conns.Lookup(&k) == nil {
			t.Error("not shown as the gateway")
		}
	})
	t.Run("the same 4-tuple twice", func(t *testing.T) {
		b, _ := start(t)
		fd := b.socks.add()
		b.tr.Accept(fd, b.host, ep("192.0.2.2:0").Addr, inet.Endpoint{Port: 22}, b.now)
		b.wantEnded(fd, sock.Abort)
	})
}

// TestFlood has one side take all the places that it can get, and the other connect.
func TestFlood(t *testing.T) {
	accept := func(b *bench, i int) {
		r := inet.Endpoint{Addr: ep("198.51.100.7:0").Addr, Port: uint16(1000 + i)}
		b.tr.Accept(b.socks.add(), r, guest4.Addr, inet.Endpoint{Port: 22}, b.now)
	}
	dial := func(b *bench, i int) {
		b.guest.Port = uint16(1000 + i)
		b.in(seg{flags: SYN, seq: irs, wnd: 65535, opts: synOpts})
	}
	for _, tt := range []struct {
		name         string
		flood, other func(*bench, int)
		started      func(*Stats) uint64 // of the other side
	}{
		{"from outside", accept, dial, func(s *Stats) uint64 { return s.FromGuest }},
		{"from the guest", dial, accept, func(s *Stats) uint64 { return s.FromHost }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, allOffloads)
			most := b.tr.cfg.MaxConns
			for i := range most {
				tt.flood(b, i)
			}
			if n, left := b.tr.Len(), int(b.tr.Stats.TableFull); n != most/8*7 || n+left != most {
				t.Errorf("%d have a place, %d are counted as refused", n, left)
			}
			tt.other(b, 0)
			if tt.started(&b.tr.Stats) != 1 {
				t.Error("the other side finds no place")
			}
			b.tr.Reset()
			if tt.flood(b, 0); b.tr.Len() != 1 {
				t.Error("places stay taken by nobody")
			}
		})
	}
}

func TestRestartedGuest(t *testing.T) {
	b := newBench(t, allOffloads)
	b.connect()
	b.in(seg{flags: SYN, seq: 777, wnd: 1000, opts: synOpts})
	b.want("challenge", "ACK 1 1")
	b.in(seg{flags: RST, seq: irs + 1})
	b.wantGone()
	b.wantEnded(0, sock.Abort)
	b.in(seg{flags: SYN, seq: 777, wnd: 1000, opts: synOpts})
	if len(b.socks.socks) != 2 {
		t.Error("the new connection was not made")
	}
}

func TestTraceroute(t *testing.T) {
	for _, tt := range []struct{ ttl, want uint8 }{
		{3, 2}, {hopsOnPurpose, hopsOnPurpose - 1},
		{64, 0},        // 0 leaves it to the host
		{1, 0}, {0, 0}, // to one of our addresses, which is no hop
	} {
		b := newBench(t, allOffloads)
		p := b.packet(seg{flags: SYN, seq: irs, wnd: 1000})
		p.TTL = tt.ttl
		b.tr.Input([]l3.Packet{p}, b.now)
		if got := b.socks.socks[0].hops; got != tt.want {
			t.Errorf("a lifetime of %d: hops %d, want %d", tt.ttl, got, tt.want)
		}
	}
}

func TestBadSegments(t *testing.T) {
	b := newBench(t, 0)
	good := b.packet(seg{flags: SYN, seq: irs, wnd: 1000, opts: synOpts})
	for _, tt := range []struct {
		name string
		make func(h []byte) []byte
	}{
		{"empty", func(h []byte) []byte { return nil }},
		{"short", func(h []byte) []byte { return h[:19] }},
		{"header longer than the segment", func(h []byte) []byte { h[12] = 0xf0; return h }},
		{"header shorter than itself", func(h []byte) []byte { h[12] = 0x40; return h }},
		{"checksum", func(h []byte) []byte { h[16]++; return h }},
	} {
		p := good
		p.L4 = tt.make(append([]byte(nil), good.L4...))
		before := b.tr.Stats.RxBad
		b.tr.Input([]l3.Packet{p}, b.now)
		if b.tr.Stats.RxBad != before+1 {
			t.Errorf("%s: taken", tt.name)
		}
	}
	b.wantGone()
	b.tr.Input([]l3.Packet{good}, b.now)
	b.conn()
}

// FuzzInput feeds segments of any content to a connection in any state.
func FuzzInput(f *testing.F) {
	b := newBench(f, allOffloads)
	for _, s := range []seg{
		{flags: SYN, seq: irs, wnd: 65535, opts: synOpts},
		{flags: ACK, seq: irs + 1, ack: 1, wnd: 512, data: "hello"},
		{flags: FIN | ACK, seq: irs + 1, ack: 1, wnd: 0},
		{flags: RST, seq: irs + 1},
	} {
		f.Add(b.packet(s).L4, uint8(0))
	}
	f.Fuzz(func(t *testing.T, h []byte, state uint8) {
		b := newBench(t, allOffloads)
		if state&1 != 0 {
			fd := b.connect()
			if state&2 != 0 {
				b.socks.socks[fd].queue, b.socks.socks[fd].eof = make([]byte, 1000), state&4 != 0
				b.event(fd, sock.In|sock.Out)
			}
		}
		if len(h) >= 20 {
			binary.BigEndian.PutUint16(h, b.guest.Port)
			binary.BigEndian.PutUint16(h[2:], b.host.Port)
		}
		p := l3.Packet{Src: b.guest.Addr, Dst: b.host.Addr, Proto: l3.ProtoTCP, TTL: 64, L4: h, B: make([]byte, 64)}
		p.Meta.Flags = 1
		b.tr.Input([]l3.Packet{p, p}, b.now)
		b.tr.Flush(b.now)
		b.pass(3 * second)
	})
}

// TestOfferedSegment looks at the segment size that the guest is asked for: never more than
// a socket takes whenever it is writable.
func TestOfferedSegment(t *testing.T) {
	for _, tt := range []struct {
		name   string
		off    link.Offload
		sndBuf int
		want   uint16
	}{
		{"link that segments", allOffloads, 1 << 20, gsoMSS},
		{"link that does not", link.OffloadCsum, 1 << 20, 65520 - 40},
		{"the usual first buffer", link.OffloadCsum, 87040, 87040/4 - 2*overhead - 256},
		{"a path of a small MTU", link.OffloadCsum, 46080, 46080/4 - 2*overhead - 256},
		{"hardly any buffer", link.OffloadCsum, 4608, 536},
		{"none that is known", link.OffloadCsum, 0, 64<<10/4 - 2*overhead - 256},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, tt.off)
			b.in(seg{flags: SYN, seq: irs, wnd: 65535, opts: synOpts})
			b.socks.socks[0].sndBuf = tt.sndBuf
			b.event(0, sock.Out)
			if got := b.net.sent[0].h.options().mss; got != tt.want {
				t.Fatalf("asked for segments of %d, want %d", got, tt.want)
			}
			c := b.conn()
			c.cost = costOne * 5 / 4 // as of bulk data, known soon
			if c.room = c.sndBuf / 3; c.sndBuf > 16<<10 && c.wanted()>>rcvScale<<rcvScale < int32(tt.want) {
				t.Errorf("a window of %d for segments of %d", c.wanted(), tt.want)
			}
		})
	}
}
