package dhcp

import (
	"bytes"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"

	"passt/l4/service/servicetest"
	"passt/link"
)

const (
	ours  = "192.0.2.1"
	guest = "192.0.2.2"
)

func config() Config {
	return Config{
		Ours:     netip.MustParseAddr(ours),
		Guest:    netip.MustParsePrefix(guest + "/24"),
		Router:   netip.MustParseAddr(ours),
		MTU:      65520,
		DNS:      []netip.Addr{netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("2001:db8::53"), netip.MustParseAddr("192.0.2.54")},
		Search:   []string{"example.com", "corp.example.com."},
		Hostname: "guest",
		FQDN:     "guest.example.com.",
	}
}

func newClient(t testing.TB, cfg Config) *servicetest.Client[*Server] {
	return servicetest.NewClient(t, New, cfg)
}

var (
	nowhere    = netip.MustParseAddrPort("0.0.0.0:68")
	everywhere = netip.MustParseAddrPort("255.255.255.255:67")
	fromGuest  = netip.MustParseAddrPort(guest + ":68")
	toServer   = netip.MustParseAddrPort(ours + ":67")
)

// discover is a message with a client's usual options; mods make it what it is to be.
func discover(mods ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	m, err := dhcpv4.New(append([]dhcpv4.Modifier{
		dhcpv4.WithHwAddr(servicetest.GuestMAC[:]),
		dhcpv4.WithTransactionID(dhcpv4.TransactionID{1, 2, 3, 4}),
		dhcpv4.WithMessageType(dhcpv4.MessageTypeDiscover),
	}, mods...)...)
	if err != nil {
		panic(err)
	}
	return m
}

func as(t dhcpv4.MessageType) dhcpv4.Modifier { return dhcpv4.WithMessageType(t) }

func with(code uint8, b ...byte) dhcpv4.Modifier {
	return dhcpv4.WithGeneric(dhcpv4.GenericOptionCode(code), b)
}

func asked(a string) dhcpv4.Modifier {
	return dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(net.ParseIP(a)))
}

func server(a string) dhcpv4.Modifier {
	return dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.ParseIP(a)))
}

func ciaddr(a string) dhcpv4.Modifier { return dhcpv4.WithClientIP(net.ParseIP(a)) }

// bootp is a message without a type.
func bootp() *dhcpv4.DHCPv4 {
	return discover(dhcpv4.WithoutOption(dhcpv4.OptionDHCPMessageType))
}

func TestMessages(t *testing.T) {
	const (
		request = dhcpv4.MessageTypeRequest
		inform  = dhcpv4.MessageTypeInform
		offer   = dhcpv4.MessageTypeOffer
		ack     = dhcpv4.MessageTypeAck
		nak     = dhcpv4.MessageTypeNak
	)
	tests := []struct {
		name     string
		m        *dhcpv4.DHCPv4
		src, dst netip.AddrPort // zero: from nowhere to everywhere
		answer   bool
		want     dhcpv4.MessageType
		to       string // destination of the answer
		yiaddr   string // "": none
		lease    bool
	}{
		{name: "discover", m: discover(), answer: true, want: offer, to: guest, yiaddr: guest, lease: true},
		{name: "discover, broadcast flag", m: discover(dhcpv4.WithBroadcast(true)), answer: true, want: offer, to: "255.255.255.255", yiaddr: guest, lease: true},
		{name: "discover another address", m: discover(asked("192.0.2.9")), answer: true, want: offer, to: guest, yiaddr: guest, lease: true},
		{name: "discover, rapid commit", m: discover(with(80)), answer: true, want: ack, to: guest, yiaddr: guest, lease: true},
		{name: "request of our offer", m: discover(as(request), server(ours), asked(guest)), answer: true, want: ack, to: guest, yiaddr: guest, lease: true},
		{name: "request of our offer, broadcast flag", m: discover(as(request), server(ours), asked(guest), dhcpv4.WithBroadcast(true)), answer: true, want: ack, to: "255.255.255.255", yiaddr: guest, lease: true},
		{name: "request of another server's offer", m: discover(as(request), server("192.0.2.7"), asked(guest))},
		{name: "request of what we did not offer", m: discover(as(request), server(ours), asked("192.0.2.9")), answer: true, want: nak, to: "255.255.255.255"},
		{name: "after a reboot", m: discover(as(request), asked(guest)), answer: true, want: ack, to: guest, yiaddr: guest, lease: true},
		{name: "after a reboot, moved", m: discover(as(request), asked("10.0.0.1")), answer: true, want: nak, to: "255.255.255.255"},
		{name: "renewal", m: discover(as(request), ciaddr(guest)), src: fromGuest, dst: toServer, answer: true, want: ack, to: guest, yiaddr: guest, lease: true},
		{name: "renewal of another address", m: discover(as(request), ciaddr("192.0.2.9")), src: fromGuest, dst: toServer, answer: true, want: nak, to: "255.255.255.255"},
		{name: "rebinding", m: discover(as(request), ciaddr(guest)), src: fromGuest, answer: true, want: ack, to: guest, yiaddr: guest, lease: true},
		{name: "request of nothing", m: discover(as(request), server(ours))},
		{name: "request of 0.0.0.0", m: discover(as(request), server(ours), asked("0.0.0.0"))},
		{name: "request of half an address", m: discover(as(request), server(ours), with(50, 192, 0))},
		{name: "decline", m: discover(as(dhcpv4.MessageTypeDecline), server(ours), asked(guest))},
		{name: "release", m: discover(as(dhcpv4.MessageTypeRelease), server(ours), ciaddr(guest)), src: fromGuest, dst: toServer},
		{name: "inform", m: discover(as(inform), ciaddr("192.0.2.9")), answer: true, want: ack, to: "192.0.2.9"},
		{name: "inform, broadcast flag", m: discover(as(inform), ciaddr("192.0.2.9"), dhcpv4.WithBroadcast(true)), answer: true, want: ack, to: "192.0.2.9"},
		{name: "inform without ciaddr", m: discover(as(inform)), src: fromGuest, answer: true, want: ack, to: guest},
		{name: "inform from nowhere", m: discover(as(inform)), answer: true, want: ack, to: "255.255.255.255"},
		{name: "to the subnet", m: discover(), dst: netip.MustParseAddrPort("192.0.2.255:67"), answer: true, want: offer, to: guest, yiaddr: guest, lease: true},
		{name: "offer", m: discover(as(offer))},
		{name: "lease query", m: discover(as(dhcpv4.MessageType(10)))},
		{name: "relayed", m: discover(dhcpv4.WithGatewayIP(net.IP{192, 0, 2, 9}))},
		{name: "BOOTP", m: bootp(), answer: true, to: guest, yiaddr: guest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			src, dst := nowhere, everywhere
			if tt.src.IsValid() {
				src = tt.src
			}
			if tt.dst.IsValid() {
				dst = tt.dst
			}
			c := newClient(t, config())
			got := c.Send(src, dst, tt.m.ToBytes())
			if c.Consumed != 1 {
				t.Error("the message was passed on")
			}
			if !tt.answer {
				if s := c.Server.Stats; len(got) != 0 || s.RxIgnored != 1 {
					t.Errorf("got answers %v, %+v, want none", got, s)
				}
				return
			}
			if len(got) != 1 {
				t.Fatalf("got %d answers, want 1; %+v", len(got), c.Server.Stats)
			}
			if got[0].Src != toServer || got[0].Dst != netip.AddrPortFrom(netip.MustParseAddr(tt.to), 68) {
				t.Errorf("got an answer from %v to %v, want it from %v to %v", got[0].Src, got[0].Dst, toServer, tt.to)
			}
			m, err := dhcpv4.FromBytes(got[0].Payload)
			if err != nil {
				t.Fatal(err)
			}
			checkFixed(t, tt.m, m)
			if m.MessageType() != tt.want {
				t.Errorf("got %v, want %v", m.MessageType(), tt.want)
			}
			if y := m.YourIPAddr; tt.yiaddr == "" && !y.IsUnspecified() || tt.yiaddr != "" && y.String() != tt.yiaddr {
				t.Errorf("got yiaddr %v, want %q", y, tt.yiaddr)
			}
			if got := m.Options.Has(dhcpv4.OptionIPAddressLeaseTime); got != tt.lease {
				t.Errorf("lease time: %v, want %v", got, tt.lease)
			}
			if got := m.ServerIdentifier(); (tt.want != dhcpv4.MessageTypeNone) != got.Equal(net.IP{192, 0, 2, 1}) {
				t.Errorf("got server identifier %v", got)
			}
			if tt.want == nak && len(m.Options) != 2 {
				t.Errorf("got options %v in a refusal", m.Options)
			}
		})
	}
}

// checkFixed compares what an answer copies from its question (RFC 2131, table 3).
func checkFixed(t *testing.T, q, a *dhcpv4.DHCPv4) {
	t.Helper()
	if a.OpCode != dhcpv4.OpcodeBootReply || a.HWType != iana.HWTypeEthernet || a.TransactionID != q.TransactionID ||
		a.Flags != q.Flags || !bytes.Equal(a.ClientHWAddr, q.ClientHWAddr) || a.HopCount != 0 || a.NumSeconds != 0 {
		t.Errorf("got %v in answer to %v", a, q)
	}
	if !a.GatewayIPAddr.IsUnspecified() || !a.ServerIPAddr.IsUnspecified() {
		t.Errorf("got giaddr %v, siaddr %v", a.GatewayIPAddr, a.ServerIPAddr)
	}
	want := q.ClientIPAddr
	if k := a.MessageType(); k != dhcpv4.MessageTypeAck {
		want = net.IPv4zero
	}
	if !a.ClientIPAddr.Equal(want) {
		t.Errorf("got ciaddr %v, want %v", a.ClientIPAddr, want)
	}
}

func TestNotForUs(t *testing.T) {
	m := discover().ToBytes()
	for _, tt := range []struct{ name, dst string }{
		{"another server", "198.51.100.1:67"},
		{"another port", "255.255.255.255:68"},
		{"IPv6", "[ff02::1:2]:67"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			src := fromGuest
			if strings.HasPrefix(tt.dst, "[") {
				src = netip.MustParseAddrPort("[fe80::2]:68")
			}
			c := newClient(t, config())
			if got := c.Send(src, netip.MustParseAddrPort(tt.dst), m); len(got) != 0 || c.Consumed != 0 {
				t.Errorf("got %d answers, consumed %d", len(got), c.Consumed)
			}
		})
	}
}

func TestMalformed(t *testing.T) {
	good := discover().ToBytes()
	edit := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(good)) }
	for _, tt := range []struct {
		name   string
		b      []byte
		answer bool
	}{
		{"empty", nil, false},
		{"short", good[:235], false},
		{"no options at all: BOOTP", good[:236], true},
		{"half a cookie: BOOTP", good[:238], true},
		{"cookie only: BOOTP", good[:240], true},
		{"other cookie: BOOTP", edit(func(b []byte) []byte { b[236] = 0; return b }), true},
		{"reply", edit(func(b []byte) []byte { b[0] = 2; return b }), false},
		{"long hardware address", edit(func(b []byte) []byte { b[2] = 17; return b }), false},
		{"no end option", edit(func(b []byte) []byte { return append(b[:240], 53, 1, 1) }), true},
		{"option without length", edit(func(b []byte) []byte { return append(b[:240], 53, 1, 1, 61) }), true},
		{"option beyond the end", edit(func(b []byte) []byte { return append(b[:240], 53, 1, 1, 61, 9, 1) }), false},
		{"empty type", edit(func(b []byte) []byte { return append(b[:240], 53, 0, 255) }), false},
		{"type 0", edit(func(b []byte) []byte { return append(b[:240], 53, 1, 0, 255) }), false},
		{"long type", edit(func(b []byte) []byte { return append(b[:240], 53, 2, 1, 1, 255) }), false},
		{"type twice", edit(func(b []byte) []byte { return append(b[:240], 53, 1, 1, 53, 1, 1, 255) }), false},
		{"longest", append(bytes.Clone(good), make([]byte, maxRequest-len(good))...), true},
		{"too long", append(bytes.Clone(good), make([]byte, maxRequest-len(good)+1)...), false},
		{"options in file", edit(func(b []byte) []byte {
			copy(b[108:], []byte{53, 1, 1, 255})
			return append(b[:240], 52, 1, 1, 255)
		}), true},
		{"bad options in file", edit(func(b []byte) []byte {
			b[235] = 61
			copy(b[108:235], bytes.Repeat([]byte{53, 1}, 64))
			return append(b[:240], 52, 1, 1, 255)
		}), false},
		{"bad options in sname", edit(func(b []byte) []byte {
			copy(b[44:108], bytes.Repeat([]byte{61, 63}, 32))
			return append(b[:240], 53, 1, 1, 52, 1, 2, 255)
		}), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClient(t, config())
			got := c.Send(nowhere, everywhere, tt.b)
			if s := c.Server.Stats; (len(got) == 1) != tt.answer || (s.RxBad == 0) != tt.answer || c.Consumed != 1 {
				t.Errorf("got %d answers, %+v", len(got), s)
			}
		})
	}
	t.Run("bad checksum", func(t *testing.T) {
		f := servicetest.Datagram(nowhere, everywhere, good)
		f[40] ^= 1
		c := newClient(t, config())
		if got := c.Frame(f, link.Meta{}); len(got) != 0 || c.Server.Stats.RxBad != 1 {
			t.Errorf("got %d answers, %+v", len(got), c.Server.Stats)
		}
	})
}

// TestRealFrames answers frames that were taken from the wire.
func TestRealFrames(t *testing.T) {
	want := map[string]dhcpv4.MessageType{
		"dhclient-discover":  dhcpv4.MessageTypeOffer,
		"dhclient-request":   dhcpv4.MessageTypeAck,
		"dhclient-request-2": dhcpv4.MessageTypeAck,
		"dhclient-release":   0,
		"udhcpc-discover":    dhcpv4.MessageTypeOffer,
		"udhcpc-request":     dhcpv4.MessageTypeAck,
		"dhcpcd-discover":    dhcpv4.MessageTypeAck, // with rapid commit
	}
	frames := servicetest.Frames(t)
	if len(frames) != len(want) {
		t.Errorf("%d frames, want %d", len(frames), len(want))
	}
	for _, f := range frames {
		t.Run(f.Name, func(t *testing.T) {
			copy(f.B[6:], servicetest.GuestMAC[:])
			c := newClient(t, config())
			got := c.Frame(f.B, link.Meta{})
			if c.Server.Stats.RxBad != 0 || c.Consumed != 1 {
				t.Errorf("got %+v", c.Server.Stats)
			}
			if want[f.Name] == 0 {
				if len(got) != 0 {
					t.Errorf("got %d answers, want none", len(got))
				}
				return
			}
			if len(got) != 1 {
				t.Fatalf("got %d answers", len(got))
			}
			m, err := dhcpv4.FromBytes(got[0].Payload)
			if err != nil || m.MessageType() != want[f.Name] || m.YourIPAddr.String() != guest {
				t.Errorf("got %v, %v, want %v", m, err, want[f.Name])
			}
		})
	}
}

func TestFlood(t *testing.T) {
	c := newClient(t, config())
	c.Now = 1e12
	f := servicetest.Datagram(nowhere, everywhere, discover().ToBytes())
	got := 0
	for range 10000 {
		got += len(c.Frame(f, link.Meta{}))
	}
	if s := c.Server.Stats; got != 100 || s.RxLimited != 9900 || c.Consumed != 10000 {
		t.Errorf("got %d answers, consumed %d, %+v", got, c.Consumed, s)
	}
	c.Now += 1e9
	if len(c.Frame(f, link.Meta{})) != 1 {
		t.Error("no answer after the flood")
	}
}

func TestNoRoom(t *testing.T) {
	c := newClient(t, config())
	c.SetFull(true)
	c.Send(nowhere, everywhere, discover().ToBytes())
	if s := c.Server.Stats; s.TxNoRoom != 1 || s.TxAnswers != 0 {
		t.Errorf("got %+v", s)
	}
}

func FuzzInput(f *testing.F) {
	for _, b := range servicetest.Frames(f) {
		f.Add(b.B[42:])
	}
	f.Add(discover(with(57, 5, 220), with(55, 81, 119, 121), with(52, 3)).ToBytes())
	cfg := config()
	cfg.Router = netip.MustParseAddr("198.51.100.1")
	cfg.Search = strings.Fields(strings.Repeat("sub.example.net a.very.long.name.example.org ", 20))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > maxRequest {
			return
		}
		c := newClient(t, cfg)
		for _, a := range c.Send(nowhere, everywhere, b) {
			m, err := dhcpv4.FromBytes(a.Payload)
			if err != nil {
				t.Fatalf("%v in % x", err, a.Payload)
			}
			if len(a.Payload) > maxMessage {
				t.Errorf("answer of %d bytes", len(a.Payload))
			}
			if _, err := allOptions(m, a.Payload); err != nil {
				t.Error(err)
			}
		}
	})
}
