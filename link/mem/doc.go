// Package mem is a link in memory, for tests of every layer above: frames that the test
// injects come out of Recv, and what is sent is kept until the test takes it. It can be
// full, fail, and end.
//
// It is strict where other devices are fast: memory that a caller has no right to any more
// is overwritten, and a call that breaks the contract of link.Device panics. Once its
// buffers have grown to what a test needs, it does not allocate.
//
// Imports: link. Only tests import it.
package mem
