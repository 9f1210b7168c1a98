package tap

// The virtio-net header (virtio 1.2, section 5.1.6; linux/virtio_net.h), in its legacy form:
// fields in the byte order of the machine, offsets from the first byte of the frame.
//
//	flags u8 | gso_type u8 | hdr_len u16 | gso_size u16 | csum_start u16 | csum_offset u16

import (
	"encoding/binary"

	"passt/link"
)

// etherLen is the length of an Ethernet header, in bytes.
const etherLen = 14

// putVnetHdr writes m to the first vnetHdrLen bytes of b.
func putVnetHdr(b []byte, m *link.Meta) {
	_ = b[vnetHdrLen-1]
	b[0], b[1] = m.Flags, m.GSO
	binary.NativeEndian.PutUint16(b[2:], m.HdrLen)
	binary.NativeEndian.PutUint16(b[4:], m.SegSize)
	binary.NativeEndian.PutUint16(b[6:], m.CsumStart)
	binary.NativeEndian.PutUint16(b[8:], m.CsumOff)
}

// readVnetHdr fills m from the header b of a frame of n bytes. What is only a hint is made
// to fit the frame; ok is false if the frame can't be understood without what is wrong.
func readVnetHdr(m *link.Meta, b []byte, n int) (ok bool) {
	_ = b[vnetHdrLen-1]
	*m = link.Meta{Flags: b[0] & (link.NeedsCsum | link.DataValid)}
	if m.Flags&link.NeedsCsum != 0 {
		m.CsumStart = binary.NativeEndian.Uint16(b[6:])
		m.CsumOff = binary.NativeEndian.Uint16(b[8:])
		if m.CsumStart < etherLen || int(m.CsumStart)+int(m.CsumOff)+2 > n {
			return false
		}
	}
	switch b[1] &^ link.GSOECN {
	case link.GSONone:
		return true
	case link.GSOTCPv4, link.GSOTCPv6, link.GSOUDPL4:
	default:
		return false
	}
	m.SegSize = binary.NativeEndian.Uint16(b[4:])
	if m.SegSize == 0 {
		return true
	}
	m.GSO = b[1]
	m.HdrLen = uint16(min(int(binary.NativeEndian.Uint16(b[2:])), n))
	return true
}
