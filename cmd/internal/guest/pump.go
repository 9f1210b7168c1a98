package guest

// Frames between the tap and the host, in batches, by one thread and without copying: a
// batch is read from the tap and sent by one call (tohost.go), and a batch received by one
// call is written to the tap (toguest.go). The tap has super-frames, the host knows nothing
// of them. While the socket is full, nothing is read from the tap, so that its queue fills
// and the senders behind it slow down; writing to the tap never waits.

import (
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
	events [4]sys.Event
	waits  bool // for the socket to be writable
	out    toHost
	in     toGuest
}

func newPump(dev *tap.Dev) (*pump, error) {
	p := &pump{tap: dev, host: stream.New(), start: time.Now(), out: newToHost(), in: newToGuest(dev)}
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
		if n, err = p.tap.Recv(p.out.frames[:]); err != nil {
			return tapError(err)
		}
	}
	p.host.Attach(fd)
	p.out.forget()
	p.waits = false
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
			case ev.Events&unix.EPOLLOUT != 0 && p.waits:
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

func tapError(err error) error {
	if errors.Is(err, link.ErrClosed) {
		err = errors.New("it was removed")
	}
	return fmt.Errorf("the tap interface: %w", err)
}
