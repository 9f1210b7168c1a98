package fd

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"passt/link"
	"passt/link/stream"
	"passt/link/tap"
)

// Open makes a device of the descriptor fd, which becomes the device's and is closed on
// exec from here on. An error says what the descriptor is instead, and leaves it alone.
func Open(fd int) (link.Device, error) {
	dev, err := open(fd)
	if err != nil {
		return nil, fmt.Errorf("descriptor %d %w", fd, err)
	}
	unix.CloseOnExec(fd)
	return dev, nil
}

// Check says why Open would refuse fd, nil if it would not. It changes nothing.
func Check(fd int) error {
	_, _, err := kindOf(fd)
	if err != nil {
		return fmt.Errorf("descriptor %d %w", fd, err)
	}
	return nil
}

// kind is what a descriptor can be.
type kind uint8

const (
	streamSocket kind = iota
	packetSocket
	tapQueue
)

func open(fd int) (link.Device, error) {
	k, f, err := kindOf(fd)
	if err != nil {
		return nil, err
	}
	switch k {
	case streamSocket:
		d := stream.New()
		d.Attach(fd)
		return d, nil
	case tapQueue:
		f.Offload = tap.SetOffload(fd, &f)
	}
	// A seqpacket socket keeps the boundaries of frames just as a tap without headers does.
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("can't be set to non-blocking mode: %w", err)
	}
	return tap.New(fd, f), nil
}

// kindOf says what fd is; f is for taps only.
func kindOf(fd int) (k kind, f tap.Features, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		if errors.Is(err, unix.EBADF) {
			return 0, f, errors.New("is not open")
		}
		return 0, f, fmt.Errorf("can't be examined: %w", err)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFSOCK:
		k, err = socket(fd)
		return k, f, err
	case unix.S_IFCHR:
		if f, err = tap.Identify(fd); err == nil {
			return tapQueue, f, nil
		}
		if errors.Is(err, tap.ErrNoTap) {
			err = errors.New("is a character device other than a tap; give a connected socket or a tap")
		}
		return 0, f, err
	}
	return 0, f, fmt.Errorf("is %s; give a connected socket or a tap", fileType(st.Mode))
}

// fileType names the type of a file that is of no use here.
func fileType(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "a regular file"
	case unix.S_IFDIR:
		return "a directory"
	case unix.S_IFIFO:
		return "a pipe"
	case unix.S_IFBLK:
		return "a block device"
	}
	return "neither a socket nor a tap"
}

// socket says what kind of socket fd is.
func socket(fd int) (kind, error) {
	if v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err == nil && v != 0 {
		return 0, errors.New("is a listening socket; give a connected one, or its path with --socket")
	}
	typ, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return 0, fmt.Errorf("is a socket of an unknown type: %w", err)
	}
	if typ != unix.SOCK_STREAM && typ != unix.SOCK_SEQPACKET {
		return 0, fmt.Errorf("is a socket of type %d; give one of type stream or seqpacket", typ)
	}
	if _, err := unix.Getpeername(fd); errors.Is(err, unix.ENOTCONN) {
		return 0, errors.New("is a socket that is not connected")
	}
	if typ == unix.SOCK_SEQPACKET {
		return packetSocket, nil
	}
	return streamSocket, nil
}
