// Package destspec reads lists of destinations, the arguments of --outbound-allow: what
// the guest may begin flows to.
//
// The parser is pure: it opens nothing and looks up no names. What a destination means is
// decided by package nat, which conf's callers hand it to.
//
// Callers: conf parses the command line with it.
//
// Imports: the standard library, and nat/portspec for addresses and ports.
package destspec
