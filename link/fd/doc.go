// Package fd makes a link of a descriptor that the process was given: a connected stream
// socket, with the framing of package stream; a connected seqpacket socket, one frame a
// message without a length before it; or a tap interface. Which of them it is, the
// descriptor itself tells.
//
// Caller: package stage, for --fd. Imports: link, link/stream, link/tap and x/sys/unix.
// Never a layer above.
package fd
