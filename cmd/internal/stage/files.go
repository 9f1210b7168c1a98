package stage

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// hostFile is a file of the host that we write to.
type hostFile struct {
	path    string
	fd      int
	created bool // it did not exist before
}

// create opens the file at path for writing, empty. option is for messages.
func (s *starter) create(option, path string, mode uint32) (*hostFile, error) {
	const flags = unix.O_WRONLY | unix.O_CLOEXEC | unix.O_CREAT | unix.O_NOCTTY
	f := &hostFile{path: path, created: true}
	var err error
	f.fd, err = unix.Open(path, flags|unix.O_EXCL, mode)
	if err == unix.EEXIST {
		f.created = false
		f.fd, err = unix.Open(path, flags|unix.O_TRUNC, mode)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: can't open the file for writing: %w", option, path, err)
	}
	s.files = append(s.files, f)
	return f, nil
}

// undo removes the file if we created it.
func (f *hostFile) undo() {
	if f.created {
		_ = unix.Unlink(f.path) // best effort, after another failure
	}
}
