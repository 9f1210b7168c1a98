package l2

import (
	"bytes"
	"encoding/binary"
	"testing"

	"passt/link"
)

func arpMessage(op uint16, sha MAC, spa [4]byte, tha MAC, tpa [4]byte) []byte {
	b := []byte{0, 1, 8, 0, 6, 4}
	b = binary.BigEndian.AppendUint16(b, op)
	b = append(append(b, sha[:]...), spa[:]...)
	return append(append(b, tha[:]...), tpa[:]...)
}

func TestARP(t *testing.T) {
	own, gateway, other := [4]byte{192, 0, 2, 2}, [4]byte{192, 0, 2, 1}, [4]byte{198, 51, 100, 7}
	ignore := func(ip [4]byte) bool { return ip == own || ip == [4]byte{} }
	request := func(spa, tpa [4]byte) []byte { return arpMessage(arpRequest, guest, spa, MAC{}, tpa) }
	for _, tt := range []struct {
		name   string
		msg    []byte
		ignore func([4]byte) bool
		want   []byte // the answer; nil: none
		bad    bool
	}{
		{"for the gateway", request(own, gateway), ignore, arpMessage(arpReply, ours, gateway, guest, own), false},
		{"for anything else", request(own, other), ignore, arpMessage(arpReply, ours, other, guest, own), false},
		{"with the padding of Ethernet", append(request(own, other), make([]byte, 18)...), ignore, arpMessage(arpReply, ours, other, guest, own), false},
		{"a probe for another address (RFC 5227)", request([4]byte{}, other), ignore, arpMessage(arpReply, ours, other, guest, [4]byte{}), false},
		{"a probe for its own", request([4]byte{}, own), ignore, nil, false},
		{"an announcement", request(own, own), ignore, nil, false},
		{"an announcement of what is not its own", request(other, other), ignore, nil, false},
		{"for nothing", request(own, [4]byte{}), ignore, nil, false},
		{"a reply", arpMessage(arpReply, guest, own, ours, gateway), ignore, nil, false},
		{"IPv4 is off", request(own, gateway), nil, nil, false},
		{"short", request(own, gateway)[:27], ignore, nil, true},
		{"empty", nil, ignore, nil, true},
		{"another hardware type", func() []byte { b := request(own, gateway); b[1] = 6; return b }(), ignore, nil, true},
		{"another protocol", func() []byte { b := request(own, gateway); b[2] = 0x86; return b }(), ignore, nil, true},
		{"other lengths", func() []byte { b := request(own, gateway); b[4] = 8; return b }(), ignore, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, dev := newEthernet(Config{ARPIgnore: tt.ignore})
			dev.Inject(frame(Broadcast, guest, TypeARP, tt.msg...), link.Meta{})
			e.Poll(&upper{}, 0)
			f := dev.Take()
			if (len(f) == 1) != (tt.want != nil) {
				t.Fatalf("%d answers", len(f))
			}
			if tt.want != nil && !bytes.Equal(f[0].B, frame(guest, ours, TypeARP, tt.want...)) {
				t.Errorf("answered %x\nwant     %x", f[0].B, frame(guest, ours, TypeARP, tt.want...))
			}
			if (e.Stats.RxShort == 1) != tt.bad {
				t.Errorf("stats %+v", e.Stats)
			}
		})
	}
}

// TestARPFlood is a flood of questions while the link takes no answers.
func TestARPFlood(t *testing.T) {
	e, dev := newEthernet(Config{ARPIgnore: func([4]byte) bool { return false }})
	dev.SetFull(true)
	for range 100 {
		dev.Inject(frame(Broadcast, guest, TypeARP, arpMessage(arpRequest, guest, [4]byte{10}, MAC{}, [4]byte{11})...), link.Meta{})
		e.Poll(&upper{}, 0)
	}
	if e.Stats.TxDropped != 100 {
		t.Errorf("stats %+v", e.Stats)
	}
}

func FuzzARP(f *testing.F) {
	f.Add(arpMessage(arpRequest, guest, [4]byte{10}, MAC{}, [4]byte{11}))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, dev := newEthernet(Config{ARPIgnore: func([4]byte) bool { return false }})
		dev.Inject(frame(Broadcast, guest, TypeARP, b...), link.Meta{})
		e.Poll(&upper{}, 0)
		for _, a := range dev.Take() {
			if len(a.B) != HeaderLen+arpLen {
				t.Errorf("an answer of %d bytes", len(a.B))
			}
		}
	})
}
