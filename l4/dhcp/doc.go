// Package dhcp is a DHCP server for one guest: it gives out one address, always the same, and
// the configuration that goes with it. It also answers plain BOOTP.
//
// The multiplexer of l4 offers it the guest's UDP datagrams; it answers through l3.Output.
// It must not import the translators, nor call a clock or a random source.
package dhcp
