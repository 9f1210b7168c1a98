package l3

// Reassembly of fragments from the guest (RFC 791, section 3.2 and RFC 815; RFC 8200,
// section 4.5).
//
// Each datagram in the making has a buffer that grows with what arrives and a map of one
// bit for eight bytes. Fragments that repeat what is there are ignored; those that overlap it
// otherwise end the datagram, for either IP version (RFC 5722; RFC 8200, section 4.5),
// because whoever sends them means to be read in two ways. IPv6 fragments that are whole
// datagrams pass at once (RFC 6946).
//
// The guest can't make this cost more than maxDatagrams buffers: if there are more
// datagrams, the oldest is given up. There is no timer: what is too old is found when its
// place is needed, or when its missing part comes at last.

import (
	"encoding/binary"
	"math/bits"

	"passt/l3/inet"
)

const (
	maxDatagrams = 16
	// maxHeader is the room for the headers before a datagram's payload: IPv4 with all its
	// options, or IPv6 with as many extension headers as anybody sends.
	maxHeader = 256
	// fragmentTimeout is how long the parts of a datagram may take to arrive, in
	// nanoseconds: shorter than the RFCs allow, for the guest is near.
	fragmentTimeout = 30_000_000_000
	firstBuffer     = 4096 // bytes of payload
	maxDatagram     = 65535
	bitmapLen       = (maxDatagram + 1) / 8 / 64
)

// fragKey is what the fragments of one datagram have in common.
type fragKey struct {
	src, dst inet.Addr
	id       uint32
	proto    uint8 // 0 for IPv6, whose fragments need not agree on it
}

type fragState uint8

const (
	fragFree    fragState = iota
	fragWaiting           // for the rest
	fragSpoiled           // parts of it overlap: nothing of it is taken any more
	fragDone              // handed out, memory not free before Release
)

// datagram is one datagram in the making.
type datagram struct {
	key    fragKey
	state  fragState
	header uint16 // bytes of headers, before buf[maxHeader]; 0 until the first fragment is there
	next   uint8  // IPv6: what followed the first fragment's header
	total  int    // bytes of payload; -1 until the last fragment is there
	units  int    // how many bits are set in have
	since  int64
	buf    []byte // maxHeader bytes, then payload
	have   [bitmapLen]uint64
}

// ReassemblyStats counts datagrams, and fragments that led to none.
type ReassemblyStats struct {
	Whole   uint64
	Bad     uint64 // fragments that can't belong to any datagram
	Overlap uint64 // datagrams given up because of overlapping fragments
	Evicted uint64 // given up for others
	Late    uint64 // given up because of their age
}

// Reassembler puts fragments together. It belongs to one thread. The zero value is ready.
type Reassembler struct {
	d     [maxDatagrams]datagram
	done  int // datagrams handed out since the last Release
	Stats ReassemblyStats
}

// Release makes the memory of the datagrams that were handed out free for others.
func (r *Reassembler) Release() {
	if r.done == 0 {
		return
	}
	r.done = 0
	for i := range r.d {
		if r.d[i].state == fragDone {
			r.d[i].state = fragFree
		}
	}
}

// Forget gives up all datagrams in the making.
func (r *Reassembler) Forget() {
	r.done = 0
	for i := range r.d {
		r.d[i].state = fragFree
	}
}

// Full says that so many datagrams were handed out since the last Release that the next
// fragments may find no place.
func (r *Reassembler) Full() bool { return r.done > maxDatagrams/2 }

// fragment is one part of a datagram, as it came.
type fragment struct {
	header []byte // the headers before it, without an IPv6 fragment header
	next   uint8  // IPv6: what follows them
	part   []byte
	at     int  // offset of part in the payload
	more   bool // it is not the last one
}

func (f *fragment) end() int { return f.at + len(f.part) }

// bad says that f can't be a part of any datagram (RFC 8200, section 4.5).
func (f *fragment) bad() bool {
	limit := maxDatagram - len(f.header)
	if f.header[0]>>4 == 6 {
		limit += HeaderLen6
	}
	return len(f.part) == 0 || f.more && len(f.part)%8 != 0 || f.end() > limit || len(f.header) > maxHeader
}

// Input4 takes an IPv4 packet that is a fragment, its header checked, and returns the
// whole packet if this was the last part missing, else nil. The packet is valid until the
// next Release. now is monotonic time in nanoseconds.
func (r *Reassembler) Input4(b []byte, now int64) []byte {
	hl := int(b[0]&15) * 4
	word := binary.BigEndian.Uint16(b[6:])
	k := fragKey{src: inet.V4(b[12:]), dst: inet.V4(b[16:]), id: uint32(binary.BigEndian.Uint16(b[4:])), proto: b[9]}
	f := fragment{header: b[:hl], part: b[hl:], at: int(word&0x1fff) * 8, more: word&0x2000 != 0}
	d := r.add(&k, &f, now)
	if d == nil {
		return nil
	}
	w := d.whole()
	binary.BigEndian.PutUint16(w[2:], uint16(len(w)))
	w[6], w[7], w[10], w[11] = 0, 0, 0, 0
	binary.BigEndian.PutUint16(w[10:], Checksum(0, w[:d.header]))
	return w
}

// Input6 takes an IPv6 packet, its header checked, that has a whole fragment header at
// off, with no other before it. Apart from that it is like Input4, but it changes a packet
// that is not really a fragment in place.
func (r *Reassembler) Input6(b []byte, off int, now int64) []byte {
	h := b[off : off+8]
	word := binary.BigEndian.Uint16(h[2:])
	f := fragment{header: b[:off], next: h[0], part: b[off+8:], at: int(word & 0xfff8), more: word&1 != 0}
	if f.at == 0 && !f.more {
		copy(b[8:], f.header)
		return header6(b[8:], off, f.next)
	}
	k := fragKey{src: inet.V6(b[8:]), dst: inet.V6(b[24:]), id: binary.BigEndian.Uint32(h[4:])}
	d := r.add(&k, &f, now)
	if d == nil {
		return nil
	}
	return header6(d.whole(), int(d.header), d.next)
}

// header6 mends the IPv6 headers of b, the first off bytes, which a fragment header
// followed: now it is next.
func header6(b []byte, off int, next uint8) []byte {
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)-HeaderLen6))
	b[lastNext6(b[:off])] = next
	return b
}

// lastNext6 is the offset of the next-header field that names what is behind the headers
// b, which walk6 has walked.
func lastNext6(b []byte) int {
	at, off := 6, HeaderLen6
	for off < len(b) {
		n := (int(b[off+1]) + 1) * 8
		if b[at] == extAuth {
			n = (int(b[off+1]) + 2) * 4
		}
		at, off = off, off+n
	}
	return at
}

// add puts a part of a datagram into its place. It returns the datagram if it is whole.
func (r *Reassembler) add(k *fragKey, f *fragment, now int64) *datagram {
	if f.bad() {
		r.Stats.Bad++
		return nil
	}
	d := r.find(k, now)
	if d == nil || d.state == fragSpoiled {
		return nil
	}
	first, end := f.at/8, (f.end()+7)/8
	switch n := d.count(first, end); {
	case n == end-first:
		return nil // all of it is there
	case n > 0 || d.total >= 0 && f.end() > d.total || !f.more && (d.total >= 0 || d.count(end, bitmapLen*64) > 0):
		d.state = fragSpoiled
		r.Stats.Overlap++
		return nil
	}
	d.put(f, first, end)
	if d.total < 0 || d.header == 0 || d.units != (d.total+7)/8 {
		return nil
	}
	whole := fragment{header: d.buf[maxHeader-int(d.header) : maxHeader], part: d.buf[maxHeader : maxHeader+d.total]}
	if whole.bad() { // the first part had longer headers than the others
		d.state = fragFree
		r.Stats.Bad++
		return nil
	}
	d.state = fragDone
	r.done++
	r.Stats.Whole++
	return d
}

// find finds the datagram of k, or makes one in the place of the oldest if need be. It
// returns nil if all places hold datagrams that were handed out.
func (r *Reassembler) find(k *fragKey, now int64) *datagram {
	var free, oldest *datagram
	for i := range r.d {
		d := &r.d[i]
		switch {
		case d.state == fragFree:
			free = d
			continue
		case d.state == fragDone:
			continue
		case now-d.since > fragmentTimeout:
			d.state = fragFree
			r.Stats.Late++
			free = d
			continue
		case d.key == *k:
			return d
		}
		if oldest == nil || d.since < oldest.since {
			oldest = d
		}
	}
	if free == nil {
		if free = oldest; free == nil {
			return nil
		}
		r.Stats.Evicted++
	}
	*free = datagram{key: *k, state: fragWaiting, total: -1, since: now, buf: free.buf}
	return free
}

// put copies f, which covers the units from first to end, into d.
func (d *datagram) put(f *fragment, first, end int) {
	d.grow(maxHeader + f.end())
	copy(d.buf[maxHeader+f.at:], f.part)
	for u := first; u < end; u++ {
		d.have[u/64] |= 1 << (u % 64)
	}
	d.units += end - first
	if !f.more {
		d.total = f.end()
	}
	if f.at == 0 {
		d.header, d.next = uint16(len(f.header)), f.next
		copy(d.buf[maxHeader-len(f.header):], f.header)
	}
}

// count is how many of the units from first to end are there.
func (d *datagram) count(first, end int) (n int) {
	for first < end {
		w, bit := first/64, first%64
		width := min(64-bit, end-first)
		mask := ^uint64(0) >> (64 - width) << bit
		n += bits.OnesCount64(d.have[w] & mask)
		first += width
	}
	return n
}

// grow makes buf at least n bytes long.
func (d *datagram) grow(n int) {
	if n <= len(d.buf) {
		return
	}
	b := make([]byte, min(max(n, 2*len(d.buf), firstBuffer), maxHeader+maxDatagram+1))
	copy(b, d.buf)
	d.buf = b
}

func (d *datagram) whole() []byte {
	return d.buf[maxHeader-int(d.header) : maxHeader+d.total]
}
