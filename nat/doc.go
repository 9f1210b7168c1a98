// Package nat decides what an address means on the other side: the gateway or a mapped
// address is the host's loopback, a DNS address is the host's resolver, a loopback source
// becomes the gateway.
//
// Its functions are pure. The translators of l4 ask them once for each flow. It is a leaf:
// it imports l3/inet and nothing else of the project. Package nat/portspec beside it
// parses port specifications.
package nat
