package dhcpv6

// The server's decisions (RFC 8415, sections 16 for what is valid and 18.3 for answers;
// RFC 4704 for the client's full name, RFC 3646 for resolvers and search lists).
//
// There is one client and one address for it, so the server keeps no bindings: it can tell
// from each message alone whether what the client holds is right. The address is given for
// ever, as by DHCP. Advertisements carry the highest preference, so that clients do
// not wait for those of other servers.
//
// Messages that a relay agent passed on are not for us: the guest is on our link.

import (
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"passt/l3"
	"passt/l3/inet"
	"passt/l4/service"
)

// UDP ports of the protocol (RFC 8415, section 7.2).
const (
	serverPort = 547
	clientPort = 546
)

// Groups that servers listen to (RFC 8415, section 7.1).
var (
	allAgents  = inet.Addr{0: 0xff, 1: 0x02, 13: 1, 15: 2} // relay agents and servers, on the link
	allServers = inet.Addr{0: 0xff, 1: 0x05, 13: 1, 15: 3} // in the site
)

// Config is what a Server gives out.
type Config struct {
	MAC       [6]byte      // ours: the server's identifier is made of it
	LinkLocal netip.Addr   // our link-local address, the source of answers
	Guest     netip.Addr   // the guest's address; invalid: none is given
	DNS       []netip.Addr // resolvers; other than IPv6 ones are left out
	Search    []string     // search list; what is not a domain name is left out
	FQDN      string       // the guest's fully qualified name; "": not given
}

// Stats counts messages.
type Stats struct {
	Rx        uint64
	RxBad     uint64 // not a message of the protocol, or not valid by RFC 8415
	RxIgnored uint64 // needing no answer, or for another server
	RxLimited uint64 // beyond the rate that is looked at
	TxAnswers uint64
	TxNoRoom  uint64 // answers that the link did not take
}

// Server is a DHCPv6 server for one link. It belongs to one thread.
type Server struct {
	ours    inet.Addr
	guest   inet.Addr // zero: none
	options configured
	sender  service.Sender
	rate    service.Rate
	Stats   Stats
}

// New makes a Server that answers through out. LinkLocal of cfg must be valid.
func New(cfg Config, out l3.Output) *Server {
	s := &Server{sender: service.NewSender(out)}
	s.Change(cfg)
	return s
}

// Change makes cfg what the Server gives out from now on. A client learns of it when it asks
// next: nobody can tell one that has not agreed on keys for that (RFC 8415, section 20.4).
func (s *Server) Change(cfg Config) {
	s.ours, s.guest, s.options = inet.FromNetip(cfg.LinkLocal), inet.Addr{}, configure(&cfg)
	if cfg.Guest.Is6() {
		s.guest = inet.FromNetip(cfg.Guest)
	}
}

// Input handles p if it is a message to a DHCPv6 server on this link, and says whether it
// was one. now is monotonic time in nanoseconds.
func (s *Server) Input(p *l3.Packet, now int64) bool {
	if !service.IsFor(p, serverPort) || p.Dst != allAgents && p.Dst != allServers && p.Dst != s.ours {
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
	switch s.check(&q, p.Dst == s.ours) {
	case invalid:
		s.Stats.RxBad++
		return true
	case notForUs:
		s.Stats.RxIgnored++
		return true
	case wantsMulticast:
		s.send(s.refusal(&q), p.Src)
		return true
	}
	if a := s.answer(&q); a != nil {
		s.send(a, p.Src)
	} else {
		s.Stats.RxIgnored++
	}
	return true
}

func (s *Server) send(m *dhcpv6.Message, to inet.Addr) {
	from := inet.Endpoint{Addr: s.ours, Port: serverPort}
	if s.sender.Send(from, inet.Endpoint{Addr: to, Port: clientPort}, m.ToBytes()) {
		s.Stats.TxAnswers++
	} else {
		s.Stats.TxNoRoom++
	}
}

// verdict is whether a message is to be answered.
type verdict uint8

const (
	valid          verdict = iota
	invalid                // not allowed by RFC 8415, section 16
	notForUs               // for another server, or not for a server
	wantsMulticast         // may come by multicast only, and the client is to be told
)

// need says of an option whether a message must have it.
type need uint8

const (
	optional need = iota
	required
	forbidden
)

// rule is what a message type demands (RFC 8415, sections 16.2 to 16.12).
type rule struct {
	known          bool
	client, server need
	unicast        verdict // of messages to our own address
}

var rules = [...]rule{
	dhcpv6.MessageTypeSolicit:            {true, required, forbidden, invalid},
	dhcpv6.MessageTypeRequest:            {true, required, required, wantsMulticast},
	dhcpv6.MessageTypeConfirm:            {true, required, forbidden, invalid},
	dhcpv6.MessageTypeRenew:              {true, required, required, wantsMulticast},
	dhcpv6.MessageTypeRebind:             {true, required, forbidden, invalid},
	dhcpv6.MessageTypeRelease:            {true, required, required, wantsMulticast},
	dhcpv6.MessageTypeDecline:            {true, required, required, wantsMulticast},
	dhcpv6.MessageTypeInformationRequest: {true, optional, optional, invalid},
}

func (n need) met(option []byte) bool {
	return n == optional || (n == required) == (option != nil)
}

// check applies the rules of q's type. unicast says that it came to our own address.
func (s *Server) check(q *request, unicast bool) verdict {
	if int(q.kind) >= len(rules) || !rules[q.kind].known {
		return notForUs
	}
	r := &rules[q.kind]
	switch {
	case !r.client.met(q.client) || !r.server.met(q.server):
		return invalid
	case q.kind == dhcpv6.MessageTypeInformationRequest && len(q.ias) > 0:
		return invalid // RFC 8415, section 16.12
	case q.server != nil && string(q.server) != string(s.options.id):
		return notForUs
	case unicast:
		return r.unicast
	}
	return valid
}

// answer is the answer to q, a valid message, or nil if there is to be none.
func (s *Server) answer(q *request) *dhcpv6.Message {
	m := s.reply(q)
	switch q.kind {
	case dhcpv6.MessageTypeSolicit:
		if q.rapid {
			m.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionRapidCommit})
		} else {
			m.MessageType = dhcpv6.MessageTypeAdvertise
			m.AddOption(dhcpv6.OptPreference(255)) // RFC 8415, section 18.2.1
		}
		s.associate(m, q)
	case dhcpv6.MessageTypeRequest, dhcpv6.MessageTypeRenew, dhcpv6.MessageTypeRebind:
		s.associate(m, q)
	case dhcpv6.MessageTypeConfirm:
		code, ok := s.confirm(q)
		if !ok {
			return nil
		}
		m.AddOption(&dhcpv6.OptStatusCode{StatusCode: code})
		return m
	case dhcpv6.MessageTypeRelease, dhcpv6.MessageTypeDecline:
		m.AddOption(&dhcpv6.OptStatusCode{StatusCode: iana.StatusSuccess})
		return m
	}
	s.options.add(m, q)
	return m
}

// refusal tells the client to use multicast (RFC 8415, section 18.3.2).
func (s *Server) refusal(q *request) *dhcpv6.Message {
	m := s.reply(q)
	m.AddOption(&dhcpv6.OptStatusCode{StatusCode: iana.StatusUseMulticast})
	return m
}

// reply is a Reply to q with the identifiers of both ends.
func (s *Server) reply(q *request) *dhcpv6.Message {
	m := &dhcpv6.Message{MessageType: dhcpv6.MessageTypeReply, TransactionID: q.xid}
	m.Options.Options = make(dhcpv6.Options, 0, 16)
	if q.client != nil {
		m.AddOption(raw(dhcpv6.OptionClientID, q.client))
	}
	m.AddOption(raw(dhcpv6.OptionServerID, s.options.id))
	return m
}
