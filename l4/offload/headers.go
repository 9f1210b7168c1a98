package offload

// Offsets in headers: Ethernet with IEEE 802.1Q tags, IPv4 (RFC 791, section 3.1), IPv6
// (RFC 8200, section 3), TCP (RFC 9293, section 3.1), UDP (RFC 768).

import (
	"encoding/binary"

	"passt/l3"
)

const (
	etherLen = 14
	tagLen   = 4 // of a VLAN tag
	maxTags  = 2

	typeIPv4 = 0x0800
	typeIPv6 = 0x86dd
	typeVLAN = 0x8100
	typeQinQ = 0x88a8

	ipv4Len = 20 // without options
	ipv6Len = 40
	tcpLen  = 20 // without options
	udpLen  = 8
	maxIP   = 65535 // the longest packet

	// Flags of TCP.
	fin = 0x01
	psh = 0x08
	ack = 0x10
	ece = 0x40
	cwr = 0x80

	tcpCsum = 16 // offset of TCP's checksum
	udpCsum = 6
)

// network finds the IP header of a frame, behind its VLAN tags, and returns its EtherType
// and where it begins. The type is 0 if the frame is too short for one.
func network(b []byte) (typ uint16, at int) {
	for at = etherLen; at <= etherLen+maxTags*tagLen && at <= len(b); at += tagLen {
		typ = binary.BigEndian.Uint16(b[at-2:])
		if typ != typeVLAN && typ != typeQinQ {
			return typ, at
		}
	}
	return 0, 0
}

// pseudo is the sum over the pseudo-header of a packet whose IP header is ip, without the
// length, which is to be added.
func pseudo(ip []byte, proto uint8) uint16 {
	if ip[0]>>4 == 4 {
		return l3.Fold(l3.Sum(uint32(proto), ip[12:20]))
	}
	return l3.Fold(l3.Sum(uint32(proto), ip[8:40]))
}

// putIPv4Csum makes an IPv4 header's checksum right.
func putIPv4Csum(ip []byte) {
	binary.BigEndian.PutUint16(ip[10:], 0)
	binary.BigEndian.PutUint16(ip[10:], l3.Checksum(0, ip))
}
