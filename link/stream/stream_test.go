package stream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"passt/link"
	"passt/link/fault"
	"passt/link/linktest"
)

// socketPeer is the other end of a device, on the other end of a pair of sockets.
type socketPeer struct {
	fd  int
	d   *Dev
	buf []byte // received, and not returned yet
	// piece, if not 0, is how many bytes the peer moves at a time.
	piece int
}

func newPair(t testing.TB) (*Dev, *socketPeer) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	unix.SetsockoptInt(fds[1], unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<20)
	d := New()
	d.Attach(fds[0])
	p := &socketPeer{fd: fds[1], d: d}
	t.Cleanup(func() { d.Close(); p.Close() })
	return d, p
}

func framed(b []byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }

func (p *socketPeer) Send(b []byte, _ link.Meta) error { return p.write(framed(b)) }

func (p *socketPeer) write(b []byte) error {
	for len(b) > 0 {
		n := len(b)
		if p.piece > 0 {
			n = min(n, p.piece)
		}
		n, err := unix.SendmsgN(p.fd, b[:n], nil, nil, unix.MSG_NOSIGNAL)
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func (p *socketPeer) Recv() ([]byte, link.Meta, error) {
	for range 1000 {
		if len(p.buf) >= lenLen {
			if n := lenLen + int(binary.BigEndian.Uint32(p.buf)); len(p.buf) >= n {
				b := p.buf[lenLen:n]
				p.buf = p.buf[n:]
				return b, link.Meta{}, nil
			}
		}
		if err := p.more(); err != nil {
			return nil, link.Meta{}, err
		}
	}
	return nil, link.Meta{}, os.ErrDeadlineExceeded
}

// more reads, and lets the device go on with what it has kept, as the engine would.
func (p *socketPeer) more() error {
	if p.d.Backlog() {
		if _, err := p.d.Send(nil); err != nil {
			return err
		}
	}
	size := 1 << 17
	if p.piece > 0 {
		size = p.piece
	}
	b := make([]byte, size)
	n, _, err := unix.Recvfrom(p.fd, b, unix.MSG_DONTWAIT)
	switch {
	case err == unix.EAGAIN:
		unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}, 2)
		return nil
	case err != nil:
		return err
	case n == 0:
		return io.EOF
	}
	p.buf = append(p.buf, b[:n]...)
	return nil
}

func (p *socketPeer) MaxFrame() int { return link.MaxFrame }

func (p *socketPeer) Close() error {
	if p.fd >= 0 {
		unix.Close(p.fd)
		p.fd = -1
	}
	return nil
}

func TestStream(t *testing.T) {
	open := func(t *testing.T) (link.Device, linktest.Peer) {
		d, p := newPair(t)
		return d, p
	}
	linktest.Run(t, open)
	linktest.Allocs(t, open)
}

// TestPieces runs the suite with a peer that moves an odd number of bytes at a time.
func TestPieces(t *testing.T) {
	for _, piece := range []int{1009, 70_001} {
		linktest.Run(t, func(t *testing.T) (link.Device, linktest.Peer) {
			d, p := newPair(t)
			p.piece = piece
			return d, p
		})
	}
}

func TestFaults(t *testing.T) {
	linktest.Run(t, func(t *testing.T) (link.Device, linktest.Peer) {
		d, p := newPair(t)
		return fault.New(d, fault.List(nil, nil)), p
	})
}

// recvAll receives until nothing more comes, and returns copies.
func recvAll(t *testing.T, d *Dev) (frames [][]byte, err error) {
	t.Helper()
	dst := make([]link.Frame, 7)
	for {
		n, err := d.Recv(dst)
		if n == 0 || err != nil {
			return frames, err
		}
		for _, f := range dst[:n] {
			frames = append(frames, bytes.Clone(f.B))
		}
	}
}

func numbered(i, n int) []byte {
	b := bytes.Repeat([]byte{byte(i)}, n)
	return b
}

func TestSplitAnywhere(t *testing.T) {
	var wire []byte
	var want [][]byte
	for i, n := range []int{14, 60, 15, 200} {
		want = append(want, numbered(i+1, n))
		wire = append(wire, framed(want[i])...)
	}
	for at := range len(wire) {
		d, p := newPair(t)
		var got [][]byte
		for _, part := range [][]byte{wire[:at], wire[at:]} {
			if err := p.write(part); err != nil {
				t.Fatal(err)
			}
			f, err := recvAll(t, d)
			if err != nil {
				t.Fatalf("split at %d: %v", at, err)
			}
			got = append(got, f...)
		}
		if len(got) != len(want) {
			t.Fatalf("split at %d: %d frames", at, len(got))
		}
		for i := range want {
			if !bytes.Equal(got[i], want[i]) {
				t.Errorf("split at %d: frame %d differs", at, i)
			}
		}
		d.Close()
		p.Close()
	}
}

func TestThousandsAtOnce(t *testing.T) {
	d, p := newPair(t)
	var wire []byte
	for i := range 5000 {
		wire = append(wire, framed(numbered(i, 18))...)
	}
	if err := p.write(wire); err != nil {
		t.Fatal(err)
	}
	got, err := recvAll(t, d)
	if err != nil || len(got) != 5000 {
		t.Fatalf("%d frames, %v", len(got), err)
	}
	for i := range got {
		if got[i][0] != byte(i) {
			t.Fatalf("frame %d is %d", i, got[i][0])
		}
	}
}

func TestBadLengths(t *testing.T) {
	for _, tt := range []struct {
		name string
		len  uint32
	}{{"none", 0}, {"less than a header", 13}, {"too long", link.MaxFrame + 1}, {"rubbish", 0x47455420}, {"all ones", 0xffffffff}} {
		t.Run(tt.name, func(t *testing.T) {
			d, p := newPair(t)
			wire := append(framed(numbered(1, 60)), binary.BigEndian.AppendUint32(nil, tt.len)...)
			wire = append(wire, framed(numbered(2, 60))...)
			if err := p.write(wire); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				got, err := recvAll(t, d)
				if !errors.Is(err, link.ErrProtocol) || len(got) > 1 || len(got) == 1 && got[0][0] != 1 {
					t.Fatalf("got %d frames, %v; want the first at most, and ErrProtocol", len(got), err)
				}
			}
			if d.Stats.RxBad != 1 {
				t.Errorf("%d bad lengths", d.Stats.RxBad)
			}
		})
	}
}

// TestNextGuest has a guest vanish in the middle of a frame, both ways, and another come.
func TestNextGuest(t *testing.T) {
	d, p := newPair(t)
	if err := p.write(framed(numbered(1, 100))[:50]); err != nil {
		t.Fatal(err)
	}
	slots := make([]link.Slot, 4)
	for !d.Backlog() {
		n := d.Reserve(slots, 60000)
		for i := range slots[:n] {
			slots[i].Head, slots[i].Len = slots[i].Head[:54], 60000
		}
		if _, err := d.Send(slots[:n]); err != nil {
			t.Fatal(err)
		}
	}
	if d.HungUp() {
		t.Error("a guest that is there has hung up")
	}
	p.Close()
	if !d.HungUp() {
		t.Error("a guest that is gone has not hung up")
	}
	recvAll(t, d) // the half of a frame
	if got, err := recvAll(t, d); !errors.Is(err, link.ErrClosed) || got != nil {
		t.Errorf("Recv: %v, %v", got, err)
	}
	d.Detach()
	if n, err := d.Recv(make([]link.Frame, 1)); n != 0 || err != nil || d.FD() != -1 || d.Backlog() {
		t.Errorf("detached: Recv = %d, %v, FD = %d, backlog %v", n, err, d.FD(), d.Backlog())
	}
	if n, err := d.Send(slots); n != len(slots) || err != nil {
		t.Errorf("detached: Send = %d, %v", n, err)
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	d.Attach(fds[0])
	next := &socketPeer{fd: fds[1], d: d}
	defer next.Close()
	if err := next.Send(numbered(9, 60), link.Meta{}); err != nil {
		t.Fatal(err)
	}
	if got, err := recvAll(t, d); err != nil || len(got) != 1 || got[0][0] != 9 {
		t.Errorf("the next guest's frame: %v, %v", got, err)
	}
	d.Reserve(slots[:1], 0)
	slots[0].Head = slots[0].Head[:copy(slots[0].Head, numbered(7, 20))]
	if n, err := d.Send(slots[:1]); n != 1 || err != nil {
		t.Fatalf("Send = %d, %v", n, err)
	}
	if b, _, err := next.Recv(); err != nil || !bytes.Equal(b, numbered(7, 20)) {
		t.Errorf("the next guest got %x, %v", b, err)
	}
}

func FuzzFraming(f *testing.F) {
	f.Add(framed(numbered(1, 60)), 3)
	f.Add(append(framed(numbered(1, 14)), 0, 0, 0, 13), 1)
	f.Add([]byte{0, 1, 0, 0x0e}, 4)
	f.Fuzz(func(t *testing.T, wire []byte, piece int) {
		if piece <= 0 || len(wire) > 1<<16 || len(wire)/piece > 1000 {
			return
		}
		d, p := newPair(t)
		var got []byte
		var err error
		for b := wire; len(b) > 0 && err == nil; b = b[min(piece, len(b)):] {
			if err = p.write(b[:min(piece, len(b))]); err != nil {
				t.Fatal(err)
			}
			var frames [][]byte
			frames, err = recvAll(t, d)
			for _, f := range frames {
				if len(f) < minFrame || len(f) > link.MaxFrame {
					t.Fatalf("frame of %d bytes", len(f))
				}
				got = append(got, framed(f)...)
			}
		}
		if !bytes.HasPrefix(wire, got) {
			t.Fatal("frames are not what was sent")
		}
		if err == nil && len(wire)-len(got) > lenLen+link.MaxFrame {
			t.Fatal("a whole frame was kept back")
		}
		d.Close()
		p.Close()
	})
}

func TestListen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	if err := Probe(path); err != unix.ENOENT {
		t.Errorf("nothing there: %v", err)
	}
	fd, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if unix.Stat(path, &st); st.Mode&0o777 != 0o600 {
		t.Errorf("mode %o", st.Mode)
	}
	if err := Probe(path); err != nil {
		t.Errorf("live: %v", err)
	}
	if _, err := Listen(path); !errors.Is(err, ErrInUse) {
		t.Errorf("the same path again: %v", err)
	}
	l := NewListener(fd)
	if fd, err := l.Accept(); fd != -1 || err != nil {
		t.Errorf("nobody there, or only probes: %d, %v", fd, err)
	}
	c, _ := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	defer unix.Close(c)
	if err := unix.Connect(c, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	g, err := l.Accept()
	if g < 0 || err != nil {
		t.Errorf("Accept = %d, %v", g, err)
	}
	unix.Close(g)
	l.Close()
	if err := Probe(path); err != unix.ECONNREFUSED {
		t.Errorf("left by the dead: %v", err)
	}
	if fd, err = Listen(path); err != nil {
		t.Errorf("over what the dead left: %v", err)
	}
	unix.Close(fd)
	file := filepath.Join(dir, "f")
	os.WriteFile(file, []byte("x"), 0o600)
	if _, err := Listen(file); !errors.Is(err, ErrNoSocket) {
		t.Errorf("a file: %v", err)
	}
	if _, err := Listen(filepath.Join(dir, string(bytes.Repeat([]byte{'a'}, 120)))); err == nil {
		t.Error("a path that is too long")
	}
	if _, err := Listen(filepath.Join(dir, "none", "s")); !errors.Is(err, unix.ENOENT) {
		t.Errorf("no directory: %v", err)
	}
}
