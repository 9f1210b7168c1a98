package hostwatch

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Theory of operation: rtnetlink(7). The kernel tells the members of some groups of every
// change to links, addresses and routes. What it says is not read: whoever looks, looks at
// everything. A message that got lost for want of memory is an error of the next read, and
// an event like any other.

// groups are those of rtnetlink(7) that say something about the host's network.
const groups = unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV6_ROUTE

// Watch notices events of the network namespace that it was opened in, and of one file.
type Watch struct {
	netlink *os.File
	file    *file
	events  chan struct{} // has one element if something happened
}

// Open starts to watch the network of the calling thread's namespace, and the file at path,
// which need not exist.
func Open(path string) (*Watch, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("watch the host's network: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("watch the host's network: %w", err)
	}
	w := &Watch{netlink: os.NewFile(uintptr(fd), "rtnetlink"), file: newFile(path), events: make(chan struct{}, 1)}
	return w, nil
}

// Close ends Follow. It may be called twice.
func (w *Watch) Close() {
	w.netlink.Close() // a second time, it fails
	w.file.close()
}

// Follow calls look after every change, on this goroutine, until Close.
func (w *Watch) Follow(look func()) {
	go w.file.follow(w.event)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.readNetlink()
	}()
	var c calm
	timer := time.NewTimer(0)
	<-timer.C
	for {
		select {
		case <-ended:
			return
		case <-w.events:
			c.event(time.Now())
		case <-timer.C:
			began := time.Now()
			c.look()
			look()
			c.looked(began, time.Now())
		}
		if at, ok := c.due(); ok {
			timer.Reset(time.Until(at))
		}
	}
}

// event notes that something happened. It never blocks.
func (w *Watch) event() {
	select {
	case w.events <- struct{}{}:
	default:
	}
}

func (w *Watch) readNetlink() {
	b := make([]byte, 4096) // the rest of a longer message is dropped, which nobody minds
	for {
		_, err := w.netlink.Read(b)
		if err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) {
			return
		}
		w.event()
	}
}
