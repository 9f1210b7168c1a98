package nat

// From the host to the guest: how a peer on the host's side is shown, and which address of
// the guest it reaches.
//
// A guest drops what comes from a loopback address, and from its own, and could not
// answer it. Such sources are shown as the gateway, or as the address that is mapped the other
// way.

import "passt/l3/inet"

// FromHost decides how a flow of the IP protocol proto looks to the guest that came from
// remote to the address local of a forwarded port. to is the target of the rule: its
// zero Addr is the guest's own address. It returns false if there is no way to show
// remote, or no address of the guest.
func (r *Rules) FromHost(proto uint8, remote inet.Endpoint, local inet.Addr, to inet.Endpoint, obs *Observed) (src, dst inet.Endpoint, ok bool) {
	f, _ := r.family(&remote.Addr)
	if !f.Enabled {
		return src, dst, false
	}
	dst = to
	if dst.Addr.IsZero() {
		dst.Addr = r.guest(f, &remote.Addr, &local, obs)
	}
	src = remote
	switch {
	case remote.Addr.IsLoopback() || remote.Addr.IsUnspecified():
		src.Addr = first(f.MapHostLoopback, f.Ours)
	case remote.Addr == dst.Addr || is(f.Host, remote.Addr) && is(f.Guest, f.Host):
		src.Addr = first(f.MapGuestAddr, f.MapHostLoopback, f.Ours)
	}
	ok = !src.Addr.IsZero() && !dst.Addr.IsZero() && src.Addr.Is4() == dst.Addr.Is4() && src.Addr != dst.Addr
	return src, dst, ok
}

// guest is the guest's own address for a flow from remote to local: the one it was last
// seen to use, or the one it was given. A link-local peer reaches its link-local address.
func (r *Rules) guest(f *Family, remote, local *inet.Addr, obs *Observed) inet.Addr {
	if remote.Is4() {
		return first(obs.V4, f.Guest)
	}
	if local.IsLinkLocal() || remote.IsLinkLocal() {
		return first(obs.LinkLocal, obs.V6, f.Guest)
	}
	// A guest without any global address can still be reached.
	return first(obs.V6, f.Guest, obs.LinkLocal)
}

// first is the first of the addresses that is one.
func first(addrs ...inet.Addr) inet.Addr {
	for _, a := range addrs {
		if !a.IsZero() {
			return a
		}
	}
	return inet.Addr{}
}
