package netns

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Theory of operation: network_namespaces(7), ioctl_ns(2). A network namespace is named by
// any file of it: /proc/PID/ns/net, or what that was bind-mounted on (ip-netns(8)). Each
// thread is in one; setns(2) changes it.

// Target is a network namespace that exists already, held open together with the means to
// notice its end. It travels to other stages of the process, its descriptors beside
// it; -1 stands for one that is not there.
type Target struct {
	FD    int
	Watch Watch
}

// NoTarget is the Target without anything.
var NoTarget = Target{FD: -1, Watch: Watch{Inotify: -1, Process: -1}}

// Descriptors returns where t has its descriptors, in an order that never changes.
func (t *Target) Descriptors() []*int {
	return append([]*int{&t.FD}, t.Watch.descriptors()...)
}

// Close closes all descriptors.
func (t *Target) Close() {
	for _, fd := range t.Descriptors() {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
}

// OpenTarget opens the network namespace at path and starts to watch path, if watch is set.
// The warning says why watching is not possible; empty if it is. The error of a namespace
// that this thread is in already is ErrOwn.
func OpenTarget(path string, watch bool) (t Target, warning string, err error) {
	t = NoTarget
	if watch {
		// Watching comes first, so that no end can go unnoticed between the two.
		if t.Watch, err = newWatch(path); err != nil {
			warning = fmt.Sprintf("the end of the namespace will not be noticed: %v", err)
		}
	}
	if t.FD, err = open(path); err != nil {
		t.Close()
		return NoTarget, "", err
	}
	return t, warning, nil
}

// ErrOwn says that a namespace to join is the one that this process is in.
var ErrOwn = errors.New("this is the network namespace that the program itself is in; give another one")

// open opens the network namespace at path.
func open(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("open network namespace %s: %w", path, err)
	}
	if kind, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE); err != nil || kind != unix.CLONE_NEWNET {
		unix.Close(fd)
		return -1, fmt.Errorf("%s is no network namespace (removed or unmounted already?)", path)
	}
	if sameFile(fd, "/proc/thread-self/ns/net") {
		unix.Close(fd)
		return -1, fmt.Errorf("network namespace %s: %w", path, ErrOwn)
	}
	return fd, nil
}

// sameFile says whether the open file is the one at path.
func sameFile(fd int, path string) bool {
	var a, b unix.Stat_t
	return unix.Fstat(fd, &a) == nil && unix.Stat(path, &b) == nil && a.Dev == b.Dev && a.Ino == b.Ino
}

// Join moves the calling thread, which must be locked, into the network namespace fd.
func Join(fd int) error {
	err := unix.Setns(fd, unix.CLONE_NEWNET)
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("join the network namespace: %w: this needs to be root (CAP_SYS_ADMIN) in the user namespace "+
			"that owns it; give that with --userns, or by the PID of a process in it", err)
	}
	if err != nil {
		return fmt.Errorf("join the network namespace: %w", err)
	}
	return nil
}
