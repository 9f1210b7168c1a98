// Package hosterr translates errors of the host's datagram sockets, those that a call returns
// and those of the error queue, to what ICMP says of them.
//
// The translators of UDP and ICMP use it. It imports l3 and l4/sock, and no translator.
package hosterr
