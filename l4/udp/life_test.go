package udp

import (
	"fmt"
	"testing"

	"passt/l3"
	"passt/l3/inet"
	"passt/l4/sock"
	"passt/link"
)

// pass lets time pass and the timer fire.
func (r *rig) pass(ns int64) {
	r.now += ns
	var buf [64]uint64
	for _, ref := range r.cfg.Wheel.Advance(buf[:0], r.now) {
		r.Timer(sock.Ref(ref), r.now)
	}
}

func TestExpiry(t *testing.T) {
	for _, c := range []struct {
		name   string
		peer   string
		answer bool
		after  int64 // seconds
		alive  bool
	}{
		{"unanswered, in time", "198.51.100.1:7", false, 175, true},
		{"unanswered, too old", "198.51.100.1:7", false, 200, false},
		{"answered, in time", "198.51.100.1:7", true, 175, true},
		{"answered, too old", "198.51.100.1:7", true, 200, false},
		{"DNS, waits for its answer", "198.51.100.1:53", false, 60, true},
		{"DNS, answered", "198.51.100.1:53", true, 25, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, nil)
			r.guestSends("192.0.2.2:1000", c.peer, "q")
			if c.answer {
				r.hostSends(r.host.sent[0].fd, from(c.peer, "a"))
			}
			for range c.after {
				r.pass(second)
			}
			want := 0
			if c.alive {
				want = 1
			}
			if r.Len() != want || len(r.host.open) != want || len(r.poll.fds) != want {
				t.Errorf("%d flows, %d sockets, want %d", r.Len(), len(r.host.open), want)
			}
		})
	}
}

func TestUseKeepsAlive(t *testing.T) {
	r := newRig(t, nil)
	for range 60 {
		r.guestSends("192.0.2.2:1000", "198.51.100.1:7", "q")
		r.pass(10 * second)
	}
	if r.Len() != 1 || r.Stats.FromGuest != 1 {
		t.Errorf("%d flows, %d begun", r.Len(), r.Stats.FromGuest)
	}
	r.pass(200 * second)
	r.pass(200 * second)
	if r.cfg.Wheel.Len() != 0 {
		t.Error("timer runs without flows")
	}
}

func TestFloods(t *testing.T) {
	for _, c := range []struct {
		name  string
		flood func(r *rig, i int)
	}{
		{"to many ports", func(r *rig, i int) {
			r.guestSends("192.0.2.2:2000", fmt.Sprintf("198.51.100.1:%d", 1000+i), "x")
		}},
		{"from many ports", func(r *rig, i int) {
			r.guestSends(fmt.Sprintf("192.0.2.2:%d", 2000+i), "198.51.100.1:7", "x")
		}},
		{"from the host", func(r *rig, i int) {
			r.hostSends(5, from(fmt.Sprintf("203.0.113.1:%d", 1000+i), "x"))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, nil)
			r.net.quiet = true
			r.host.limit = 20
			r.AddListener(Listener{FD: 5, Bound: ep("0.0.0.0:99"), To: inet.Endpoint{Port: 99}})
			r.guestSends("192.0.2.2:1000", "198.51.100.2:7", "honest")
			fd := r.host.sent[0].fd
			r.hostSends(fd, from("198.51.100.2:7", "answer"))
			for i := range 3000 {
				c.flood(r, i)
			}
			before := r.Stats.ToGuest
			r.hostSends(fd, from("198.51.100.2:7", "more"))
			if r.Stats.ToGuest != before+1 || r.Len() > 64 || len(r.host.open) > 20 {
				t.Errorf("honest flow lost, or %d flows and %d sockets", r.Len(), len(r.host.open))
			}
			if r.Stats.Evicted == 0 {
				t.Error("nothing was evicted")
			}
		})
	}
}

func TestAllAnswered(t *testing.T) {
	r := newRig(t, func(c *Config, _ *link.Caps) { c.MaxFlows = 2 })
	for i := range 3 {
		r.guestSends(fmt.Sprintf("192.0.2.2:%d", 2000+i), "198.51.100.1:7", "x")
		if i < 2 {
			r.hostSends(r.host.sent[i].fd, from("198.51.100.1:7", "y"))
		}
	}
	if len(r.net.errs) != 1 || r.net.errs[0].Kind != l3.AdminProhibited || r.Stats.TableFull != 1 || len(r.host.open) != 2 {
		t.Errorf("errors %v, full %d, sockets %d", r.net.errs, r.Stats.TableFull, len(r.host.open))
	}
	r.now += keepBusy
	r.guestSends("192.0.2.2:3000", "198.51.100.1:7", "x")
	if r.Stats.Evicted != 1 {
		t.Error("an idle flow kept its place")
	}
}

func TestNoAllocations(t *testing.T) {
	r := newRig(t, nil)
	r.net.quiet, r.host.quiet = true, true
	var batch []l3.Packet
	for range 32 {
		batch = append(batch, packet(ep("192.0.2.2:1000"), ep("198.51.100.1:7"), "hello"))
	}
	r.Input(batch, r.now)
	if n := testing.AllocsPerRun(100, func() { r.Input(batch, r.now) }); n != 0 {
		t.Errorf("Input allocates %v times", n)
	}
	var fd int
	for fd = range r.poll.fds {
	}
	box := make([]sock.Datagram, 16)
	for i := range box {
		box[i] = from("198.51.100.1:7", "hello")
	}
	r.host.inbox[fd] = box
	ref := r.poll.fds[fd]
	r.Event(ref, sock.In, r.now)
	if n := testing.AllocsPerRun(100, func() {
		r.host.inbox[fd] = box
		r.Event(ref, sock.In, r.now)
	}); n != 0 {
		t.Errorf("Event allocates %v times", n)
	}
}

func BenchmarkInput(b *testing.B) {
	r := newRig(b, nil)
	r.net.quiet, r.host.quiet = true, true
	var batch []l3.Packet
	payload := string(make([]byte, 1400))
	for range 32 {
		p := packet(ep("192.0.2.2:1000"), ep("198.51.100.1:7"), payload)
		p.Meta.Flags = link.NeedsCsum
		batch = append(batch, p)
	}
	b.ReportAllocs()
	for b.Loop() {
		r.Input(batch, r.now)
	}
}

func BenchmarkEvent(b *testing.B) {
	r := newRig(b, func(_ *Config, l *link.Caps) { l.Offload = link.OffloadCsum })
	r.net.quiet, r.host.quiet = true, true
	r.guestSends("192.0.2.2:1000", "198.51.100.1:7", "hello")
	for fd, ref := range r.poll.fds {
		box := make([]sock.Datagram, 16)
		for i := range box {
			box[i] = from("198.51.100.1:7", "hello")
		}
		b.ReportAllocs()
		for b.Loop() {
			r.host.inbox[fd] = box
			r.Event(ref, sock.In, r.now)
		}
	}
}

func FuzzInput(f *testing.F) {
	p := packet(ep("192.0.2.2:1000"), ep("198.51.100.1:7"), "hello")
	f.Add(p.L4, uint8(0), uint16(0), false)
	p = packet(ep("[2001:db8::2]:1000"), ep("[2001:db8::9]:7"), "hello hello hello")
	f.Add(p.L4, uint8(link.GSOUDPL4), uint16(5), true)
	f.Fuzz(func(t *testing.T, l4 []byte, gso uint8, seg uint16, six bool) {
		r := newRig(t, nil)
		p := l3.Packet{Src: guest4, Dst: addr("198.51.100.1"), Proto: l3.ProtoUDP, TTL: 2, L4: l4, B: l4}
		if six {
			p.Src, p.Dst = guest6, addr("2001:db8::9")
		}
		p.Meta = link.Meta{GSO: gso, SegSize: seg, Flags: link.DataValid}
		r.Input([]l3.Packet{p, p}, 1)
		n := 0
		for _, m := range r.host.sent {
			for _, d := range m.data {
				n += len(d)
			}
		}
		if n > 2*len(l4) {
			t.Errorf("%d bytes sent of %d", n, 2*len(l4))
		}
	})
}
