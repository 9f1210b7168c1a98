package guest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/link"
	"passt/link/tap"
)

// patience is how long a test waits for what has to come.
const patience = 10 * time.Second

// rig is a pump between two pairs of sockets: one that keeps frames apart stands for the
// tap, and one stands for the connection to the host.
type rig struct {
	t     *testing.T
	pump  *pump
	guest *os.File      // the far end of the tap
	host  *net.UnixConn // the far end of the connection
	ended chan error    // what run returned
}

// newRig makes a pump that is not connected, with a plain tap.
func newRig(t *testing.T) *rig { return newRigOf(t, tap.Features{}) }

// newRigOf makes a pump that is not connected.
func newRigOf(t *testing.T, f tap.Features) *rig {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPump(tap.New(pair[0], f))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, pump: p, guest: os.NewFile(uintptr(pair[1]), "guest")}
	t.Cleanup(func() { r.guest.Close() })
	return r
}

// connect runs the pump on a new connection, until the test ends it.
func (r *rig) connect() {
	r.t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	f := os.NewFile(uintptr(pair[1]), "host")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		r.t.Fatal(err)
	}
	r.host = c.(*net.UnixConn)
	ended := make(chan error, 1)
	r.ended = ended
	go func() { ended <- r.pump.run(pair[0]) }()
	r.t.Cleanup(func() { c.Close() })
	r.guest.SetDeadline(time.Now().Add(patience))
	r.host.SetDeadline(time.Now().Add(patience))
}

// end returns what run returned.
func (r *rig) end() error {
	r.t.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(patience):
		r.t.Fatal("the pump goes on")
		return nil
	}
}

// framed is a frame as it stands on the connection.
func framed(b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

// fromHost sends a frame from the host, and has it arrive at the guest.
func (r *rig) fromHost(b []byte) {
	r.t.Helper()
	if _, err := r.host.Write(framed(b)); err != nil {
		r.t.Fatal(err)
	}
	r.expectGuest(b)
}

// expectGuest has a frame arrive at the guest.
func (r *rig) expectGuest(want []byte) {
	r.t.Helper()
	buf := make([]byte, link.MaxFrame+1)
	n, err := r.guest.Read(buf)
	if err != nil {
		r.t.Fatalf("nothing came for the guest: %v", err)
	}
	if !bytes.Equal(buf[:n], want) {
		r.t.Fatalf("the guest got a frame of %d bytes, not the one of %d sent", n, len(want))
	}
}

// readHost is the next frame at the host.
func (r *rig) readHost() ([]byte, error) {
	var l [4]byte
	if _, err := io.ReadFull(r.host, l[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(l[:]))
	_, err := io.ReadFull(r.host, b)
	return b, err
}

// expectHost has a frame arrive at the host.
func (r *rig) expectHost(want []byte) {
	r.t.Helper()
	got, err := r.readHost()
	if err != nil {
		r.t.Fatalf("nothing came for the host: %v", err)
	}
	if !bytes.Equal(got, want) {
		r.t.Fatalf("the host got a frame of %d bytes, not the one of %d sent", len(got), len(want))
	}
}

// frame is a frame of n bytes that depend on seed.
func frame(seed, n int) []byte {
	b := make([]byte, n)
	src := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	src.Read(b) // never fails
	return b
}

var lengths = []int{14, 60, 61, 1514, 9014, 65534, link.MaxFrame}

func TestPumpToHost(t *testing.T) {
	r := newRig(t)
	r.connect()
	r.fromHost(frame(0, 60)) // it runs
	var frames [][]byte
	for i := range 300 {
		frames = append(frames, frame(i, lengths[i%len(lengths)]))
	}
	go func() {
		for _, b := range frames {
			r.guest.Write(b) // the host sees what is missing
		}
	}()
	for _, b := range frames {
		r.expectHost(b)
	}
}

func TestPumpToGuest(t *testing.T) {
	r := newRig(t)
	r.connect()
	for i := range 300 {
		r.fromHost(frame(i, lengths[i%len(lengths)]))
	}
	t.Run("many at once", func(t *testing.T) {
		var all []byte
		for i := range 100 { // fewer than the guest's socket holds
			all = append(all, framed(frame(i, 60))...)
		}
		go r.host.Write(all)
		for i := range 100 {
			r.expectGuest(frame(i, 60))
		}
	})
	t.Run("split anywhere", func(t *testing.T) {
		all := slices.Concat(framed(frame(1, 60)), framed(frame(2, 14)), framed(frame(3, 99)))
		for i := range all {
			if _, err := r.host.Write(all[i : i+1]); err != nil {
				t.Fatal(err)
			}
		}
		r.expectGuest(frame(1, 60))
		r.expectGuest(frame(2, 14))
		r.expectGuest(frame(3, 99))
	})
}

// TestPumpBackPressure has a host that does not read: the pump stops reading from the tap,
// still carries what comes from the host, and loses nothing.
func TestPumpBackPressure(t *testing.T) {
	r := newRig(t)
	r.connect()
	r.fromHost(frame(0, 60))
	fd := int(r.guest.Fd())
	unix.SetNonblock(fd, true)
	sent := 0
	fill := func() (n int) {
		for unix.Send(fd, frame(sent, 3000+sent%7), 0) == nil {
			sent++
			n++
		}
		return n
	}
	answer := make([]byte, 100)
	for { // until nothing more is taken although the pump has been around
		n := fill()
		if _, err := r.host.Write(framed(frame(1, 60))); err != nil {
			t.Fatal(err)
		}
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if got, err := unix.Poll(poll, int(patience/time.Millisecond)); got != 1 {
			t.Fatalf("nothing comes from a host that does not read: %v", err)
		}
		if got, err := unix.Read(fd, answer); got != 60 {
			t.Fatalf("%d bytes, %v", got, err)
		}
		if n == 0 {
			break
		}
	}
	for i := range sent {
		r.expectHost(frame(i, 3000+i%7))
	}
	// And on it goes.
	if err := unix.Send(fd, frame(7, 100), 0); err != nil {
		t.Fatal(err)
	}
	r.expectHost(frame(7, 100))
}

func TestPumpTapGoneWhileTheHostIsFull(t *testing.T) {
	r := newRig(t)
	r.connect()
	r.fromHost(frame(0, 60))
	for range 2 { // the second takes until the first was read, if ever
		r.guest.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		for i := 0; ; i++ {
			if _, err := r.guest.Write(frame(i, 60000)); err != nil {
				break
			}
		}
	}
	r.guest.Close()
	if err := r.end(); err == nil || errors.Is(err, link.ErrClosed) || errors.Is(err, link.ErrProtocol) {
		t.Errorf("got %v, want an error of the tap", err)
	}
}

func TestPumpEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(r *rig)
		want error // nil: one of the tap
	}{
		{"the host closes", func(r *rig) { r.host.Close() }, link.ErrClosed},
		{"the host closes in the middle of a frame", func(r *rig) {
			r.host.Write(framed(frame(0, 60))[:30])
			r.host.Close()
		}, link.ErrClosed},
		{"impossible length", func(r *rig) { r.host.Write([]byte{0xff, 0xff, 0xff, 0xff}) }, link.ErrProtocol},
		{"length of no frame", func(r *rig) { r.host.Write([]byte{0, 0, 0, 13}) }, link.ErrProtocol},
		{"the tap is gone", func(r *rig) { r.guest.Close() }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			r.connect()
			r.fromHost(frame(0, 60))
			tt.do(r)
			switch err := r.end(); {
			case tt.want != nil && !errors.Is(err, tt.want):
				t.Errorf("got %v, want %v", err, tt.want)
			case tt.want == nil && (err == nil || errors.Is(err, link.ErrClosed) || errors.Is(err, link.ErrProtocol)):
				t.Errorf("got %v, want an error of the tap", err)
			}
		})
	}
}

// TestPumpReconnect breaks a connection in the middle of a frame, each way. The next one
// begins with a frame, and nothing that is too old.
func TestPumpReconnect(t *testing.T) {
	r := newRig(t)
	for round := range 3 {
		r.connect()
		r.fromHost(frame(round, 60))
		if err := r.send(frame(round, 1000)); err != nil {
			t.Fatal(err)
		}
		r.expectHost(frame(round, 1000))
		r.host.Write(framed(frame(9, 100))[:50])
		for i := range 1000 { // more than the connection takes
			if r.send(frame(i, 60000)) != nil {
				break
			}
		}
		if _, err := io.ReadFull(r.host, make([]byte, 100)); err != nil { // a part of the first
			t.Fatal(err)
		}
		r.host.Close()
		if err := r.end(); !errors.Is(err, link.ErrClosed) {
			t.Fatal(err)
		}
	}
}

// send gives the pump a frame, and fails if it does not take it for a while.
func (r *rig) send(b []byte) error {
	r.guest.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	_, err := r.guest.Write(b)
	return err
}

func TestPumpAllocatesNothing(t *testing.T) {
	r := newRig(t)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[1])
	p, fd := r.pump, int(r.guest.Fd())
	p.host.Attach(pair[0])
	defer p.host.Detach()
	b, buf := frame(1, 1514), make([]byte, 1<<16)
	if n := testing.AllocsPerRun(100, func() {
		unix.Write(fd, b)
		if err := p.fromTap(); err != nil {
			t.Error(err)
		}
		unix.Read(pair[1], buf)
		unix.Write(pair[1], buf[:4+len(b)])
		if err := p.fromHost(); err != nil {
			t.Error(err)
		}
		unix.Read(fd, buf)
	}); n > 0 {
		t.Errorf("%v allocations for a frame each way", n)
	}
}
