package sock

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/l3/inet"
)

// tcpPair is a socket of t's, dialled to a peer of the test.
func tcpPair(t *testing.T, s *TCP) (fd int, peer *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	at := l.Addr().(*net.TCPAddr).AddrPort()
	dst := inet.Endpoint{Addr: inet.FromNetip(at.Addr()), Port: at.Port()}
	fd, e := s.Dial(&dst, true, 0)
	if e != 0 {
		t.Fatal(e)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return fd, c.(*net.TCPConn)
}

// eventually repeats f until it no longer says EAGAIN.
func eventually(t *testing.T, f func() (int, syscall.Errno)) (int, syscall.Errno) {
	t.Helper()
	for end := time.Now().Add(time.Second); ; time.Sleep(time.Millisecond) {
		n, e := f()
		if e != syscall.EAGAIN || time.Now().After(end) {
			return n, e
		}
	}
}

// TestPeek walks through a receive queue, with SO_PEEK_OFF and without.
func TestPeek(t *testing.T) {
	for _, tt := range []struct {
		name string
		off  bool
	}{{"SO_PEEK_OFF", true}, {"older kernels", false}} {
		t.Run(tt.name, func(t *testing.T) {
			s := NewTCP(Outbound{}, Outbound{})
			if tt.off && !s.peekOff {
				t.Skip("this kernel has no SO_PEEK_OFF for TCP")
			}
			if !tt.off {
				s.peekOff, s.scratch = false, make([]byte, scratchLen)
			}
			fd, peer := tcpPair(t, s)
			defer s.End(fd, Orderly)
			a, b := make([]byte, 3), make([]byte, 4)
			peek := func(skip int, moved bool, want string, wantErr syscall.Errno) {
				t.Helper()
				clear(a)
				clear(b)
				n, e := s.Peek(fd, skip, moved, [][]byte{a, b})
				if wantErr == 0 {
					n, e = eventually(t, func() (int, syscall.Errno) { return n, e })
				}
				got := string(append(append([]byte(nil), a...), b...)[:max(n, 0)])
				if e != wantErr || got != want {
					t.Fatalf("peek at %d: %q, %v; want %q, %v", skip, got, e, want, wantErr)
				}
			}
			peer.Write([]byte("0123456789"))
			time.Sleep(20 * time.Millisecond)
			peek(0, false, "0123456", 0)
			peek(7, false, "789", 0)
			peek(10, false, "", syscall.EAGAIN)
			peek(2, true, "2345678", 0)
			s.Discard(fd, 4)
			peek(5, false, "9", 0)
			peek(0, true, "456789", 0)
			peer.CloseWrite()
			time.Sleep(20 * time.Millisecond)
			peek(6, false, "", 0)
		})
	}
}

// urge has peer send s as urgent data, and waits until it has arrived.
func urge(t *testing.T, peer *net.TCPConn, s string) {
	t.Helper()
	raw, err := peer.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if e := raw.Control(func(fd uintptr) { err = unix.Send(int(fd), []byte(s), unix.MSG_OOB) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
	time.Sleep(20 * time.Millisecond)
}

// TestUrgent wants urgent data in its place, and the reads that stop in front of it to go on.
func TestUrgent(t *testing.T) {
	s := NewTCP(Outbound{}, Outbound{})
	if !s.peekOff {
		t.Skip("without SO_PEEK_OFF, urgent data is not seen before what is in front of it is gone")
	}
	fd, peer := tcpPair(t, s)
	defer s.End(fd, Orderly)
	buf, got := make([]byte, 100), ""
	peek := func() {
		n, e := s.Peek(fd, len(got), true, [][]byte{buf})
		if e != 0 {
			t.Fatalf("behind %q: %v", got, e)
		}
		got += string(buf[:n])
	}
	peer.Write([]byte("abc"))
	time.Sleep(20 * time.Millisecond)
	peek()
	urge(t, peer, "X")
	peek()
	peer.Write([]byte("def"))
	time.Sleep(20 * time.Millisecond)
	peek()
	if got != "abcXdef" {
		t.Errorf("peeked %q, want abcXdef", got)
	}
}

// TestUrgentDiscard takes bytes off the queue on both sides of urgent data.
func TestUrgentDiscard(t *testing.T) {
	s := NewTCP(Outbound{}, Outbound{})
	fd, peer := tcpPair(t, s)
	defer s.End(fd, Orderly)
	peer.Write([]byte("abc"))
	urge(t, peer, "X")
	peer.Write([]byte("def"))
	time.Sleep(20 * time.Millisecond)
	s.Discard(fd, 5)
	buf := make([]byte, 100)
	if n, e := s.Peek(fd, 0, true, [][]byte{buf}); e != 0 || string(buf[:n]) != "ef" {
		t.Errorf("left: %q, %v; want ef", buf[:max(n, 0)], e)
	}
}

// TestUrgentLast has an older kernel not see urgent data, behind which the stream ends, before
// what is in front of it is gone. That is not the end.
func TestUrgentLast(t *testing.T) {
	s := NewTCP(Outbound{}, Outbound{})
	s.peekOff, s.scratch = false, make([]byte, scratchLen)
	fd, peer := tcpPair(t, s)
	defer s.End(fd, Orderly)
	peer.Write([]byte("abc"))
	urge(t, peer, "X")
	peer.CloseWrite()
	time.Sleep(20 * time.Millisecond)
	buf := make([]byte, 100)
	if n, e := s.Peek(fd, 3, false, [][]byte{buf}); e != syscall.EAGAIN {
		t.Fatalf("in front of it: %d, %v; want %v", n, e, syscall.EAGAIN)
	}
	s.Discard(fd, 3)
	if n, e := s.Peek(fd, 0, false, [][]byte{buf}); e != 0 || string(buf[:n]) != "X" {
		t.Fatalf("at it: %q, %v; want X", buf[:max(n, 0)], e)
	}
	if n, e := s.Peek(fd, 1, false, [][]byte{buf}); e != 0 || n != 0 {
		t.Fatalf("behind it: %d, %v; want the end", n, e)
	}
}

func TestRoom(t *testing.T) {
	s := NewTCP(Outbound{}, Outbound{})
	fd, peer := tcpPair(t, s)
	defer s.End(fd, Orderly)
	peer.SetReadBuffer(4096)
	size, taken, payload := s.Room(fd)
	if size <= 0 || taken != 0 || payload != 0 {
		t.Errorf("an empty socket: %d of %d taken by %d", taken, size, payload)
	}
	buf := make([]byte, 64<<10)
	sent := 0
	for {
		n, e := s.Send(fd, [][]byte{buf[:1000], buf[1000:]})
		if e == syscall.EAGAIN {
			break
		}
		if e != 0 {
			t.Fatal(e)
		}
		sent += n
	}
	size, taken, payload = s.Room(fd)
	if taken < size || payload <= 0 || payload > taken || payload > sent {
		t.Errorf("a full socket: %d of %d taken by %d, %d sent", taken, size, payload, sent)
	}
}

func TestEndings(t *testing.T) {
	for _, tt := range []struct {
		name string
		how  Ending
		want error
	}{{"half", Half, io.EOF}, {"orderly", Orderly, io.EOF}, {"abort", Abort, syscall.ECONNRESET}} {
		t.Run(tt.name, func(t *testing.T) {
			s := NewTCP(Outbound{}, Outbound{})
			fd, peer := tcpPair(t, s)
			s.End(fd, tt.how)
			if tt.how == Half {
				defer s.End(fd, Orderly)
			}
			peer.SetReadDeadline(time.Now().Add(time.Second))
			if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, tt.want) {
				t.Errorf("the peer saw %v, want %v", err, tt.want)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().(*net.TCPAddr).AddrPort()
	l.Close()
	s := NewTCP(Outbound{}, Outbound{})
	dst := inet.Endpoint{Addr: inet.FromNetip(at.Addr()), Port: at.Port()}
	fd, e := s.Dial(&dst, true, 0)
	if e == 0 {
		defer s.End(fd, Orderly)
		_, e = eventually(t, func() (int, syscall.Errno) {
			if e := s.Err(fd); e != 0 {
				return 0, e
			}
			return 0, syscall.EAGAIN
		})
	}
	if e != syscall.ECONNREFUSED {
		t.Errorf("got %v", e)
	}
}

// TestCalm leaves the system's congestion control to connections of the network.
func TestCalm(t *testing.T) {
	s := NewTCP(Outbound{}, Outbound{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	at := l.Addr().(*net.TCPAddr).AddrPort()
	dst := inet.Endpoint{Addr: inet.FromNetip(at.Addr()), Port: at.Port()}
	system, err := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control")
	if err != nil {
		t.Fatal(err)
	}
	for local, want := range map[bool]string{true: "reno", false: strings.TrimSpace(string(system))} {
		fd, e := s.Dial(&dst, local, 0)
		if e != 0 {
			t.Fatal(e)
		}
		defer Close(fd)
		if got, err := unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION); err != nil || got != want {
			t.Errorf("loopback %v: %q, %v; want %q", local, got, err, want)
		}
	}
}
