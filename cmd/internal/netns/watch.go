package netns

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Theory of operation: inotify(7), pidfd_open(2).
//
// A namespace has no event for its end, and this program keeps the one that it serves alive
// anyway. What ends is its name: a file is removed, which inotify reports of the directory,
// or the process of a /proc/PID/ns/net ends, which makes a pidfd readable. Both are
// descriptors of something that was looked up once, so they go on working in a sandbox
// that shows no files.

// Watch notices the end of a name of a namespace.
type Watch struct {
	Inotify int // watches the directory, or -1
	Process int // pidfd, or -1

	// Names are the entries of directories whose removal is the end: more than one where
	// the path is a symbolic link.
	Names []Name `json:",omitempty"`
}

// Name is an entry of a watched directory.
type Name struct {
	Dir   int // inotify's number of the directory
	Entry string
}

// Present returns the descriptors that w has.
func (w *Watch) Present() (fds []int) {
	for _, fd := range w.descriptors() {
		if *fd >= 0 {
			fds = append(fds, *fd)
		}
	}
	return fds
}

// Receive puts the descriptors that Present returned, or duplicates of them, in their place.
func (w *Watch) Receive(fds []int) error {
	for _, fd := range w.descriptors() {
		if *fd < 0 {
			continue
		}
		if len(fds) == 0 {
			return errors.New("a descriptor of the namespace's watch is missing")
		}
		*fd, fds = fds[0], fds[1:]
	}
	return nil
}

func (w *Watch) descriptors() []*int { return []*int{&w.Inotify, &w.Process} }

// gone are the events of a directory that can mean the end.
const gone = unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF

// newWatch starts to watch path. An error leaves a Watch that notices nothing.
func newWatch(path string) (Watch, error) {
	w := Watch{Inotify: -1, Process: -1}
	dir := filepath.Dir(path)
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return w, fmt.Errorf("%s: %w", dir, err)
	}
	if fs.Type == unix.PROC_SUPER_MAGIC {
		pid, err := processOf(dir)
		if err != nil {
			return w, err
		}
		if w.Process, err = unix.PidfdOpen(pid, 0); err != nil {
			w.Process = -1
			return w, fmt.Errorf("process %d: %w", pid, err)
		}
		return w, nil
	}
	return watchFile(path)
}

// processOf returns the PID in dir, a directory of procfs.
func processOf(dir string) (int, error) {
	real, err := filepath.EvalSymlinks(dir) // it may be /proc/self, or relative
	if err != nil {
		return 0, err
	}
	for part := range strings.SplitSeq(real, "/") {
		if n, err := strconv.Atoi(part); err == nil && n > 0 {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%s belongs to no process", dir)
}

func watchFile(path string) (w Watch, err error) {
	w = Watch{Inotify: -1, Process: -1}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if errors.Is(err, unix.EMFILE) {
		return w, fmt.Errorf("inotify: %w; as root, raise the sysctl fs.inotify.max_user_instances", err)
	}
	if err != nil {
		return w, fmt.Errorf("inotify: %w", err)
	}
	paths := []string{path}
	if real, err := filepath.EvalSymlinks(path); err == nil && real != filepath.Clean(path) {
		paths = append(paths, real)
	}
	for _, p := range paths {
		wd, err := unix.InotifyAddWatch(fd, filepath.Dir(p), gone|unix.IN_ONLYDIR)
		if err != nil {
			unix.Close(fd)
			return Watch{Inotify: -1, Process: -1}, fmt.Errorf("inotify: %s: %w", filepath.Dir(p), err)
		}
		w.Names = append(w.Names, Name{wd, filepath.Base(p)})
	}
	w.Inotify = fd
	return w, nil
}

// Wait returns when the namespace's name is gone, or with an error; if there is nothing to
// watch, it blocks for ever.
func (w *Watch) Wait() error {
	if w.Inotify < 0 && w.Process < 0 {
		select {}
	}
	// poll ignores negative descriptors.
	fds := []unix.PollFd{{Fd: int32(w.Inotify), Events: unix.POLLIN}, {Fd: int32(w.Process), Events: unix.POLLIN}}
	buf := make([]byte, 4096) // enough for the longest event
	for {
		if _, err := unix.Poll(fds, -1); err == unix.EINTR {
			continue
		} else if err != nil {
			return fmt.Errorf("watch the namespace: %w", err)
		}
		if fds[1].Revents != 0 {
			return nil
		}
		n, err := unix.Read(w.Inotify, buf)
		switch {
		case err == unix.EINTR || err == unix.EAGAIN:
		case err != nil:
			return fmt.Errorf("watch the namespace: %w", err)
		case w.ended(buf[:n]):
			return nil
		}
	}
}

// ended looks for the end in what was read of inotify.
func (w *Watch) ended(b []byte) bool {
	for len(b) >= unix.SizeofInotifyEvent {
		wd, mask := int(int32(binary.NativeEndian.Uint32(b))), binary.NativeEndian.Uint32(b[4:])
		size := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
		if size > len(b) {
			return false
		}
		entry, _, _ := bytes.Cut(b[unix.SizeofInotifyEvent:size], []byte{0})
		b = b[size:]
		// The kernel ends a watch by itself when the directory or its file system is gone. An
		// overflow may have taken the one event that counts with it.
		if mask&(unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_UNMOUNT|unix.IN_IGNORED|unix.IN_Q_OVERFLOW) != 0 {
			return true
		}
		for _, n := range w.Names {
			if n.Dir == wd && n.Entry == string(entry) {
				return true
			}
		}
	}
	return false
}
