package link

import "errors"

// MaxHead is the room for headers in front of a slot's payload, in bytes: Ethernet (14),
// IPv6 (40) or IPv4 (20), a fragment header (8) and TCP with all its options (60).
const MaxHead = 128

// MaxFrame is the longest frame that a device takes or gives, in bytes: an Ethernet
// header and the longest IPv4 packet.
const MaxFrame = 14 + 65535

// Errors of a Device, both of which end its use.
var (
	// ErrClosed says that the other side is gone for good: the device can be closed.
	ErrClosed = errors.New("link closed by the guest")
	// ErrProtocol says that the other side broke the framing of the link.
	ErrProtocol = errors.New("link framing broken by the guest")
)

// GSO types of a frame, as virtio-net has them (linux/virtio_net.h).
const (
	GSONone  = 0
	GSOTCPv4 = 1
	GSOTCPv6 = 4
	GSOUDPL4 = 5
	GSOECN   = 0x80 // a flag beside a TCP type: the segments have ECN bits set
)

// Flags of a frame (linux/virtio_net.h).
const (
	NeedsCsum = 1 // the checksum field holds the pseudo-header's sum; CsumStart and CsumOff say where the rest belongs
	DataValid = 2 // the checksum was verified
)

// Meta describes the offloads that a frame relies on. The zero value is a plain frame,
// complete with its checksums. Offsets count from the first byte of the frame.
type Meta struct {
	GSO       uint8  // GSO type
	Flags     uint8  // NeedsCsum, DataValid
	HdrLen    uint16 // bytes of headers before the payload that is to be segmented
	SegSize   uint16 // payload bytes of each segment
	CsumStart uint16
	CsumOff   uint16 // of the checksum field, from CsumStart
}

// Frame is one received frame, borrowed from the device until its next Recv.
type Frame struct {
	B    []byte
	Meta Meta
}

// Slot is room for one frame to be sent, in memory of the device. It belongs to the
// caller from Reserve to the next Send, Reserve or Close on the device.
//
// The frame is Head, then the first Len bytes of Body. The caller shortens Head to the
// headers that it wrote, from its start.
type Slot struct {
	Head []byte   // MaxHead bytes when reserved
	Body [][]byte // together at least as long as was asked for
	Len  int      // bytes of payload in Body
	Meta Meta
}

// Offload is a set of jobs that a sender to the device may leave undone.
type Offload uint8

// Offloads. Segmentation includes checksums.
const (
	OffloadCsum Offload = 1 << iota
	OffloadTSO4
	OffloadTSO6
	OffloadUSO4
	OffloadUSO6
)

// Caps is what a device can do. It does not change while the device is open.
type Caps struct {
	Batch   int // most frames of one Recv, Reserve or Send
	Body    int // most payload bytes of one slot
	Offload Offload
}

// Device is one queue of a link. It belongs to one thread, and no method blocks.
type Device interface {
	// FD is the descriptor that becomes readable when Recv has something, and writable
	// when a Send that fell short may go on. It is -1 for a device in memory.
	FD() int
	// Caps says what the device can do.
	Caps() Caps
	// Recv fills dst with frames that have arrived and returns how many; none is not an
	// error. They stay valid until the next Recv. Any error is final: ErrClosed,
	// ErrProtocol, or one of the system.
	Recv(dst []Frame) (n int, err error)
	// Reserve prepares up to len(dst) slots with room for size bytes of payload each
	// (at most Caps().Body) and returns how many it could.
	Reserve(dst []Slot, size int) int
	// Send sends slots of the last Reserve, in order, and returns how many it took:
	// fewer than len(s) if the link is full, and then FD becomes writable when it is
	// worth trying again. A frame that the link drops is taken. Any error is final, as
	// for Recv.
	Send(s []Slot) (n int, err error)
	// Close frees the device and what it has borrowed out.
	Close() error
}
