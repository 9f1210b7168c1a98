package control

import (
	"net/netip"
	"time"

	"passt/l4/fwd"
)

// Instance is what is controlled; *engine.Engine is one. Its methods may be called by any
// goroutine.
type Instance interface {
	// Apply makes rules the forwarded ports, all of them or, with an error, none.
	Apply(rules []fwd.Forward) (warnings []string, err error)
	// EachForward calls f for every rule with its sockets, which f must not keep.
	EachForward(f func(rule fwd.Forward, bound []fwd.Listener))
	// Can says what the instance is able to forward.
	Can() Abilities
	// Flows are the flows of this moment, in no order.
	Flows() []Flow
	// Counters are the counters of all layers, always in the same order.
	Counters() []Counter
}

// Abilities says what an instance is able to forward.
type Abilities struct {
	V4, V6   bool // IP versions
	TCP, UDP bool
	Auto     bool // ports that are bound on the other side
	Out      bool // ports of the guest's namespace, out to the host
}

// Identity is what an instance says of itself.
type Identity struct {
	// PID is the number of its process; 0 in what the instance says, which can't know.
	PID     int       `json:"pid,omitempty"`
	Mode    string    `json:"mode"`              // "passt" or "pasta"
	Start   time.Time `json:"start"`             // when it was started
	Socket  string    `json:"socket,omitempty"`  // --socket, where guests connect to
	Conf    string    `json:"conf,omitempty"`    // --conf-path
	NetNS   string    `json:"netns,omitempty"`   // of a namespace that existed
	Command string    `json:"command,omitempty"` // that runs in the namespace
}

// Flow is a flow as clients see it. Endpoints are written ADDRESS:PORT, and only as an
// address where there is no port.
type Flow struct {
	Protocol string `json:"protocol"` // "tcp", "udp", "icmp" or "icmpv6"
	Bypass   bool   `json:"bypass"`   // from socket to socket, past the guest's link
	FromHost bool   `json:"from_host"`
	Guest    string `json:"guest"`            // the end on the guest's side
	Remote   string `json:"remote,omitempty"` // the other end, as the guest's side sees it
	Host     string `json:"host"`             // the end on the host's side
	ID       uint16 `json:"id,omitempty"`     // of an echo
	State    string `json:"state,omitempty"`  // of TCP
	// Age is how long ago the flow began, Idle how long ago something happened, in seconds;
	// Idle is -1 where that is not known.
	Age  float64 `json:"age"`
	Idle float64 `json:"idle"`
	// ToHost and ToGuest count bytes of TCP, and datagrams of the other protocols.
	ToHost  uint64 `json:"to_host"`
	ToGuest uint64 `json:"to_guest"`
}

// Counter is one counter of a layer, such as "tcp.retransmits".
type Counter struct {
	Name  string `json:"name"`
	Value uint64 `json:"value"`
}

// Addr is a as clients see it.
func Addr(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
