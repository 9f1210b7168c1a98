// Package l3 is the internet layer: IPv4 and IPv6 in one. On the way up it checks IP
// headers, walks IPv6 extension headers, counts down lifetimes, and passes batches of
// transport packets on; on the way down it offers header templates, ICMP errors, and
// fragmentation. Neighbour Discovery stands in the package ndp below it.
//
// Package l4 stands above it; package l2 is below. It must not import any layer above.
package l3
