package sandbox

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"passt/link/sys"
)

// ErrNoProgram says that there is no filter for this architecture.
var ErrNoProgram = errors.New("there is no list of system calls for this architecture")

// Flags of a filter: what it refuses is logged where the system has an audit log, and the
// process does without defences against itself, which kernels before 5.16 would switch on with
// a filter, at a price for all that it does: nobody else's code runs in it.
const (
	filterLog  = unix.SECCOMP_FILTER_FLAG_LOG        // Linux 4.14
	filterSpec = unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW // Linux 4.17
)

// Filter leaves to the process, on all its threads, the system calls that package policy allows,
// and to the threads that these will start. It comes after Enter, which needs more.
//
// An error means that there is no filter. That is no reason to stop: the process still has
// nothing to see and no rights, and a kernel, or a container around this one, that has no
// filters is none that could be helped by refusing to work.
func Filter() error {
	if len(program) == 0 {
		return ErrNoProgram
	}
	prog := make([]unix.SockFilter, len(program))
	for i, p := range program {
		prog[i] = unix.SockFilter{Code: uint16(p >> 48), Jt: uint8(p >> 40), Jf: uint8(p >> 32), K: uint32(p)}
	}
	err := sys.SetFilter(prog, filterLog|filterSpec)
	if err == unix.EINVAL {
		err = sys.SetFilter(prog, 0)
	}
	if err != nil {
		return fmt.Errorf("limit the system calls: %w", err)
	}
	return nil
}
