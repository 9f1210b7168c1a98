package ndp

// Neighbor Solicitations and their answers (RFC 4861, sections 4.3, 4.4 and 7.2; RFC 4862,
// section 5.4, for Duplicate Address Detection).
//
// Whatever the guest asks for is behind us, so every address resolves to our hardware
// address, but for the guest's own. A solicitation from the unspecified address is the
// guest's test whether an address is free that it is about to take. It chooses
// addresses that nobody told us of (link-local, autoconfigured, temporary ones), so
// such a test is answered for our own addresses only.

import (
	"passt/l3"
	"passt/l3/inet"
)

// Flags of a Neighbor Advertisement, in its fifth byte.
const (
	flagRouter    = 0x80
	flagSolicited = 0x40
	flagOverride  = 0x20
)

// solicitation is a view of a Neighbor Solicitation, at least lenNS bytes long.
type solicitation []byte

func (s solicitation) target() inet.Addr { return inet.V6(s[8:24]) }

// advertisement is a Neighbor Advertisement with a target link-layer address option.
type advertisement [lenNA + 8]byte

// fill writes the message; the checksum is left out.
func (a *advertisement) fill(flags uint8, target inet.Addr, mac [6]byte) {
	*a = advertisement{0: typeNA, 4: flags, lenNA: optTargetLLA, lenNA + 1: 1}
	copy(a[8:], target[:])
	copy(a[lenNA+2:], mac[:])
}

// neighborSolicitation answers p, whose length and options have been checked.
func (r *Router) neighborSolicitation(p *l3.Packet, opts options) {
	target := solicitation(p.L4).target()
	probe := p.Src.IsUnspecified()
	if target.IsMulticast() || probe && (opts.sourceLLA || p.Dst != solicitedNode(&target)) {
		r.Stats.RxBad++ // RFC 4861, section 7.1.1
		return
	}
	ours := r.ours(&target)
	if probe && !ours && mayBeBehindUs(&target) && r.cfg.Tested != nil {
		r.cfg.Tested(target)
	}
	if !ours && (probe || !mayBeBehindUs(&target) || r.cfg.Ignore != nil && r.cfg.Ignore(target)) {
		r.Stats.RxIgnored++
		return
	}
	flags, dst := uint8(flagOverride), p.Src
	if ours {
		flags |= flagRouter
	}
	if probe {
		r.Stats.RxDuplicates++
		dst = allNodes // RFC 4861, section 7.2.4
	} else {
		flags |= flagSolicited
	}
	r.na.fill(flags, target, r.cfg.MAC)
	if r.send(target, dst, r.na[:]) {
		r.Stats.TxNeighbor++
	}
}

// mayBeBehindUs says whether a can be the address of a host: IPv4 addresses in their mapped
// form have no place on a link (RFC 4942, section 2.2).
func mayBeBehindUs(a *inet.Addr) bool { return a.IsUnicast() && !a.IsLoopback() && !a.Is4() }

// solicitedNode is the group that a holder of a listens to (RFC 4291, section 2.7.1).
func solicitedNode(a *inet.Addr) inet.Addr {
	return inet.Addr{0: 0xff, 1: 0x02, 11: 0x01, 12: 0xff, 13: a[13], 14: a[14], 15: a[15]}
}
