package hosterr

import (
	"net/netip"
	"syscall"
	"testing"

	"passt/l3"
	"passt/l3/inet"
	"passt/l4/sock"
)

func addr(s string) inet.Addr { return inet.FromNetip(netip.MustParseAddr(s)) }

func TestFromQueue(t *testing.T) {
	for _, c := range []struct {
		name         string
		q            sock.QueuedError
		target, seen string
		want         l3.ICMPError
		ok           bool
	}{
		{"port unreachable, from the mapped target", sock.QueuedError{ICMP: true, Type: 3, Code: 3, Offender: addr("127.0.0.1")},
			"127.0.0.1", "192.0.2.1", l3.ICMPError{Kind: l3.PortUnreachable, From: addr("192.0.2.1")}, true},
		{"time exceeded, from a router", sock.QueuedError{ICMP: true, Type: 11, Offender: addr("198.51.100.1")},
			"203.0.113.1", "203.0.113.1", l3.ICMPError{Kind: l3.TimeExceeded, From: addr("198.51.100.1")}, true},
		{"too big, IPv6", sock.QueuedError{ICMP: true, Type: 2, Info: 1280, Offender: addr("2001:db8::1")},
			"2001:db8::2", "2001:db8::2", l3.ICMPError{Kind: l3.TooBig, MTU: 1280, From: addr("2001:db8::1")}, true},
		{"too big, the host itself", sock.QueuedError{Errno: syscall.EMSGSIZE, Info: 1400},
			"203.0.113.1", "203.0.113.1", l3.ICMPError{Kind: l3.TooBig, MTU: 1400}, true},
		{"no route, the host itself", sock.QueuedError{Errno: syscall.EHOSTUNREACH, Offender: addr("127.0.0.1")},
			"203.0.113.1", "203.0.113.1", l3.ICMPError{Kind: l3.HostUnreachable}, true},
		{"reassembly time exceeded says nothing", sock.QueuedError{ICMP: true, Type: 11, Code: 1}, "203.0.113.1", "203.0.113.1", l3.ICMPError{}, false},
		{"type 3 code 3 of ICMPv6 is no port", sock.QueuedError{ICMP: true, Type: 3, Code: 3}, "2001:db8::2", "2001:db8::2", l3.ICMPError{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			target, seen := addr(c.target), addr(c.seen)
			got, ok := FromQueue(&c.q, &target, &seen)
			if ok != c.ok || ok && got != c.want {
				t.Errorf("got %+v, %v, want %+v, %v", got, ok, c.want, c.ok)
			}
		})
	}
}

func TestFromErrno(t *testing.T) {
	for _, c := range []struct {
		e    syscall.Errno
		want l3.ErrorKind
		ok   bool
	}{
		{syscall.ENETUNREACH, l3.NetUnreachable, true},
		{syscall.EHOSTUNREACH, l3.HostUnreachable, true},
		{syscall.EPERM, l3.AdminProhibited, true},
		{syscall.ECONNREFUSED, l3.PortUnreachable, true},
		{syscall.EAGAIN, 0, false},
	} {
		if got, ok := FromErrno(c.e); got != c.want || ok != c.ok {
			t.Errorf("%v: got %v, %v, want %v, %v", c.e, got, ok, c.want, c.ok)
		}
	}
}
