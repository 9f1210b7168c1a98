package engine

// Guests that come and go. A link made of a socket has one guest at a time: it is attached
// when it connects, everybody else is refused while it is there, and when it leaves, all
// that belonged to it ends, so that the next one finds nothing of it.

import (
	"errors"
	"syscall"

	"passt/cmd/internal/logx"
	"passt/l3/inet"
	"passt/l4/fwd"
	"passt/l4/sock"
	"passt/link"
)

// Clients is where the guests of a link come from.
type Clients interface {
	// FD becomes readable when a guest waits.
	FD() int
	// Accept takes a guest and returns its socket, -1 if there is none after all. It never
	// blocks.
	Accept() (fd int, err error)
}

// Socket is a link whose guest is at the other end of a socket; *stream.Dev is one.
type Socket interface {
	// Attach begins with the guest at the other end of fd, which becomes the link's.
	Attach(fd int)
	// Detach closes the socket and forgets what was on its way.
	Detach()
	// HungUp says whether the guest has closed its end, or there is none.
	HungUp() bool
	// Buffered says whether a Recv would find frames without asking the system.
	Buffered() bool
	// Backlog says whether a Send, of nothing if need be, is due when the socket is writable.
	Backlog() bool
}

// guests is a worker's view of who is at the other end.
type guests struct {
	socket  Socket  // nil for a link of another kind
	clients Clients // nil if the one guest is there from the start
	oneOff  bool
	here    bool
	spare   int // descriptor to let go of when there are no others; -1 if none
	lines   logx.Limit
}

// A line for each guest that comes or goes, unless they do so all the time.
const (
	linesEvery = 1_000_000_000
	linesBurst = 20
)

func (w *worker) makeGuests() {
	p := &w.e.p
	w.guests = guests{
		socket: p.Socket, clients: p.Clients, oneOff: p.Options.OneOff, here: p.Clients == nil, spare: -1,
		lines: logx.Limit{Every: linesEvery, Burst: linesBurst},
	}
	if p.Clients == nil {
		w.watchGuest()
		return
	}
	w.guests.takeSpare()
	w.epoll.Add(p.Clients.FD(), uint64(sock.MakeRef(sock.KindGuests, 0, 0)), sock.In)
}

func (g *guests) takeSpare() {
	if fd, e := sock.Spare(); e == 0 {
		g.spare = fd
	}
}

// watchGuest watches the link of a guest that has come.
func (w *worker) watchGuest() {
	w.linkOut = false
	w.epoll.Add(w.dev.FD(), uint64(sock.MakeRef(sock.KindLink, 0, 0)), sock.In)
}

// guestWaits takes the next guest, or refuses it.
func (w *worker) guestWaits(now int64) (done bool, err error) {
	g := &w.guests
	if g.here && g.socket.HungUp() {
		// It left before this one came, whatever the order of the events.
		if done, err := w.guestLeft(nil, now); done {
			return true, err
		}
	}
	fd, err := g.clients.Accept()
	if (err == syscall.EMFILE || err == syscall.ENFILE) && g.spare >= 0 {
		sock.Close(g.spare)
		g.spare = -1
		fd, err = g.clients.Accept()
	}
	switch {
	case err != nil:
		w.guestLine(now, "can't accept a guest", "error", err)
	case fd < 0:
	case g.here:
		sock.Close(fd)
		w.guestLine(now, "refused another guest: one is connected")
	default:
		g.here = true
		g.socket.Attach(fd)
		w.watchGuest()
		w.guestLine(now, "a guest connected")
	}
	if g.spare < 0 {
		g.takeSpare()
	}
	return false, nil
}

// whileHere passes connections on to the guest, and refuses them while there is none: nobody is
// to wait for a machine that is not running.
type whileHere struct{ w *worker }

var _ fwd.Accepter = whileHere{}

// Accept implements fwd.Accepter.
func (h whileHere) Accept(fd int, remote inet.Endpoint, local inet.Addr, to inet.Endpoint, now int64) {
	if !h.w.guests.here {
		h.w.socks.End(fd, sock.Abort)
		return
	}
	h.w.tcp.Accept(fd, remote, local, to, now)
}

// guestLeft ends what belonged to the guest, which has ended the link with err. It says
// whether the worker is done, and then with which error.
func (w *worker) guestLeft(err error, now int64) (done bool, _ error) {
	g := &w.guests
	if errors.Is(err, link.ErrClosed) {
		err = nil
	}
	if g.clients == nil {
		return true, err
	}
	if err != nil {
		w.guestLine(now, "the guest was disconnected", "error", err)
	} else {
		w.guestLine(now, "the guest disconnected")
	}
	if g.oneOff {
		return true, nil
	}
	g.here = false
	w.epoll.Del(w.dev.FD())
	g.socket.Detach()
	if w.tcp != nil {
		w.tcp.Reset()
	}
	if w.udp != nil {
		w.udp.Reset()
	}
	if w.icmp != nil {
		w.icmp.Reset()
	}
	w.ip.Forget()
	w.eth.Forget()
	return false, nil
}

// guestLine writes a line about guests, if there were not too many.
func (w *worker) guestLine(now int64, text string, args ...any) {
	held, ok := w.guests.lines.Allow(now)
	if !ok {
		return
	}
	if held > 0 {
		args = append(args, "held back", held)
	}
	w.e.p.Log.Info(text, args...)
}

// pollLink handles an event of the link.
func (w *worker) pollLink(events uint32, now int64) (done bool, err error) {
	if events&sock.Out != 0 {
		w.linkWritable()
	}
	for {
		if _, err := w.eth.Poll(w.ip, now); err != nil {
			return w.guestLeft(err, now)
		}
		if w.guests.socket == nil || !w.guests.socket.Buffered() {
			return false, nil
		}
	}
}
