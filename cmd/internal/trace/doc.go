// Package trace shows the packets of a link, one line each: what --trace prints.
//
// The stage that makes the devices puts it on top of them. Like package link/pcap it is a
// decorator of link.Device; unlike it, it has to know every layer, so it stands here and
// leaves the reading of packets to gopacket. It is slow, and only there when asked for.
package trace
