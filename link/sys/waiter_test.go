package sys

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// clock counts nanoseconds, as the owner of a Waiter does.
type clock struct{ start time.Time }

func (c clock) now() int64 { return int64(time.Since(c.start)) + 1 }

func newTestWaiter(t *testing.T) (*Waiter, clock, int) {
	t.Helper()
	w, err := NewWaiter(4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if e := w.Add(fd, 7, unix.EPOLLIN); e != 0 {
		t.Fatal(e)
	}
	return w, clock{time.Now()}, fd
}

func TestWaiterDeadline(t *testing.T) {
	w, c, _ := newTestWaiter(t)
	var ev [4]Event
	for _, d := range []int64{20_000_000, 1, 5_000_000} {
		began := c.now()
		for c.now() < began+d {
			if n, e := w.Wait(ev[:], c.now(), began+d); n != 0 || e != 0 && e != unix.EINTR {
				t.Fatalf("Wait = %d, %v", n, e)
			}
		}
		if took := c.now() - began; took > d+int64(time.Second) {
			t.Errorf("a deadline in %d ns came after %d", d, took)
		}
	}
}

// TestWaiterRests has events come in haste, and then no more.
func TestWaiterRests(t *testing.T) {
	w, c, fd := newTestWaiter(t)
	var ev [4]Event
	ring := []byte{1, 0, 0, 0, 0, 0, 0, 0}
	if _, err := unix.Write(fd, ring); err != nil {
		t.Fatal(err)
	}
	now := c.now()
	for range enough {
		now += brief / 2 // the machine may be slow: time is ours
		if n, e := w.Wait(ev[:], now, 0); n != 1 || e != 0 || ev[0].Ref != 7 {
			t.Fatalf("Wait = %d, %v, %+v", n, e, ev[0])
		}
	}
	if w.streak != enough || w.alarmAt == 0 {
		t.Fatalf("after %d brief waits: %d, alarm at %d", enough, w.streak, w.alarmAt)
	}
	var buf [8]byte
	if _, err := unix.Read(fd, buf[:]); err != nil {
		t.Fatal(err)
	}
	for w.alarmAt != 0 { // it is set, so that this ends by itself
		if n, e := w.Wait(ev[:], now+1, 0); n != 0 || e != 0 && e != unix.EINTR {
			t.Fatalf("Wait = %d, %v", n, e)
		}
	}
	if w.keeps(now + keepTime + 1) {
		t.Error("the P is kept after a long wait")
	}
}

// TestWaiterYields stops the world while a thread keeps its P.
func TestWaiterYields(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	w, _, _ := newTestWaiter(t)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		var ev [4]Event
		for {
			select {
			case <-stop:
				return
			default:
			}
			w.streak = enough
			w.Wait(ev[:], w.began+1, 0)
		}
	}()
	for range 20 {
		runtime.GC()
	}
	close(stop)
	<-done
}

func TestWaiterAllocs(t *testing.T) {
	w, c, fd := newTestWaiter(t)
	if _, err := unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	var ev [4]Event
	if n := testing.AllocsPerRun(100, func() { w.Wait(ev[:], c.now(), 0) }); n != 0 {
		t.Errorf("%v allocations in a Wait", n)
	}
}
