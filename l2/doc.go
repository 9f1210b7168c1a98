// Package l2 is the Ethernet layer: it takes batches of frames off a link, learns the
// guest's hardware address, answers ARP, and hands IP packets up; on the way down it
// fills in Ethernet headers.
//
// Package l3 stands above it and declares nothing of it but Packet; package link is below.
// It must not import any layer above.
package l2
