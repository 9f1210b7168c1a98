package inside

import (
	"fmt"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"passt/l4/sock"
)

// Thread is a thread in the guest's network namespace. Any goroutine may use it.
type Thread struct {
	work   chan func()
	refill chan struct{}

	mu    sync.Mutex
	ready [4][]int32 // sockets by kind
	want  [4]int     // how many of a kind to have
}

// How many sockets of a kind are kept ready before the first one is taken, and after.
const (
	few  = 4
	many = 64
)

// Open makes a Thread in the network namespace that the descriptor netns stands for, which
// stays the caller's.
func Open(netns int) (*Thread, error) {
	t := &Thread{work: make(chan func()), refill: make(chan struct{}, 1), want: [4]int{few, few, few, few}}
	entered := make(chan error)
	go t.run(netns, entered)
	if err := <-entered; err != nil {
		return nil, fmt.Errorf("enter the guest's network namespace: %w", err)
	}
	return t, nil
}

// run is the thread. It never goes back, and ends with the program.
func (t *Thread) run(netns int, entered chan<- error) {
	runtime.LockOSThread()
	err := unix.Setns(netns, unix.CLONE_NEWNET)
	entered <- err
	if err != nil {
		return
	}
	t.fill()
	for {
		select {
		case f := <-t.work:
			f()
		case <-t.refill:
			t.fill()
		}
	}
}

// Do calls f on the thread and waits for it.
func (t *Thread) Do(f func()) {
	done := make(chan struct{})
	t.work <- func() {
		defer close(done)
		f()
	}
	<-done
}

// fill makes sockets until there are enough.
func (t *Thread) fill() {
	for k := range t.ready {
		for {
			t.mu.Lock()
			enough := len(t.ready[k]) >= t.want[k]
			t.mu.Unlock()
			if enough {
				break
			}
			fd, e := sock.New(k&1 != 0, k&2 != 0)
			if e != 0 {
				break // whoever needs one finds out
			}
			t.mu.Lock()
			t.ready[k] = append(t.ready[k], int32(fd))
			t.mu.Unlock()
		}
	}
}

// Take gives a socket of the namespace away: of TCP if stream, else of UDP, of IPv4 or IPv6.
// It waits for the thread only if others have taken all there were.
func (t *Thread) Take(stream, v4 bool) (fd int, e syscall.Errno) {
	k := 0
	if stream {
		k |= 1
	}
	if v4 {
		k |= 2
	}
	t.mu.Lock()
	n := len(t.ready[k])
	if n > 0 {
		fd, t.ready[k] = int(t.ready[k][n-1]), t.ready[k][:n-1]
	}
	t.want[k] = many
	t.mu.Unlock()
	if n <= many/2 {
		select {
		case t.refill <- struct{}{}:
		default: // it has been told
		}
	}
	if n > 0 {
		return fd, 0
	}
	t.Do(func() { fd, e = sock.New(stream, v4) })
	return fd, e
}
