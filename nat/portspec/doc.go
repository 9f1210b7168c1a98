// Package portspec reads port specifications, the arguments of -t, -u, -T and -U, into
// rules: which ports to forward, bound to which address and interface, and to where.
//
// The parser is pure: it opens nothing and knows nothing of the host. In particular it
// does not know which ports are ephemeral, and leaves those inside the rules that cover
// everything; see Rule.Weak.
//
// Callers: conf parses the command line with it; whoever binds the sockets reads the
// rules; the control socket will print and replace them.
//
// Imports: the standard library only.
package portspec
