package engine

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"passt/cmd/internal/conf"
	"passt/cmd/internal/control"
	"passt/cmd/internal/hostinfo"
	"passt/l4/fwd"
	"passt/l4/icmp"
	"passt/l4/sock"
	"passt/link"
)

// Params is what an Engine is made of.
type Params struct {
	Options *conf.Options
	Network *hostinfo.Network // at the start; Follow changes it
	// Devices are the queues of the guest's link, one for each worker. They are the
	// engine's from New on, also if New fails.
	Devices []link.Device
	// GuestMAC is the guest's hardware address if it is known before the guest has sent
	// anything.
	GuestMAC net.HardwareAddr
	// Socket is the only device again if that is the socket of a guest, which may be below
	// decorators. Clients is where guests come from that it is to be attached to, one after the
	// other; without Clients, the end of the link is the end of Run.
	Socket  Socket
	Clients Clients
	// Inside is a thread in the guest's network namespace; nil if the guest is no namespace.
	Inside Inside
	// Privileged binds sockets to ports of the host that this process may not have; nil if nobody
	// can. Any goroutine calls it, the worker's excepted.
	Privileged func(fd int, name []byte) syscall.Errno
	// LinkStats points to the counters of Devices[0], a struct of uint64; nil if it has none.
	LinkStats any
	Log       *slog.Logger
}

// Engine is a running translator.
type Engine struct {
	p       Params
	workers []*worker
	table   *fwd.Table
	wake    int // eventfd that ends Run
	stop    sync.Once
	closed  chan struct{} // listening sockets are closed
	can     control.Abilities
}

// New binds the forwarded ports and opens everything that a worker needs, so that the
// process can give up its rights before Run.
func New(p Params) (e *Engine, err error) {
	e = &Engine{p: p, closed: make(chan struct{})}
	e.can = e.abilities()
	if e.wake, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return nil, fmt.Errorf("create an eventfd: %w", err)
	}
	out4, out6 := outbound(&p.Network.V4), outbound(&p.Network.V6)
	tcpSocks := sock.NewTCP(out4, out6)
	if err := e.makeTable(tcpSocks); err != nil {
		return nil, err
	}
	if !p.Options.NoICMP {
		if err := icmp.Check(); err != nil {
			p.Log.Info(err.Error()) // advice, not trouble: callers that ask for quiet get none
		}
	}
	// One worker serves one queue; a second one is a second turn of this, with the
	// listening sockets added to its epoll instance too.
	w, err := newWorker(e, p.Devices[0], tcpSocks, out4, out6)
	if err != nil {
		return nil, err
	}
	e.workers = append(e.workers, w)
	if err := e.listen(); err != nil {
		return nil, err
	}
	return e, nil
}

// Run works until Stop, or until the link ends. It wants a thread of its own.
func (e *Engine) Run() error {
	stop := make(chan struct{})
	defer close(stop)
	if e.p.Inside != nil {
		go e.follow(stop)
	}
	if s := e.p.Options.Stats; s > 0 {
		go e.report(time.Duration(s)*time.Second, stop)
	}
	// Each worker keeps its P while it is busy (sys.Waiter). One more does for everybody else.
	runtime.GOMAXPROCS(len(e.workers) + 1)
	return e.workers[0].run()
}

// Stop makes Run return, and returns when the listening sockets are closed. Any goroutine
// may call it, any number of times, before Run or after.
func (e *Engine) Stop() {
	e.stop.Do(func() {
		var one [8]byte
		binary.NativeEndian.PutUint64(one[:], 1)
		if _, err := unix.Write(e.wake, one[:]); err != nil {
			e.p.Log.Error("wake the worker", "error", err)
		}
	})
	<-e.closed
}

// seed makes random numbers for hashes and sequence numbers.
func seed() (s [4]uint64) {
	var b [32]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	for i := range s {
		s[i] = binary.NativeEndian.Uint64(b[8*i:])
	}
	return s
}

// descriptors is how many we may have. The runtime has raised the limit as far as it may.
func descriptors() uint64 {
	var r syscall.Rlimit
	n := uint64(1024)
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) == nil {
		n = r.Cur
	}
	return max(min(n, 1<<18), 64)
}

// limits divides the descriptors that we may have among the protocols.
func limits() (tcp, udp, icmp int) {
	n := descriptors()
	return int(n / 2), int(n / 4), int(min(n/16, 1024))
}
