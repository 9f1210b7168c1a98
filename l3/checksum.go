package l3

// The internet checksum (RFC 1071): the one's complement sum of 16-bit words in network
// byte order. Sums are kept unfolded in 32 bits, and inverted only when written.

import (
	"encoding/binary"
	"math/bits"

	"passt/l3/inet"
)

// Sum adds the words of b to sum. A last odd byte counts as the high half of a word, so b
// may be continued only if its length is even.
func Sum(sum uint32, b []byte) uint32 {
	// The sum does not depend on the byte order of the additions, so eight bytes are
	// added at a time, with end-around carry, and folded at the end (RFC 1071, section 2).
	var acc, c uint64
	for len(b) >= 64 {
		acc, c = bits.Add64(acc, binary.BigEndian.Uint64(b), 0)
		acc, c = bits.Add64(acc, binary.BigEndian.Uint64(b[8:]), c)
		acc, c = bits.Add64(acc, binary.BigEndian.Uint64(b[16:]), c)
		acc, c = bits.Add64(acc, binary.BigEndian.Uint64(b[24:]), c)
		acc, c = bits.Add64(acc, binary.BigEndian.Uint64(b[32:]), c)
		acc, c = bits.Add64(acc, binary.BigEndian.Uint64(b[40:]), c)
		acc, c = bits.Add64(acc, binary.BigEndian.Uint64(b[48:]), c)
		acc, c = bits.Add64(acc, binary.BigEndian.Uint64(b[56:]), c)
		acc += c
		b = b[64:]
	}
	for len(b) >= 8 {
		acc, c = bits.Add64(acc, binary.BigEndian.Uint64(b), 0)
		acc += c
		b = b[8:]
	}
	var tail uint64
	for len(b) >= 2 {
		tail += uint64(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		tail += uint64(b[0]) << 8
	}
	s := acc>>32 + acc&0xffffffff + tail + uint64(sum)
	s = s>>32 + s&0xffffffff
	return uint32(s>>32 + s&0xffffffff)
}

// Fold reduces a sum to 16 bits without inverting it.
func Fold(sum uint32) uint16 {
	sum = sum>>16 + sum&0xffff
	return uint16(sum>>16 + sum&0xffff)
}

// Checksum is the checksum of b on top of the folded sum start.
func Checksum(start uint16, b []byte) uint16 { return ^Fold(Sum(uint32(start), b)) }

// SumPieces adds the first n bytes of the pieces to sum. Unlike with Sum, pieces may be of
// any length.
func SumPieces(sum uint32, pieces [][]byte, n int) uint32 {
	odd := false
	sum = uint32(Fold(sum)) // room for the additions below
	for _, p := range pieces {
		p = p[:min(n, len(p))]
		n -= len(p)
		s := Fold(Sum(0, p))
		if odd { // a sum over bytes that start in the low half of a word is the swapped sum
			s = bits.ReverseBytes16(s)
		}
		sum += uint32(s)
		odd = odd != (len(p)&1 == 1)
	}
	return sum
}

// PseudoSum is the sum over the pseudo-header of a transport packet of n bytes (RFC 9293,
// section 3.1; RFC 8200, section 8.1).
func PseudoSum(src, dst *inet.Addr, proto uint8, n int) uint32 {
	// The prefix of mapped addresses, twice, would add to the sum: leave it out.
	if src.Is4() {
		return Sum(Sum(uint32(proto)+uint32(n), src[12:]), dst[12:])
	}
	return Sum(Sum(uint32(proto)+uint32(n), src[:]), dst[:])
}
