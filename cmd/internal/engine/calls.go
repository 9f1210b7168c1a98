package engine

// What other goroutines want of a worker is done by the worker itself, between two events.

import (
	"encoding/binary"
	"sync"

	"golang.org/x/sys/unix"
)

type call struct {
	f    func()
	done chan struct{}
}

// calls is a worker's mailbox.
type calls struct {
	fd int // eventfd that the worker watches

	mu      sync.Mutex
	running bool
	closed  bool
	queue   []call
}

// call has the worker call f, and waits until it has. Before the worker runs, f is called
// at once, and after its end not at all.
func (c *calls) call(f func()) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	if !c.running {
		f()
		c.mu.Unlock()
		return
	}
	done := make(chan struct{})
	c.queue = append(c.queue, call{f, done})
	c.mu.Unlock()
	ring(c.fd)
	<-done
}

// ring makes an eventfd readable.
func ring(fd int) {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(fd, one[:]) // it fails if it is readable all the same
}

// begin says that the worker runs from now on.
func (c *calls) begin() {
	c.mu.Lock()
	c.running = true
	c.mu.Unlock()
}

// serve does what waits.
func (c *calls) serve() {
	var b [8]byte
	_, _ = unix.Read(c.fd, b[:]) // a second ring is not worth another turn
	c.mu.Lock()
	q := c.queue
	c.queue = nil
	c.mu.Unlock()
	for _, k := range q {
		k.f()
		close(k.done)
	}
}

// end lets go of those who still wait.
func (c *calls) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, k := range c.queue {
		close(k.done)
	}
	c.queue = nil
	unix.Close(c.fd)
}
