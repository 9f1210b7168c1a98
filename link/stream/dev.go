package stream

// The framing (QEMU, net/stream.c and net/socket.c): a length of four bytes, big-endian,
// then as many bytes of one Ethernet frame, without its check sequence. A stream has no
// boundaries, so a read may end, and a write may stop, at any byte.

import (
	"syscall"

	"golang.org/x/sys/unix"

	"passt/link"
	"passt/link/sys"
)

const (
	// batch is how many frames one call moves at most.
	batch = 192
	// maxBody is the room for payload in one slot: any IP packet fits.
	maxBody = 65535
	// lenLen is the length of the length, in bytes.
	lenLen = 4
	// minFrame is the shortest frame, a bare Ethernet header.
	minFrame = 14
	// rxSize and txSize are the sizes of the arenas: four of the longest frames, or many
	// shorter ones. The kernel gives the pages only once they are touched, and both are used
	// from the start, so a link without bulk traffic costs a few pages.
	rxSize = 4 * (lenLen + link.MaxFrame)
	txSize = 4 * (maxBody + 1)
	// sendBuffer is what is asked for as the socket's send buffer, in bytes: several of the
	// longest frames. The system's limit (wmem_max) may make it less.
	sendBuffer = 1 << 20
)

// Stats counts what happened to frames and guests.
type Stats struct {
	Guests    uint64 // attached
	RxBad     uint64 // impossible lengths, each the end of its guest
	TxPartial uint64 // frames of which the socket took only a part at first
	TxTooLong uint64 // longer than link.MaxFrame, and dropped
	TxNoGuest uint64 // dropped because nobody was attached
}

// Dev is a link of framed Ethernet on a stream socket, and does nothing while no socket is
// attached. It belongs to one thread.
type Dev struct {
	link.Arena // what Reserve lends
	fd         int
	err        error // the final one of this guest
	Stats      Stats

	rx         []byte
	begin, end int // what is in rx and was not received yet

	rest []byte // of the frame that was sent in part: it comes before anything else
	left []byte // memory of rest
	msg  unix.Msghdr
	iov  [1 + 3*batch]sys.Iovec
	lens [batch][lenLen]byte // of the frames of a Send
	size [batch]int          // of the frames of a Send with their lengths, in bytes
}

var _ link.Device = (*Dev)(nil)

// New makes a device that nobody is attached to.
func New() *Dev {
	return &Dev{
		fd:    -1,
		rx:    make([]byte, rxSize),
		Arena: link.NewArena(txSize, batch, maxBody),
		left:  make([]byte, lenLen+link.MaxFrame),
	}
}

// Attach begins with a new guest on the connected socket fd, which becomes the device's. It
// need not be in non-blocking mode. A guest that is attached already is detached.
func (d *Dev) Attach(fd int) {
	d.Detach()
	d.fd = fd
	d.Stats.Guests++
	sys.SetInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
}

// Detach closes the guest's socket and forgets what came from it and was to go there.
func (d *Dev) Detach() {
	if d.fd >= 0 {
		sys.Close(d.fd)
	}
	d.fd, d.err, d.rest = -1, nil, nil
	d.begin, d.end = 0, 0
}

// Attached says whether there is a guest.
func (d *Dev) Attached() bool { return d.fd >= 0 }

// HungUp says whether the guest has closed its end, even if there is still something to be
// received from it.
func (d *Dev) HungUp() bool {
	if d.fd < 0 {
		return true
	}
	p := [1]unix.PollFd{{Fd: int32(d.fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(p[:], 0)
	return err == nil && n == 1
}

// FD implements link.Device. It is -1 while nobody is attached.
func (d *Dev) FD() int { return d.fd }

// Caps implements link.Device.
func (d *Dev) Caps() link.Caps { return link.Caps{Batch: batch, Body: maxBody} }

// Close implements link.Device.
func (d *Dev) Close() error {
	d.Detach()
	return nil
}

// ended turns the error of a system call into that of a device, nil if the device goes on.
func ended(e syscall.Errno) error {
	switch e {
	case unix.EAGAIN, unix.EINTR, unix.ENOBUFS, unix.ENOMEM:
		return nil
	case unix.EPIPE, unix.ECONNRESET, unix.ENOTCONN, unix.ECONNABORTED, unix.ETIMEDOUT, unix.EBADF:
		return link.ErrClosed
	}
	return e
}
