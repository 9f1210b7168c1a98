package hostwatch

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Theory of operation: inotify(7). Programs replace resolv.conf by renaming another file
// over it, or have a symbolic link there that leads to a file of theirs, which they replace
// in the same way, or make another link. So what is watched is names in folders: that of
// the file, and of everything that it leads to by links. Where a folder is missing, it is
// the one that it will be made in. And the file itself is watched as well, since one that
// was bound over the name, as in a container, is written to under another name elsewhere.
//
// After each event, the way to the file may be another, and is found anew.
//
// The kernel takes some ten milliseconds to let go of an inotify instance, and the end of
// the process waits for that. So there is none in the first second, which is all that many
// commands need, and the file counts as changed at its end.

// file is the watch of one file.
type file struct {
	path   string
	fd     int // of inotify
	names  map[int32][]string
	itself int32 // inotify's number of the file itself, -1 if there is none

	mu     sync.Mutex
	in     *os.File // inotify; nil if there is none, yet or at all
	ended  chan struct{}
	closed bool
}

// early is the time without inotify.
const early = time.Second

// Events of a folder, and of the file.
const (
	folderEvents = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE | unix.IN_CLOSE_WRITE | unix.IN_ATTRIB |
		unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
	fileEvents = unix.IN_CLOSE_WRITE | unix.IN_MODIFY | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
)

// Where inotify's instances are used up, of which a user has 128 by default, the file is
// looked at from time to time.
const glance = 5 * time.Second

// maxLinks is how many links a path may lead through, as for the kernel.
const maxLinks = 40

func newFile(path string) *file { return &file{path: path, itself: -1, ended: make(chan struct{})} }

// open begins to watch. It returns nil if that can't be had, or has been ended.
func (f *file) open() *os.File {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil
	}
	f.in, f.fd = os.NewFile(uintptr(fd), "inotify"), fd
	f.arm()
	return f.in
}

// close ends follow.
func (f *file) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	f.closed = true
	close(f.ended)
	if f.in != nil {
		f.in.Close()
	}
}

// arm watches what the path leads through now, and nothing else.
func (f *file) arm() {
	old := f.names
	itself := f.itself
	f.names, f.itself = make(map[int32][]string), -1
	path := f.path
	for range maxLinks {
		f.watchName(path)
		to, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	if wd, err := unix.InotifyAddWatch(f.fd, path, fileEvents); err == nil {
		f.itself = int32(wd)
	}
	for wd := range old {
		if f.names[wd] == nil {
			_, _ = unix.InotifyRmWatch(f.fd, uint32(wd)) // it is gone where its folder is
		}
	}
	if itself >= 0 && itself != f.itself {
		_, _ = unix.InotifyRmWatch(f.fd, uint32(itself)) // likewise
	}
}

// watchName watches path as a name in its folder or, if that is missing, the first missing
// folder as a name in the one above.
func (f *file) watchName(path string) {
	for {
		dir, name := filepath.Dir(path), filepath.Base(path)
		wd, err := unix.InotifyAddWatch(f.fd, dir, folderEvents|unix.IN_ONLYDIR)
		if err == nil {
			f.names[int32(wd)] = append(f.names[int32(wd)], name)
			return
		}
		if dir == path {
			return
		}
		path = dir
	}
}

// follow calls event after each event, until close.
func (f *file) follow(event func()) {
	select {
	case <-f.ended:
		return
	case <-time.After(early):
	}
	in := f.open()
	event()
	if in == nil {
		f.glance(event)
		return
	}
	b := make([]byte, 4096) // enough for the longest event
	for {
		n, err := in.Read(b)
		if err != nil {
			return
		}
		if f.concerned(b[:n]) {
			f.mu.Lock()
			if !f.closed {
				f.arm()
			}
			f.mu.Unlock()
			event()
		}
	}
}

// concerned says whether one of the events in b, as read of inotify, is about the file.
func (f *file) concerned(b []byte) bool {
	for len(b) >= unix.SizeofInotifyEvent {
		wd, mask := int32(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint32(b[4:])
		size := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
		if size > len(b) {
			break
		}
		name, _, _ := bytes.Cut(b[unix.SizeofInotifyEvent:size], []byte{0})
		b = b[size:]
		names, folder := f.names[wd]
		switch {
		case mask&unix.IN_Q_OVERFLOW != 0, wd == f.itself,
			folder && mask&(unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_UNMOUNT) != 0,
			slices.Contains(names, string(name)):
			return true
		}
	}
	return false
}

// glance calls event when the file is another one than some seconds ago, until close.
func (f *file) glance(event func()) {
	t := time.NewTicker(glance)
	defer t.Stop()
	last := f.look()
	for {
		select {
		case <-f.ended:
			return
		case <-t.C:
		}
		if now := f.look(); !same(last, now) {
			last = now
			event()
		}
	}
}

func (f *file) look() fs.FileInfo {
	fi, err := os.Stat(f.path)
	if err != nil {
		return nil
	}
	return fi
}

func same(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
