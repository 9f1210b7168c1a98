package nat

// From the host to the guest: a connection or datagram that came to a forwarded port. The
// guest must be able to answer it, so a source that means something else to the guest, its
// own loopback or its own address, is shown as one that leads back here (passt.1, "Handling
// of traffic with local destination and source addresses").

import "passt/l3/inet"

// FromHost says how the guest sees a connection or datagram from remote, which came in on
// the host's address local for a rule with the target to: a port, and an address if it is not
// the zero Addr, which means the guest's own. obs is what the guest was seen to send from.
// ok is false if the guest can't be shown it.
func (r *Rules) FromHost(proto uint8, remote inet.Endpoint, local inet.Addr, to inet.Endpoint, obs *Observed) (src, dst inet.Endpoint, ok bool) {
	if proto != protoTCP && proto != protoUDP || remote.Addr.IsMulticast() || remote.Addr.IsBroadcast() {
		return src, dst, false
	}
	f, same := r.family(&remote.Addr), true
	if !to.Addr.IsZero() {
		f = r.family(&to.Addr)
		same = to.Addr.Is4() == remote.Addr.Is4()
	}
	if !f.Enabled {
		return src, dst, false
	}
	src.Port, dst.Port = remote.Port, to.Port
	if same {
		src.Addr = f.shown(remote.Addr, obs)
	} else {
		src.Addr = f.Ours // an address of the other IP version can't be shown
	}
	if dst.Addr = to.Addr; dst.Addr.IsZero() {
		dst.Addr = f.guest(src.Addr.Is4(), src.Addr.IsLinkLocal() || local.IsLinkLocal(), obs)
	}
	return src, dst, !src.Addr.IsZero() && !dst.Addr.IsZero()
}

// shown is the address that the guest sees for remote, the zero Addr if there is none.
func (f *Family) shown(remote inet.Addr, obs *Observed) inet.Addr {
	switch {
	case remote.IsLoopback(), remote.IsUnspecified():
		return first(f.MapHostLoopback, f.Ours)
	case remote == f.Host && !f.MapGuestAddr.IsZero():
		return f.MapGuestAddr
	case remote == f.Guest, remote == obs.V4, remote == obs.V6, remote == obs.LinkLocal:
		return first(f.MapGuestAddr, f.MapHostLoopback, f.Ours)
	}
	return remote
}

// guest is the guest's own address: the one that it uses, or else was given. A link-local
// one goes with a link-local peer, and will do if there is no other.
func (f *Family) guest(v4, linkLocal bool, obs *Observed) inet.Addr {
	switch {
	case v4:
		return first(obs.V4, f.Guest)
	case linkLocal:
		return first(obs.LinkLocal, obs.V6, f.Guest)
	}
	return first(obs.V6, f.Guest, obs.LinkLocal)
}

// first is the first address that is not the zero Addr.
func first(addrs ...inet.Addr) inet.Addr {
	for _, a := range addrs {
		if !a.IsZero() {
			return a
		}
	}
	return inet.Addr{}
}
