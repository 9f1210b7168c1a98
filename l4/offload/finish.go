package offload

// Checksums that were left to the link (virtio 1.2, section 5.1.6.2.1): the field holds the
// sum over the pseudo-header, and so the sum from the start of the transport header to the
// end of the frame, field included, inverted, is the checksum.

import (
	"encoding/binary"

	"passt/l3"
	"passt/link"
)

// Finish completes the checksum of a frame that is no super-frame, in place, and says
// whether it could. A frame that is complete stays as it is.
func Finish(f *link.Frame) bool {
	if f.Meta.Flags&link.NeedsCsum == 0 {
		return true
	}
	start := int(f.Meta.CsumStart)
	field := start + int(f.Meta.CsumOff)
	if field+2 > len(f.B) {
		return false
	}
	putCsum(f.B[field:], l3.Sum(0, f.B[start:]), f.Meta.CsumOff == udpCsum)
	f.Meta.Flags &^= link.NeedsCsum
	return true
}

// putCsum writes the checksum with the given sum. For UDP, 0 would say that there is none, and
// 0xffff takes its place (RFC 768); for all others, it is as RFC 1624, section 3, wants it.
func putCsum(b []byte, sum uint32, udp bool) {
	c := ^l3.Fold(sum)
	if c == 0 && udp {
		c = 0xffff
	}
	binary.BigEndian.PutUint16(b, c)
}
