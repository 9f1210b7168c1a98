package engine

import (
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/cmd/internal/conf"
	"passt/cmd/internal/hostinfo"
	"passt/link"
	"passt/link/stream"
	"passt/nat/portspec"
)

// world is an engine with a socket that guests connect to.
type world struct {
	*testing.T
	e     *Engine
	path  string
	ended chan error
}

func newWorld(t *testing.T, o conf.Options) *world {
	t.Helper()
	o.NoICMP = true
	w := &world{T: t, path: filepath.Join(t.TempDir(), "s"), ended: make(chan error, 1)}
	fd, err := stream.Listen(w.path)
	if err != nil {
		t.Fatal(err)
	}
	d := stream.New()
	e, err := New(Params{
		Options: &o,
		Network: &hostinfo.Network{
			MTU: 1500, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 0x55},
			V4: hostinfo.Family{
				Enabled: true, Local: true, Addr: netip.MustParsePrefix("192.0.2.2/24"),
				Gateway: netip.MustParseAddr("192.0.2.1"), OurAddr: netip.MustParseAddr("192.0.2.1"),
			},
		},
		Devices: []link.Device{d}, Socket: d, Clients: stream.NewListener(fd),
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.e = e
	go func() { w.ended <- e.Run() }()
	t.Cleanup(func() {
		e.Stop()
		unix.Close(fd)
	})
	return w
}

// guest connects to the engine.
func (w *world) guest() int {
	w.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: w.path})
	}
	if err != nil {
		w.Fatal(err)
	}
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 2})
	w.Cleanup(func() { unix.Close(fd) })
	return fd
}

// question is an ARP request for the gateway, framed.
func question() []byte {
	b := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1,
		2, 0, 0, 0, 0, 1, 192, 0, 2, 2, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

// served says whether the guest fd gets an answer, and not the end of the connection.
func (w *world) served(fd int) bool {
	w.Helper()
	unix.Sendto(fd, question(), unix.MSG_NOSIGNAL, nil)
	var got []byte
	for len(got) < 4+42 {
		b := make([]byte, 4096)
		n, err := unix.Read(fd, b)
		if err != nil || n == 0 {
			if errors.Is(err, unix.EAGAIN) {
				w.Fatal("neither an answer nor the end")
			}
			return false
		}
		got = append(got, b[:n]...)
	}
	return got[4+12] == 8 && got[4+13] == 6 && got[4+21] == 2
}

func TestGuests(t *testing.T) {
	w := newWorld(t, conf.Options{})
	first := w.guest()
	if !w.served(first) {
		t.Fatal("the first guest gets no answer")
	}
	if w.served(w.guest()) {
		t.Error("a second guest is served")
	}
	if !w.served(first) {
		t.Error("the first guest gets no answer any more")
	}
	for name, last := range map[string][]byte{
		"at the end of a frame": nil, "in the middle of one": {0, 0, 1, 0, 'x'}, "with rubbish": []byte("rubbish rubbish"),
	} {
		fd := w.guestAfter(first)
		if !w.served(fd) {
			t.Errorf("the guest after one that left %s is not served", name)
		}
		unix.Sendto(fd, last, unix.MSG_NOSIGNAL, nil)
		first = fd
	}
	if !w.served(w.guestAfter(first)) {
		t.Error("the last guest is not served")
	}
}

// guestAfter has one guest leave and the next one come at the same moment.
func (w *world) guestAfter(fd int) int {
	unix.Shutdown(fd, unix.SHUT_RDWR)
	return w.guest()
}

func TestStuckGuest(t *testing.T) {
	w := newWorld(t, conf.Options{})
	fd := w.guest()
	// A guest that asks and never reads fills its socket, which must not stop the worker.
	unix.SetNonblock(fd, true)
	for range 100_000 {
		if _, err := unix.Write(fd, question()); err != nil {
			break
		}
	}
	if w.served(w.guest()) {
		t.Error("a second guest is served")
	}
	if !w.served(w.guestAfter(fd)) {
		t.Error("the next guest is not served")
	}
}

func TestOneOff(t *testing.T) {
	w := newWorld(t, conf.Options{OneOff: true})
	fd := w.guest()
	if !w.served(fd) {
		t.Fatal("the guest gets no answer")
	}
	unix.Shutdown(fd, unix.SHUT_RDWR)
	select {
	case err := <-w.ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(2 * time.Second):
		t.Error("still running")
	}
}

// TestNobodyHere connects to a forwarded port before and after a guest is there.
func TestNobodyHere(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	l.Close()
	_, port, err := net.SplitHostPort(at)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := portspec.Parse("127.0.0.1/" + port)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, conf.Options{TCPPorts: spec})
	connect := func() (net.Conn, error) {
		c, err := net.Dial("tcp4", at)
		if err == nil {
			t.Cleanup(func() { c.Close() })
			c.SetReadDeadline(time.Now().Add(5 * time.Second))
		}
		return c, err
	}
	c, err := connect()
	if err == nil {
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("without a guest: %v, want a reset", err)
	}
	if !w.served(w.guest()) {
		t.Fatal("the guest is not served")
	}
	if _, err := connect(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); w.e.Flows() == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no connection to the guest")
		}
	}
}
