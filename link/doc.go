// Package link is the bottom of the stack: devices that move Ethernet frames to and from
// a guest, in batches.
//
// Device is the whole contract. Back ends stand in packages below (tap, mem), decorators
// beside them (pcap, fault), and package linktest holds the suite that all of them pass.
// Package l2 is the only caller on the data path; package engine makes the devices and
// waits for their descriptors.
//
// What a link can leave to the other side, segmentation and checksums, is a capability
// of the device (Caps.Offload) and a value on the frame (Meta), both in the terms of
// virtio-net (virtio 1.2, section 5.1.6). Nothing above this package asks what kind of
// link it has.
//
// Imports: link/sys at most. Never a layer above.
package link
