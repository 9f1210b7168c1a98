package hosterr

import (
	"syscall"

	"passt/l3"
	"passt/l3/inet"
	"passt/l4/sock"
)

// FromErrno is what an error of a send says in terms of ICMP; ok is false if it says
// nothing that the guest could have been told by a router or by the destination.
func FromErrno(e syscall.Errno) (kind l3.ErrorKind, ok bool) {
	switch e {
	case syscall.ENETUNREACH, syscall.ENETDOWN, syscall.ENONET:
		return l3.NetUnreachable, true
	case syscall.EHOSTUNREACH, syscall.EHOSTDOWN, syscall.EADDRNOTAVAIL:
		return l3.HostUnreachable, true
	case syscall.ECONNREFUSED:
		return l3.PortUnreachable, true
	case syscall.ENOPROTOOPT:
		return l3.ProtoUnreachable, true
	case syscall.EPERM, syscall.EACCES:
		return l3.AdminProhibited, true
	}
	return 0, false
}

// Passing says of an error of a send whether it may be about an earlier datagram: the
// kernel reports what came as ICMP once more at the next call (ip(7), IP_RECVERR).
func Passing(e syscall.Errno) bool {
	switch e {
	case syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.ENONET,
		syscall.ENOPROTOOPT, syscall.EACCES, syscall.EPROTO, syscall.EMSGSIZE, syscall.EOPNOTSUPP:
		return true
	}
	return false
}

// FromQueue is what q says in terms of ICMP, for a flow whose remote end is target on the
// host and shown as seen to the guest. ok is false if the guest need not know.
func FromQueue(q *sock.QueuedError, target, seen *inet.Addr) (e l3.ICMPError, ok bool) {
	if q.ICMP {
		e, ok = fromICMP(q, target.Is4())
	} else if q.Errno == syscall.EMSGSIZE {
		e, ok = l3.ICMPError{Kind: l3.TooBig, MTU: q.Info}, true
	} else {
		e.Kind, ok = FromErrno(q.Errno)
	}
	switch {
	case q.Offender == *target:
		e.From = *seen
	case q.Offender.IsUnicast() && !q.Offender.IsLoopback():
		e.From = q.Offender
	}
	return e, ok
}

func fromICMP(q *sock.QueuedError, v4 bool) (l3.ICMPError, bool) {
	type message struct {
		v4        bool
		typ, code uint8
	}
	switch (message{v4, q.Type, q.Code}) {
	case message{true, 3, 4}, message{false, 2, 0}:
		return l3.ICMPError{Kind: l3.TooBig, MTU: q.Info}, true
	case message{true, 3, 2}, message{false, 4, 1}:
		return l3.ICMPError{Kind: l3.ProtoUnreachable}, true
	case message{true, 3, 3}, message{false, 1, 4}:
		return l3.ICMPError{Kind: l3.PortUnreachable}, true
	case message{true, 3, 9}, message{true, 3, 10}, message{true, 3, 13}, // RFC 1812, section 5.2.7.1
		message{false, 1, 1}, message{false, 1, 5}, message{false, 1, 6}:
		return l3.ICMPError{Kind: l3.AdminProhibited}, true
	case message{true, 3, 1}, message{true, 3, 7}, message{true, 3, 12}, message{false, 1, 3}:
		return l3.ICMPError{Kind: l3.HostUnreachable}, true
	case message{true, 3, 0}, message{true, 3, 5}, message{true, 3, 6}, message{true, 3, 8}, message{true, 3, 11}, message{false, 1, 0}:
		return l3.ICMPError{Kind: l3.NetUnreachable}, true
	case message{false, 1, 2}:
		return l3.ICMPError{Kind: l3.BeyondScope}, true
	case message{true, 11, 0}, message{false, 3, 0}:
		return l3.ICMPError{Kind: l3.TimeExceeded}, true
	}
	return l3.ICMPError{}, false
}
