// Package service is what the services that answer a guest's UDP datagrams by themselves have
// in common: a datagram checked and taken apart, an answer with its headers and checksum
// sent, a limit to the rate of answers, and domain names in their wire form.
//
// The services of l4 (dhcp, dhcpv6) use it. It must not import the translators.
package service
