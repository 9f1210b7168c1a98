// Package hostinfo finds out what the host's network looks like and decides, from that and
// from the command line, what the guest gets: addresses, routes, gateway, MAC address,
// resolvers and the name of its interface.
//
// The work is split in two. gather asks the kernel (one netlink dump of links, one of
// addresses and one of routes for each IP version) and reads resolv.conf; what it returns
// is a plain struct. decide is a pure function from that struct and conf.Options to a
// Network, so every topology can be a row of a table.
//
// The first stage of the process calls Resolve, while it still sees the host. The Network
// travels to the later stages (encoding/gob, and JSON for a change). No layer below cmd may import this package, and it
// must not import any of them.
package hostinfo
