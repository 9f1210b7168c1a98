package engine

// The forwarded ports: from the command line to a fwd.Table, and from there to the worker.

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"passt/cmd/internal/conf"
	"passt/l3"
	"passt/l4/fwd"
	"passt/l4/sock"
	"passt/l4/splice"
	"passt/l4/udp"
	"passt/nat/portspec"
)

// followEvery is how often the ports of "auto" are looked up: what is bound is forwarded
// within a second, whatever else there is to do.
const followEvery = 400 * time.Millisecond

// makeTable makes the table of forwarded ports, still empty.
func (e *Engine) makeTable(socks *sock.TCP) error {
	o, n := e.p.Options, e.p.Network
	c := fwd.Config{
		TCP: socks, V4: n.V4.Enabled, V6: n.V6.Enabled, Without6: !n.V6.Enabled && !o.IPv4Only, FreeBind: o.FreeBind, Privileged: e.p.Privileged,
		Ephemeral: ephemeral(), Most: int(descriptors() * 3 / 4),
		Within: e.within, ToLoopback: toLoopback(o), Change: e.change, Mine: e.mine,
	}
	if e.p.Inside != nil {
		for _, d := range []fwd.Direction{fwd.In, fwd.Out} {
			var err error
			e.within(1-d, func() { c.Tables[d], err = sock.OpenTables() })
			if err != nil {
				e.p.Log.Warn(err.Error())
			}
		}
	}
	e.table = fwd.NewTable(c)
	return nil
}

// toLoopback says whether the bypass from the host leads to the namespace's loopback.
func toLoopback(o *conf.Options) bool { return o.HostLoToNsLo || o.SpliceOnly }

// within calls f where ports of d are bound.
func (e *Engine) within(d fwd.Direction, f func()) {
	if d == fwd.Out {
		e.p.Inside.Do(f)
	} else {
		f()
	}
}

// listen binds what the command line says.
func (e *Engine) listen() error {
	warnings, err := e.table.Apply(forwards(e.p.Options, e.p.Inside != nil))
	for _, w := range warnings {
		e.p.Log.Warn(w)
	}
	if err != nil {
		return err
	}
	e.followOnce()
	return nil
}

// follow looks up the ports of "auto" until stop.
func (e *Engine) follow(stop <-chan struct{}) {
	t := time.NewTicker(followEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			e.followOnce()
		case <-stop:
			return
		}
	}
}

func (e *Engine) followOnce() {
	if err := e.table.Follow(); err != nil {
		e.p.Log.Warn(err.Error())
	}
}

// mine says whether a socket of ours, and not of some program of the host, is at a port.
func (e *Engine) mine(d fwd.Direction, proto uint8, port uint16) (yes bool) {
	if d != fwd.Out || proto != l3.ProtoUDP {
		return false
	}
	w := e.workers[0]
	w.call(func() { yes = w.udp != nil && w.udp.Holds(port) })
	return yes
}

// change has the worker use and let go of sockets.
func (e *Engine) change(add, remove []fwd.Listener) {
	w := e.workers[0]
	deaf := 0
	w.call(func() { deaf = w.change(add, remove) })
	if deaf > 0 {
		e.p.Log.Warn(fmt.Sprintf("%d sockets of forwarded ports can't be watched, and nothing passes there; "+
			"as root, raise the sysctl fs.epoll.max_user_watches", deaf))
	}
}

// change begins to use the sockets of add, and closes those of remove. It returns how many of
// add can't be used.
func (w *worker) change(add, remove []fwd.Listener) (deaf int) {
	for i := range add {
		if !w.use(&add[i]) {
			w.deaf[add[i].FD] = true // it stays open: its number must not become another's
			deaf++
		}
	}
	tcp := false
	for i := range remove {
		l := &remove[i]
		if w.deaf[l.FD] {
			delete(w.deaf, l.FD)
			sock.Close(l.FD)
			continue
		}
		if l.Proto == l3.ProtoTCP {
			tcp = true
			continue
		}
		if ref, ok := w.udpPorts[l.FD]; ok {
			delete(w.udpPorts, l.FD)
			if w.spliceUDP != nil {
				w.spliceUDP.EndFlows(l.FD)
			}
			w.udp.RemoveListener(ref)
		} else {
			w.spliceUDP.RemovePort(l.FD)
		}
	}
	if tcp {
		w.ports.Remove(remove)
	}
	return deaf
}

// use begins to use the socket of l. It says whether that is possible.
func (w *worker) use(l *fwd.Listener) bool {
	switch {
	case l.Proto == l3.ProtoTCP:
		return w.ports.Add(l)
	case l.Dir == fwd.Out || w.e.p.Options.SpliceOnly:
		return w.spliceUDP.AddPort(splice.Port{FD: l.FD, Out: l.Dir == fwd.Out, Wide: !l.Bound.Addr.Is4(), Bound: l.Bound, To: l.To})
	}
	ref := w.udp.AddListener(udp.Listener{FD: l.FD, Bound: l.Bound, If: l.If, Wide: !l.Bound.Addr.Is4(), Dual: l.Dual, To: l.To})
	if ref == 0 {
		return false
	}
	w.udpPorts[l.FD] = ref
	return true
}

// closePorts closes all of them.
func (w *worker) closePorts() {
	for fd := range w.deaf {
		sock.Close(fd)
	}
	if w.ports != nil {
		w.ports.Close()
	}
	for _, ref := range w.udpPorts {
		w.udp.RemoveListener(ref)
	}
	if w.spliceUDP != nil {
		w.spliceUDP.Close()
	}
}

// forwards is what the command line says. Of a namespace, ports that nothing was said about
// are followed both ways; of a virtual machine they are not.
func forwards(o *conf.Options, namespace bool) (out []fwd.Forward) {
	add := func(d fwd.Direction, tcp, udp *portspec.Spec) {
		auto := namespace && (d == fwd.In || !o.NoSplice)
		t := tcp.Rules
		if !tcp.Given && auto {
			t = autoRules
		}
		if !o.NoTCP {
			for _, r := range t {
				out = append(out, fwd.Forward{Dir: d, Proto: l3.ProtoTCP, Rule: r})
			}
		}
		switch {
		case o.NoUDP:
		case udp.Given:
			for _, r := range udp.Rules {
				out = append(out, fwd.Forward{Dir: d, Proto: l3.ProtoUDP, Rule: r})
			}
		default:
			out = append(out, likeTCP(d, t, auto)...)
		}
	}
	add(fwd.In, &o.TCPPorts, &o.UDPPorts)
	if namespace {
		add(fwd.Out, &o.TCPNsPorts, &o.UDPNsPorts)
	}
	return out
}

// autoRules is what "auto" says.
var autoRules = func() []portspec.Rule {
	s, err := portspec.Parse("auto")
	if err != nil {
		panic(err) // it is part of the grammar
	}
	return s.Rules
}()

// likeTCP makes rules for UDP of those for TCP: the same ports, without any translation of
// them, as far as they can be had (passt(1), --udp-ports), and those bound on the other side
// with auto.
func likeTCP(d fwd.Direction, tcp []portspec.Rule, auto bool) (out []fwd.Forward) {
	for _, r := range tcp {
		r.To, r.Weak = r.First, true
		auto = auto && !(r.Auto && !r.Addr.IsValid())
		out = append(out, fwd.Forward{Dir: d, Proto: l3.ProtoUDP, Rule: r, Optional: true})
	}
	if auto {
		out = append(out, fwd.Forward{Dir: d, Proto: l3.ProtoUDP, Rule: autoRules[0], Optional: true})
	}
	return out
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
