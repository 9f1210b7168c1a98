// Package udp translates between UDP datagrams of the guest and UDP sockets of the host.
//
// Each endpoint that the guest sends from has one socket on the host, bound to the same
// port if that is free, however many peers the guest talks to from there: the mapping does
// not depend on the endpoint, nor does the filtering (RFC 4787, sections 4.1 and 5), so that
// an answer from another port or address than was asked reaches the guest as it would a
// native host. The socket is never connected. A forwarded port is the same kind of object
// with a socket that was bound beforehand.
//
// A connected socket for each flow was weighed against this and would save one look-up of
// a route for each call and the copy of an address for each datagram, a few per cent
// of a round trip through two schedulers, and nothing for trains, where one call carries up to
// 64 datagrams; it would lose answers from elsewhere, cost a descriptor for each peer, and
// need a second socket for what the first one does not match.
//
// What the guest refuses with an ICMP "port unreachable" can't be passed on: the host gives
// no way to send one without privileges.
//
// The engine makes one Translator for each worker, and hands it the guest's datagrams,
// events of its sockets and its timer. It imports l4, l3, flow, hosterr, sock and nat, and
// must not import the translators beside it or anything above.
package udp
