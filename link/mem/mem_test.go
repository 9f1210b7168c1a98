package mem

import (
	"bytes"
	"errors"
	"testing"

	"passt/link"
	"passt/link/linktest"
)

// all is a link that can do everything.
var all = link.Caps{Batch: 64, Body: 65535, Offload: link.OffloadCsum | link.OffloadTSO4 | link.OffloadTSO6 | link.OffloadUSO4 | link.OffloadUSO6}

func TestLink(t *testing.T) {
	for name, caps := range map[string]link.Caps{
		"all":   all,
		"plain": {Batch: 1, Body: 1500},
	} {
		t.Run(name, func(t *testing.T) {
			open := func(*testing.T) (link.Device, linktest.Peer) {
				d := New(caps)
				d.SetLimit(200)
				return d, d.Peer()
			}
			linktest.Run(t, open)
			linktest.Allocs(t, open)
		})
	}
}

func TestFailures(t *testing.T) {
	d := New(all)
	odd := errors.New("odd")
	d.FailRecv(odd)
	d.FailSend(odd)
	s := make([]link.Slot, 1)
	d.Reserve(s, 10)
	s[0].Head = s[0].Head[:20]
	if _, err := d.Recv(make([]link.Frame, 1)); err != odd {
		t.Errorf("Recv: %v", err)
	}
	if _, err := d.Send(s); err != odd {
		t.Errorf("Send: %v", err)
	}
	d.FailRecv(nil)
	d.FailSend(nil)
	d.SetFull(true)
	if n, err := d.Send(s); n != 0 || err != nil {
		t.Errorf("Send on a full link = %d, %v", n, err)
	}
	d.SetFull(false)
	if n, err := d.Send(s); n != 1 || err != nil {
		t.Errorf("Send = %d, %v", n, err)
	}
}

func TestPoison(t *testing.T) {
	d := New(all)
	d.Inject(bytes.Repeat([]byte{1}, 100), link.Meta{})
	f := make([]link.Frame, 1)
	d.Recv(f)
	d.Recv(f[:0])
	if f[0].B[0] != poison || f[0].B[99] != poison {
		t.Error("a frame could still be read after the next Recv")
	}
}

func TestBreaches(t *testing.T) {
	for _, c := range []struct {
		name string
		f    func(d *Dev, s []link.Slot)
	}{
		{"more than Body", func(d *Dev, s []link.Slot) { d.Reserve(s, 65536) }},
		{"slot of nobody", func(d *Dev, s []link.Slot) { d.Send([]link.Slot{{Head: make([]byte, 14)}}) }},
		{"sent twice", func(d *Dev, s []link.Slot) { d.Send(s); d.Send(s) }},
		{"no Ethernet header", func(d *Dev, s []link.Slot) { s[0].Head = s[0].Head[:13]; d.Send(s) }},
		{"Len beyond Body", func(d *Dev, s []link.Slot) { s[0].Len = 101; d.Send(s) }},
		{"checksum outside", func(d *Dev, s []link.Slot) {
			s[0].Meta = link.Meta{Flags: link.NeedsCsum, CsumStart: 13, CsumOff: 6}
			d.Send(s)
		}},
		{"segments of nothing", func(d *Dev, s []link.Slot) {
			s[0].Meta = link.Meta{Flags: link.NeedsCsum, GSO: link.GSOTCPv4}
			d.Send(s)
		}},
		{"offload that it hasn't", func(d *Dev, s []link.Slot) {
			d.caps.Offload = link.OffloadCsum
			s[0].Meta = link.Meta{Flags: link.NeedsCsum, GSO: link.GSOTCPv6, SegSize: 10}
			d.Send(s)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := New(all)
			s := make([]link.Slot, 1)
			d.Reserve(s, 100)
			s[0].Head = s[0].Head[:20]
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			c.f(d, s)
		})
	}
}

// TestAllocs holds the test's end to the same rule as the device's.
func TestAllocs(t *testing.T) {
	d := New(all)
	f, s, b := make([]link.Frame, 8), make([]link.Slot, 8), make([]byte, 1000)
	run := func() {
		for range 8 {
			d.Inject(b, link.Meta{})
		}
		d.Recv(f)
		d.Reserve(s, 1000)
		for i := range s {
			s[i].Head, s[i].Len = s[i].Head[:54], 1000
		}
		d.Send(s)
		if len(d.Take()) != 8 {
			t.Fatal("frames lost")
		}
	}
	for range 4 {
		run()
	}
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
