package offload

import (
	"encoding/binary"
	"testing"

	"passt/link"
)

// FuzzCut cuts and finishes frames of any content, with offloads of any kind: what is cut
// ends up in frames of the size that was asked for, with all the payload.
func FuzzCut(f *testing.F) {
	for _, p := range []packet{
		segmentOf(3000),
		segmentOf(100).with(func(p *packet) { p.v6, p.tcpOpts, p.flags = true, timestamps, ack|psh|fin|cwr }),
		segmentOf(99).with(func(p *packet) { p.udp, p.opts = true, []byte{148, 4, 0, 0} }),
		segmentOf(99).with(func(p *packet) { p.v6, p.tags, p.opts = true, 1, []byte{6, 0, 1, 4, 0, 0, 0, 0} }),
	} {
		s := p.unfinished(33)
		f.Add(s.B, s.Meta.GSO, s.Meta.Flags, s.Meta.SegSize, s.Meta.CsumStart, s.Meta.CsumOff)
	}
	f.Fuzz(func(t *testing.T, b []byte, gso, flags uint8, size, start, off uint16) {
		if len(b) > link.MaxFrame || size < 1 || len(b)/int(size) > 2000 {
			return
		}
		frame := link.Frame{B: b, Meta: link.Meta{GSO: gso, Flags: flags, SegSize: size, CsumStart: start, CsumOff: off}}
		var c Cutter
		if c.Set(&frame) {
			head := make([]byte, MaxHead)
			whole, header := 0, 0
			for i := range c.Segments() {
				n, body := c.Segment(i, head)
				if len(body) > int(size) || len(body) < int(size) && i < c.Segments()-1 {
					t.Fatalf("segment %d of %d has %d bytes of %d", i, c.Segments(), len(body), size)
				}
				whole, header = whole+len(body), n
			}
			if header+whole != len(b) {
				t.Fatalf("headers of %d bytes and payload of %d, together %d", header, whole, len(b))
			}
		}
		Finish(&frame)
	})
}

// FuzzJoin joins batches of any content.
func FuzzJoin(f *testing.F) {
	for _, batch := range [][]link.Frame{train(3, 100), frames(segments(segmentOf(0).with(func(p *packet) { p.v6 = true }), 50, 50, 20))} {
		var b []byte
		for _, fr := range batch {
			b = binary.BigEndian.AppendUint16(b, uint16(len(fr.B)))
			b = append(b, fr.B...)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var batch []link.Frame
		for len(b) > 2 {
			n := min(int(binary.BigEndian.Uint16(b)), len(b)-2)
			if n < etherLen {
				break
			}
			batch = append(batch, link.Frame{B: b[2 : 2+n : 2+n]})
			b = b[2+n:]
		}
		checkJoin(t, batch)
	})
}

// FuzzJoinSegments joins segments that fit, but for some damage, whose checksum may then be
// made right again.
func FuzzJoinSegments(f *testing.F) {
	f.Add(uint16(100), uint16(50), uint8(5), uint8(ack), false, false, uint8(2), uint16(60), uint8(0), true)
	f.Add(uint16(1448), uint16(1), uint8(50), uint8(ack|psh), true, true, uint8(1), uint16(67), uint8(psh), true)
	f.Fuzz(func(t *testing.T, size, last uint16, n, flags uint8, v6, stamps bool, which uint8, at uint16, change uint8, mend bool) {
		p := segmentOf(0).with(func(p *packet) { p.v6, p.flags = v6, flags })
		if stamps {
			p.tcpOpts = timestamps
		}
		sizes := make([]int, n%64, 65)
		for i := range sizes {
			sizes[i] = int(size % 9000)
		}
		batch := frames(segments(p, append(sizes, int(last%9000))...))
		b := batch[int(which)%len(batch)].B
		b[int(at)%len(b)] ^= change
		if mend {
			mendCsums(b)
		}
		checkJoin(t, batch)
	})
}

// mendCsums makes the checksums of a frame right, if its headers are where they are mostly.
func mendCsums(b []byte) {
	ip, l4 := b[etherLen:], etherLen+ipv6Len
	if ip[0]>>4 == 4 {
		l4 = etherLen + ipv4Len
		putIPv4Csum(ip[:ipv4Len])
	}
	if len(b) < l4+tcpLen {
		return
	}
	start := uint32(pseudo(ip, 6)) + uint32(len(b)-l4)
	clear(b[l4+tcpCsum : l4+tcpCsum+2])
	for i, v := range b[l4:] {
		start += uint32(v) << (8 - 8*(i&1))
		start = start>>16 + start&0xffff
	}
	binary.BigEndian.PutUint16(b[l4+tcpCsum:], ^uint16(start))
}
