package l3

import (
	"math/rand/v2"
	"strconv"
	"testing"
)

// slowSum is the definition of RFC 1071.
func slowSum(b []byte) uint16 {
	var s uint64
	for i, c := range b {
		if i%2 == 0 {
			s += uint64(c) << 8
		} else {
			s += uint64(c)
		}
	}
	for s>>16 != 0 {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

func TestSum(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 300 {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
			if n%3 == 0 {
				b[i] = 0xff // carries everywhere
			}
		}
		want := slowSum(b)
		if got := Fold(Sum(0, b)); got != want {
			t.Fatalf("%d bytes: %#x, want %#x", n, got, want)
		}
		cut := r.IntN(n + 1)
		cut2 := cut + r.IntN(n-cut+1)
		pieces := [][]byte{b[:cut], b[cut:cut2], append(b[cut2:n:n], 9, 9, 9)}
		if got := Fold(SumPieces(0, pieces, n)); got != want {
			t.Fatalf("%d bytes cut at %d and %d: %#x, want %#x", n, cut, cut2, got, want)
		}
	}
}

func TestTemplate(t *testing.T) {
	for _, v := range [][2]string{{"192.0.2.1", "192.0.2.2"}, {"2001:db8::1", "2001:db8::2"}} {
		var tpl Template
		src, dst := addr(v[0]), addr(v[1])
		tpl.Make(src, dst, ProtoTCP, 64, 0x10)
		for _, n := range []int{0, 1, 20, 1480, 60000} {
			head := make([]byte, 128)
			if got, want := tpl.Put(head, n), Fold(PseudoSum(&src, &dst, ProtoTCP, n)); got != want {
				t.Errorf("%v, %d bytes: pseudo-header %#x, want %#x", v, n, got, want)
			}
			if src.Is4() && Checksum(0, head[LinkLen:LinkLen+HeaderLen4]) != 0 {
				t.Errorf("%v, %d bytes: header checksum", v, n)
			}
		}
	}
}

func BenchmarkSum(b *testing.B) {
	for _, n := range []int{20, 1460, 65536} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			buf := make([]byte, n)
			b.SetBytes(int64(n))
			for b.Loop() {
				Sum(0, buf)
			}
		})
	}
}
