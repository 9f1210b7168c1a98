package policy

// Theory of operation: seccomp(2), Documentation/userspace-api/seccomp_filter.rst.
//
// What is not on a list fails with ENOSYS, as it would on a kernel that does not have it: that
// is what runtime and libraries are prepared for when they try something newer first, and a
// call that was forgotten here, or that a later Go makes, costs a feature and not the user's
// network. Nothing is gained by dying of it: without the call there is nothing that it could do.
//
// What no honest code of ours ever does, and a program that was taken over does first, kills
// the process: other programs, other namespaces and mounts, writable files, executable
// memory, and those parts of the kernel in which the ways to take it over are found. Whoever
// got that far is not to have a second try. The guest loses its network, the start stage says
// "bad system call", and the kernel's audit log names the call; there, failures are noted too.
//
// In between are calls that we make with a few arguments only. The rest of them fails with
// EPERM.
//
// For a call that is allowed whatever its arguments, the filter does not run since Linux 5.11:
// the kernel finds that out when it gets the filter, and asks a bitmap from then on. What is left
// is its longer way into any system call, 15 to 40 ns. A look at arguments is 20 ns more. So
// the calls of the data path are on the first list, and what is looked at is rare, a few times
// for each connection. For two of them that is worth it: setsockopt(2) and ioctl(2) lead to
// thousands of functions of the kernel, and we need two dozen.

import (
	seccomp "github.com/elastic/go-seccomp-bpf"
	"golang.org/x/sys/unix"
)

// The ways to end a call.
const (
	allow   = seccomp.ActionAllow
	kill    = seccomp.ActionKillProcess
	refuse  = seccomp.ActionErrno | seccomp.Action(unix.EPERM)
	absent  = seccomp.ActionErrno | seccomp.Action(unix.ENOENT)
	unknown = seccomp.ActionErrno | seccomp.Action(unix.ENOSYS)
)

// allowed are the calls that anybody here may make, with any arguments. A name that an
// architecture does not have is left out there.
var allowed = []string{
	// The data path.
	"read", "write", "readv", "writev", "recvfrom", "sendto", "recvmsg", "sendmsg", "recvmmsg", "sendmmsg",
	"epoll_pwait", "epoll_ctl", "timerfd_settime", "getsockopt", "splice",

	// Sockets: beginning and end, and pipes for the bypass. What there may be sockets of is
	// decided by socket, below.
	"connect", "accept4", "bind", "listen", "shutdown", "getsockname", "getpeername", "close", "pipe2",

	// Files that are open already: the log and its limit, the capture, /proc/net without
	// sock_diag, the status of the command; dup3 lets go of standard error.
	"pread64", "pwrite64", "fstat", "ftruncate", "dup3",

	// Waiting: ppoll for the end of a namespace and a guest that hangs up, epoll_create1 and
	// eventfd2 for the runtime's poller, which begins with its first socket, the latter for the
	// spare descriptor as well (sock.Spare); restart_syscall for what a stop and SIGCONT interrupt.
	"ppoll", "epoll_create1", "eventfd2", "futex", "nanosleep", "sched_yield", "restart_syscall",

	// Memory; madvise gives it back.
	"munmap", "madvise",

	// Signals, for preemption, for those that end us, and for the command. There is nobody else
	// in our PID namespace.
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "tgkill", "kill", "wait4",

	// What a thread asks of itself and of the time; clock_gettime and getrandom where the vDSO
	// has none. Go takes the result of those that can't fail without a look at the error, so that
	// ENOSYS would become a number. The runtime looks at its CPUs now and then.
	"getpid", "getppid", "gettid", "getuid", "geteuid", "getgid", "getegid",
	"clock_gettime", "getrandom", "sched_getaffinity",

	"exit", "exit_group",
}

// fatal are the calls that kill, with any arguments.
var fatal = []string{
	// Other programs; a thread is below, with clone. (clone3 has its flags in memory, which a
	// filter can't see: it fails like an unknown one.)
	"execve", "execveat", "fork", "vfork",

	// Other processes' memory and descriptors.
	"ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd",

	// Namespaces and mounts. The thread in the guest's namespace is there already.
	"setns", "unshare", "mount", "umount2", "pivot_root", "chroot", "open_tree", "open_tree_attr", "move_mount",
	"fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr",

	// Files around the lookup of names, and new ones to execute.
	"creat", "open_by_handle_at", "memfd_create", "memfd_secret",

	// Who we are, and what an address of memory, a port of the machine or a system call means.
	"setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid", "setgroups", "capset",
	"personality", "seccomp", "modify_ldt", "iopl", "ioperm",

	// The large interfaces of the kernel.
	"bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register",
	"add_key", "request_key", "keyctl",

	// The machine.
	"init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff",
	"acct", "quotactl", "quotactl_fd", "syslog", "sethostname", "setdomainname",
	"settimeofday", "clock_settime", "clock_adjtime", "adjtimex",
}

// A choice is a call that its arguments decide on: then, if all conditions of one entry of when
// hold, otherwise if not. Arguments are 64 bits wide to the filter, and 32 to most calls.
type choice struct {
	name            string
	when            []seccomp.ArgumentConditions
	then, otherwise seccomp.Action
}

// is says that the argument n is v, in all its bits.
func is(n uint32, v uint64) seccomp.Condition {
	return seccomp.Condition{Argument: n, Operation: seccomp.Equal, Value: v}
}

// has says that the argument n has a bit of mask, lacks that it has none.
func has(n uint32, mask uint64) seccomp.Condition {
	return seccomp.Condition{Argument: n, Operation: seccomp.BitsSet, Value: mask}
}

func lacks(n uint32, mask uint64) seccomp.Condition {
	return seccomp.Condition{Argument: n, Operation: seccomp.BitsNotSet, Value: mask}
}

// all is the one entry of a choice that has no more.
func all(c ...seccomp.Condition) []seccomp.ArgumentConditions {
	return []seccomp.ArgumentConditions{c}
}

// among says that the argument n is one of values.
func among(n uint32, values ...uint64) (out []seccomp.ArgumentConditions) {
	for _, v := range values {
		out = append(out, seccomp.ArgumentConditions{is(n, v)})
	}
	return out
}

const (
	writes     = unix.O_WRONLY | unix.O_RDWR | unix.O_CREAT | unix.O_TRUNC | unix.O_APPEND
	namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER |
		unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWTIME
)

// choices are the calls that need a look at their arguments.
var choices = []choice{
	// Threads of the runtime.
	{"clone", all(has(0, unix.CLONE_THREAD), lacks(0, namespaces)), allow, kill},

	// Memory is never executed, nor another name for that of a file. The runtime has all its
	// memory from here.
	{"mmap", all(lacks(2, unix.PROT_EXEC), has(3, unix.MAP_ANONYMOUS)), allow, kill},
	{"mprotect", all(lacks(2, unix.PROT_EXEC)), allow, kill},
	{"prctl", all(is(0, unix.PR_SET_VMA), is(1, unix.PR_SET_VMA_ANON_NAME)), allow, refuse}, // the runtime names its memory

	// There are no files, and so it shall be for those who look: a library may have a default.
	{"open", all(lacks(1, writes)), absent, kill},
	{"openat", all(lacks(2, writes)), absent, kill},

	{"socket", sockets(), allow, refuse},
	{"setsockopt", options(), allow, refuse},

	// How much is in the queues of a socket, and the index of an interface.
	{"ioctl", among(1, unix.SIOCINQ, unix.SIOCOUTQ, unix.SIOCGIFINDEX), allow, refuse},
	// Second descriptors of sockets and pipes, whether one blocks, and the size of a pipe.
	{"fcntl", among(1, unix.F_DUPFD_CLOEXEC, unix.F_GETFD, unix.F_SETFD, unix.F_GETFL, unix.F_SETFL,
		unix.F_GETPIPE_SZ, unix.F_SETPIPE_SZ), allow, refuse},
}
