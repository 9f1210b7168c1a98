// Package stream is the back end for virtual machines: Ethernet frames on a connected
// stream socket, each behind its length as a 32-bit big-endian number, as QEMU's netdevs
// "stream" and "socket" have it. The socket is a UNIX socket or a vsock; the framing is the
// same.
//
// A Dev lives as long as the process, its guests come and go: the engine attaches the socket
// of one and detaches it when it is gone. Listen and Listener are where guests come from if
// they connect to a path.
//
// There are no offloads: the protocol has no place for them.
//
// Callers: package stage makes the device and the listener, package engine uses them, and
// package guest, the other end of the link, its own. Imports: link, link/sys and
// x/sys/unix. Never a layer above.
package stream
