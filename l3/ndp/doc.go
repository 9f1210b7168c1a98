// Package ndp is the router's side of IPv6 Neighbor Discovery on the link to the guest: it
// answers Neighbor Solicitations, so that the guest finds every address at our hardware
// address, and sends Router Advertisements, so that the guest configures itself.
//
// *l3.Stack passes it ICMPv6 messages as its Control, and the engine calls Timer. It stands
// above l3 and must not import anything of l4, nor call a clock or a random source.
package ndp
