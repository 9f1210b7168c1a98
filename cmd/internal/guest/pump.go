package guest

// Frames between the tap and the host, in batches, by one thread and without copying: a
// batch is read from the tap and sent by one call, and a batch received by one call is
// written to the tap. While the socket is full, nothing is read from the tap, so that its
// queue fills and the senders behind it slow down; writing to the tap never waits.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"passt/link"
	"passt/link/stream"
	"passt/link/sys"
	"passt/link/tap"
)

const (
	batch  = 64
	lenLen = 4 // bytes of the length before a frame
)

// References of the two descriptors in the epoll instance.
const (
	refTap = iota
	refHost
)

// pump moves frames for one connection after the other. It belongs to one thread.
type pump struct {
	tap    *tap.Dev
	host   *stream.Dev
	epoll  *sys.Waiter
	start  time.Time
	frames [batch]link.Frame // from the tap
	others [batch]link.Frame // from the host
	lens   [batch][lenLen]byte
	iov    [2 * batch]sys.Iovec
	unsent []sys.Iovec // of the batch from the tap; frames lie in the tap's memory meanwhile
	msg    unix.Msghdr
	events [4]sys.Event
	waits  bool // for the socket to be writable
}

func newPump(dev *tap.Dev) (*pump, error) {
	p := &pump{tap: dev, host: stream.New(), start: time.Now()}
	var err error
	if p.epoll, err = sys.NewWaiter(len(p.events)); err != nil {
		return nil, fmt.Errorf("create an epoll instance and its timer: %w", err)
	}
	return p, nil
}

// run moves frames until the connection fd, which becomes the pump's, or the tap ends. The
// error says which: link.ErrClosed and link.ErrProtocol are the connection's.
func (p *pump) run(fd int) error {
	// What was sent while nobody was connected is too old to be of use.
	for n := 1; n > 0; {
		var err error
		if n, err = p.tap.Recv(p.frames[:]); err != nil {
			return tapError(err)
		}
	}
	p.host.Attach(fd)
	p.unsent, p.waits = nil, false
	p.epoll.Add(fd, refHost, unix.EPOLLIN)
	p.epoll.Add(p.tap.FD(), refTap, unix.EPOLLIN)
	defer func() {
		p.epoll.Del(p.tap.FD())
		p.epoll.Del(fd)
		p.host.Detach()
	}()
	for {
		n, e := p.epoll.Wait(p.events[:], int64(time.Since(p.start)), 0)
		if e != 0 && e != syscall.EINTR {
			return fmt.Errorf("wait for frames: %w", e)
		}
		for _, ev := range p.events[:n] {
			var err error
			switch {
			case ev.Ref == refTap && ev.Events&(unix.EPOLLERR|unix.EPOLLHUP) != 0:
				err = tapError(link.ErrClosed) // reported for as long as we wait for the socket, too
			case ev.Ref == refTap:
				err = p.fromTap()
			case ev.Events&unix.EPOLLOUT != 0 && len(p.unsent) > 0:
				if err = p.send(); err == nil && ev.Events&^uint32(unix.EPOLLOUT) != 0 {
					err = p.fromHost()
				}
			default:
				err = p.fromHost()
			}
			if err != nil {
				return err
			}
		}
	}
}

// fromTap sends a batch from the tap.
func (p *pump) fromTap() error {
	if len(p.unsent) > 0 {
		return nil
	}
	n, err := p.tap.Recv(p.frames[:])
	if err != nil {
		return tapError(err)
	}
	for i := range n {
		b := p.frames[i].B
		binary.BigEndian.PutUint32(p.lens[i][:], uint32(len(b)))
		sys.SetIovec(&p.iov[2*i], p.lens[i][:])
		sys.SetIovec(&p.iov[2*i+1], b)
	}
	p.unsent = p.iov[:2*n]
	if n == 0 {
		return nil
	}
	return p.send()
}

// send sends what is unsent, as far as the socket takes it.
func (p *pump) send() error {
	for len(p.unsent) > 0 {
		sys.SetMsg(&p.msg, nil, p.unsent, nil)
		n, e := sys.Sendmsg(p.host.FD(), &p.msg, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		switch e {
		case 0:
			p.unsent = sys.Advance(p.unsent, n)
			continue
		case unix.EINTR:
			continue
		case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM:
		default:
			return link.ErrClosed
		}
		break
	}
	if waits := len(p.unsent) > 0; waits != p.waits {
		p.waits = waits
		host, guest := uint32(unix.EPOLLIN), uint32(unix.EPOLLIN)
		if waits {
			host, guest = unix.EPOLLIN|unix.EPOLLOUT, 0
		}
		p.epoll.Mod(p.host.FD(), refHost, host)
		p.epoll.Mod(p.tap.FD(), refTap, guest)
	}
	return nil
}

// fromHost writes what came from the host to the tap.
func (p *pump) fromHost() error {
	for {
		n, err := p.host.Recv(p.others[:])
		if err != nil {
			return err
		}
		for i := range n {
			// An interface that is down refuses frames, which is no reason to end.
			if _, e := sys.Write(p.tap.FD(), p.others[i].B); e == unix.EBADFD || e == unix.ENODEV {
				return tapError(e)
			}
		}
		if !p.host.Buffered() {
			return nil
		}
	}
}

func tapError(err error) error {
	if errors.Is(err, link.ErrClosed) {
		err = errors.New("it was removed")
	}
	return fmt.Errorf("the tap interface: %w", err)
}
