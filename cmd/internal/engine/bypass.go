package engine

// Local connections and datagrams between the host and the guest's namespace, past the link.

import (
	"passt/l4/fwd"
	"passt/l4/sock"
	"passt/l4/splice"
	"passt/l4/udp"
	"passt/nat"
)

// Inside is a thread in the guest's network namespace; *inside.Thread is one.
type Inside interface {
	splice.Provider
	// Do calls f on the thread and waits for it.
	Do(f func())
}

// makeBypass makes what the worker needs to pass things by the link, in and out.
func (w *worker) makeBypass(socks *sock.TCP) {
	p := &w.e.p
	if p.Inside == nil {
		return
	}
	poller := sock.Epoll{Epoll: w.epoll.Epoll}
	maxTCP, maxUDP, _ := limits()
	obs := (*nat.Observed)(w.ip.Guest())
	if !p.Options.NoTCP {
		w.spliceTCP = splice.NewTCP(splice.Config{
			Sockets: &splice.System{Guest: p.Inside, TCP: socks}, Poller: poller, Wheel: w.wheel, Rules: w.rules,
			Observed: obs, MaxConns: maxTCP / 3, Watch: w.watch, // of two descriptors each, and some for pipes
		})
	}
	if !p.Options.NoUDP {
		var u *splice.Unreachables
		p.Inside.Do(func() { u = splice.OpenUnreachables() })
		s := seed()
		w.spliceUDP = splice.NewUDP(splice.UDPConfig{
			Sockets: splice.SystemUDP{UDP: sock.NewUDP(), Guest: p.Inside}, Poller: poller, Wheel: w.wheel, Rules: w.rules,
			Observed: obs, MaxFlows: maxUDP / 2, Seed: [2]uint64(s[:2]), Unreachable: u.Send, Watch: w.watch,
		})
	}
}

// bypassed says whether local connections from the host go past the link.
func (w *worker) bypassed() bool { return w.e.p.Inside != nil && !w.e.p.Options.NoSplice }

// accepters says who takes accepted connections.
func (w *worker) accepters() fwd.Uppers {
	var u fwd.Uppers
	if w.tcp != nil && !w.e.p.Options.SpliceOnly {
		if u.Guest = w.tcp; w.e.p.Clients != nil {
			u.Guest = whileHere{w}
		}
	}
	if w.spliceTCP != nil {
		u.Out = w.spliceTCP.Accepter(true)
		if w.bypassed() {
			u.Local = w.spliceTCP.Accepter(false)
		}
	}
	return u
}

// localDatagrams is for datagrams from the host's loopback to a forwarded port.
func (w *worker) localDatagrams(l *udp.Listener, ds []sock.Datagram, now int64) {
	w.local = splice.Port{FD: l.FD, Wide: l.Wide, Bound: l.Bound, To: l.To}
	w.spliceUDP.Datagrams(&w.local, ds, now)
}
