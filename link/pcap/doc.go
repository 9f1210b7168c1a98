// Package pcap is a decorator of a link.Device that writes what goes over the link, in both
// directions, to a capture file.
//
// Super-frames are captured whole, as they pass over the link. A checksum that is left to the
// link is completed in the captured copy: it is what the receiver relies on, and a capture
// full of "incorrect" checksums would hide the ones that are.
//
// The engine puts it on a device if a capture was asked for, and calls Flush before it
// sleeps. Imports: link, and gopacket's pcapgo for the file format.
package pcap
