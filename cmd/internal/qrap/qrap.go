package qrap

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	defaultSocket = "/tmp/passt_%d.socket"
	lastSocket    = 64
	// refusalTime is how long a server that is taken may need to close a connection, in
	// milliseconds.
	refusalTime = 100
)

// Usage is how qrap is called.
const Usage = "qrap [--socket PATH] FD QEMU [ARG]..."

// Run connects, and becomes the command in args: [--socket PATH] FD QEMU [ARG]... It returns
// only if that fails. connected, if not nil, is told the path of the socket.
func Run(args []string, connected func(path string)) error {
	path, fd, argv, err := parse(args)
	if err != nil {
		return err
	}
	exe, err := exec.LookPath(argv[0])
	if err != nil {
		return err
	}
	s, path, err := dial(path)
	if err != nil {
		return err
	}
	if connected != nil {
		connected(path)
	}
	if s == fd {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
	} else {
		err = unix.Dup3(s, fd, 0)
	}
	if err != nil {
		return fmt.Errorf("hand over the socket as descriptor %d: %w", fd, err)
	}
	if err := syscall.Exec(exe, argv, os.Environ()); err != nil {
		return fmt.Errorf("execute %s: %w", argv[0], err)
	}
	return nil
}

// parse takes the command line apart. An empty path stands for the default ones.
func parse(args []string) (path string, fd int, argv []string, err error) {
	if len(args) >= 2 && (args[0] == "--socket" || args[0] == "-s") {
		path, args = args[1], args[2:]
	}
	if len(args) < 2 {
		return "", 0, nil, fmt.Errorf("a descriptor and a command are needed; usage: %s", Usage)
	}
	if fd, err = strconv.Atoi(args[0]); err != nil || fd < 0 {
		return "", 0, nil, fmt.Errorf("%q is no number of a descriptor; usage: %s", args[0], Usage)
	}
	return path, fd, args[1:], nil
}

// dial connects to path, or to the first of the default sockets that has room for a guest.
func dial(path string) (int, string, error) {
	if path != "" {
		fd, err := try(path)
		return fd, path, err
	}
	for i := 1; i <= lastSocket; i++ {
		path = fmt.Sprintf(defaultSocket, i)
		if fd, err := try(path); err == nil {
			return fd, path, nil
		}
	}
	return -1, "", fmt.Errorf("no passt waits for a guest on "+defaultSocket+" to "+defaultSocket+"; start one, or give its path with --socket", 1, lastSocket)
}

// errTaken says that a server has another guest.
var errTaken = errors.New("it has another guest")

func try(path string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err = unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err == nil {
		// One that is taken closes the connection at once. One that is free may speak first.
		p := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		if n, _ := unix.Poll(p[:], refusalTime); n == 0 {
			return fd, nil
		}
		err = errTaken
	}
	unix.Close(fd)
	return -1, fmt.Errorf("connect to %s: %w", path, err)
}
