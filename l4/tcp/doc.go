// Package tcp translates between the guest's TCP segments and TCP sockets of the host.
//
// It is no TCP stack in between: it keeps no payload. What the guest sends goes straight to
// the host's socket, and is acknowledged once the socket has it; what the socket receives
// stays in it, peeked at, until the guest has acknowledged it. Windows are reflected: the
// guest may send what the socket is sure to take, and the host's peer sees its window
// shrink when the guest does not read.
//
//	guest → host: Input → segments → take → Sockets.Send; acknowledged by Flush
//	host → guest: Event → push → Sockets.Peek into slots of the link → Send;
//	              the guest's acknowledgement discards
//
// A Translator belongs to one worker. The engine calls it: Input with batches from l3,
// Event and Timer with references, Flush at the end of each burst. Package fwd hands it
// accepted connections. It imports l4, l3, link, nat and its neighbours flow, sock and wheel;
// never udp or icmp.
package tcp
