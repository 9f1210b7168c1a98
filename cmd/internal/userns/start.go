package userns

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Theory of operation: user_namespaces(7), pid_namespaces(7), capabilities(7).
//
//	this process ── clone ──► first child: IDs, setns, unshare, capabilities
//	                             ├─ no new PID namespace: execve
//	                             └─ clone(CLONE_PARENT) ──► second child: execve
//
// unshare(CLONE_NEWPID) is about children only, hence the second one; CLONE_PARENT makes
// it a child of this process, which can wait for it, and the first one is gone at once.
//
// Joining a user namespace gives all capabilities in it, and execve takes them away again
// from anybody but its user ID 0. Ambient capabilities get past that.

// Attr says how the new process is to differ from this one. Its descriptors are all those
// of this process that are not closed on exec.
type Attr struct {
	UserNS  int     // descriptor of the user namespace to join
	Unshare uintptr // namespaces to create below it: CLONE_NEW* bits

	// Set the IDs before joining, in this process's user namespace, and drop the
	// supplementary groups.
	SetIDs   bool
	UID, GID int
}

// A step that can fail in a child; the index into stepNames.
const (
	stepIDs = iota
	stepJoin
	stepUnshare
	stepFork
	stepExec
)

var stepNames = [...]string{
	stepIDs:     "change the user and group ID",
	stepJoin:    "join the user namespace",
	stepUnshare: "create namespaces in the user namespace",
	stepFork:    "fork in the user namespace",
	stepExec:    "execute this program again",
}

// report is what a child writes to its pipe.
type report struct {
	pid   int32 // of the second child, in a report without an error
	step  int32
	errno int32
}

// plan is everything that the children need, in memory that does not move.
type plan struct {
	path   *byte
	argv   **byte
	envv   **byte
	attr   Attr
	pipe   int
	report report
	capHdr unix.CapUserHeader
	caps   [2]unix.CapUserData
}

// ErrJoin marks the errors of joining itself, as opposed to what comes before and after.
var ErrJoin = errors.New(stepNames[stepJoin])

// Start runs the file path with the arguments argv and this process's environment, as attr
// says, and returns once it does. The caller must wait for the process.
func Start(path string, argv []string, attr Attr) (pid int, err error) {
	p := &plan{attr: attr}
	p.capHdr.Version = unix.LINUX_CAPABILITY_VERSION_3
	if p.path, err = syscall.BytePtrFromString(path); err != nil {
		return 0, err
	}
	args, err := syscall.SlicePtrFromStrings(argv)
	if err != nil {
		return 0, err
	}
	env, err := syscall.SlicePtrFromStrings(os.Environ())
	if err != nil {
		return 0, err
	}
	p.argv, p.envv = &args[0], &env[0]
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return 0, err
	}
	defer unix.Close(pipe[0])
	p.pipe = pipe[1]

	runtime.LockOSThread()
	syscall.ForkLock.Lock()
	first, errno := fork(p)
	syscall.ForkLock.Unlock()
	runtime.UnlockOSThread()
	unix.Close(pipe[1])
	runtime.KeepAlive(args)
	runtime.KeepAlive(env)
	if errno != 0 {
		return 0, fmt.Errorf("fork: %w", errno)
	}
	return listen(pipe[0], int(first), attr.Unshare&unix.CLONE_NEWPID != 0)
}

// listen reads the reports of the children, until execve has closed the pipe, and reaps
// those that are not the result.
func listen(pipe, first int, twice bool) (pid int, err error) {
	second := 0
	for {
		var r report
		b := unsafe.Slice((*byte)(unsafe.Pointer(&r)), unsafe.Sizeof(r))
		n, e := unix.Read(pipe, b)
		if e == unix.EINTR {
			continue
		}
		if n != len(b) {
			break
		}
		switch {
		case r.errno == 0:
			second = int(r.pid)
		case r.step == stepJoin:
			err = fmt.Errorf("%w: %w", ErrJoin, syscall.Errno(r.errno))
		default:
			err = fmt.Errorf("%s: %w", stepNames[r.step], syscall.Errno(r.errno))
		}
	}
	pid = first
	if twice {
		reap(first)
		pid = second
	}
	if err == nil && pid == 0 {
		err = errors.New("fork in the user namespace: the process was killed")
	}
	if err != nil && pid != 0 {
		reap(pid)
	}
	return pid, err
}

func reap(pid int) {
	for {
		if _, err := unix.Wait4(pid, nil, 0, nil); err != unix.EINTR {
			return
		}
	}
}
