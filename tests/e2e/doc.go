// Package e2e proves pasta from outside: it runs the built binary as an ordinary user
// would, and looks only at what a program inside the namespace, the host and a peer on
// the network can see.
//
// Nothing of the machine's own network is touched. The test binary starts itself again in
// new mount, PID and network namespaces (and a user namespace, if it is not run by root),
// and builds there:
//
//	N (what pasta makes) -- tap -- H (the "host") -- veth -- P (a peer and router) -- 50 ms -- F (far)
//
// The network namespace of the process is H. The end of its PID namespace ends everything
// that a test has left running.
//
// The tests run with E2E=1 (against bin/pasta of this checkout) or with PASTA=PATH (against
// any binary with pasta's command line); otherwise they are passed over, so that a plain
// "go test ./..." stays quick. They need iproute2; what else is missing skips the tests
// that need it.
//
// This package imports nothing of the product.
package e2e
