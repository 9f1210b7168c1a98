package linktest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/link"
)

// Peer is the other end of a link.
type Peer interface {
	// Send gives the device a frame to receive.
	Send(b []byte, m link.Meta) error
	// Recv returns the next frame that the device sent, which the caller may keep. It
	// waits for some time, and then returns an error.
	Recv() ([]byte, link.Meta, error)
	// MaxFrame is the longest frame without segmentation that the link has, in bytes.
	MaxFrame() int
	// Close ends the link from this end.
	Close() error
}

// patience is how long the suite waits for a frame that has to come.
const patience = 2 * time.Second

// Run runs the suite. Each test makes a new device, which it closes.
func Run(t *testing.T, open func(t *testing.T) (link.Device, Peer)) {
	for _, c := range []struct {
		name string
		f    func(*env)
	}{
		{"capabilities", capabilities},
		{"nothing to receive", recvNothing},
		{"receive in order", recvOrder},
		{"receive with little room", recvLittleRoom},
		{"receive every length", recvLengths},
		{"received frames stay until the next Recv", recvBorrowed},
		{"receive offloads", recvMeta},
		{"reserve", reserve},
		{"reserve nothing", reserveNothing},
		{"reserve again", reserveAgain},
		{"send in order", sendOrder},
		{"send every length", sendLengths},
		{"send heads of every length", sendHeads},
		{"send offloads", sendMeta},
		{"send until full", sendFull},
		{"both ways", bothWays},
		{"peer closes", peerCloses},
		{"close twice", closeTwice},
	} {
		t.Run(c.name, func(t *testing.T) { with(t, open, c.f) })
	}
}

// Allocs tests that a device does not allocate, which holds for all but some for tests.
func Allocs(t *testing.T, open func(t *testing.T) (link.Device, Peer)) {
	t.Run("no allocation", func(t *testing.T) { with(t, open, noAllocation) })
}

// with runs one test with a new device.
func with(t *testing.T, open func(t *testing.T) (link.Device, Peer), f func(*env)) {
	d, p := open(t)
	defer d.Close()
	defer p.Close()
	f(&env{T: t, d: d, p: p, caps: d.Caps()})
}

// env is one test with its device.
type env struct {
	*testing.T
	d    link.Device
	p    Peer
	caps link.Caps
}

// frame makes a frame of n bytes whose content depends on i.
func frame(i, n int) []byte {
	b := make([]byte, n)
	copy(b, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5}) // IEEE 802, local experimental EtherType
	for j := 14; j < n; j++ {
		b[j] = byte(i + i>>8*7 + j*13 + j>>8)
	}
	return b
}

// lengths are frame lengths at which something may change.
func (e *env) lengths() []int {
	m := e.p.MaxFrame()
	l := []int{m - 1, m}
	for _, n := range []int{14, 15, 59, 60, 61, 64, 128, 129, 1514, 1515, 4095, 4096, 4097, 9014, 32768} {
		if n < m-1 {
			l = append(l, n)
		}
	}
	slices.Sort(l)
	return l
}

// recv receives n frames, with room for room at a time, and passes each to f.
func (e *env) recv(n, room int, f func(i int, f link.Frame)) {
	e.Helper()
	dst := make([]link.Frame, room)
	end := time.Now().Add(patience)
	for i := 0; i < n; {
		got, err := e.d.Recv(dst)
		if err != nil {
			e.Fatalf("Recv after %d of %d frames: %v", i, n, err)
		}
		if got > n-i {
			e.Fatalf("%d frames received, want %d", i+got, n)
		}
		for _, fr := range dst[:got] {
			f(i, fr)
			i++
		}
		if got == 0 {
			if time.Now().After(end) {
				e.Fatalf("%d of %d frames came", i, n)
			}
			wait(e.d, unix.POLLIN)
		}
	}
}

// wait waits a moment for events on the device's descriptor, if it has one.
func wait(d link.Device, events int16) {
	if d.FD() >= 0 {
		unix.Poll([]unix.PollFd{{Fd: int32(d.FD()), Events: events}}, 50)
	}
}

func (e *env) peerSend(b []byte, m link.Meta) {
	e.Helper()
	if err := e.p.Send(b, m); err != nil {
		e.Fatalf("the peer's Send of %d bytes: %v", len(b), err)
	}
}

func (e *env) peerRecv(want []byte) link.Meta {
	e.Helper()
	b, m, err := e.p.Recv()
	if err != nil {
		e.Fatalf("the peer waits for a frame of %d bytes: %v", len(want), err)
	}
	e.same(b, want)
	return m
}

func (e *env) same(got, want []byte) {
	e.Helper()
	if !bytes.Equal(got, want) {
		e.Fatalf("frame differs: got %s, want %s", brief(got), brief(want))
	}
}

func brief(b []byte) string { return fmt.Sprintf("%d bytes %x…", len(b), b[:min(len(b), 32)]) }

// put writes b to s, its first head bytes to Head.
func put(s *link.Slot, b []byte, head int) {
	head = min(head, len(b))
	s.Head = s.Head[:copy(s.Head, b[:head])]
	s.Len = len(b) - head
	b = b[head:]
	for _, p := range s.Body {
		b = b[copy(p, b):]
	}
}

// send sends frames, in as many steps as it takes, and passes each to the peer's eye.
func (e *env) send(frames ...[]byte) {
	e.Helper()
	for len(frames) > 0 {
		n := e.sendSome(frames, 54)
		if n == 0 {
			e.Fatal("Send took nothing")
		}
		for _, f := range frames[:n] {
			e.peerRecv(f)
		}
		frames = frames[n:]
	}
}

// sendSome reserves slots for frames, sends them, and returns how many the link took.
func (e *env) sendSome(frames [][]byte, head int) int {
	e.Helper()
	size := 0
	for _, f := range frames[:min(len(frames), e.caps.Batch)] {
		size = max(size, len(f)-head)
	}
	slots := make([]link.Slot, min(len(frames), e.caps.Batch))
	n := e.d.Reserve(slots, size)
	if n == 0 {
		e.Fatalf("Reserve of %d bytes gave nothing", size)
	}
	for i := range slots[:n] {
		put(&slots[i], frames[i], head)
	}
	n, err := e.d.Send(slots[:n])
	if err != nil {
		e.Fatalf("Send: %v", err)
	}
	return n
}

// isClosed says whether err is how a device may end when its peer has gone.
func isClosed(err error) bool { return errors.Is(err, link.ErrClosed) }
