package nat

// From one side to the other past the guest's link: a local connection or datagram on a
// forwarded port, which the other side gets as a local one too (passt.1, "Handling of local
// traffic in pasta").

import "passt/l3/inet"

// FromSplice says which endpoint of the guest's namespace, or of the host if out is set, a
// local peer of the IP version v4 means on a port with the target to. Without an address in
// to, that is the host's loopback, or the guest's own address, which is how peers from
// elsewhere reach it too; a guest without a global one, or a Config that says so, means its
// loopback.
func (r *Rules) FromSplice(out, v4 bool, to inet.Endpoint, obs *Observed) inet.Endpoint {
	if !to.Addr.IsZero() {
		return to
	}
	loopback, guest := loopback6, first(obs.V6, r.c.V6.Guest)
	if v4 {
		loopback, guest = loopback4, first(obs.V4, r.c.V4.Guest)
	}
	to.Addr = loopback
	if !out && !r.c.SpliceToLoopback {
		to.Addr = first(guest, loopback)
	}
	return to
}
