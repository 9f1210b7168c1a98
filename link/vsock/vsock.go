package vsock

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"

	"github.com/mdlayher/vsock"
	"golang.org/x/sys/unix"
)

// Any stands for every context ID, where one may be given.
const Any = 0xffffffff

// Host is the context ID of the host, as its guests know it.
const Host = vsock.Host

// waiting is how many connections may wait for the engine to look at them.
const waiting = 16

// Listener takes guests that connect to a vsock port. The library waits in a goroutine of
// its own; Accept only asks what came, and belongs to one thread.
type Listener struct {
	l    *vsock.Listener
	cid  uint32
	wake int // eventfd, readable when there is something for Accept
	came chan arrival
}

// arrival is a guest's socket, or why there will be no more.
type arrival struct {
	fd  int
	err error
}

// Listen waits for guests on port, and lets in only the one with context ID cid, unless
// that is Any.
func Listen(cid, port uint32) (*Listener, error) {
	l, err := vsock.ListenContextID(Any, port, nil)
	if err != nil {
		return nil, explain(fmt.Errorf("listen on vsock port %d: %w", port, err))
	}
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("create an eventfd: %w", err)
	}
	v := &Listener{l: l, cid: cid, wake: wake, came: make(chan arrival, waiting)}
	go v.wait()
	return v, nil
}

// wait accepts connections until the listener is closed.
func (v *Listener) wait() {
	for {
		c, err := v.l.Accept()
		if errors.Is(err, net.ErrClosed) || errors.Is(err, fs.ErrClosed) {
			return
		}
		if err == nil && !v.welcome(c) {
			c.Close()
			continue
		}
		a := arrival{-1, err}
		if err == nil {
			a.fd, a.err = detach(c.(*vsock.Conn))
		}
		v.came <- a
		var one [8]byte
		binary.NativeEndian.PutUint64(one[:], 1)
		_, _ = unix.Write(v.wake, one[:]) // it is readable already if this fails
		if err != nil {
			return
		}
	}
}

// welcome says whether c comes from the guest that is let in.
func (v *Listener) welcome(c net.Conn) bool {
	a, ok := c.RemoteAddr().(*vsock.Addr)
	return v.cid == Any || ok && a.ContextID == v.cid
}

// FD becomes readable when a guest waits.
func (v *Listener) FD() int { return v.wake }

// Accept takes a guest and returns its socket, -1 if there is none. It never blocks.
func (v *Listener) Accept() (int, error) {
	var b [8]byte
	_, _ = unix.Read(v.wake, b[:]) // EAGAIN if there is nobody
	select {
	case a := <-v.came:
		if len(v.came) > 0 {
			binary.NativeEndian.PutUint64(b[:], 1)
			_, _ = unix.Write(v.wake, b[:])
		}
		return a.fd, a.err
	default:
		return -1, nil
	}
}

// Close stops listening.
func (v *Listener) Close() { v.l.Close() }

// Dial connects to port of the context cid and returns the socket.
func Dial(cid, port uint32) (int, error) {
	c, err := vsock.Dial(cid, port, nil)
	if err != nil {
		return -1, explain(fmt.Errorf("connect to vsock %d:%d: %w", cid, port, err))
	}
	return detach(c)
}

// detach takes the socket out of c: the library's poller must not see it.
func detach(c *vsock.Conn) (fd int, err error) {
	defer c.Close()
	rc, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd = -1
	var dup error
	if err = rc.Control(func(old uintptr) { fd, dup = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 3) }); err == nil {
		err = dup
	}
	return fd, err
}

// explain adds to err what the user can do about it.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.ENODEV), errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: the kernel has no vsock here; as root: modprobe vhost_vsock (host), vmw_vsock_virtio_transport (guest) or vsock_loopback (tests)", err)
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("%w: choose another port", err)
	}
	return err
}
