package dhcp

// The server's decisions (RFC 2131, section 4.3; RFC 1542 for plain BOOTP; RFC 4039 for
// Rapid Commit).
//
// There is one client and one address for it, so the server keeps no leases: whether a
// request is right depends on the request alone, and any number of clients may ask, in any
// order, after any reboot. The lease is for ever: the address is the guest's for as long as
// we run, and a guest that was stopped for long must not find that it lapsed. Declines
// are ignored, since there is no other address to offer, and so are releases.
//
// Messages that a relay agent passed on are not for us: the guest is on our link.

import (
	"encoding/binary"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"passt/l3"
	"passt/l3/inet"
	"passt/l4/service"
)

// UDP ports of the protocol.
const (
	serverPort = 67
	clientPort = 68
)

// Config is what a Server gives out.
type Config struct {
	Ours  netip.Addr   // our IPv4 address: source of answers and server identifier
	Guest netip.Prefix // the guest's IPv4 address and its prefix length

	// Router is the default router; invalid: none. It may be outside the guest's subnet:
	// the way to it is then given as well.
	Router   netip.Addr
	MTU      int          // bytes; 0: not given
	DNS      []netip.Addr // resolvers; other than IPv4 ones are left out
	Search   []string     // search list; what is not a domain name is left out
	Hostname string       // the guest's name; "": not given
	FQDN     string       // its fully qualified name; "": not given
}

// Stats counts messages.
type Stats struct {
	Rx        uint64
	RxBad     uint64 // not a message of the protocol, or one that contradicts itself
	RxIgnored uint64 // needing no answer, or for another server
	RxLimited uint64 // beyond the rate that is looked at
	TxAnswers uint64 // offers, acknowledgements, BOOTP replies
	TxNak     uint64
	TxNoRoom  uint64 // answers that the link did not take
}

// Server is a DHCP server for one link. It belongs to one thread.
type Server struct {
	ours, guest inet.Addr
	subnet      inet.Addr // the broadcast address of the guest's subnet
	options     configured
	sender      service.Sender
	rate        service.Rate
	buf         [maxMessage]byte // the answer in hand
	Stats       Stats
}

// New makes a Server that answers through out. Ours and Guest of cfg must be valid.
func New(cfg Config, out l3.Output) *Server {
	s := &Server{sender: service.NewSender(out)}
	s.Change(cfg)
	return s
}

// Change makes cfg what the Server gives out from now on. A client learns of it when it asks
// next: nobody can tell one that has not agreed on keys for that (RFC 3203). What asks for an
// address that was right before is refused, and begins anew.
func (s *Server) Change(cfg Config) {
	s.ours, s.guest = inet.FromNetip(cfg.Ours), inet.FromNetip(cfg.Guest.Addr())
	s.options = configure(&cfg)
	s.subnet = s.guest
	bits := binary.BigEndian.Uint32(s.guest[12:]) | uint32(1<<(32-cfg.Guest.Bits())-1)
	binary.BigEndian.PutUint32(s.subnet[12:], bits)
}

// Input handles p if it is a message to a DHCP server on this link, and says whether it was
// one. now is monotonic time in nanoseconds.
func (s *Server) Input(p *l3.Packet, now int64) bool {
	if !service.IsFor(p, serverPort) || !p.Dst.Is4() || !p.Dst.IsBroadcast() && p.Dst != s.ours && p.Dst != s.subnet {
		return false
	}
	s.Stats.Rx++
	if !s.rate.Take(now) {
		s.Stats.RxLimited++
		return true
	}
	b, ok := service.Payload(p)
	if !ok {
		s.Stats.RxBad++
		return true
	}
	q, ok := parse(b)
	if !ok {
		s.Stats.RxBad++
		return true
	}
	kind, ok := s.decide(&q)
	if !ok {
		s.Stats.RxIgnored++
		return true
	}
	s.answer(&q, kind, &p.Src)
	return true
}

// decide returns the type of the answer to q; ok is false if there is to be none.
func (s *Server) decide(q *request) (kind dhcpv4.MessageType, ok bool) {
	if !isZero(q.m.giaddr()) {
		return 0, false
	}
	switch q.kind {
	case dhcpv4.MessageTypeNone: // BOOTP
		return dhcpv4.MessageTypeNone, true
	case dhcpv4.MessageTypeDiscover:
		if q.options.Has(dhcpv4.OptionRapidCommit) {
			return dhcpv4.MessageTypeAck, true
		}
		return dhcpv4.MessageTypeOffer, true
	case dhcpv4.MessageTypeRequest:
		return s.decideRequest(q)
	case dhcpv4.MessageTypeInform:
		return dhcpv4.MessageTypeAck, true
	}
	return 0, false
}

// decideRequest is decide for a DHCPREQUEST. What the client asks for stands in the option
// after an offer or a reboot, and in ciaddr when it extends its lease (RFC 2131, section
// 4.3.2).
func (s *Server) decideRequest(q *request) (kind dhcpv4.MessageType, ok bool) {
	if id := q.options.Get(dhcpv4.OptionServerIdentifier); id != nil && string(id) != string(s.ours[12:]) {
		return 0, false // it took another server's offer
	}
	want := q.options.Get(dhcpv4.OptionRequestedIPAddress)
	if want == nil {
		want = q.m.ciaddr()
	}
	switch {
	case len(want) != 4 || isZero(want):
		return 0, false
	case string(want) != string(s.guest[12:]):
		return dhcpv4.MessageTypeNak, true
	}
	return dhcpv4.MessageTypeAck, true
}

// answer sends an answer of the given type to q, which came from src.
func (s *Server) answer(q *request, kind dhcpv4.MessageType, src *inet.Addr) {
	inform := q.kind == dhcpv4.MessageTypeInform
	m := message(s.buf[:]).reply(q.m)
	if kind != dhcpv4.MessageTypeNak {
		copy(m.ciaddr(), q.m.ciaddr())
		if kind == dhcpv4.MessageTypeOffer {
			clear(m.ciaddr())
		}
		if !inform {
			copy(m.yiaddr(), s.guest[12:])
		}
	}
	n := layOut(m, min(q.room(), s.sender.Room()), s.list(q, kind), s.options.search(kind))
	dst := inet.Endpoint{Addr: s.destination(q, kind, src), Port: clientPort}
	if !s.sender.Send(inet.Endpoint{Addr: s.ours, Port: serverPort}, dst, m[:n]) {
		s.Stats.TxNoRoom++
		return
	}
	if kind == dhcpv4.MessageTypeNak {
		s.Stats.TxNak++
	} else {
		s.Stats.TxAnswers++
	}
}

// destination is where an answer of the given type to q goes (RFC 2131, section 4.1). The
// link knows the guest's hardware address without ARP.
func (s *Server) destination(q *request, kind dhcpv4.MessageType, src *inet.Addr) inet.Addr {
	broadcast := inet.Addr{10: 0xff, 11: 0xff, 12: 0xff, 13: 0xff, 14: 0xff, 15: 0xff}
	ciaddr := inet.V4(q.m.ciaddr())
	switch {
	case kind == dhcpv4.MessageTypeNak:
		return broadcast
	case ciaddr.IsUnicast():
		return ciaddr
	case q.m.broadcast():
		return broadcast
	case q.kind != dhcpv4.MessageTypeInform:
		return s.guest
	case src.IsUnicast(): // an inform without its ciaddr
		return *src
	}
	return broadcast
}
