package stream

// Where guests that connect to a path come from.

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"passt/link/sys"
)

// Errors of Listen, to be compared with errors.Is.
var (
	// ErrInUse says that a live process listens on the path: choose another.
	ErrInUse = errors.New("another process listens on it")
	// ErrNoSocket says that the path is something that is not a socket: it was left alone.
	ErrNoSocket = errors.New("it exists, and is no socket")
)

// Probe says whether a process listens on the UNIX socket at path, without its noticing: a
// socket of another type can't be connected to it, and the kernel's reason tells. The error
// is nil if it does, ECONNREFUSED if the socket is what a dead process left, ENOENT if there
// is nothing, and whatever stands in the way otherwise.
func Probe(path string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != unix.EPROTOTYPE {
		return err
	}
	return nil
}

// Listen makes a listening UNIX socket at path, only for the user of this process. What a
// dead process left there is removed. It changes the umask of the process for a moment.
func Listen(path string) (fd int, err error) {
	if len(path) >= len(unix.RawSockaddrUnix{}.Path) {
		return -1, fmt.Errorf("socket %s: the path is longer than %d bytes, the most that the system allows",
			path, len(unix.RawSockaddrUnix{}.Path)-1)
	}
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err == nil {
		if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
			return -1, fmt.Errorf("socket %s: %w", path, ErrNoSocket)
		}
		switch err := Probe(path); err {
		case nil:
			return -1, fmt.Errorf("socket %s: %w", path, ErrInUse)
		case unix.ECONNREFUSED:
			if err := unix.Unlink(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return -1, fmt.Errorf("socket %s: remove what a dead process left: %w", path, err)
			}
		case unix.ENOENT:
		default:
			return -1, fmt.Errorf("socket %s: %w", path, err)
		}
	}
	if fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
		return -1, fmt.Errorf("make a socket: %w", err)
	}
	old := unix.Umask(0o177)
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
	unix.Umask(old)
	if err == nil {
		// More than one may wait: all but the first are told at once that there is no room.
		err = unix.Listen(fd, 16)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("socket %s: %w", path, err)
	}
	return fd, nil
}

// Listener takes guests that connect to a listening socket.
type Listener struct{ fd int }

// NewListener makes a Listener of fd, which becomes its own.
func NewListener(fd int) *Listener { return &Listener{fd} }

// FD becomes readable when a guest waits.
func (l *Listener) FD() int { return l.fd }

// Accept takes a guest and returns its socket, -1 if there is none after all. It never
// blocks if the listening socket is in non-blocking mode.
func (l *Listener) Accept() (int, error) {
	fd, _, e := sys.Accept(l.fd, make([]byte, unix.SizeofSockaddrUnix))
	switch e {
	case 0:
		return fd, nil
	case unix.EAGAIN, unix.EINTR, unix.ECONNABORTED:
		return -1, nil
	}
	return -1, e
}

// Close closes the listening socket. The path stays.
func (l *Listener) Close() {
	if l.fd >= 0 {
		sys.Close(l.fd)
		l.fd = -1
	}
}
