package l2

// Address Resolution Protocol (RFC 826; RFC 5227 for probes and announcements).
//
// Whatever IPv4 address the guest asks for is behind us, so every question is answered
// with our own hardware address, with one exception: a question for an address of the
// guest itself is its way to look for a duplicate, and an answer would be a conflict.

import (
	"encoding/binary"
)

const (
	arpLen     = 28
	arpRequest = 1
	arpReply   = 2
)

// arp answers one ARP message, b, if it is a question that wants an answer.
func (e *Ethernet) arp(b []byte) {
	if len(b) < arpLen ||
		binary.BigEndian.Uint16(b) != 1 || // hardware: Ethernet
		binary.BigEndian.Uint16(b[2:]) != TypeIPv4 || b[4] != 6 || b[5] != 4 {
		e.Stats.RxShort++
		return
	}
	sender, target := [4]byte(b[14:]), [4]byte(b[24:])
	if binary.BigEndian.Uint16(b[6:]) != arpRequest || sender == target ||
		e.cfg.ARPIgnore == nil || e.cfg.ARPIgnore(target) {
		return
	}
	if e.dev.Reserve(e.slot[:], 0) == 0 {
		e.Stats.TxDropped++
		return
	}
	s := &e.slot[0]
	s.Head = s.Head[:HeaderLen+arpLen]
	e.put(s.Head, MAC(b[8:]), TypeARP)
	r := s.Head[HeaderLen:]
	copy(r, b[:6])
	binary.BigEndian.PutUint16(r[6:], arpReply)
	copy(r[8:], e.cfg.MAC[:])
	copy(r[14:], target[:])
	copy(r[18:], b[8:14])
	copy(r[24:], sender[:])
	if e.send(e.slot[:]) == 0 {
		e.Stats.TxDropped++
	}
}
