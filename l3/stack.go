package l3

// The walk of a packet from the guest: header and source checked (RFC 791 and RFC 1122, section
// 3.2.1; RFC 8200, sections 3 and 4), fragments put together, sources noted, Neighbour
// Discovery taken out, lifetimes that end here answered (RFC 1812, section 5.3.1), the rest
// passed up as one batch.

import (
	"encoding/binary"

	"passt/l2"
	"passt/l3/inet"
	"passt/link"
)

// Lower is the layer below as this one needs it; *l2.Ethernet is one.
type Lower interface {
	Reserve(dst []link.Slot, size int) int
	Send(s []link.Slot) int
	Caps() link.Caps
}

// Control takes what ICMPv6 uses to run the link itself: Neighbour Discovery.
type Control interface {
	// Input handles p and says whether it was a message of its kind.
	Input(p *Packet, now int64) bool
}

// Guest is what the guest was last seen to send from. The zero Addr says "nothing yet".
type Guest struct {
	V4, V6, LinkLocal inet.Addr
}

// Config is what the layer is told.
type Config struct {
	V4, V6 bool      // IP versions that are on
	Ours4  inet.Addr // our addresses as the guest sees them, sources of ICMP errors
	Ours6  inet.Addr
}

// Stats counts what the layer saw, in packets.
type Stats struct {
	Rx          uint64
	RxBad       uint64 // a header that contradicts itself
	RxOff       uint64 // of an IP version that is off
	RxFragments uint64
	RxMartian   uint64 // with a source that no host can have, or none where one is needed
	RxExpired   uint64 // their lifetime ended here
	ErrorsSent  uint64
	ErrorsHeld  uint64 // not sent: too many, or not allowed to be answered
}

// Stack is the internet layer of one worker. It belongs to one thread.
type Stack struct {
	cfg     Config
	down    Lower
	up      Upper
	control Control
	guest   Guest
	batch   []Packet
	reasm   Reassembler
	errors  errorSender
	Stats   Stats
}

// ReassemblyStats are the counters of reassembly, which go on counting.
func (s *Stack) ReassemblyStats() *ReassemblyStats { return &s.reasm.Stats }

// New puts the layer on down. Packets go to up.
func New(down Lower, up Upper, cfg Config) *Stack {
	return &Stack{cfg: cfg, down: down, up: up, batch: make([]Packet, 0, down.Caps().Batch)}
}

// SetOurs makes ours4 and ours6 our addresses from now on.
func (s *Stack) SetOurs(ours4, ours6 inet.Addr) { s.cfg.Ours4, s.cfg.Ours6 = ours4, ours6 }

// SetControl makes c handle the ICMPv6 messages that run the link.
func (s *Stack) SetControl(c Control) { s.control = c }

// Guest is what the guest was last seen to send from.
func (s *Stack) Guest() *Guest { return &s.guest }

// Expect notes an address that the guest is about to take, unless it was already seen to
// send from one of the kind.
func (s *Stack) Expect(a inet.Addr) {
	if g := &s.guest; a.IsLinkLocal() && g.LinkLocal.IsZero() || !a.IsLinkLocal() && g.V6.IsZero() {
		s.observe(&a)
	}
}

// Forget forgets the guest and its fragments: another one may come.
func (s *Stack) Forget() {
	s.guest = Guest{}
	s.reasm.Forget()
}

// Reserve implements Output.
func (s *Stack) Reserve(dst []link.Slot, size int) int { return s.down.Reserve(dst, size) }

// Send implements Output.
func (s *Stack) Send(slots []link.Slot) int { return s.down.Send(slots) }

// Caps implements Output.
func (s *Stack) Caps() link.Caps { return s.down.Caps() }

// Input implements l2.Upper.
func (s *Stack) Input(batch []l2.Packet, now int64) {
	s.Stats.Rx += uint64(len(batch))
	s.batch = s.batch[:0]
	s.reasm.Release()
	for i := range batch {
		in := &batch[i]
		if s.reasm.Full() { // memory of whole datagrams is needed again
			s.pass(now)
			s.reasm.Release()
		}
		s.batch = s.batch[:len(s.batch)+1]
		p := &s.batch[len(s.batch)-1]
		p.Multicast, p.Meta, p.B = in.Multicast, in.Meta, in.B
		var ok bool
		if in.EtherType == l2.TypeIPv4 {
			ok = s.parse4(p, now)
		} else {
			ok = s.parse6(p, now)
		}
		if !ok || !s.admit(p, now) {
			s.batch = s.batch[:len(s.batch)-1]
		}
	}
	s.pass(now)
}

// pass hands the batch up.
func (s *Stack) pass(now int64) {
	if len(s.batch) > 0 {
		s.up.Input(s.batch, now)
		s.batch = s.batch[:0]
	}
}

// parse4 checks an IPv4 header and fills p from it.
func (s *Stack) parse4(p *Packet, now int64) bool {
	if !s.cfg.V4 {
		s.Stats.RxOff++
		return false
	}
	b := p.B
	if len(b) < HeaderLen4 || b[0]>>4 != 4 {
		s.Stats.RxBad++
		return false
	}
	hl, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if hl < HeaderLen4 || total < hl || total > len(b) || Checksum(0, b[:hl]) != 0 {
		s.Stats.RxBad++
		return false
	}
	b = b[:total] // behind it is the link's padding
	if binary.BigEndian.Uint16(b[6:])&0x3fff != 0 {
		s.Stats.RxFragments++
		if b = s.reasm.Input4(b, now); b == nil {
			return false
		}
		hl, p.Meta = int(b[0]&15)*4, link.Meta{}
	}
	p.B, p.L4 = b, b[hl:]
	p.Src, p.Dst = inet.V4(b[12:]), inet.V4(b[16:])
	p.TOS, p.TTL, p.Proto = b[1], b[8], b[9]
	return true
}

// IPv6 extension headers (RFC 8200, section 4; RFC 7045 for the list).
const (
	extHopByHop = 0
	extRouting  = 43
	extFragment = 44
	extAuth     = 51
	extDest     = 60
	extMobility = 135
)

// parse6 checks an IPv6 header, walks the extension headers, and fills p.
func (s *Stack) parse6(p *Packet, now int64) bool {
	if !s.cfg.V6 {
		s.Stats.RxOff++
		return false
	}
	b := p.B
	if len(b) < HeaderLen6 || b[0]>>4 != 6 {
		s.Stats.RxBad++
		return false
	}
	total := HeaderLen6 + int(binary.BigEndian.Uint16(b[4:]))
	if total > len(b) {
		s.Stats.RxBad++
		return false
	}
	b = b[:total]
	proto, off, whole := walk6(b)
	if proto == extFragment && whole {
		s.Stats.RxFragments++
		if b = s.reasm.Input6(b, off, now); b == nil {
			return false
		}
		p.Meta = link.Meta{}
		proto, off, whole = walk6(b)
	}
	if !whole {
		s.Stats.RxBad++
		return false
	}
	p.B, p.L4 = b, b[off:]
	p.Src, p.Dst = inet.V6(b[8:]), inet.V6(b[24:])
	p.TOS, p.TTL, p.Proto = b[0]<<4|b[1]>>4, b[7], proto
	if p.Src.Is4() || p.Dst.Is4() { // mapped addresses must not appear on a wire (RFC 4942, section 2.2)
		s.Stats.RxMartian++
		return false
	}
	return true
}

// walk6 finds the transport header of an IPv6 packet: its protocol and offset. It stops
// at a fragment header too. ok is false if the chain runs out of the packet.
func walk6(b []byte) (proto uint8, off int, ok bool) {
	proto, off = b[6], HeaderLen6
	for {
		n := 0
		switch proto {
		case extHopByHop, extRouting, extDest, extMobility:
			if off+8 > len(b) {
				return proto, off, false
			}
			n = (int(b[off+1]) + 1) * 8
		case extAuth:
			if off+8 > len(b) {
				return proto, off, false
			}
			n = (int(b[off+1]) + 2) * 4
		case extFragment:
			return proto, off, off+8 <= len(b)
		default:
			return proto, off, true
		}
		if off+n > len(b) {
			return proto, off, false
		}
		proto, off = b[off], off+n
	}
}

// admit decides whether p goes up, and does what has to be done if it does not.
func (s *Stack) admit(p *Packet, now int64) bool {
	if p.Src.IsMulticast() || p.Src.IsBroadcast() || p.Src.IsLoopback() {
		s.Stats.RxMartian++
		return false
	}
	s.observe(&p.Src)
	if p.Proto == ProtoICMPv6 && s.control != nil && s.control.Input(p, now) {
		return false
	}
	if p.Src.IsUnspecified() && !asksForAddress(p) {
		s.Stats.RxMartian++
		return false
	}
	if p.TTL <= 1 && !p.Dst.IsMulticast() && p.Dst != s.cfg.Ours4 && p.Dst != s.cfg.Ours6 {
		s.Stats.RxExpired++
		s.SendError(ICMPError{Kind: TimeExceeded}, p.B, now)
		return false
	}
	return true
}

// Ports of DHCP, the one protocol above this layer that hosts without an address speak.
const (
	portDHCPClient = 68
	portDHCPServer = 67
)

// asksForAddress says whether p is a message of a DHCP client (RFC 2131, section 4.1).
func asksForAddress(p *Packet) bool {
	return p.Src.Is4() && p.Proto == ProtoUDP && len(p.L4) >= 4 &&
		binary.BigEndian.Uint16(p.L4) == portDHCPClient && binary.BigEndian.Uint16(p.L4[2:]) == portDHCPServer
}

// observe notes src as the guest's, unless it says nothing or is one of ours.
func (s *Stack) observe(src *inet.Addr) {
	g := &s.guest
	if *src == g.V4 || *src == g.V6 || *src == g.LinkLocal || src.IsUnspecified() || *src == s.cfg.Ours4 || *src == s.cfg.Ours6 {
		return
	}
	switch {
	case src.Is4():
		g.V4 = *src
	case src.IsLinkLocal():
		g.LinkLocal = *src
	default:
		g.V6 = *src
	}
}
