package offload

// Joining, by the rules of the kernel's generic receive offload (tcp_gro_receive): segments
// with payload, one right behind the other, that differ in nothing but what Cutter would make
// different again. Frames with anything out of the ordinary are left alone: IP options and
// extension headers, fragments, padding, VLAN tags, and any flag of TCP besides ACK, PSH and
// ECE. PSH ends a super-frame, and so does a segment shorter than the first.
//
// The kernel takes a super-frame as right without looking at its checksum, and makes new
// ones should it pass it on. So that checksums go on protecting from end to end, all of
// them are verified here, and a frame with a wrong one is left to the kernel to refuse.

import (
	"bytes"
	"encoding/binary"

	"passt/l3"
	"passt/link"
)

// dontFragment is the only flag of IPv4, in the field of fragments, that may be set.
const dontFragment = 0x4000

// segment is what matters of a TCP segment in a frame.
type segment struct {
	l4      int // offset of the TCP header
	head    int // and of the payload
	payload int // its length, more than 0
	seq     uint32
	flags   uint8
}

// Join returns how many frames at the beginning of batch, which is not empty, can be one. If
// there are more than one, m says how the link is to understand the frame that consists of
// the whole first one, whose headers are changed for it, and of the others from m.HdrLen on.
func Join(batch []link.Frame) (n int, m link.Meta) {
	first := batch[0].B
	s, ok := parse(first)
	if !ok {
		return 1, m
	}
	n = 1
	last, end := s, len(first)
	for n < len(batch) && last.payload == s.payload && last.flags&psh == 0 {
		b := batch[n].B
		next, ok := parse(b)
		if !ok || next.seq != last.seq+uint32(last.payload) || next.payload > s.payload ||
			end+next.payload > etherLen+maxIP || !s.like(first, b, n) {
			break
		}
		if n == 1 && !s.right(first) || !next.right(b) {
			break
		}
		n++
		last, end = next, end+next.payload
	}
	if n == 1 {
		return 1, m
	}
	return n, s.enlarge(first, end, last.flags)
}

// parse says whether the frame b could be a part of a super-frame, and what its segment is.
func parse(b []byte) (s segment, ok bool) {
	if len(b) <= etherLen+ipv4Len+tcpLen {
		return s, false
	}
	ip := b[etherLen:]
	switch binary.BigEndian.Uint16(b[etherLen-2:]) {
	case typeIPv4:
		s.l4 = etherLen + ipv4Len
		ok = ip[0] == 4<<4|ipv4Len/4 && int(binary.BigEndian.Uint16(ip[2:])) == len(ip) &&
			binary.BigEndian.Uint16(ip[6:])&^dontFragment == 0 && ip[9] == l3.ProtoTCP
	case typeIPv6:
		s.l4 = etherLen + ipv6Len
		ok = len(ip) > ipv6Len+tcpLen && ip[0]>>4 == 6 &&
			int(binary.BigEndian.Uint16(ip[4:])) == len(ip)-ipv6Len && ip[6] == l3.ProtoTCP
	}
	if !ok {
		return s, false
	}
	tcp := b[s.l4:]
	n := int(tcp[12]>>4) * 4
	s.head, s.payload = s.l4+n, len(tcp)-n
	s.seq = binary.BigEndian.Uint32(tcp[4:])
	s.flags = tcp[13]
	return s, n >= tcpLen && s.payload > 0 && tcp[12]&0xf == 0 && s.flags&^(psh|ece) == ack
}

// like says whether the headers of b, the n-th frame after a, whose segment s is, are what
// they would be if both had been one. Both have been parsed, and lengths and sequence numbers
// are not looked at.
func (s *segment) like(a, b []byte, n int) bool {
	const ip = etherLen
	if a[ip]>>4 == 4 {
		if !bytes.Equal(a[:ip+2], b[:ip+2]) || !bytes.Equal(a[ip+6:ip+10], b[ip+6:ip+10]) ||
			!bytes.Equal(a[ip+12:s.l4+4], b[ip+12:s.l4+4]) {
			return false
		}
		// The identification matters if packets may be fragmented, but to a sender whose
		// packets all have the same, as C passt's have.
		was, is := binary.BigEndian.Uint16(a[ip+4:]), binary.BigEndian.Uint16(b[ip+4:])
		if a[ip+6] == 0 && is != was && is != was+uint16(n) {
			return false
		}
	} else if !bytes.Equal(a[:ip+4], b[:ip+4]) || !bytes.Equal(a[ip+6:s.l4+4], b[ip+6:s.l4+4]) {
		return false
	}
	x, y := a[s.l4:s.head], b[s.l4:]
	return bytes.Equal(x[8:13], y[8:13]) && (x[13]^y[13])&^psh == 0 && bytes.Equal(x[14:16], y[14:16]) &&
		bytes.Equal(x[18:], y[18:len(x)])
}

// right says whether the checksums of b, whose segment s is, are.
func (s *segment) right(b []byte) bool {
	ip, tcp := b[etherLen:s.l4], b[s.l4:]
	if ip[0]>>4 == 4 && l3.Checksum(0, ip) != 0 {
		return false
	}
	return l3.Checksum(l3.Fold(uint32(pseudo(ip, l3.ProtoTCP))+uint32(len(tcp))), tcp) == 0
}

// enlarge changes the headers of b, whose segment s is, to those of a super-frame of n bytes
// that ends with the given flags.
func (s *segment) enlarge(b []byte, n int, flags uint8) link.Meta {
	m := link.Meta{
		GSO: link.GSOTCPv6, Flags: link.NeedsCsum,
		HdrLen: uint16(s.head), SegSize: uint16(s.payload), CsumStart: uint16(s.l4), CsumOff: tcpCsum,
	}
	ip, tcp := b[etherLen:s.l4], b[s.l4:s.head]
	if ip[0]>>4 == 4 {
		m.GSO = link.GSOTCPv4
		binary.BigEndian.PutUint16(ip[2:], uint16(n-etherLen))
		putIPv4Csum(ip)
	} else {
		binary.BigEndian.PutUint16(ip[4:], uint16(n-s.l4))
	}
	tcp[13] |= flags & psh
	binary.BigEndian.PutUint16(tcp[tcpCsum:], l3.Fold(uint32(pseudo(ip, l3.ProtoTCP))+uint32(n-s.l4)))
	return m
}
