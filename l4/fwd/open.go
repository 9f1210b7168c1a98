package fwd

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"passt/l3"
	"passt/l3/inet"
	"passt/l4/sock"
	"passt/nat/portspec"
)

// Listener is one bound socket.
type Listener struct {
	FD    int
	Bound inet.Endpoint // on the host
	If    bool          // bound to an interface
	Dual  bool          // bound to ::, and takes IPv4 too
	To    inet.Endpoint // in the guest; a zero address is the guest's own
}

// Config is what the binding of rules depends on.
type Config struct {
	Sockets   *sock.TCP
	V4, V6    bool
	FreeBind  bool
	Ephemeral portspec.Range // ports that the system gives to clients: not part of "all"
}

// errNone says that a rule for whatever can be had got nothing.
var errNone = errors.New("none of the ports could be bound")

// Open binds the ports of rules for proto, l3.ProtoTCP or l3.ProtoUDP. Where one IP version
// of a port for any address can't be bound but the other can, and where single ports of
// a weak rule can't be, it goes on; warnings say so for the former. On an error nothing
// stays bound.
func Open(c *Config, proto uint8, rules []portspec.Rule) (ls []Listener, warnings []string, err error) {
	for i := range rules {
		r := &rules[i]
		if r.Auto {
			continue
		}
		n := len(ls)
		var w []string
		if ls, w, err = c.rule(ls, proto, r); err != nil {
			for _, l := range ls {
				sock.Close(l.FD)
			}
			return nil, warnings, fmt.Errorf("forward %s port %v: %w", protoName(proto), r, err)
		}
		warnings = append(warnings, w...)
		if r.Weak && len(ls) == n {
			return nil, warnings, fmt.Errorf("forward %s port %v: %w", protoName(proto), r, errNone)
		}
	}
	return ls, warnings, nil
}

func protoName(proto uint8) string {
	if proto == l3.ProtoUDP {
		return "UDP"
	}
	return "TCP"
}

// rule binds the ports of one rule and appends the sockets to ls.
func (c *Config) rule(ls []Listener, proto uint8, r *portspec.Rule) ([]Listener, []string, error) {
	var warnings []string
	ex := r.Exclude
	for p := int(r.First); p <= int(r.Last); p++ {
		port := uint16(p)
		for len(ex) > 0 && ex[0].Last < port {
			ex = ex[1:]
		}
		if len(ex) > 0 && ex[0].First <= port || r.Weak && c.Ephemeral.First <= port && port <= c.Ephemeral.Last {
			continue
		}
		l := Listener{Bound: inet.Endpoint{Port: port}, To: inet.Endpoint{Addr: inet.FromNetip(r.ToAddr), Port: r.To + port - r.First}}
		more, warn, err := c.port(l, proto, r)
		if err != nil {
			if r.Weak && !errors.Is(err, syscall.EMFILE) {
				continue
			}
			return ls, warnings, advise(err, port)
		}
		if warn != "" && !r.Weak {
			warnings = append(warnings, warn)
		}
		ls = append(ls, more...)
	}
	return ls, warnings, nil
}

// port binds one port, for one IP version or both.
func (c *Config) port(l Listener, proto uint8, r *portspec.Rule) (ls []Listener, warning string, err error) {
	b := sock.Bound{If: r.IfName, FreeBind: c.FreeBind}
	if r.Addr.IsValid() {
		if r.Addr.Is4() && !c.V4 || r.Addr.Is6() && !c.V6 {
			return nil, "", fmt.Errorf("address %v: this IP version is off", r.Addr)
		}
		b.At = inet.Endpoint{Addr: inet.FromNetip(r.Addr), Port: l.Bound.Port}
		b.Scope = scope(r)
		ls, err = c.bind(nil, l, proto, &b)
		return ls, "", err
	}
	any4 := inet.Endpoint{Addr: inet.FromNetip(netip.IPv4Unspecified()), Port: l.Bound.Port}
	any6 := inet.Endpoint{Port: l.Bound.Port}
	if c.V4 && c.V6 && proto == l3.ProtoTCP {
		b.At, b.Dual = any6, true
		if ls, err = c.bind(nil, l, proto, &b); err == nil {
			return ls, "", nil
		}
		b.Dual = false
	}
	var err4, err6 error
	if c.V4 {
		b.At = any4
		ls, err4 = c.bind(ls, l, proto, &b)
	}
	if c.V6 {
		b.At = any6
		ls, err6 = c.bind(ls, l, proto, &b)
	}
	err = errors.Join(err4, err6)
	if errors.Is(err, syscall.EADDRINUSE) || len(ls) == 0 {
		// Half a port would be a surprise if somebody else has the other half.
		for _, l := range ls {
			sock.Close(l.FD)
		}
		if err4 != nil {
			return nil, "", err4
		}
		return nil, "", err6
	}
	if err != nil {
		return ls, fmt.Sprintf("%s port %d: one IP version only: %v", protoName(proto), l.Bound.Port, err), nil
	}
	return ls, "", nil
}

// scope is the index of the interface that the link-local address of r belongs to.
func scope(r *portspec.Rule) uint32 {
	name := r.Addr.Zone()
	if name == "" {
		name = r.IfName
	}
	if name == "" {
		return 0
	}
	i, err := net.InterfaceByName(name)
	if err != nil {
		return 0
	}
	return uint32(i.Index)
}

func (c *Config) bind(ls []Listener, l Listener, proto uint8, b *sock.Bound) ([]Listener, error) {
	var e syscall.Errno
	if proto == l3.ProtoUDP {
		l.FD, e = sock.ListenUDP(b)
	} else {
		l.FD, e = c.Sockets.Listen(b)
	}
	if e != 0 {
		return ls, e
	}
	l.Bound, l.If, l.Dual = b.At, b.If != "", b.Dual
	return append(ls, l), nil
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
