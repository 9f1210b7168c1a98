package fwd

import (
	"fmt"
	"syscall"

	"passt/l3"
	"passt/l3/inet"
	"passt/l4/sock"
	"passt/nat/portspec"
)

// Direction says where ports are bound, and with that where they lead to.
type Direction uint8

// Directions.
const (
	In  Direction = iota // bound on the host, into the guest
	Out                  // bound in the guest's namespace, out to the host
)

// where is what messages say behind a port of d.
func (d Direction) where() string {
	if d == Out {
		return " of the namespace"
	}
	return ""
}

// Forward is a rule with what it is for.
type Forward struct {
	Dir   Direction
	Proto uint8 // l3.ProtoTCP or l3.ProtoUDP
	Rule  portspec.Rule
	// Optional says that it is no error if none of the ports can be bound.
	Optional bool
}

// Equal says whether f and g ask for the same.
func (f *Forward) Equal(g *Forward) bool {
	return f.Dir == g.Dir && f.Proto == g.Proto && f.Optional == g.Optional && f.Rule.Equal(g.Rule)
}

// String is f as messages name it.
func (f *Forward) String() string {
	return fmt.Sprintf("%s port %v%s", protoName(f.Proto), f.Rule, f.Dir.where())
}

func protoName(proto uint8) string {
	if proto == l3.ProtoUDP {
		return "UDP"
	}
	return "TCP"
}

// Listener is one bound socket.
type Listener struct {
	FD    int
	Dir   Direction
	Proto uint8
	If    bool          // bound to an interface
	Dual  bool          // bound to ::, and takes IPv4 too
	Bound inet.Endpoint // where it is bound
	To    inet.Endpoint // on the other side; a zero address is the guest's own, or the host's loopback
}

// Config is what the binding of rules depends on. Its functions are called by the goroutine
// that changes the Table.
type Config struct {
	TCP    *sock.TCP
	V4, V6 bool
	// Without6 says that V6 is off since the kernel has it switched off, and not by anybody's
	// wish: what is to be bound to an IPv6 address is then passed over, with a warning.
	Without6 bool
	FreeBind bool
	// Privileged binds sockets to ports of the host that this process may not have, as of
	// sock.Bound; nil if nobody can.
	Privileged func(fd int, name []byte) syscall.Errno
	Ephemeral  portspec.Range // ports that the system gives to clients: not part of "all"
	// Most is how many sockets there are at the most once rules for whatever can be had
	// ("all") are bound: connections need descriptors too. 0: as many as can be had.
	Most int
	// Within calls f on a thread that is in the namespace where ports of dir are bound.
	Within func(dir Direction, f func())
	// Tables are the bound sockets of the side that ports of a direction lead to, for
	// "auto"; nil if there are none to be seen.
	Tables [2]*sock.Tables
	// ToLoopback says that a port of the guest's loopback can be reached from the host.
	ToLoopback bool
	// Change makes the workers use the sockets of add, and close those of remove. It returns
	// when they are closed.
	Change func(add, remove []Listener)
	// Mine says whether the program itself has a socket at a port of the side that is
	// scanned, other than those of a Table. It may be nil.
	Mine func(dir Direction, proto uint8, port uint16) bool
}
