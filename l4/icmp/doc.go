// Package icmp translates echo requests of the guest, ICMP and ICMPv6, to ping sockets of
// the host, and the replies back.
//
// Each identifier that the guest uses towards one destination has a socket of its own,
// bound to the same identifier if that is free; replies get the guest's identifier back.
// Errors about requests reach the guest as ICMP errors, so that traceroute with echo
// requests works. Everything else that the guest sends in ICMP is counted and dropped: the
// host gives no way to pass it on without privileges.
//
// The engine makes one Translator for each worker, and hands it the guest's packets,
// events of its sockets and its timer. It imports l4, l3, flow, hosterr, sock and nat, and
// must not import the translators beside it or anything above.
package icmp
