// Package tap is the back end for network namespaces: one queue of a tap interface, with
// a virtio-net header before each frame where the kernel has it, so that checksums and
// segmentation can be left to the other side in both directions.
//
// Create makes the interface, in the calling thread's network namespace, and returns its
// descriptors; New puts a link.Device on one of them, in any thread of any namespace. The
// engine calls both. Addresses, MTU, queue length and state of the interface are set by
// whoever configures the namespace.
//
// Imports: link, link/sys and x/sys/unix. Never a layer above.
package tap
