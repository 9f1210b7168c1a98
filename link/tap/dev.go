package tap

import (
	"syscall"

	"golang.org/x/sys/unix"

	"passt/link"
	"passt/link/sys"
)

const (
	// batch is how many frames one call moves at most.
	batch = 64
	// maxBody is the room for payload in one slot: any IP packet fits.
	maxBody = 65535
	// rxRoom is the room that a read gets: the header, the longest frame with a VLAN tag,
	// and one byte by which a longer one shows.
	rxRoom = vnetHdrLen + link.MaxFrame + 4 + 1
	// rxSize and txSize are the sizes of the arenas: eight of the longest frames to receive,
	// since one send and one acknowledgement serve them all, and four to send; or 64 shorter
	// ones. The kernel gives the pages only once they are touched, and both are used from
	// the start, so a link without bulk traffic costs a few pages.
	rxSize = 8 * (rxRoom + align)
	txSize = 4 * (maxBody + 1)
	// align is where received frames start: cache lines.
	align = 64
)

// Stats counts what a queue could not move, in frames.
type Stats struct {
	RxBad     uint64 // shorter than a header, or with offloads that contradict the frame
	RxTooLong uint64 // longer than link.MaxFrame
	TxRefused uint64 // refused by the kernel: interface down, no memory, offloads that it can't do
}

// Dev is one queue of a tap interface. It belongs to one thread. Its descriptor is for a
// level-triggered epoll instance: see Recv.
type Dev struct {
	link.Arena // what Reserve lends
	fd         int
	f          Features
	pace       pace
	rx         []byte
	hdr        [vnetHdrLen]byte // of the frame being sent
	iov        [3]sys.Iovec     // hdr, Head, Body
	Stats      Stats
}

var _ link.Device = (*Dev)(nil)

// New makes a device of fd, a queue that Create opened with the features f; fd becomes the
// device's.
func New(fd int, f Features) *Dev {
	return &Dev{fd: fd, f: f, pace: newPace(), Arena: link.NewArena(txSize, batch, maxBody), rx: make([]byte, rxSize)}
}

// FD implements link.Device.
func (d *Dev) FD() int { return d.fd }

// Caps implements link.Device.
func (d *Dev) Caps() link.Caps { return link.Caps{Batch: batch, Body: maxBody, Offload: d.f.Offload} }

// Close implements link.Device. The interface goes with its last queue.
func (d *Dev) Close() error {
	if d.fd >= 0 {
		sys.Close(d.fd)
		d.fd = -1
	}
	return nil
}

// final turns an error that ends the device into the one to report, and any other into nil.
// EBADFD is what a queue answers whose interface was deleted.
func final(e syscall.Errno) error {
	switch e {
	case unix.EBADFD, unix.ENODEV, unix.EBADF, unix.EPIPE, unix.ECONNRESET:
		return link.ErrClosed
	}
	return nil
}
