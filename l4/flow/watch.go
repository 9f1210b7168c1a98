package flow

import "passt/l3/inet"

// Passage is a flow as somebody sees it who watches: what kind it is, and its ends.
type Passage struct {
	Proto    uint8         // IP protocol
	Bypass   bool          // past the guest's link
	FromHost bool          // begun on the host's side
	Guest    inet.Endpoint // the end on the guest's side; the port of an echo is its identifier
	Remote   inet.Endpoint // the other end, as the guest's side sees it; zero if that is not known
	Host     inet.Endpoint // the end on the host's side
}

// Watcher hears of flows that begin and end, or may not, on the thread that they belong to. Translators
// without one pay nothing for it.
type Watcher interface {
	Began(p Passage)
	// Ended also says why, in a few words.
	Ended(p Passage, why string)
	// Denied is for flows of the guest that do not begin, as their destination is not allowed.
	Denied(p Passage)
}

// Info is a flow as a table of flows shows it.
type Info struct {
	Passage
	State           string // of TCP
	ToHost, ToGuest uint64 // bytes of TCP, datagrams of UDP, messages of ICMP
	Started         int64  // by the clock of the flow's thread, in nanoseconds
	LastSeen        int64  // likewise; 0 if that is not known
}
