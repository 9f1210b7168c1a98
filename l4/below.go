package l4

import (
	"passt/l3"
	"passt/l3/inet"
	"passt/nat"
)

// Network is what a translator has below it: the way down, the errors that l3 can send, and
// what l3 has seen of the guest. *l3.Stack is one, and the translators' tests have others.
type Network interface {
	l3.Output
	SendError(e l3.ICMPError, quoted []byte, now int64)
	Guest() *l3.Guest
}

// Rules is the part of nat.Rules that a translator asks once for each flow.
type Rules interface {
	FromGuest(proto uint8, src, dst inet.Endpoint) (nat.Target, bool)
	FromHost(proto uint8, remote inet.Endpoint, local inet.Addr, to inet.Endpoint, obs *nat.Observed) (src, dst inet.Endpoint, ok bool)
}
