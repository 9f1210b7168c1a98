package platform

import (
	"bytes"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// SO_PEEK_OFF on TCP (Linux 6.9, over IPv6 6.9.10) lets the host-to-guest path read only what
// it has not sent yet. Without it everything unacknowledged is read again and skipped.
func TestPeekOffset(t *testing.T) {
	a, b := tcpPair(t)
	if err := unix.SetsockoptInt(b, unix.SOL_SOCKET, unix.SO_PEEK_OFF, 0); err != nil {
		t.Skipf("this kernel has no SO_PEEK_OFF for TCP: %v", err)
	}
	if _, err := unix.Write(a, []byte("abcdefghij")); err != nil {
		t.Fatal(err)
	}
	waitReadable(t, b)
	buf := make([]byte, 4)
	peek := func(want string) {
		t.Helper()
		n, _, err := unix.Recvfrom(b, buf, unix.MSG_PEEK|unix.MSG_DONTWAIT)
		if err != nil || string(buf[:n]) != want {
			t.Fatalf("peeked %q, %v, want %q", buf[:max(n, 0)], err, want)
		}
	}
	peek("abcd")
	peek("efgh") // moves on by itself
	// Discarding from the head moves the offset back by as much.
	if n, _, err := unix.Recvfrom(b, buf[:2], 0); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	peek("ij")
	if err := unix.SetsockoptInt(b, unix.SOL_SOCKET, unix.SO_PEEK_OFF, 0); err != nil {
		t.Fatal(err)
	}
	peek("cdef") // and it can be set: a retransmission
}

// MSG_TRUNC on TCP discards without copying (tcp(7)): how acknowledged data leaves a socket.
func TestDiscard(t *testing.T) {
	a, b := tcpPair(t)
	if _, err := unix.Write(a, []byte("0123456789")); err != nil {
		t.Fatal(err)
	}
	waitReadable(t, b)
	n, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(b), 0, 6, unix.MSG_TRUNC|unix.MSG_DONTWAIT, 0, 0)
	if n != 6 || errno != 0 {
		t.Fatalf("discarded %d, %v, want 6 with no buffer at all", n, errno)
	}
	buf := make([]byte, 10)
	if n, err := unix.Read(b, buf); err != nil || string(buf[:n]) != "6789" {
		t.Errorf("left: %q, %v, want 6789", buf[:max(n, 0)], err)
	}
}

// memInfo reads SO_MEMINFO (Linux 4.12), the kernel's own account of a socket's memory, by which the
// advertised window is kept to what a socket is sure to take.
func memInfo(t *testing.T, fd int) [9]uint32 {
	t.Helper()
	var m [9]uint32
	size := uint32(unsafe.Sizeof(m))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&m)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		t.Fatalf("SO_MEMINFO: %v", errno)
	}
	return m
}

// Positions in SO_MEMINFO's answer (linux/sock_diag.h).
const (
	memReceived    = 0
	memReceiveBuf  = 1
	memSendBuf     = 3
	memWriteQueued = 5
)

func TestMemInfo(t *testing.T) {
	a, b := tcpPair(t)
	before := memInfo(t, a)
	if before[memSendBuf] == 0 || before[memReceiveBuf] == 0 {
		t.Fatalf("no buffer sizes: %v", before)
	}
	// Fill the receiver, then the sender's own queue.
	chunk := make([]byte, 64<<10)
	for {
		if _, err := unix.Write(a, chunk); err == unix.EAGAIN {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	after := memInfo(t, a)
	if after[memWriteQueued] <= before[memWriteQueued] {
		t.Errorf("queued %d before and %d after filling", before[memWriteQueued], after[memWriteQueued])
	}
	if rx := memInfo(t, b); rx[memReceived] == 0 {
		t.Errorf("the receiver's account is empty: %v", rx)
	}
}

// An edge-triggered EPOLLOUT comes only after the socket was full. EPOLL_CTL_MOD looks again: it reports at
// once if there is room, and arms the edge if there is not. The window's reopening hangs on it.
func TestEpollModRearms(t *testing.T) {
	a, b := tcpPair(t)
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ep)
	ev := unix.EpollEvent{Events: unix.EPOLLOUT | unix.EPOLLET, Fd: int32(a)}
	if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, a, &ev); err != nil {
		t.Fatal(err)
	}
	wait := func(timeout int) bool {
		t.Helper()
		for {
			var evs [1]unix.EpollEvent
			n, err := unix.EpollWait(ep, evs[:], timeout)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			return n == 1 && evs[0].Events&unix.EPOLLOUT != 0
		}
	}
	if !wait(0) {
		t.Fatal("no first event")
	}
	if wait(0) {
		t.Fatal("an event without an edge")
	}
	if err := unix.EpollCtl(ep, unix.EPOLL_CTL_MOD, a, &ev); err != nil {
		t.Fatal(err)
	}
	if !wait(0) {
		t.Error("no event after EPOLL_CTL_MOD, with room to write")
	}
	chunk := make([]byte, 64<<10)
	for {
		if _, err := unix.Write(a, chunk); err == unix.EAGAIN {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	wait(0)
	if err := unix.EpollCtl(ep, unix.EPOLL_CTL_MOD, a, &ev); err != nil {
		t.Fatal(err)
	}
	if wait(0) {
		t.Fatal("an event while the socket is full")
	}
	end := time.Now().Add(2 * time.Second)
	buf := make([]byte, 1<<20)
	for !wait(10) {
		if _, err := unix.Read(b, buf); err != nil && err != unix.EAGAIN {
			t.Fatal(err)
		}
		if time.Now().After(end) {
			t.Fatal("no event though the reader has read all")
		}
	}
}

// Urgent data stays in order with SO_OOBINLINE, and is one byte short without.
func TestUrgentInline(t *testing.T) {
	a, b := tcpPair(t)
	if err := unix.SetsockoptInt(b, unix.SOL_SOCKET, unix.SO_OOBINLINE, 1); err != nil {
		t.Fatal(err)
	}
	for _, part := range []struct {
		data  string
		flags int
	}{{"ab", 0}, {"c", unix.MSG_OOB}, {"de", 0}} {
		if err := unix.Send(a, []byte(part.data), part.flags); err != nil {
			t.Fatal(err)
		}
	}
	var got []byte
	buf := make([]byte, 10)
	for end := time.Now().Add(time.Second); len(got) < 5 && time.Now().Before(end); {
		n, err := unix.Read(b, buf)
		if err == nil {
			got = append(got, buf[:n]...)
		}
	}
	if !bytes.Equal(got, []byte("abcde")) {
		t.Errorf("read %q, want abcde", got)
	}
}

// SO_LINGER of zero makes close send a reset: how a guest's abort is passed on.
func TestLingerResets(t *testing.T) {
	a, b := tcpPair(t)
	if err := unix.SetsockoptLinger(a, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		t.Fatal(err)
	}
	// Putting another file in its place closes it, and leaves the number for the cleanup.
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(null)
	if err := unix.Dup3(null, a, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	waitReadable(t, b)
	if _, err := unix.Read(b, make([]byte, 1)); err != unix.ECONNRESET {
		t.Errorf("%v, want connection reset", err)
	}
}
