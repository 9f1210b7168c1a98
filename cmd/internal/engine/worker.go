package engine

// A worker is one thread with its own epoll instance, its own queue of the link, and its
// own flows, timers and buffers:
//
//	wait → dispatch on references → timers → flush → wait
//
// Events of sockets mostly set flags; what they make possible happens in the flush, once
// for each flow of a burst.

import (
	"fmt"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"passt/l2"
	"passt/l3"
	"passt/l3/inet"
	"passt/l3/ndp"
	"passt/l4"
	"passt/l4/dhcp"
	"passt/l4/dhcpv6"
	"passt/l4/flow"
	"passt/l4/fwd"
	"passt/l4/icmp"
	"passt/l4/sock"
	"passt/l4/splice"
	"passt/l4/tcp"
	"passt/l4/udp"
	"passt/l4/wheel"
	"passt/link"
	"passt/link/sys"
	"passt/nat"
)

// eventBatch is how many events or timers are handled before the flush.
const eventBatch = 128

type worker struct {
	e     *Engine
	start time.Time
	epoll *sys.Waiter
	wheel *wheel.Wheel

	dev     link.Device
	flusher flusher // dev, if it is one
	eth     *l2.Ethernet
	ip      *l3.Stack
	mux     l4.Mux
	tcp     *tcp.Translator
	udp     *udp.Translator
	icmp    *icmp.Translator
	ndp     *ndp.Router
	dhcp    *dhcp.Server // nil if there never was one
	dhcpv6  *dhcpv6.Server
	ports   *fwd.Ports
	rules   *rules
	socks   *sock.TCP
	past    past

	ndpTimer int64 // when the last entry of the wheel for ndp is due

	spliceTCP *splice.TCP
	spliceUDP *splice.UDP
	local     splice.Port // for localDatagrams
	watch     flow.Watcher

	udpPorts map[int]sock.Ref // the forwarded ports of udp, by descriptor
	deaf     map[int]bool     // the sockets of forwarded ports that can't be watched
	calls

	nextTimer int64 // when the wheel has something due; 0 if it is empty

	guests  guests
	linkOut bool // the link is watched for being writable
	events  [eventBatch]sys.Event
	due     [eventBatch]uint64
}

// flusher is a device that keeps something back until the end of a burst.
type flusher interface{ Flush() error }

// newWorker puts the layers on dev.
func newWorker(e *Engine, dev link.Device, socks *sock.TCP, out4, out6 sock.Outbound) (*worker, error) {
	w := &worker{e: e, dev: dev, socks: socks, start: time.Now().Add(-time.Second), udpPorts: make(map[int]sock.Ref), deaf: make(map[int]bool)}
	w.flusher, _ = dev.(flusher)
	var err error
	if w.epoll, err = sys.NewWaiter(eventBatch); err != nil {
		return nil, fmt.Errorf("create an epoll instance and its timer: %w", err)
	}
	w.wheel = wheel.New(w.now())
	w.layers()
	w.translators(socks, out4, out6)
	poller := sock.Epoll{Epoll: w.epoll.Epoll}
	if w.calls.fd, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return nil, fmt.Errorf("create an eventfd: %w", err)
	}
	w.ports = fwd.NewPorts(socks, w.accepters(), poller)
	w.makeGuests()
	poller.Add(e.wake, sock.MakeRef(sock.KindWake, 0, 0), sock.In)
	poller.Add(w.calls.fd, sock.MakeRef(sock.KindCall, 0, 0), sock.In)
	return w, nil
}

// layers makes what is below the translators, and the services.
func (w *worker) layers() {
	p := &w.e.p
	c := l2.Config{MAC: l2.MAC(p.Network.MAC)}
	if len(p.GuestMAC) == len(c.GuestMAC) {
		c.GuestMAC = l2.MAC(p.GuestMAC)
	}
	if p.Network.V4.Enabled {
		c.ARPIgnore = func(ip [4]byte) bool {
			a := inet.V4(ip[:])
			return a.IsUnspecified() || w.isGuest(&a)
		}
	}
	w.eth = l2.New(w.dev, c)
	w.ip = l3.New(w.eth, &w.mux, l3Config(p.Network))
	w.services()
}

// isGuest says whether a is an address of the guest, as it was given or as it was seen.
func (w *worker) isGuest(a *inet.Addr) bool {
	g, n := w.ip.Guest(), w.e.p.Network
	return *a == g.V4 || *a == g.V6 || *a == g.LinkLocal ||
		*a == inet.FromNetip(n.V4.Addr.Addr()) || *a == inet.FromNetip(n.V6.Addr.Addr()) || w.past.isGuest(a)
}

// translators makes the translators that are on.
func (w *worker) translators(socks *sock.TCP, out4, out6 sock.Outbound) {
	o, n := w.e.p.Options, w.e.p.Network
	w.rules = &rules{nat.New(natConfig(o, n, &w.past))}
	poller := sock.Epoll{Epoll: w.epoll.Epoll}
	maxTCP, maxUDP, maxICMP := limits()
	s := seed()
	w.watch = w.watcher()
	if !o.NoTCP {
		w.tcp = tcp.New(tcp.Config{
			Net: w.ip, Sockets: socks, Poller: poller, Wheel: w.wheel, Rules: w.rules,
			MTU: n.MTU, MaxConns: maxTCP, Seed: s, Watch: w.watch,
		})
		w.tcp.StartSweep(w.now())
		w.mux.TCP = w.tcp
	}
	w.makeBypass(socks)
	if !o.NoUDP {
		var local func(*udp.Listener, []sock.Datagram, int64)
		if w.bypassed() {
			local = w.localDatagrams
		}
		w.udp = udp.New(udp.Config{
			Net: w.ip, Sockets: sock.NewUDP(), Poller: poller, Wheel: w.wheel, Rules: w.rules,
			Out4: out4, Out6: out6,
			MTU: n.MTU, MaxFlows: 2 * maxUDP, MaxSockets: maxUDP, Seed: [2]uint64(s[:2]), Local: local, Watch: w.watch,
		})
		w.mux.UDP = w.udp
	}
	if !o.NoICMP {
		w.icmp = icmp.New(icmp.Config{
			Net: w.ip, Sockets: sock.NewPing(), Poller: poller, Wheel: w.wheel, Rules: w.rules,
			Out4: out4, Out6: out6, MTU: n.MTU, MaxFlows: maxICMP, Seed: [2]uint64(s[:2]), Watch: w.watch,
		})
		w.mux.ICMP = w.icmp
	}
}

// now is the engine's time: nanoseconds of the monotonic clock, and never 0.
func (w *worker) now() int64 { return int64(time.Since(w.start)) }

// run works until it is stopped or the link ends.
func (w *worker) run() error {
	runtime.LockOSThread()
	w.calls.begin()
	defer w.close()
	now := w.now()
	for {
		n, errno := w.epoll.Wait(w.events[:], now, w.next(now))
		if errno != 0 && errno != syscall.EINTR {
			return fmt.Errorf("wait for events: %w", errno)
		}
		now = w.now()
		for i := range w.events[:n] {
			if done, err := w.dispatch(&w.events[i], now); done {
				return err
			}
		}
		if w.nextTimer != 0 && now >= w.nextTimer {
			w.timers(now)
		}
		if w.tcp != nil {
			w.tcp.Flush(now)
		}
		w.watchLink()
		if w.flusher != nil {
			if err := w.flusher.Flush(); err != nil {
				w.e.p.Log.Warn(err.Error())
			}
		}
	}
}

// next is when the wheel has something due, or 0 if it is empty.
func (w *worker) next(now int64) int64 {
	w.nextTimer = 0
	if left := w.wheel.Next(now); left >= 0 {
		w.nextTimer = now + left
	}
	return w.nextTimer
}

// timers handles what the wheel has due.
func (w *worker) timers(now int64) {
	for {
		due := w.wheel.Advance(w.due[:0], now)
		for _, ref := range due {
			w.timer(sock.Ref(ref), now)
		}
		if len(due) < len(w.due) {
			return
		}
	}
}

// dispatch handles one event. It says whether the worker is done.
func (w *worker) dispatch(ev *sys.Event, now int64) (done bool, err error) {
	switch ref := sock.Ref(ev.Ref); ref.Kind() {
	case sock.KindLink:
		return w.pollLink(ev.Events, now)
	case sock.KindGuests:
		return w.guestWaits(now)
	case sock.KindTCP:
		w.tcp.Event(ref, ev.Events, now)
	case sock.KindUDP:
		w.udp.Event(ref, ev.Events, now)
	case sock.KindICMP:
		w.icmp.Event(ref, ev.Events, now)
	case sock.KindListen:
		w.ports.Event(ref, now)
	case sock.KindSplice:
		w.spliceTCP.Event(ref, ev.Events, now)
	case sock.KindSpliceUDP:
		w.spliceUDP.Event(ref, now)
	case sock.KindSplicePort:
		w.spliceUDP.PortEvent(ref, ev.Events, now)
	case sock.KindCall:
		w.calls.serve()
	case sock.KindWake:
		return true, nil
	}
	return false, nil
}

// timer handles one reference that the wheel has fired.
func (w *worker) timer(ref sock.Ref, now int64) {
	switch ref.Kind() {
	case sock.KindTCP:
		w.tcp.Timer(ref, now)
	case sock.KindUDP:
		w.udp.Timer(ref, now)
	case sock.KindICMP:
		w.icmp.Timer(ref, now)
	case sock.KindSplice:
		w.spliceTCP.Timer(now)
	case sock.KindSpliceUDP:
		w.spliceUDP.Timer(now)
	case sock.KindNDP:
		w.advertise(now)
	}
}

// watchLink watches the link for being writable while somebody waits for that.
func (w *worker) watchLink() {
	wait := w.tcp != nil && w.tcp.Blocked() || w.guests.socket != nil && w.guests.socket.Backlog()
	if wait == w.linkOut || !w.guests.here {
		return
	}
	w.linkOut = wait
	events := uint32(sock.In)
	if wait {
		events |= sock.Out
	}
	w.epoll.Mod(w.dev.FD(), uint64(sock.MakeRef(sock.KindLink, 0, 0)), events)
}

// linkWritable goes on with what waited for the link: first the rest of a frame, then the
// connections.
func (w *worker) linkWritable() {
	if s := w.guests.socket; s != nil && s.Backlog() {
		// An error is that of the next Poll too.
		if _, err := w.dev.Send(nil); err != nil || s.Backlog() {
			return
		}
	}
	if w.tcp != nil {
		w.tcp.LinkWritable()
	}
}

// close frees what the worker has; the ports first.
func (w *worker) close() {
	w.calls.end()
	w.closePorts()
	close(w.e.closed)
	if w.spliceTCP != nil {
		w.spliceTCP.Reset()
	}
	if w.tcp != nil {
		w.tcp.Reset()
	}
	w.dev.Close()
	w.epoll.Close()
}
