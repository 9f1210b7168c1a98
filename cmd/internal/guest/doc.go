// Package guest is "passt guest", the other end of a link of package stream, for the inside
// of a virtual machine whose monitor has no such network device, or of a namespace: a tap
// interface whose frames go to the host by vsock or a UNIX socket.
//
// Caller: main. Imports: the back ends of package link for what moves frames, netlink for
// what configures the interface; no layer above the link.
package guest
