package guest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/l3"
	"passt/l3/inet"
	"passt/link"
	"passt/link/tap"
)

const (
	vnetLen = 10 // of the header before each frame of the tap
	headLen = 14 + 20 + 20
)

// newSuperRig makes a rig whose tap has virtio headers and offloads.
func newSuperRig(t *testing.T, o link.Offload) *rig {
	return newRigOf(t, tap.Features{VnetHdr: vnetLen, Offload: o})
}

// connectSuper runs the pump, and returns when it does run.
func (r *rig) connectSuper() {
	r.t.Helper()
	r.connect()
	r.host.Write(framed(frame(0, 60)))
	if _, b := r.readGuest(); !bytes.Equal(b, frame(0, 60)) {
		r.t.Fatal("another frame came for the guest than the one sent")
	}
}

const allOffloads = link.OffloadCsum | link.OffloadTSO4 | link.OffloadTSO6 | link.OffloadUSO4 | link.OffloadUSO6

// tcp is an IPv4 segment from a port, whose checksum is left to the link if it is unfinished.
// Its payload is that part of an endless stream.
func tcp(port uint16, seq uint32, n int, unfinished bool) []byte {
	var tmpl l3.Template
	tmpl.Make(inet.V4([]byte{192, 0, 2, 1}), inet.V4([]byte{192, 0, 2, 2}), l3.ProtoTCP, 64, 0)
	b := make([]byte, headLen+n)
	b[12] = 8 // IPv4
	sum := tmpl.Put(b, 20+n)
	h := b[34:]
	binary.BigEndian.PutUint16(h, port)
	binary.BigEndian.PutUint32(h[4:], seq)
	h[12], h[13], h[14] = 5<<4, 0x10, 1
	for i := range h[20:] {
		at := seq + uint32(i)
		h[20+i] = byte(at ^ at>>8)
	}
	binary.BigEndian.PutUint16(h[16:], sum)
	if !unfinished {
		clear(h[16:18])
		binary.BigEndian.PutUint16(h[16:], l3.Checksum(sum, h))
	}
	return b
}

// virtio is a frame behind its header: to be cut to segments of size, if that is not 0.
func virtio(b []byte, size int) []byte {
	h := make([]byte, vnetLen, vnetLen+len(b))
	h[0] = link.NeedsCsum
	if size > 0 {
		h[1] = link.GSOTCPv4
		binary.NativeEndian.PutUint16(h[2:], headLen)
		binary.NativeEndian.PutUint16(h[4:], uint16(size))
	}
	binary.NativeEndian.PutUint16(h[6:], 34)
	binary.NativeEndian.PutUint16(h[8:], 16)
	return append(h, b...)
}

// expectStream has the host get segments of one connection, of size bytes each but for the last
// of each super-frame, until total bytes of payload have come.
func (r *rig) expectStream(total, super, size int) {
	r.t.Helper()
	for at := 0; at < total; {
		n := min(size, super-at%super)
		b, err := r.readHost()
		if err != nil {
			r.t.Fatalf("after %d bytes of %d: %v", at, total, err)
		}
		if want := tcp(1, uint32(at), n, false); !bytes.Equal(anyID(b), anyID(want)) {
			r.t.Fatalf("after %d bytes of %d:\n got %x\nwant %x", at, total, b[:min(len(b), 80)], want[:80])
		}
		if l3.Checksum(0, b[14:34]) != 0 {
			r.t.Fatalf("after %d bytes of %d: the checksum of IPv4 is wrong", at, total)
		}
		at += n
	}
}

// anyID is an IPv4 frame without its identification.
func anyID(b []byte) []byte {
	b = bytes.Clone(b)
	clear(b[18:20])
	clear(b[24:26])
	return b
}

func TestPumpCuts(t *testing.T) {
	for _, tt := range []struct {
		name        string
		super, size int
		supers      int
	}{
		{"one", 3000, 1448, 1},
		{"one of 64 KiB", 65000, 1448, 1},
		{"more than a batch", 65000, 1448, 40},
		{"more pieces than one call takes", 65000, 88, 20},
		{"one byte each", 700, 1, 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newSuperRig(t, allOffloads)
			r.connectSuper()
			go func() {
				for i := range tt.supers {
					r.guest.Write(virtio(tcp(1, uint32(i*tt.super), tt.super, true), tt.size))
				}
			}()
			time.Sleep(10 * time.Millisecond) // so that the host's socket fills up
			r.expectStream(tt.supers*tt.super, tt.super, tt.size)
		})
	}
}

func TestPumpFinishes(t *testing.T) {
	r := newSuperRig(t, allOffloads)
	r.connectSuper()
	for i := range 100 {
		r.guest.Write(virtio(tcp(1, uint32(i), i, true), 0))
		r.expectHost(tcp(1, uint32(i), i, false))
	}
	// What contradicts itself is left out, and the rest goes on.
	bad := virtio(tcp(1, 0, 100, true), 10)
	bad[1] = link.GSOTCPv6
	r.guest.Write(bad)
	r.guest.Write(virtio(tcp(1, 5, 100, true), 0))
	r.expectHost(tcp(1, 5, 100, false))
}

// TestPumpBreaksWhileCutting ends a connection in the middle of a super-frame. The next one
// begins with a frame, and not with the rest of that.
func TestPumpBreaksWhileCutting(t *testing.T) {
	r := newSuperRig(t, allOffloads)
	for range 3 {
		r.connectSuper()
		for { // until the connection is full
			r.guest.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
			if _, err := r.guest.Write(virtio(tcp(1, 0, 65000, true), 88)); err != nil {
				break
			}
		}
		r.host.Close()
		if err := r.end(); !errors.Is(err, link.ErrClosed) {
			t.Fatal(err)
		}
		if r.pump.out.segment == 0 && len(r.pump.out.left) == 0 {
			t.Error("nothing was left over, so that this proves nothing")
		}
	}
	r.connectSuper()
	r.guest.Write(virtio(tcp(1, 7, 100, true), 0))
	r.expectHost(tcp(1, 7, 100, false))
}

// readGuest is the next frame at the guest, and its header.
func (r *rig) readGuest() (h, b []byte) {
	r.t.Helper()
	buf := make([]byte, vnetLen+link.MaxFrame+1)
	n, err := r.guest.Read(buf)
	if err != nil || n < vnetLen {
		r.t.Fatalf("for the guest came %d bytes: %v", n, err)
	}
	return buf[:vnetLen], buf[vnetLen:n]
}

func TestPumpJoins(t *testing.T) {
	batch := func() (b []byte) {
		for i := range 10 {
			b = append(b, framed(tcp(1, uint32(i*1000), 1000, false))...)
		}
		b = append(b, framed(tcp(2, 10000, 1000, false))...)
		return append(b, framed(tcp(1, 10000, 1000, false))...)
	}
	t.Run("with offloads", func(t *testing.T) {
		r := newSuperRig(t, allOffloads)
		r.connectSuper()
		r.host.Write(batch())
		h, b := r.readGuest()
		if want := virtio(tcp(1, 0, 10000, true), 1000); !bytes.Equal(h, want[:vnetLen]) || !bytes.Equal(b, want[vnetLen:]) {
			t.Errorf("\n got %x %x\nwant %x %x", h, b[:80], want[:vnetLen], want[vnetLen:80])
		}
		for _, port := range []uint16{2, 1} {
			h, b := r.readGuest()
			if !bytes.Equal(h, make([]byte, vnetLen)) || !bytes.Equal(b, tcp(port, 10000, 1000, false)) {
				t.Errorf("port %d: got %x %x", port, h, b)
			}
		}
	})
	t.Run("with checksums only", func(t *testing.T) {
		r := newSuperRig(t, link.OffloadCsum)
		r.connectSuper()
		r.host.Write(batch())
		for i := range 10 {
			h, b := r.readGuest()
			if !bytes.Equal(h, make([]byte, vnetLen)) || !bytes.Equal(b, tcp(1, uint32(i*1000), 1000, false)) {
				t.Errorf("frame %d: got %x %x", i, h, b)
			}
		}
	})
}

func TestSuperFramesAllocateNothing(t *testing.T) {
	r := newSuperRig(t, allOffloads)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[1])
	p, fd := r.pump, int(r.guest.Fd())
	p.host.Attach(pair[0])
	defer p.host.Detach()
	super, plain := virtio(tcp(1, 0, 30000, true), 1448), virtio(tcp(1, 0, 100, true), 0)
	var segments []byte
	for i := range 20 {
		segments = append(segments, framed(tcp(1, uint32(i*1000), 1000, false))...)
	}
	buf := make([]byte, 1<<17)
	if n := testing.AllocsPerRun(100, func() {
		for _, b := range [][]byte{super, plain} {
			unix.Write(fd, b)
			if err := p.fromTap(); err != nil {
				t.Error(err)
			}
			unix.Read(pair[1], buf)
		}
		unix.Write(pair[1], segments)
		if err := p.fromHost(); err != nil {
			t.Error(err)
		}
		if n, _ := unix.Read(fd, buf); n != vnetLen+headLen+20000 {
			t.Errorf("the guest got %d bytes", n)
		}
	}); n > 0 {
		t.Errorf("%v allocations for a super-frame each way", n)
	}
}
