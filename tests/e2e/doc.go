// Package e2e proves pasta from outside: it runs the built binary as an ordinary user
// would, and looks only at what a program inside the namespace, the host and a peer on
// the network can see.
//
// Nothing of the machine's own network is touched: the tests run in namespaces of their own,
// which package world makes, with this in them:
//
//	N (what pasta makes) -- tap -- H (the "host") -- veth -- P (a peer and router) -- 50 ms -- F (far)
//
// They run with E2E=1 (against bin/pasta of this checkout) or with PASTA=PATH (against any
// binary with pasta's command line); otherwise they are passed over, so that a plain "go
// test ./..." stays quick. They need iproute2; what else is missing skips the tests that
// need it.
//
// This package imports nothing of the product.
package e2e
