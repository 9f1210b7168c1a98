package dhcpv6

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"passt/l4/service/servicetest"
	"passt/link"
)

func TestNotForUs(t *testing.T) {
	m := message(dhcpv6.MessageTypeSolicit, clientID, na(1)).ToBytes()
	for _, tt := range []struct{ name, dst string }{
		{"another server", "[2001:db8::547]:547"},
		{"another group", "[ff02::1]:547"},
		{"another port", "[ff02::1:2]:546"},
		{"IPv4", "192.0.2.1:547"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			src := fromGuest
			if !strings.HasPrefix(tt.dst, "[") {
				src = netip.MustParseAddrPort("192.0.2.2:546")
			}
			c := newClient(t, config())
			if got := c.Send(src, netip.MustParseAddrPort(tt.dst), m); len(got) != 0 || c.Consumed != 0 {
				t.Errorf("got %d answers, consumed %d", len(got), c.Consumed)
			}
		})
	}
}

// rawOption is an option in wire form, whatever its length says.
func rawOption(code, length int, data ...byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(code))
	return append(binary.BigEndian.AppendUint16(b, uint16(length)), data...)
}

func TestMalformed(t *testing.T) {
	start := message(dhcpv6.MessageTypeSolicit, clientID).ToBytes()
	with := func(opts ...[]byte) []byte { return append(bytes.Clone(start), bytes.Join(opts, nil)...) }
	address := append(net.ParseIP(guest), make([]byte, 8)...)
	for _, tt := range []struct {
		name   string
		b      []byte
		answer bool
	}{
		{"good", start, true},
		{"empty", nil, false},
		{"header only", start[:4], false},
		{"half a header", start[:3], false},
		{"half an option header", with([]byte{0, 99, 0}), false},
		{"option beyond the end", with(rawOption(99, 2, 1)), false},
		{"option of no concern", with(rawOption(16, 3, 1, 2, 3)), true},
		{"client twice", with(rawOption(1, 4, 0, 3, 0, 1)), false},
		{"empty client", append(start[:4:4], rawOption(1, 0)...), false},
		{"longest client", append(start[:4:4], rawOption(1, 130, make([]byte, 130)...)...), true},
		{"too long client", append(start[:4:4], rawOption(1, 131, make([]byte, 131)...)...), false},
		{"short association", with(rawOption(3, 11, make([]byte, 11)...)), false},
		{"short temporary association", with(rawOption(4, 3, 1, 2, 3)), false},
		{"short prefix association", with(rawOption(25, 11, make([]byte, 11)...)), false},
		{"short address", with(rawOption(4, 31, append([]byte{0, 0, 0, 1}, rawOption(5, 23, address[:23]...)...)...)), false},
		{"address beyond its association", with(rawOption(4, 31, append([]byte{0, 0, 0, 1}, rawOption(5, 24, address[:23]...)...)...), address), false},
		{"odd list of options", with(rawOption(6, 3, 0, 23, 0)), false},
		{"empty name", with(rawOption(39, 0)), false},
		{"longest", with(rawOption(99, maxRequest-len(start)-4, make([]byte, maxRequest-len(start)-4)...)), true},
		{"too long", with(rawOption(99, maxRequest-len(start)-3, make([]byte, maxRequest-len(start)-3)...)), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClient(t, config())
			got := c.Send(fromGuest, toAll, tt.b)
			if s := c.Server.Stats; (len(got) == 1) != tt.answer || (s.RxBad == 0) != tt.answer || c.Consumed != 1 {
				t.Errorf("got %d answers, %+v", len(got), s)
			}
		})
	}
	for _, tt := range []struct {
		name string
		at   func(u []byte)
	}{
		{"bad checksum", func(u []byte) { u[6] ^= 1 }},
		{"no checksum", func(u []byte) { u[6], u[7] = 0, 0 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := servicetest.Datagram(fromGuest, toAll, start)
			tt.at(f[54:])
			c := newClient(t, config())
			if got := c.Frame(f, link.Meta{}); len(got) != 0 || c.Server.Stats.RxBad != 1 {
				t.Errorf("got %d answers, %+v", len(got), c.Server.Stats)
			}
		})
	}
}

// TestBounds holds that an answer fits into the least MTU of IPv6, whatever is asked for.
func TestBounds(t *testing.T) {
	cfg := config()
	cfg.Search = strings.Fields(strings.Repeat("some.long.name.example.org ", 50))
	cfg.FQDN = strings.Repeat(strings.Repeat("a", 49)+".", 5) + "abc"
	for i := range 50 {
		cfg.DNS = append(cfg.DNS, netip.AddrFrom16([16]byte{0x20, 1, 15: byte(i)}))
	}
	id := &dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionClientID, OptionData: make([]byte, 130)}
	opts := []dhcpv6.Option{id, oro(dhcpv6.OptionFQDN)}
	for i := range 20 {
		opts = append(opts, na(byte(i), other, guest, other, other))
	}
	m := message(dhcpv6.MessageTypeRebind, opts...)
	got := newClient(t, cfg).Send(fromGuest, toAll, m.ToBytes())
	if len(got) != 1 {
		t.Fatalf("got %d answers, want 1", len(got))
	}
	if n := len(got[0].Payload); n > 1280-40-8 {
		t.Errorf("got %d bytes", n)
	}
	a, err := dhcpv6.MessageFromBytes(got[0].Payload)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(a.Options.IANA()); n != maxIAs {
		t.Errorf("got %d associations, want %d", n, maxIAs)
	}
}
