package tcp

// A connection, seen from the guest's side (RFC 9293, section 3.3.1, with us as the peer).
// Names of variables are the RFC's: SND is what we send to the guest, RCV what we take
// from it.
//
//	            SYN from the guest                 accepted on the host
//	closed ────────────────────▶ dialing    closed ─────────▶ offering
//	           host connected       │                            │ SYN with ACK
//	                                ▼                            ▼
//	                             answering ── ACK of ours ──▶ established
//
// Both ends of a connection close on their own: gotFIN and sentFIN are flags beside the
// state established, and the connection is over when both FINs are acknowledged.

import (
	"passt/l3"
	"passt/l3/inet"
	"passt/l4/flow"
)

type state uint8

const (
	closed      state = iota
	dialing           // the guest's SYN came, the host's socket is connecting
	answering         // our SYN with ACK is out
	offering          // our SYN is out, for a connection that the host accepted
	established       // and all that follows
)

var stateNames = [...]string{"closed", "dialing", "answering", "offering", "established"}

func (s state) String() string { return stateNames[s] }

type flags uint32

const (
	gotFIN      flags = 1 << iota // the guest's FIN was taken, in order
	hostClosing                   // the host's peer has sent its FIN, or worse
	urgent                        // the host's peer has sent urgent data, in front of which a read ends
	hostReset                     // the host's peer has reset it, before the guest knew that it is connected
	hostEOF                       // the host's peer has ended its stream: all of it was peeked
	sentFIN                       // and our FIN is out (SND.NXT counts it)
	finAcked                      // the guest has acknowledged it
	readable                      // the socket may have something to peek
	full                          // the socket refused data: nothing more before it is writable
	losing                        // the socket refused data inside the window, and it was not all sent again yet
	waitRoom                      // an event of the socket will tell of room to send
	ackNow                        // an acknowledgement is due at the end of the burst
	ackLate                       // an acknowledgement is due, but may wait for an answer to ride on
	due                           // on the list of connections with work at the end of the burst
	late                          // on the list of connections with something that may wait
	blocked                       // on the list of connections that wait for the link
	keepAlive                     // the peers are being asked whether they are still there
	weWantScale                   // our SYN offered window scaling (offering)
	recovering                    // lost segments are being sent again, up to recover
	fromHost                      // the host's peer began it
)

// Conn is one connection. It has no pointers.
type Conn struct {
	tpl   l3.Template // from the remote end to the guest
	fd    int32
	state state
	flags flags

	// From the guest.
	rcvNxt  uint32 // next sequence number expected
	rcvAck  uint32 // last acknowledgement sent
	rcvEdge uint32 // right edge of the window advertised; never moves left
	room    int32  // bytes of send buffer that were free, less what was sent since, by estimate
	sndBuf  int32  // size of the send buffer, when last asked
	cost    uint16 // of a byte of payload in the send buffer, in units of 1/costOne
	lostTo  uint32 // what lies before it and not before rcvNxt was dropped by us, while losing
	dupAcks uint8  // further duplicate acknowledgements to send, to make the guest send again

	// To the guest.
	sndUna   uint32 // oldest sequence number not acknowledged
	sndNxt   uint32 // next one to send
	sndMax   uint32 // highest one sent; beyond sndNxt while sending again
	sndWnd   uint32 // the guest's window, in bytes
	wl1      uint32 // sequence number of the segment that last told it (RFC 9293, section 3.10.7.4)
	recover  uint32 // sndMax when the loss was noticed
	mss      uint16 // largest payload of a segment to the guest
	rcvMSS   uint16 // and of one from it, as we have asked
	guestDup uint8  // duplicate acknowledgements in a row from the guest
	sndScale uint8  // shift of the guest's window
	rcvScale uint8  // shift of ours

	// The receive queue of the socket starts at qHead; the socket's own peek offset is at
	// peekAt, as a sequence number.
	qHead, peekAt uint32
	calm          uint8 // small pieces in a row, each acknowledged before the next
	kept          uint8 // acknowledgements whose data is still in the queue

	// Timers, in the engine's time.
	deadline int64 // of whatever the connection waits for; 0 if nothing
	armed    int64 // the earliest of the wheel's entries, 0 if none counts; later ones may be there, and are ignored
	retries  uint8
	quick    uint8 // runs of the guest's segments to acknowledge at once
	lateAt   int64 // when what may wait must not wait longer
	lastSeen int64 // when the guest or the host last did something
	bytesIn  uint64
	bytesOut uint64

	// For those who watch.
	started int64
	peer    inet.Endpoint // what the socket is connected to
}

// entry is a connection with its place and its key.
type entry = flow.Entry[Conn]

func (c *Conn) has(f flags) bool { return c.flags&f != 0 }
func (c *Conn) set(f flags)      { c.flags |= f }
func (c *Conn) clear(f flags)    { c.flags &^= f }

// inFlight is how much is sent and not acknowledged, our FIN included.
func (c *Conn) inFlight() uint32 { return c.sndNxt - c.sndUna }

// window is what the guest may still send, in bytes.
func (c *Conn) window() uint32 { return c.rcvEdge - c.rcvNxt }
