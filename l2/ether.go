package l2

// Ethernet II framing (IEEE 802.3, clause 3; RFC 894 and RFC 2464 for IP in it).
//
// A link has two ends: we are one, with one hardware address, the guest is the other. So
// there is no table of neighbours: everything goes to the address that the guest last
// sent from, or to broadcast until it has.

import (
	"encoding/binary"

	"passt/link"
)

// HeaderLen is the length of an Ethernet header, in bytes.
const HeaderLen = 14

// EtherTypes that matter here.
const (
	TypeIPv4 = 0x0800
	TypeARP  = 0x0806
	TypeIPv6 = 0x86dd
)

// MAC is a hardware address.
type MAC [6]byte

// IsMulticast says whether m is a group address, broadcast included.
func (m MAC) IsMulticast() bool { return m[0]&1 != 0 }

// Broadcast is the address of all stations.
var Broadcast = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Packet is the payload of one frame, borrowed until the device's next Recv.
type Packet struct {
	B         []byte // may have trailing padding: the IP header says where the packet ends
	EtherType uint16
	Multicast bool // sent to a group address
	Meta      link.Meta
}

// Upper is the layer above: it takes a batch of IP packets, in order of arrival. now is
// monotonic time in nanoseconds. Nothing of batch may be kept.
type Upper interface {
	Input(batch []Packet, now int64)
}

// Config is what the Ethernet layer is told.
type Config struct {
	MAC MAC // ours
	// GuestMAC is the guest's address as far as known; broadcast or zero if not.
	GuestMAC MAC
	// ARPIgnore says of an IPv4 address whether a question for it stays unanswered: the
	// guest's own addresses, so that its duplicate address detection succeeds. A nil
	// function means that IPv4 is off, and no question is answered.
	ARPIgnore func(ip [4]byte) bool
}

// Stats counts what the layer saw, in frames.
type Stats struct {
	Rx, Tx      uint64
	RxARP       uint64
	RxShort     uint64 // too short, or a bad ARP message
	RxOther     uint64 // for another station, or of a type that is not ours
	TxDropped   uint64 // answers that the link had no room for
	GuestMoved  uint64 // times the guest's address changed
	RxMulticast uint64
}

// Ethernet is one end of a link. It belongs to one thread.
type Ethernet struct {
	dev    link.Device
	cfg    Config
	guest  MAC
	known  bool
	frames []link.Frame
	batch  []Packet
	slot   [1]link.Slot
	Stats  Stats
}

// New puts an Ethernet layer on dev.
func New(dev link.Device, cfg Config) *Ethernet {
	n := dev.Caps().Batch
	e := &Ethernet{dev: dev, cfg: cfg, frames: make([]link.Frame, n), batch: make([]Packet, 0, n)}
	e.Forget()
	return e
}

// Forget goes back to what was known of the guest at the beginning: another one may come.
func (e *Ethernet) Forget() {
	e.guest, e.known = Broadcast, false
	if m := e.cfg.GuestMAC; m != (MAC{}) && !m.IsMulticast() {
		e.guest = m
	}
}

// Guest is the guest's hardware address, broadcast until it is known.
func (e *Ethernet) Guest() MAC { return e.guest }

// Poll takes one batch of frames off the link and passes the IP packets in it to up. It
// returns how many frames there were; an error is the link's and final.
func (e *Ethernet) Poll(up Upper, now int64) (int, error) {
	n, err := e.dev.Recv(e.frames)
	if n > 0 {
		e.input(e.frames[:n], up, now)
	}
	return n, err
}

func (e *Ethernet) input(frames []link.Frame, up Upper, now int64) {
	batch := e.batch[:0]
	e.Stats.Rx += uint64(len(frames))
	for i := range frames {
		f := &frames[i]
		if len(f.B) < HeaderLen {
			e.Stats.RxShort++
			continue
		}
		dst, src := MAC(f.B), MAC(f.B[6:])
		if dst != e.cfg.MAC && !dst.IsMulticast() {
			e.Stats.RxOther++
			continue
		}
		e.learn(src)
		switch t := binary.BigEndian.Uint16(f.B[12:]); t {
		case TypeIPv4, TypeIPv6:
			batch = append(batch, Packet{B: f.B[HeaderLen:], EtherType: t, Multicast: dst.IsMulticast(), Meta: f.Meta})
		case TypeARP:
			e.Stats.RxARP++
			e.arp(f.B[HeaderLen:])
		default:
			e.Stats.RxOther++
		}
	}
	if len(batch) > 0 {
		up.Input(batch, now)
	}
}

// learn notes where the guest is. Group addresses can't be a source.
func (e *Ethernet) learn(src MAC) {
	if src == e.guest || src.IsMulticast() || src == (MAC{}) {
		return
	}
	if e.known {
		e.Stats.GuestMoved++
	}
	e.guest, e.known = src, true
}

// Offload says what a sender may leave to the link.
func (e *Ethernet) Offload() link.Offload { return e.dev.Caps().Offload }

// Caps is the link's.
func (e *Ethernet) Caps() link.Caps { return e.dev.Caps() }

// Reserve prepares up to len(dst) slots with room for size bytes of payload behind their
// heads. The first HeaderLen bytes of each head are left to Send.
func (e *Ethernet) Reserve(dst []link.Slot, size int) int { return e.dev.Reserve(dst, size) }

// Send writes the Ethernet headers of slots with IP packets and sends them to the guest.
// It returns how many the link took, as link.Device does; an error of the link counts as
// taken here, since Poll will report it.
func (e *Ethernet) Send(s []link.Slot) int {
	for i := range s {
		h := s[i].Head
		t := uint16(TypeIPv4)
		if h[HeaderLen]>>4 == 6 {
			t = TypeIPv6
		}
		e.put(h, e.guest, t)
	}
	return e.send(s)
}

func (e *Ethernet) send(s []link.Slot) int {
	n, err := e.dev.Send(s)
	if err != nil {
		n = len(s)
	}
	e.Stats.Tx += uint64(n)
	return n
}

func (e *Ethernet) put(h []byte, dst MAC, etherType uint16) {
	copy(h, dst[:])
	copy(h[6:], e.cfg.MAC[:])
	binary.BigEndian.PutUint16(h[12:], etherType)
}
