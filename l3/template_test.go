package l3

import (
	"encoding/binary"
	"testing"
)

// TestTemplatePseudo compares the sum that Put returns with one made word by word, for
// addresses whose own sum leaves no room in 32 bits.
func TestTemplatePseudo(t *testing.T) {
	for _, tt := range []struct{ name, src, dst string }{
		{"IPv4", "192.0.2.1", "192.0.2.2"},
		{"from nowhere to everywhere", "0.0.0.0", "255.255.255.255"},
		{"IPv6", "fe80::1", "ff02::1"},
		{"IPv6, all ones", "::", "::ffff:ffff"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var tpl Template
			src, dst := addr(tt.src), addr(tt.dst)
			tpl.Make(src, dst, ProtoUDP, 64, 0)
			got := tpl.Put(make([]byte, 128), 300)
			a, b := src[:], dst[:]
			if dst.Is4() {
				a, b = a[12:], b[12:]
			}
			want := uint32(ProtoUDP + 300)
			for i := 0; i < len(a); i += 2 {
				want += uint32(binary.BigEndian.Uint16(a[i:])) + uint32(binary.BigEndian.Uint16(b[i:]))
			}
			for want > 0xffff {
				want = want>>16 + want&0xffff
			}
			if uint32(got) != want {
				t.Errorf("got %04x, want %04x", got, want)
			}
		})
	}
}

// TestSumPiecesCarry holds that no carry is lost, whatever the sum so far.
func TestSumPiecesCarry(t *testing.T) {
	for _, sum := range []uint32{0, 0xfffe, 0xffff, 0xffff0000, 0xffffffff} {
		b := []byte{0x12, 0x34, 0xff, 0xff}
		want := Fold(Sum(uint32(Fold(sum)), b))
		if got := Fold(SumPieces(sum, [][]byte{b[:1], b[1:]}, 4)); got != want {
			t.Errorf("on top of %08x: got %04x, want %04x", sum, got, want)
		}
	}
}
