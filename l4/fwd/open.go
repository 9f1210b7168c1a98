package fwd

// Binding the ports of a rule. TCP takes one socket for both IP versions where it can.
// UDP takes two: a socket for both does not say which IPv4 address a datagram was sent to
// in the way that its answer must.

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"passt/l3"
	"passt/l3/inet"
	"passt/l4/sock"
	"passt/nat/portspec"
)

// errNone says that a rule for whatever can be had got nothing.
var errNone = errors.New("none of the ports could be bound")

// allPorts is more sockets than there are ports, of both IP versions.
const allPorts = 2 << 16

// entry is a rule of a Table, and its sockets in the order of their ports.
type entry struct {
	Forward
	ls []Listener
}

// opener binds the ports of one rule. It runs on a thread in their namespace.
type opener struct {
	c *Config
	e *entry
	// doomed are rules that are to go: a socket of theirs that is just what is needed is
	// taken over, so that nothing is missed in between.
	doomed   []*entry
	most     int // sockets, if the rule is weak
	warnings []string
}

// open binds the ports of e, most of them if the rule is weak. Where one IP version of a port
// for any address can't be bound but the other can, and where single ports of a weak rule
// can't be, it goes on; warnings say so for the former, and of a weak rule where it had to
// stop. So it does where the kernel has no IPv6. On an error nothing stays bound.
func (c *Config) open(e *entry, doomed []*entry, most int) (warnings []string, err error) {
	if c.Without6 && e.Rule.Addr.Is6() {
		if !e.Optional {
			warnings = append(warnings, fmt.Sprintf("%v is not forwarded: IPv6 is switched off in the host's kernel", &e.Forward))
		}
		return warnings, nil
	}
	o := opener{c: c, e: e, doomed: doomed, most: most}
	c.Within(e.Dir, func() { err = o.all() })
	if err == nil && e.Rule.Weak && len(e.ls) == 0 && !e.Optional {
		err = errNone
	}
	if err != nil {
		closeAll(e.ls)
		e.ls = nil
		return o.warnings, fmt.Errorf("forward %v: %w", &e.Forward, err)
	}
	return o.warnings, nil
}

func closeAll(ls []Listener) {
	for i := range ls {
		sock.Close(ls[i].FD)
	}
}

// all binds every port of the rule.
func (o *opener) all() error {
	r := &o.e.Rule
	for _, ports := range r.Ports() {
		for p := int(ports.First); p <= int(ports.Last); p++ {
			port := uint16(p)
			if r.Weak && o.c.ephemeral(port) {
				continue
			}
			if r.Weak && len(o.e.ls) >= o.most {
				o.stopped(port)
				return nil
			}
			warning, err := o.port(port)
			switch {
			case err != nil && r.Weak && (errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)):
				o.stopped(port)
				return nil
			case err != nil && !r.Weak:
				return advise(err, port)
			case warning != "" && !r.Weak:
				o.warnings = append(o.warnings, warning)
			}
		}
	}
	return nil
}

// stopped notes that a weak rule goes no further for want of descriptors.
func (o *opener) stopped(port uint16) {
	o.warnings = append(o.warnings, fmt.Sprintf(
		"%v: ports from %d on are not forwarded, for there are too few descriptors: raise the limit (ulimit -n) or forward fewer ports", &o.e.Forward, port))
}

func (c *Config) ephemeral(port uint16) bool {
	return c.Ephemeral.First <= port && port <= c.Ephemeral.Last
}

// Addresses that stand for an IP version in rules without one. Ports of the namespace are
// for its own processes: only its loopback has them.
var (
	any4 = inet.FromNetip(netip.IPv4Unspecified())
	any6 = inet.Addr{}
	lo4  = inet.FromNetip(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	lo6  = inet.FromNetip(netip.IPv6Loopback())
)

// everywhere is where a port without an address is bound.
func everywhere(d Direction) (at4, at6 inet.Addr) {
	if d == Out {
		return lo4, lo6
	}
	return any4, any6
}

// port binds one port, for one IP version or both.
func (o *opener) port(port uint16) (warning string, err error) {
	r, n := &o.e.Rule, len(o.e.ls)
	if r.Addr.IsValid() {
		if r.Addr.Is4() && !o.c.V4 || r.Addr.Is6() && !o.c.V6 {
			return "", fmt.Errorf("address %v: this IP version is off", r.Addr)
		}
		return "", o.bind(port, inet.FromNetip(r.Addr), false)
	}
	at4, at6 := everywhere(o.e.Dir)
	if o.c.V4 && o.c.V6 && o.e.Proto == l3.ProtoTCP && o.e.Dir == In {
		if o.bind(port, at6, true) == nil {
			return "", nil
		}
	}
	var err4, err6 error
	if o.c.V4 {
		err4 = o.bind(port, at4, false)
	}
	if o.c.V6 {
		err6 = o.bind(port, at6, false)
	}
	switch err = errors.Join(err4, err6); {
	case err == nil:
		return "", nil
	case len(o.e.ls) == n:
		return "", cmp.Or(err4, err6)
	case (r.Weak || len(o.doomed) > 0) && errors.Is(err, syscall.EADDRINUSE):
		// Nobody has named the port, and clients of the host that try one IP version first and
		// then the other must still find whoever has it. Or it belongs to a rule that is about
		// to go: Apply tries again without those.
		closeAll(o.e.ls[n:])
		o.e.ls = o.e.ls[:n]
		return "", err
	case err4 != nil:
		return o.half(port, "IPv6", "IPv4", err4), nil
	}
	return o.half(port, "IPv4", "IPv6", err6), nil
}

// half says that a port is bound for one IP version, and why not for the other.
func (o *opener) half(port uint16, bound, missing string, err error) string {
	return fmt.Sprintf("%s port %d%s is forwarded for %s only; for %s: %v",
		protoName(o.e.Proto), port, o.e.Dir.where(), bound, missing, err)
}

// bind binds one socket and adds it to the entry's.
func (o *opener) bind(port uint16, at inet.Addr, dual bool) error {
	r := &o.e.Rule
	l := Listener{Dir: o.e.Dir, Proto: o.e.Proto, If: r.IfName != "", Dual: dual,
		Bound: inet.Endpoint{Addr: at, Port: port}, To: inet.Endpoint{Addr: inet.FromNetip(r.ToAddr), Port: r.Target(port)}}
	var e syscall.Errno
	if old := o.takeOver(&l); old != nil {
		l.FD, e = sock.Dup(old.FD)
	} else {
		b := sock.Bound{At: l.Bound, Dual: dual, If: r.IfName, Scope: scope(r), FreeBind: o.c.FreeBind}
		if l.Dir == In {
			b.Privileged = o.c.Privileged
		}
		if l.Proto == l3.ProtoUDP {
			l.FD, e = sock.ListenUDP(&b)
		} else {
			l.FD, e = o.c.TCP.Listen(&b)
		}
	}
	if e != 0 {
		return e
	}
	o.e.ls = append(o.e.ls, l)
	return nil
}

// takeOver finds a socket of a doomed rule that is bound just as l is to be.
func (o *opener) takeOver(l *Listener) *Listener {
	for _, e := range o.doomed {
		if e.Dir != l.Dir || e.Proto != l.Proto || e.Rule.IfName != o.e.Rule.IfName {
			continue
		}
		if old := e.find(l.Bound); old != nil && old.Dual == l.Dual {
			return old
		}
	}
	return nil
}

// scope is the index of the interface that the link-local address of r belongs to.
func scope(r *portspec.Rule) uint32 {
	if r.IfName == "" || !r.Addr.IsLinkLocalUnicast() {
		return 0
	}
	return sock.IfIndex(r.IfName)
}

// advise adds what the user can do about err.
func advise(err error, port uint16) error {
	switch {
	case errors.Is(err, syscall.EACCES) && port < 1024:
		return fmt.Errorf("port %d: %w: ports below 1024 need: sysctl -w net.ipv4.ip_unprivileged_port_start=%d", port, err, port)
	case errors.Is(err, syscall.EMFILE):
		return fmt.Errorf("port %d: %w: raise the limit (ulimit -n) or forward fewer ports", port, err)
	}
	return fmt.Errorf("port %d: %w", port, err)
}
