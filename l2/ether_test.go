package l2

import (
	"bytes"
	"encoding/binary"
	"testing"

	"passt/link"
	"passt/link/mem"
)

var (
	ours  = MAC{2, 0, 0, 0, 0, 1}
	guest = MAC{2, 0, 0, 0, 0, 2}
	moved = MAC{2, 0, 0, 0, 0, 3}
	group = MAC{0x33, 0x33, 0, 0, 0, 1}
)

// upper keeps the packets that came up.
type upper struct{ got []Packet }

func (u *upper) Input(batch []Packet, now int64) { u.got = append(u.got, batch...) }

func newEthernet(c Config) (*Ethernet, *mem.Dev) {
	dev := mem.New(link.Caps{Batch: 8, Body: 65535})
	c.MAC = ours
	return New(dev, c), dev
}

func frame(dst, src MAC, etherType uint16, payload ...byte) []byte {
	b := append(append([]byte(nil), dst[:]...), src[:]...)
	return append(binary.BigEndian.AppendUint16(b, etherType), payload...)
}

func TestPoll(t *testing.T) {
	for _, tt := range []struct {
		name      string
		frame     []byte
		passed    bool
		multicast bool
		stat      func(*Stats) uint64
	}{
		{"IPv4 for us", frame(ours, guest, TypeIPv4, 1, 2, 3), true, false, nil},
		{"IPv6 for us", frame(ours, guest, TypeIPv6, 1), true, false, nil},
		{"no payload", frame(ours, guest, TypeIPv4), true, false, nil},
		{"broadcast", frame(Broadcast, guest, TypeIPv4, 1), true, true, nil},
		{"a group", frame(group, guest, TypeIPv6, 1), true, true, nil},
		{"for another station", frame(moved, guest, TypeIPv4, 1), false, false, func(s *Stats) uint64 { return s.RxOther }},
		{"another type", frame(ours, guest, 0x88cc, 1), false, false, func(s *Stats) uint64 { return s.RxOther }},
		{"a length, as of 802.3", frame(ours, guest, 46, 1), false, false, func(s *Stats) uint64 { return s.RxOther }},
		{"too short", frame(ours, guest, TypeIPv4)[:13], false, false, func(s *Stats) uint64 { return s.RxShort }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, dev := newEthernet(Config{})
			m := link.Meta{Flags: link.DataValid}
			dev.Inject(tt.frame, m)
			u := &upper{}
			if n, err := e.Poll(u, 0); n != 1 || err != nil {
				t.Fatalf("%d frames, %v", n, err)
			}
			if (len(u.got) == 1) != tt.passed {
				t.Fatalf("%d packets passed", len(u.got))
			}
			if tt.passed {
				p := u.got[0]
				if !bytes.Equal(p.B, tt.frame[HeaderLen:]) || p.Multicast != tt.multicast || p.Meta != m {
					t.Errorf("passed %+v", p)
				}
			}
			if tt.stat != nil && tt.stat(&e.Stats) != 1 {
				t.Errorf("stats %+v", e.Stats)
			}
		})
	}
}

func TestBatchIsOneCall(t *testing.T) {
	e, dev := newEthernet(Config{})
	for i := range byte(5) {
		dev.Inject(frame(ours, guest, TypeIPv4, i), link.Meta{})
		dev.Inject(frame(ours, guest, 0x88cc, i), link.Meta{})
	}
	calls := 0
	u := upperFunc(func(b []Packet) { calls++ })
	for range 2 {
		e.Poll(u, 0)
	}
	if calls != 2 {
		t.Errorf("%d calls for two batches", calls)
	}
}

type upperFunc func([]Packet)

func (f upperFunc) Input(b []Packet, now int64) { f(b) }

func TestGuestIsLearnt(t *testing.T) {
	e, dev := newEthernet(Config{})
	see := func(src MAC) {
		dev.Inject(frame(ours, src, TypeIPv4, 1), link.Meta{})
		e.Poll(&upper{}, 0)
	}
	if e.Guest() != Broadcast {
		t.Errorf("at first: %v", e.Guest())
	}
	for _, tt := range []struct {
		name      string
		src, want MAC
		moved     uint64
	}{
		{"first frame", guest, guest, 0},
		{"the same", guest, guest, 0},
		{"a group can't send", group, guest, 0},
		{"nor can nobody", MAC{}, guest, 0},
		{"another address", moved, moved, 1},
	} {
		see(tt.src)
		if e.Guest() != tt.want || e.Stats.GuestMoved != tt.moved {
			t.Errorf("%s: guest %v, moved %d times", tt.name, e.Guest(), e.Stats.GuestMoved)
		}
	}
	e.Forget()
	if e.Guest() != Broadcast {
		t.Errorf("forgotten: %v", e.Guest())
	}
	if e, _ := newEthernet(Config{GuestMAC: guest}); e.Guest() != guest {
		t.Errorf("configured: %v", e.Guest())
	}
}

func TestSend(t *testing.T) {
	e, dev := newEthernet(Config{GuestMAC: guest})
	for _, tt := range []struct {
		name    string
		version byte
		want    uint16
	}{{"IPv4", 0x45, TypeIPv4}, {"IPv6", 0x60, TypeIPv6}} {
		var s [1]link.Slot
		if e.Reserve(s[:], 3) != 1 {
			t.Fatal("no slot")
		}
		s[0].Head = s[0].Head[:HeaderLen+1]
		s[0].Head[HeaderLen] = tt.version
		s[0].Len = copy(s[0].Body[0], "abc")
		if n := e.Send(s[:]); n != 1 {
			t.Fatalf("%s: %d sent", tt.name, n)
		}
		f := dev.Take()
		if len(f) != 1 || !bytes.Equal(f[0].B, frame(guest, ours, tt.want, tt.version, 'a', 'b', 'c')) {
			t.Errorf("%s: sent %x", tt.name, f)
		}
	}
}

func TestSendToFullLink(t *testing.T) {
	e, dev := newEthernet(Config{GuestMAC: guest})
	var s [3]link.Slot
	if n := e.Reserve(s[:], 0); n != 3 {
		t.Fatalf("%d slots", n)
	}
	for i := range s {
		s[i].Head = s[i].Head[:HeaderLen+1]
		s[i].Head[HeaderLen] = 0x45
	}
	dev.SetLimit(2)
	if n := e.Send(s[:]); n != 2 || e.Stats.Tx != 2 {
		t.Errorf("%d taken, %d counted", n, e.Stats.Tx)
	}
}

func TestNoAllocation(t *testing.T) {
	e, dev := newEthernet(Config{})
	b, u := frame(ours, guest, TypeIPv4, make([]byte, 1000)...), upperFunc(func([]Packet) {})
	var up Upper = u
	if n := testing.AllocsPerRun(100, func() {
		dev.Inject(b, link.Meta{})
		e.Poll(up, 0)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPoll(b *testing.B) {
	e, dev := newEthernet(Config{})
	f := frame(ours, guest, TypeIPv4, make([]byte, 60)...)
	var up Upper = upperFunc(func([]Packet) {})
	b.ReportAllocs()
	for b.Loop() {
		dev.Inject(f, link.Meta{})
		e.Poll(up, 0)
	}
}
