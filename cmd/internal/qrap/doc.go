// Package qrap starts a QEMU older than 7.2, which can't connect to a UNIX socket by itself:
// it connects, and hands the connection over as a descriptor of the number that QEMU's
// command line has ("-netdev socket,id=s,fd=5").
//
// Caller: main.
package qrap
