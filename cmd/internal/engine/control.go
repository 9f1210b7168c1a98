package engine

// What is looked at and changed from outside while the engine runs. A worker's state is
// copied by the worker itself, between two events; the rest happens on the caller's
// goroutine.

import (
	"slices"

	"passt/cmd/internal/control"
	"passt/l3"
	"passt/l3/inet"
	"passt/l4/flow"
	"passt/l4/fwd"
)

var _ control.Instance = (*Engine)(nil)

// Apply implements control.Instance.
func (e *Engine) Apply(rules []fwd.Forward) (warnings []string, err error) {
	if warnings, err = e.table.Apply(rules); err == nil {
		e.followOnce()
	}
	return warnings, err
}

// EachForward implements control.Instance.
func (e *Engine) EachForward(f func(fwd.Forward, []fwd.Listener)) { e.table.Each(f) }

// Can implements control.Instance.
func (e *Engine) Can() control.Abilities { return e.can }

// abilities is what Can returns; a change of the host's network makes no difference to it.
func (e *Engine) abilities() control.Abilities {
	o, n := e.p.Options, e.p.Network
	in := e.p.Inside != nil
	return control.Abilities{
		V4: n.V4.Enabled, V6: n.V6.Enabled, TCP: !o.NoTCP, UDP: !o.NoUDP, Auto: in, Out: in && !o.NoSplice,
	}
}

// few is how many flows may begin between two looks at their number.
const few = 64

// Flows implements control.Instance.
func (e *Engine) Flows() []control.Flow {
	var out []control.Flow
	for _, w := range e.workers {
		var n int
		var now int64
		w.call(func() { n = w.flows() })
		infos := make([]flow.Info, 0, n+few) // here, not while packets wait
		w.call(func() {
			now = w.now()
			w.eachFlow(func(i flow.Info) { infos = append(infos, i) })
		})
		out = slices.Grow(out, len(infos))
		for i := range infos {
			out = append(out, shown(&infos[i], now))
		}
	}
	return out
}

// flows is how many flows a worker has.
func (w *worker) flows() (n int) {
	if w.tcp != nil {
		n += w.tcp.Len()
	}
	if w.udp != nil {
		n += w.udp.Len()
	}
	if w.icmp != nil {
		n += w.icmp.Len()
	}
	if w.spliceTCP != nil {
		n += w.spliceTCP.Len()
	}
	if w.spliceUDP != nil {
		n += w.spliceUDP.Len()
	}
	return n
}

// eachFlow calls f for every flow, on the worker's thread.
func (w *worker) eachFlow(f func(flow.Info)) {
	if w.tcp != nil {
		w.tcp.Each(f)
	}
	if w.udp != nil {
		w.udp.Each(f)
	}
	if w.icmp != nil {
		w.icmp.Each(f)
	}
	if w.spliceTCP != nil {
		w.spliceTCP.Each(f)
	}
	if w.spliceUDP != nil {
		w.spliceUDP.Each(f)
	}
}

// shown is a flow as clients see it.
func shown(i *flow.Info, now int64) control.Flow {
	f := control.Flow{
		Protocol: protocolName(i.Proto), Bypass: i.Bypass, FromHost: i.FromHost, State: i.State,
		Guest: endpoint(i.Guest), Remote: endpoint(i.Remote), Host: endpoint(i.Host),
		Age: seconds(now - i.Started), Idle: -1, ToHost: i.ToHost, ToGuest: i.ToGuest,
	}
	if i.LastSeen != 0 {
		f.Idle = seconds(now - i.LastSeen)
	}
	if i.Proto == l3.ProtoICMP || i.Proto == l3.ProtoICMPv6 {
		f.Guest, f.ID = i.Guest.Addr.String(), i.Guest.Port
	}
	return f
}

// endpoint is e for people: without a port if there is none, and nothing if e is not known.
func endpoint(e inet.Endpoint) string {
	switch {
	case e == inet.Endpoint{}:
		return ""
	case e.Port == 0:
		return e.Addr.String()
	}
	return e.String()
}

// seconds is a time in nanoseconds, to a millisecond.
func seconds(ns int64) float64 { return float64(max(ns, 0)/1e6) / 1e3 }

func protocolName(proto uint8) string {
	switch proto {
	case l3.ProtoTCP:
		return "tcp"
	case l3.ProtoUDP:
		return "udp"
	case l3.ProtoICMP:
		return "icmp"
	}
	return "icmpv6"
}
