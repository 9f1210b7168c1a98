package vsock

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// port is one that nothing else is likely to use.
const port = 51_820_051

// loopback is the context ID by which a system reaches itself, if it has vsock_loopback.
const loopback = 1

func accept(t *testing.T, l *Listener) int {
	t.Helper()
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(l.FD()), Events: unix.POLLIN}}, 1000); n != 1 {
		t.Fatalf("nobody came: %v", err)
	}
	fd, err := l.Accept()
	if err != nil || fd < 0 {
		t.Fatalf("Accept = %d, %v", fd, err)
	}
	return fd
}

func TestListen(t *testing.T) {
	l, err := Listen(Any, port)
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	if fd, err := l.Accept(); fd != -1 || err != nil {
		t.Fatalf("nobody there: %d, %v", fd, err)
	}
	if _, err := Listen(Any, port); err == nil {
		t.Error("the same port twice")
	}
	a, err := Dial(loopback, port)
	if err != nil {
		t.Skip(err)
	}
	defer unix.Close(a)
	b, err := Dial(loopback, port)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(b)
	for range 2 {
		unix.Close(accept(t, l))
	}
	if fd, err := l.Accept(); fd != -1 || err != nil {
		t.Errorf("nobody left: %d, %v", fd, err)
	}
}

// TestStranger has a guest come that is not the one to let in.
func TestStranger(t *testing.T) {
	l, err := Listen(4711, port)
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	c, err := Dial(loopback, port)
	if err != nil {
		t.Skip(err)
	}
	defer unix.Close(c)
	unix.SetsockoptTimeval(c, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 2})
	if n, err := unix.Read(c, make([]byte, 1)); n > 0 || err == unix.EAGAIN {
		t.Errorf("still connected: %d, %v", n, err)
	}
	time.Sleep(10 * time.Millisecond)
	if fd, err := l.Accept(); fd != -1 || err != nil {
		t.Errorf("Accept = %d, %v", fd, err)
	}
}
