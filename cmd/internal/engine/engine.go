package engine

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"passt/cmd/internal/conf"
	"passt/cmd/internal/hostinfo"
	"passt/l3"
	"passt/l4/fwd"
	"passt/l4/icmp"
	"passt/l4/sock"
	"passt/link"
	"passt/nat/portspec"
)

// Params is what an Engine is made of.
type Params struct {
	Options *conf.Options
	Network *hostinfo.Network
	// Devices are the queues of the guest's link, one for each worker. They are the
	// engine's from New on, also if New fails.
	Devices []link.Device
	// GuestMAC is the guest's hardware address if it is known before the guest has sent
	// anything.
	GuestMAC net.HardwareAddr
	Log      *slog.Logger
}

// Engine is a running translator.
type Engine struct {
	p       Params
	workers []*worker
	wake    int // eventfd that ends Run
	stop    sync.Once
	closed  chan struct{} // listening sockets are closed
}

// New binds the forwarded ports and opens everything that a worker needs, so that the
// process can give up its rights before Run.
func New(p Params) (e *Engine, err error) {
	e = &Engine{p: p, closed: make(chan struct{})}
	if e.wake, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return nil, fmt.Errorf("create an eventfd: %w", err)
	}
	out4, out6 := outbound(&p.Network.V4), outbound(&p.Network.V6)
	tcpSocks := sock.NewTCP(out4, out6)
	tcp, udp, err := e.listen(tcpSocks)
	if err != nil {
		return nil, err
	}
	if !p.Options.NoICMP {
		if err := icmp.Check(); err != nil {
			p.Log.Warn(err.Error())
		}
	}
	// One worker serves one queue; a second one is a second turn of this, with the
	// listening sockets added to its epoll instance too.
	w, err := newWorker(e, p.Devices[0], tcpSocks, out4, out6, tcp, udp)
	if err != nil {
		return nil, err
	}
	e.workers = append(e.workers, w)
	return e, nil
}

// listen binds the forwarded ports of both protocols.
func (e *Engine) listen(socks *sock.TCP) (tcp, udp []fwd.Listener, err error) {
	o, n := e.p.Options, e.p.Network
	c := fwd.Config{Sockets: socks, V4: n.V4.Enabled, V6: n.V6.Enabled, FreeBind: o.FreeBind, Ephemeral: ephemeral()}
	var warnings []string
	if !o.NoTCP {
		if tcp, warnings, err = fwd.Open(&c, l3.ProtoTCP, o.TCPPorts.Rules); err != nil {
			return nil, nil, err
		}
		e.warn(warnings)
	}
	if !o.NoUDP {
		if udp, warnings, err = fwd.Open(&c, l3.ProtoUDP, udpRules(o)); err != nil {
			for _, l := range tcp {
				sock.Close(l.FD)
			}
			return nil, nil, err
		}
		e.warn(warnings)
	}
	return tcp, udp, nil
}

func (e *Engine) warn(warnings []string) {
	for _, w := range warnings {
		e.p.Log.Warn(w)
	}
}

// udpRules are the rules for UDP: those given or, if none were, the same ports as for TCP,
// without any translation of them, as far as they can be had (passt(1), --udp-ports).
func udpRules(o *conf.Options) []portspec.Rule {
	if o.UDPPorts.Given {
		return o.UDPPorts.Rules
	}
	var rules []portspec.Rule
	for _, r := range o.TCPPorts.Rules {
		r.To, r.Weak = r.First, true
		rules = append(rules, r)
	}
	return rules
}

// ephemeral is the range of ports that the system gives to clients
// (/proc/sys/net/ipv4/ip_local_port_range, ip(7)).
func ephemeral() portspec.Range {
	r := portspec.Range{First: 32768, Last: 60999}
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if f := strings.Fields(string(b)); err == nil && len(f) == 2 {
		first, err1 := strconv.ParseUint(f[0], 10, 16)
		last, err2 := strconv.ParseUint(f[1], 10, 16)
		if err1 == nil && err2 == nil {
			r = portspec.Range{First: uint16(first), Last: uint16(last)}
		}
	}
	return r
}

// Run works until Stop, or until the link ends. It wants a thread of its own.
func (e *Engine) Run() error { return e.workers[0].run() }

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

// limits divides the descriptors that we may have among the protocols.
func limits() (tcp, udp, icmp int) {
	var r syscall.Rlimit
	n := uint64(1024)
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) == nil {
		n = r.Cur
	}
	n = max(min(n, 1<<18), 64)
	return int(n / 2), int(n / 4), int(min(n/16, 1024))
}

// ifIndex is the index of the interface called name, 0 if there is none.
func ifIndex(name string) uint32 {
	if name == "" {
		return 0
	}
	i, err := net.InterfaceByName(name)
	if err != nil {
		return 0
	}
	return uint32(i.Index)
}
