package engine

// What is looked at and changed from outside while the engine runs. A worker's state is
// copied by the worker itself, between two events; the rest happens on the caller's
// goroutine.

import (
	"passt/cmd/internal/control"
	"passt/l3"
	"passt/l3/inet"
	"passt/l4/fwd"
	"passt/l4/icmp"
	"passt/l4/splice"
	"passt/l4/tcp"
	"passt/l4/udp"
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

// snapshot is the flows of a worker at one moment.
type snapshot struct {
	now    int64
	tcp    []tcp.Info
	udp    []udp.Info
	icmp   []icmp.Info
	local  []splice.Info
	locals []splice.UDPInfo
}

// few is how many flows may begin between two looks at their number.
const few = 64

// Flows implements control.Instance.
func (e *Engine) Flows() []control.Flow {
	var out []control.Flow
	for _, w := range e.workers {
		var n lengths
		w.call(func() { n = w.lengths() })
		// Memory is got here, not while packets wait; a few more flows may have begun.
		s := snapshot{
			tcp: make([]tcp.Info, 0, n.tcp+few), udp: make([]udp.Info, 0, n.udp+few), icmp: make([]icmp.Info, 0, n.icmp+few),
			local: make([]splice.Info, 0, n.local+few), locals: make([]splice.UDPInfo, 0, n.locals+few),
		}
		w.call(func() { s.take(w) })
		out = append(out, s.flows()...)
	}
	return out
}

// lengths is how many flows a worker has.
type lengths struct{ tcp, udp, icmp, local, locals int }

func (w *worker) lengths() (n lengths) {
	if w.tcp != nil {
		n.tcp = w.tcp.Len()
	}
	if w.udp != nil {
		n.udp = w.udp.Len()
	}
	if w.icmp != nil {
		n.icmp = w.icmp.Len()
	}
	if w.spliceTCP != nil {
		n.local = w.spliceTCP.Len()
	}
	if w.spliceUDP != nil {
		n.locals = w.spliceUDP.Len()
	}
	return n
}

// take copies the flows of w, on its thread.
func (s *snapshot) take(w *worker) {
	s.now = w.now()
	if w.tcp != nil {
		w.tcp.Each(func(i tcp.Info) { s.tcp = append(s.tcp, i) })
	}
	if w.udp != nil {
		w.udp.Each(func(i udp.Info) { s.udp = append(s.udp, i) })
	}
	if w.icmp != nil {
		w.icmp.Each(func(i icmp.Info) { s.icmp = append(s.icmp, i) })
	}
	if w.spliceTCP != nil {
		w.spliceTCP.Each(func(i splice.Info) { s.local = append(s.local, i) })
	}
	if w.spliceUDP != nil {
		w.spliceUDP.Each(func(i splice.UDPInfo) { s.locals = append(s.locals, i) })
	}
}

// flows are the flows of s as clients see them.
func (s *snapshot) flows() []control.Flow {
	out := make([]control.Flow, 0, len(s.tcp)+len(s.udp)+len(s.icmp)+len(s.local)+len(s.locals))
	for i := range s.tcp {
		f := &s.tcp[i]
		out = append(out, control.Flow{
			Protocol: "tcp", FromHost: f.FromHost, Guest: f.Key.Guest.String(), Remote: f.Key.Remote.String(), Host: f.Peer.String(),
			State: f.State, Age: s.since(f.Started), Idle: s.since(f.LastSeen), ToHost: f.FromGuest, ToGuest: f.ToGuest,
		})
	}
	for i := range s.udp {
		f := &s.udp[i]
		out = append(out, control.Flow{
			Protocol: "udp", FromHost: f.HostInitiated, Guest: f.Key.Guest.String(), Remote: f.Key.Remote.String(), Host: f.Peer.String(),
			Age: s.since(f.Started), Idle: s.since(f.LastSeen), ToHost: f.ToHost, ToGuest: f.ToGuest,
		})
	}
	for i := range s.icmp {
		f := &s.icmp[i]
		out = append(out, control.Flow{
			Protocol: protocolName(icmpOf(&f.Key.Guest.Addr)), Guest: f.Key.Guest.Addr.String(), Remote: f.Key.Remote.Addr.String(),
			Host: f.Peer.String(), ID: f.Key.Guest.Port, Age: s.since(f.Started), Idle: s.since(f.LastSeen), ToHost: f.ToHost, ToGuest: f.ToGuest,
		})
	}
	return s.bypassed(out)
}

// bypassed adds the flows past the link to out.
func (s *snapshot) bypassed(out []control.Flow) []control.Flow {
	for i := range s.local {
		f := &s.local[i]
		c := control.Flow{
			Protocol: "tcp", Bypass: true, FromHost: !f.Out, Guest: f.Target.String(), Host: f.Initiator.String(), State: f.State,
			Age: s.since(f.Started), Idle: -1, ToHost: f.Received, ToGuest: f.Sent,
		}
		if f.Out {
			c.Guest, c.Remote, c.Host = f.Initiator.String(), f.Local.String(), f.Target.String()
			c.ToHost, c.ToGuest = f.Sent, f.Received
		}
		out = append(out, c)
	}
	for i := range s.locals {
		f := &s.locals[i]
		c := control.Flow{
			Protocol: "udp", Bypass: true, FromHost: !f.Out, Guest: f.Target.String(), Host: f.Client.String(),
			Age: s.since(f.Started), Idle: s.since(f.LastSeen), ToHost: f.Received, ToGuest: f.Sent,
		}
		if f.Out {
			c.Guest, c.Remote, c.Host = f.Client.String(), f.To.String(), f.Target.String()
			c.ToHost, c.ToGuest = f.Sent, f.Received
		}
		out = append(out, c)
	}
	return out
}

// since is how long ago t was, in seconds.
func (s *snapshot) since(t int64) float64 { return float64(max(s.now-t, 0)/1e6) / 1e3 }

func icmpOf(guest *inet.Addr) uint8 {
	if guest.Is4() {
		return l3.ProtoICMP
	}
	return l3.ProtoICMPv6
}

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
