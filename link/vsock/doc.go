// Package vsock is where guests come from that connect by vsock, the sockets between a
// virtual machine and its host (vsock(7)), and how such a guest connects. What is spoken on
// the connection is the framing of package stream.
//
// Callers: package stage on the host's side, package guest on the other. Imports:
// mdlayher/vsock and x/sys/unix. Never a layer above.
package vsock
