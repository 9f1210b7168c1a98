// Package splice is the loopback bypass: local connections and datagrams on a forwarded port
// go from a socket in one network namespace to one in the other, and never see the guest's
// link. There is nothing to translate but where they go, and the kernel does all of TCP.
//
// A worker has one TCP and one UDP of it, which belong to its thread. The engine gives them
// connections that package fwd accepted and datagrams that arrived on forwarded ports, the
// events of their sockets, and their timers. Sockets in the guest's namespace come from a
// Provider, which has made them ahead of need, so that no worker ever leaves its own
// namespace.
//
// Imports: flow, sock, wheel, nat's rules by an interface, link/sys for pipes. Never a
// translator (tcp, udp, icmp), and nothing of l3 but addresses.
package splice
