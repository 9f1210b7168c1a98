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
	// The sum does not depend on the byte order of the additions, but for the order of its own
	// two bytes, so eight bytes are added at a time as most machines have them, with end-around
	// carry, and in two chains, since each addition waits for the carry of the one before
	// (RFC 1071, section 2).
	var x, y, c uint64
	for len(b) >= 128 {
		p := b[:128:128]
		x, c = bits.Add64(x, binary.LittleEndian.Uint64(p[0:]), 0)
		x, c = bits.Add64(x, binary.LittleEndian.Uint64(p[8:]), c)
		x, c = bits.Add64(x, binary.LittleEndian.Uint64(p[16:]), c)
		x, c = bits.Add64(x, binary.LittleEndian.Uint64(p[24:]), c)
		x, c = bits.Add64(x, binary.LittleEndian.Uint64(p[32:]), c)
		x, c = bits.Add64(x, binary.LittleEndian.Uint64(p[40:]), c)
		x, c = bits.Add64(x, binary.LittleEndian.Uint64(p[48:]), c)
		x, c = bits.Add64(x, binary.LittleEndian.Uint64(p[56:]), c)
		x += c
		y, c = bits.Add64(y, binary.LittleEndian.Uint64(p[64:]), 0)
		y, c = bits.Add64(y, binary.LittleEndian.Uint64(p[72:]), c)
		y, c = bits.Add64(y, binary.LittleEndian.Uint64(p[80:]), c)
		y, c = bits.Add64(y, binary.LittleEndian.Uint64(p[88:]), c)
		y, c = bits.Add64(y, binary.LittleEndian.Uint64(p[96:]), c)
		y, c = bits.Add64(y, binary.LittleEndian.Uint64(p[104:]), c)
		y, c = bits.Add64(y, binary.LittleEndian.Uint64(p[112:]), c)
		y, c = bits.Add64(y, binary.LittleEndian.Uint64(p[120:]), c)
		y += c
		b = b[128:]
	}
	for len(b) >= 8 {
		x, c = bits.Add64(x, binary.LittleEndian.Uint64(b), 0)
		x += c
		b = b[8:]
	}
	s := x>>32 + x&0xffffffff + y>>32 + y&0xffffffff
	for len(b) >= 2 {
		s += uint64(binary.LittleEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		s += uint64(b[0])
	}
	s = s>>32 + s&0xffffffff
	s = s>>16&0xffff + s&0xffff + s>>32
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	s = uint64(sum) + uint64(bits.ReverseBytes16(uint16(s)))
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
