package linktest

import (
	"runtime"
	"slices"

	"golang.org/x/sys/unix"

	"passt/link"
)

func reserve(e *env) {
	for _, size := range []int{0, 1, 63, 64, 1448, 9000, e.caps.Body} {
		if size > e.caps.Body {
			continue
		}
		for _, want := range []int{1, 2, e.caps.Batch} {
			slots := make([]link.Slot, want)
			n := e.d.Reserve(slots, size)
			if n < 1 || n > want {
				e.Fatalf("Reserve of %d slots of %d bytes = %d", want, size, n)
			}
			for i := range slots[:n] {
				checkSlot(e, &slots[i], size)
			}
			checkApart(e, slots[:n], size)
		}
	}
}

func checkSlot(e *env, s *link.Slot, size int) {
	e.Helper()
	room := 0
	for _, p := range s.Body {
		room += len(p)
	}
	if len(s.Head) != link.MaxHead || room < size || s.Len != 0 || s.Meta != (link.Meta{}) {
		e.Fatalf("slot has Head of %d bytes, Body of %d, Len %d, %+v; want %d, at least %d, 0 and nothing",
			len(s.Head), room, s.Len, s.Meta, link.MaxHead, size)
	}
}

// checkApart writes a value of its own to all memory of each slot and looks whether it stays.
func checkApart(e *env, slots []link.Slot, size int) {
	e.Helper()
	for i := range slots {
		for _, p := range append([][]byte{slots[i].Head}, slots[i].Body...) {
			for j := range p {
				p[j] = byte(i)
			}
		}
	}
	for i := range slots {
		for _, p := range append([][]byte{slots[i].Head}, slots[i].Body...) {
			for j := range p {
				if p[j] != byte(i) {
					e.Fatalf("slot %d of %d of %d bytes shares memory with slot %d", i, len(slots), size, p[j])
				}
			}
		}
	}
}

// reserveNothing reserves without room for slots, which must do no harm.
func reserveNothing(e *env) {
	if n := e.d.Reserve(nil, 100); n != 0 {
		e.Errorf("Reserve of no slots = %d", n)
	}
	if n, err := e.d.Send(nil); n != 0 || err != nil {
		e.Errorf("Send of nothing = %d, %v", n, err)
	}
}

// reserveAgain leaves slots unsent: they must not come out.
func reserveAgain(e *env) {
	for round := range 5 {
		slots := make([]link.Slot, min(4, e.caps.Batch))
		for i := range slots[:e.d.Reserve(slots, 500)] {
			put(&slots[i], frame(100+i, 300), 54)
		}
		e.send(frame(round, 200))
	}
	slots := make([]link.Slot, min(4, e.caps.Batch))
	n := e.d.Reserve(slots, 500)
	for i := range slots[:n] {
		put(&slots[i], frame(i, 300), 54)
	}
	if got, err := e.d.Send(slots[:1]); got != 1 || err != nil {
		e.Fatalf("Send of the first of %d slots = %d, %v", n, got, err)
	}
	e.peerRecv(frame(0, 300))
	e.send(frame(7, 60))
}

func sendOrder(e *env) {
	var frames [][]byte
	for i := range 300 {
		frames = append(frames, frame(i, 54+i*11%1400))
	}
	e.send(frames...)
}

func sendLengths(e *env) {
	for i, n := range e.lengths() {
		e.send(frame(i, n))
	}
	m := e.p.MaxFrame()
	for i := range 4 {
		e.send(frame(i, m), frame(i, m-1), frame(i, 60), frame(i, m))
	}
}

func sendHeads(e *env) {
	for head := 14; head <= link.MaxHead; head++ {
		for _, body := range []int{0, 1, 700} {
			f := frame(head, head+body)
			if n := e.sendSome([][]byte{f}, head); n != 1 {
				e.Fatalf("Send = %d, want 1", n)
			}
			e.peerRecv(f)
		}
	}
}

func sendMeta(e *env) {
	for _, c := range metaCases {
		if c.need&^e.caps.Offload != 0 {
			continue
		}
		slots := make([]link.Slot, 1)
		if e.d.Reserve(slots, len(c.frame)-int(c.meta.HdrLen)) != 1 {
			e.Fatal("Reserve gave nothing")
		}
		put(&slots[0], c.frame, int(c.meta.HdrLen))
		slots[0].Meta = c.meta
		if n, err := e.d.Send(slots); n != 1 || err != nil {
			e.Fatalf("%s: Send = %d, %v", c.name, n, err)
		}
		e.sameMeta(c.name, e.peerRecv(c.frame), c.meta)
	}
}

// sendFull fills the link, if it can be full, and goes on once the peer has read.
func sendFull(e *env) {
	length := min(2000, e.p.MaxFrame())
	var taken int
	full := false
	for taken < 4096 && !full {
		var frames [][]byte
		for i := range min(e.caps.Batch, 16) {
			frames = append(frames, frame(taken+i, length))
		}
		n := e.sendSome(frames, 54)
		taken += n
		full = n < len(frames)
	}
	if !full {
		e.Skip("this link is never full")
	}
	if n := e.sendSome([][]byte{frame(0, length)}, 54); n != 0 {
		e.Errorf("Send on a full link = %d, want 0", n)
	}
	for i := range taken {
		e.peerRecv(frame(i, length))
	}
	wait(e.d, unix.POLLOUT)
	e.send(frame(1, length), frame(2, length))
}

// noAllocation moves a frame each way, again and again, and counts what the device's part
// of it allocates, once the memory of both ends has grown to what it needs.
func noAllocation(e *env) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	dst := make([]link.Frame, min(8, e.caps.Batch))
	slots := make([]link.Slot, 1)
	b := frame(1, 1000)
	const warm, rounds = 10, 100
	var before, after runtime.MemStats
	var allocs uint64
	for i := range warm + rounds {
		e.peerSend(b, link.Meta{})
		wait(e.d, unix.POLLIN)
		runtime.ReadMemStats(&before)
		n, err := e.d.Recv(dst)
		r := e.d.Reserve(slots, 1000)
		put(&slots[0], b, 54)
		sent, errS := e.d.Send(slots)
		runtime.ReadMemStats(&after)
		if err != nil || errS != nil || n != 1 || r != 1 || sent != 1 {
			e.Fatalf("Recv = %d, %v; Reserve = %d; Send = %d, %v; want 1 each", n, err, r, sent, errS)
		}
		e.peerRecv(b)
		if i >= warm {
			allocs += after.Mallocs - before.Mallocs
		}
	}
	if allocs >= rounds { // a few may be the runtime's own
		e.Errorf("Recv, Reserve and Send allocated %d times in %d rounds", allocs, rounds)
	}
}

// sameMeta compares what matters of two descriptions. HdrLen is a hint, which the kernel
// makes up anew.
func (e *env) sameMeta(name string, got, want link.Meta) {
	e.Helper()
	got.HdrLen, want.HdrLen = 0, 0
	got.Flags &= link.NeedsCsum
	want.Flags &= link.NeedsCsum
	if got != want {
		e.Fatalf("%s: offloads %+v, want %+v", name, got, want)
	}
}

// metaCase is a frame that leaves work to the other side.
type metaCase struct {
	name  string
	need  link.Offload
	frame []byte
	meta  link.Meta
}

// metaCases are received and sent. The kernel cuts a super-frame up rather than give it to
// a device, if it is 65536 bytes long or more with its Ethernet header.
var metaCases = []metaCase{
	partial("TCP over IPv4, checksum", link.OffloadCsum, false, 6, link.GSONone, 900),
	partial("TCP over IPv6, checksum", link.OffloadCsum, true, 6, link.GSONone, 900),
	partial("UDP over IPv4, checksum", link.OffloadCsum, false, 17, link.GSONone, 900),
	partial("UDP over IPv6, checksum", link.OffloadCsum, true, 17, link.GSONone, 900),
	partial("TCP over IPv4, three segments", link.OffloadTSO4, false, 6, link.GSOTCPv4, 2500),
	partial("TCP over IPv6, three segments", link.OffloadTSO6, true, 6, link.GSOTCPv6, 2500),
	partial("TCP over IPv4, as much as fits", link.OffloadTSO4, false, 6, link.GSOTCPv4, 65535-14-40),
	partial("TCP over IPv6, as much as fits", link.OffloadTSO6, true, 6, link.GSOTCPv6, 65535-14-60),
	partial("UDP over IPv4, three segments", link.OffloadUSO4, false, 17, link.GSOUDPL4, 2500),
	partial("UDP over IPv6, three segments", link.OffloadUSO6, true, 17, link.GSOUDPL4, 2500),
}

// partial makes a frame of TCP (6) or UDP (17) with n bytes of payload, in segments of 1000
// if gso is a type, whose checksum is left to the link.
func partial(name string, need link.Offload, v6 bool, proto byte, gso uint8, n int) metaCase {
	eth := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}
	csumOff, l4 := uint16(16), []byte{0x30, 0x39, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0}
	if proto == 17 {
		csumOff = 6
		l4 = []byte{0x30, 0x39, 0, 80, byte((8 + n) >> 8), byte(8 + n), 0, 0}
	}
	var ip, addrs []byte
	if v6 {
		ip = append([]byte{0x60, 0, 0, 0, byte((len(l4) + n) >> 8), byte(len(l4) + n), proto, 64}, make([]byte, 32)...)
		copy(ip[8:], []byte{0xfd, 15: 1, 16: 0xfd, 31: 2})
		eth, addrs = append(eth, 0x86, 0xdd), ip[8:]
	} else {
		total := 20 + len(l4) + n
		ip = []byte{0x45, 0, byte(total >> 8), byte(total), 0, 1, 0x40, 0, 64, proto, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2}
		s := ^sum(0, ip)
		ip[10], ip[11] = byte(s>>8), byte(s)
		eth, addrs = append(eth, 8, 0), ip[12:]
	}
	s := sum(uint32(proto)+uint32(len(l4)+n), addrs)
	l4[csumOff], l4[csumOff+1] = byte(s>>8), byte(s)
	start := len(eth) + len(ip)
	m := link.Meta{Flags: link.NeedsCsum, CsumStart: uint16(start), CsumOff: csumOff, HdrLen: uint16(start + len(l4))}
	if gso != link.GSONone {
		m.GSO, m.SegSize = gso, 1000
	}
	return metaCase{name, need | link.OffloadCsum, slices.Concat(eth, ip, l4, frame(3, 14+n)[14:]), m}
}

// sum is the internet checksum of b, an even number of bytes, on top of s; not inverted.
func sum(s uint32, b []byte) uint16 {
	for i := 0; i < len(b); i += 2 {
		s += uint32(b[i])<<8 | uint32(b[i+1])
	}
	s = s>>16 + s&0xffff
	return uint16(s>>16 + s)
}
