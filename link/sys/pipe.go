package sys

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Pipe makes a pipe, non-blocking and close-on-exec, and returns its ends.
func Pipe() (r, w int, e syscall.Errno) {
	var p [2]int32
	_, _, e = unix.RawSyscall(unix.SYS_PIPE2, uintptr(unsafe.Pointer(&p)), unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	return int(p[0]), int(p[1]), e
}

// SetPipeSize asks for room for n bytes in a pipe and returns how much there is then.
func SetPipeSize(fd, n int) (int, syscall.Errno) {
	return ret(unix.RawSyscall(unix.SYS_FCNTL, uintptr(fd), unix.F_SETPIPE_SZ, uintptr(n)))
}

// Splice moves up to n bytes from one descriptor to the other, one of which is a pipe,
// without copying them where the kernel can (splice(2)).
func Splice(from, to, n int) (int, syscall.Errno) {
	return ret(unix.RawSyscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(n), unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK))
}

// Dup makes a second descriptor of what fd is one of, close-on-exec.
func Dup(fd int) (int, syscall.Errno) {
	return ret(unix.RawSyscall(unix.SYS_FCNTL, uintptr(fd), unix.F_DUPFD_CLOEXEC, 3))
}

// PipeSize is how many bytes a pipe has room for.
func PipeSize(fd int) (int, syscall.Errno) {
	return ret(unix.RawSyscall(unix.SYS_FCNTL, uintptr(fd), unix.F_GETPIPE_SZ, 0))
}
