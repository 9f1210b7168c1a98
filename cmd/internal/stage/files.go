package stage

import (
	"fmt"

	"golang.org/x/sys/unix"

	"passt/link/stream"
)

// hostFile is a file of the host that we write to.
type hostFile struct {
	path    string
	fd      int
	created bool // it did not exist before
}

// create opens the file at path for writing. It keeps what it has until empty, since it may be that
// of another instance, next to which this one will find that it can't start. option is for messages.
func (s *starter) create(option, path string, mode uint32) (*hostFile, error) {
	const flags = unix.O_WRONLY | unix.O_CLOEXEC | unix.O_CREAT | unix.O_NOCTTY
	f := &hostFile{path: path, created: true}
	var err error
	f.fd, err = unix.Open(path, flags|unix.O_EXCL, mode)
	if err == unix.EEXIST {
		f.created = false
		f.fd, err = unix.Open(path, flags, mode)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: can't open the file for writing: %w", option, path, err)
	}
	s.files = append(s.files, f)
	return f, nil
}

// empty makes the file empty, if it is one that can be.
func empty(fd int) error {
	if err := unix.Ftruncate(fd, 0); err != nil && err != unix.EINVAL { // a pipe, or a device
		return err
	}
	return nil
}

// undo removes the file if we created it.
func (f *hostFile) undo() {
	if f.created {
		_ = unix.Unlink(f.path) // best effort, after another failure
	}
}

// hostSocket is a listening socket in the file system.
type hostSocket struct {
	path     string // empty if there is none
	dev, ino uint64
}

// listenAt makes a socket at path. Only as the path is given may it be short enough, but another
// folder may be the working one at the end.
func listenAt(path string) (h hostSocket, fd int, err error) {
	if fd, err = stream.Listen(path); err != nil {
		return h, -1, err
	}
	return ownSocket(absolute(path)), fd, nil
}

// ownSocket is the socket at path, which this process has made.
func ownSocket(path string) hostSocket {
	h := hostSocket{path: path}
	h.dev, h.ino, _ = h.stat() // without it, nobody will know it again
	return h
}

func (h *hostSocket) stat() (dev, ino uint64, err error) {
	var st unix.Stat_t
	err = unix.Lstat(h.path, &st)
	return st.Dev, st.Ino, err
}

// remove removes the socket, unless it is gone or another one has its place.
func (h *hostSocket) remove() {
	if h.path == "" {
		return
	}
	if dev, ino, err := h.stat(); err == nil && dev == h.dev && ino == h.ino {
		_ = unix.Unlink(h.path) // somebody else may have been faster
	}
	h.path = ""
}
