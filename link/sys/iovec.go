package sys

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Iovec is one piece of memory of a vectored call, as the kernel wants it. It hides a
// pointer from nobody: the memory must stay referenced by the owner of the buffer, which
// is why buffers of the data path are allocated once and kept.
type Iovec = unix.Iovec

// SetIovec points v at b.
func SetIovec(v *Iovec, b []byte) {
	v.Base = unsafe.SliceData(b)
	v.SetLen(len(b))
}

// Advance takes the first n bytes off the pieces of v: what a call has written is not to be
// written again.
func Advance(v []Iovec, n int) []Iovec {
	for len(v) > 0 && n >= int(v[0].Len) {
		n -= int(v[0].Len)
		v = v[1:]
	}
	if n > 0 {
		v[0].Base = (*byte)(unsafe.Add(unsafe.Pointer(v[0].Base), n))
		v[0].SetLen(int(v[0].Len) - n)
	}
	return v
}

// AddIovec appends b to v, whose capacity the caller has seen to.
func AddIovec(v []Iovec, b []byte) []Iovec {
	v = v[:len(v)+1]
	SetIovec(&v[len(v)-1], b)
	return v
}

// Readv reads into the pieces of v, in order.
func Readv(fd int, v []Iovec) (int, syscall.Errno) {
	return ret(unix.RawSyscall(unix.SYS_READV, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(v))), uintptr(len(v))))
}

// Writev writes the pieces of v, in order.
func Writev(fd int, v []Iovec) (int, syscall.Errno) {
	return ret(unix.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(v))), uintptr(len(v))))
}

// Read reads into b.
func Read(fd int, b []byte) (int, syscall.Errno) {
	return ret(unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b))))
}

// Write writes b.
func Write(fd int, b []byte) (int, syscall.Errno) {
	return ret(unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b))))
}

// Close closes fd.
func Close(fd int) { unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// ret turns the result of a raw call into a count, -1 with an error.
func ret(r, _ uintptr, e syscall.Errno) (int, syscall.Errno) {
	if e != 0 {
		return -1, e
	}
	return int(r), 0
}
