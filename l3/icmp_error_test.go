package l3

import (
	"encoding/binary"
	"testing"

	"passt/l3/inet"
)

// checkICMP checks an error message: its checksums, type, code, and that it quotes
// something.
func checkICMP(t *testing.T, b []byte, kind ErrorKind, mtu uint32) {
	t.Helper()
	c := icmpCodes[kind]
	if b[0]>>4 == 4 {
		icmp := b[HeaderLen4:]
		if Checksum(0, b[:HeaderLen4]) != 0 || Checksum(0, icmp) != 0 {
			t.Error("wrong checksum")
		}
		if icmp[0] != c.typ4 || icmp[1] != c.code4 || uint32(binary.BigEndian.Uint16(icmp[6:])) != mtu {
			t.Errorf("ICMP % x", icmp[:8])
		}
		if len(b) > 576 || len(icmp) < 8+HeaderLen4+8 {
			t.Errorf("%d bytes", len(b))
		}
		return
	}
	icmp := b[HeaderLen6:]
	src, dst := inet.V6(b[8:]), inet.V6(b[24:])
	if Checksum(Fold(PseudoSum(&src, &dst, ProtoICMPv6, len(icmp))), icmp) != 0 {
		t.Error("wrong checksum")
	}
	if icmp[0] != c.typ6 || icmp[1] != c.code6 || binary.BigEndian.Uint32(icmp[4:]) != mtu {
		t.Errorf("ICMPv6 % x", icmp[:8])
	}
	if len(b) > 1280 || len(icmp) < 8+HeaderLen6+8 {
		t.Errorf("%d bytes", len(b))
	}
}

func TestSendError(t *testing.T) {
	udp := make([]byte, 2000)
	v4 := packet("192.0.2.2", "198.51.100.9", ProtoUDP, 64, udp)
	v6 := packet("2001:db8::2", "2001:db8:9::9", ProtoUDP, 64, udp)
	for _, tt := range []struct {
		name   string
		e      ICMPError
		quoted []byte
		from   string // "": nothing is sent
	}{
		{"IPv4", ICMPError{Kind: PortUnreachable}, v4, "192.0.2.1"},
		{"IPv4, from a router", ICMPError{Kind: TimeExceeded, From: addr("203.0.113.1")}, v4, "203.0.113.1"},
		{"IPv4, offender of the other version", ICMPError{Kind: TimeExceeded, From: addr("2001:db8::1")}, v4, "192.0.2.1"},
		{"IPv4, too big", ICMPError{Kind: TooBig, MTU: 1400}, v4, "192.0.2.1"},
		{"IPv6", ICMPError{Kind: PortUnreachable}, v6, "fe80::1"},
		{"IPv6, too big", ICMPError{Kind: TooBig, MTU: 1400}, v6, "fe80::1"},
		{"to a group", ICMPError{Kind: PortUnreachable}, packet("192.0.2.2", "224.0.0.251", ProtoUDP, 64, udp), ""},
		{"from nowhere", ICMPError{Kind: PortUnreachable}, packet("0.0.0.0", "198.51.100.9", ProtoUDP, 64, udp), ""},
		{"about an error", ICMPError{Kind: HostUnreachable}, packet("192.0.2.2", "198.51.100.9", ProtoICMP, 64, []byte{3, 0, 0, 0, 0, 0, 0, 0}), ""},
		{"about an error, IPv6", ICMPError{Kind: HostUnreachable}, packet("2001:db8::2", "2001:db8::9", ProtoICMPv6, 64, []byte{1, 0, 0, 0, 0, 0, 0, 0}), ""},
		{"about an echo", ICMPError{Kind: HostUnreachable}, packet("192.0.2.2", "198.51.100.9", ProtoICMP, 64, []byte{8, 0, 0, 0, 0, 0, 0, 0}), "192.0.2.1"},
		{"about a later fragment", ICMPError{Kind: HostUnreachable}, func() []byte {
			b := packet("192.0.2.2", "198.51.100.9", ProtoUDP, 64, udp)
			b[7] = 9
			return fix4(b)
		}(), ""},
		{"about nothing", ICMPError{Kind: HostUnreachable}, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, down, _ := newStack(testConfig)
			s.SendError(tt.e, tt.quoted, 1<<40)
			if (len(down.sent) == 1) != (tt.from != "") {
				t.Fatalf("%d sent", len(down.sent))
			}
			if tt.from == "" {
				return
			}
			b := down.sent[0]
			checkICMP(t, b, tt.e.Kind, tt.e.MTU)
			src := inet.V4(b[12:])
			if b[0]>>4 == 6 {
				src = inet.V6(b[8:])
			}
			if src != addr(tt.from) {
				t.Errorf("from %v, want %s", src, tt.from)
			}
		})
	}
}

func TestErrorsAreLimited(t *testing.T) {
	s, down, _ := newStack(testConfig)
	v4 := packet("192.0.2.2", "198.51.100.9", ProtoUDP, 64, make([]byte, 8))
	now := int64(1 << 40)
	for range 10000 {
		now += 1000 // a packet each microsecond
		s.SendError(ICMPError{Kind: PortUnreachable}, v4, now)
	}
	if n := len(down.sent); n < 200 || n > 220 {
		t.Errorf("%d errors in 10 ms", n)
	}
	if s.Stats.ErrorsHeld == 0 {
		t.Error("not counted")
	}
}
