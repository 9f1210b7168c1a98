// Package policy says which system calls the translator may make once its sandbox is closed,
// and makes of that the filter programs for the kernel (seccomp(2)), one for each architecture.
//
// The programs are made ahead, and package sandbox has them as tables of numbers:
//
//	go test ./cmd/internal/sandbox/policy -update
//
// writes them to ../program_ARCH.go, and without -update the test fails if they are not what
// this package makes. At run time the library would put the names of all system calls of five
// architectures into maps when the program starts, in each of its processes: 165 KiB of memory
// and a quarter of a millisecond for what never changes.
//
// Caller: its own tests. The product must not import it (tests/arch), and it imports nothing of
// the product.
package policy
