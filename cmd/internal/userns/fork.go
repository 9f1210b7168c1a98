package userns

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The runtime's hooks around fork, as package syscall uses them: the first blocks all
// signals, the second undoes that in the parent, the third in the child, where it also
// resets the handlers.

//go:linkname beforeFork syscall.runtime_BeforeFork
func beforeFork()

//go:linkname afterFork syscall.runtime_AfterFork
func afterFork()

//go:linkname afterForkInChild syscall.runtime_AfterForkInChild
func afterForkInChild()

// fork makes the first child. In the parent it returns; the children never do.
//
//go:noinline
//go:norace
//go:nocheckptr
func fork(p *plan) (pid uintptr, err syscall.Errno) {
	beforeFork()
	pid, _, err = syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if err != 0 || pid != 0 {
		afterFork()
		return pid, err
	}
	afterForkInChild()
	child(p)
	return 0, 0
}

// child is the first child, and from its second clone on the second. Everything that it
// calls must be nosplit and must not allocate.
//
//go:nosplit
//go:norace
func child(p *plan) {
	if p.attr.SetIDs {
		if e := setIDs(p); e != 0 {
			fail(p, stepIDs, e)
		}
	}
	if _, _, e := syscall.RawSyscall(unix.SYS_SETNS, uintptr(p.attr.UserNS), unix.CLONE_NEWUSER, 0); e != 0 {
		fail(p, stepJoin, e)
	}
	if p.attr.Unshare != 0 {
		if _, _, e := syscall.RawSyscall(unix.SYS_UNSHARE, p.attr.Unshare, 0, 0); e != 0 {
			fail(p, stepUnshare, e)
		}
	}
	keepCaps(p)
	if p.attr.Unshare&unix.CLONE_NEWPID != 0 {
		pid, _, e := syscall.RawSyscall6(unix.SYS_CLONE, unix.CLONE_PARENT|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
		if e != 0 {
			fail(p, stepFork, e)
		}
		if pid != 0 {
			p.report.pid = int32(pid)
			tell(p)
			exit(0)
		}
	}
	_, _, e := syscall.RawSyscall(unix.SYS_EXECVE,
		uintptr(unsafe.Pointer(p.path)), uintptr(unsafe.Pointer(p.argv)), uintptr(unsafe.Pointer(p.envv)))
	fail(p, stepExec, e)
}

// setIDs changes the IDs and keeps the capabilities, which joining needs.
//
//go:nosplit
//go:norace
func setIDs(p *plan) syscall.Errno {
	if _, _, e := syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1, 0, 0, 0, 0); e != 0 {
		return e
	}
	if _, _, e := syscall.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0); e != 0 {
		return e
	}
	g, u := uintptr(p.attr.GID), uintptr(p.attr.UID)
	if _, _, e := syscall.RawSyscall(unix.SYS_SETRESGID, g, g, g); e != 0 {
		return e
	}
	if _, _, e := syscall.RawSyscall(unix.SYS_SETRESUID, u, u, u); e != 0 {
		return e
	}
	// Those permitted were kept, those effective were not.
	return raiseCaps(p, false)
}

// keepCaps makes all capabilities outlast execve. If that fails for some, the program will
// say what it can't do.
//
//go:nosplit
//go:norace
func keepCaps(p *plan) {
	raiseCaps(p, true)
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, c, 0, 0, 0)
	}
}

// raiseCaps makes the permitted capabilities effective and, if asked to, inheritable.
//
//go:nosplit
//go:norace
func raiseCaps(p *plan, inheritable bool) syscall.Errno {
	hdr, caps := uintptr(unsafe.Pointer(&p.capHdr)), uintptr(unsafe.Pointer(&p.caps))
	if _, _, e := syscall.RawSyscall(unix.SYS_CAPGET, hdr, caps, 0); e != 0 {
		return e
	}
	for i := range p.caps {
		p.caps[i].Effective = p.caps[i].Permitted
		if inheritable {
			p.caps[i].Inheritable = p.caps[i].Permitted
		}
	}
	_, _, e := syscall.RawSyscall(unix.SYS_CAPSET, hdr, caps, 0)
	return e
}

// fail reports the error e of a step, and ends the child.
//
//go:nosplit
//go:norace
func fail(p *plan, step int32, e syscall.Errno) {
	p.report = report{step: step, errno: int32(e)}
	tell(p)
	exit(1)
}

//go:nosplit
//go:norace
func tell(p *plan) {
	syscall.RawSyscall(unix.SYS_WRITE, uintptr(p.pipe), uintptr(unsafe.Pointer(&p.report)), unsafe.Sizeof(p.report))
}

//go:nosplit
//go:norace
func exit(status uintptr) {
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, status, 0, 0)
	}
}
