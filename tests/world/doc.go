// Package world is what the tests from outside share: namespaces in which nothing of the
// machine's own network is touched, the topology in them, and both ends of transfers.
//
// Enter starts the test binary again in new mount, PID and network namespaces (and a user
// namespace, if it is not run by root), and builds there:
//
//	H (the "host") -- veth -- P (a peer and router) -- 25 ms each way -- F (far)
//
// The network namespace of the process is H, where the binary under test runs. The end of
// the PID namespace ends everything that a test has left running.
//
// Callers: tests/e2e and tests/guest. It imports nothing of the product.
package world
