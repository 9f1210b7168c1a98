package dhcpv6

// Identity associations (RFC 8415, sections 12, 18.3 and 21.4 to 21.7). The guest has one
// address, so one association gets it: the first that lists it already, else the first for
// non-temporary addresses, else the first for temporary ones. The others, and those for
// prefixes, are told that there is nothing to be had.

import (
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"passt/l3/inet"
)

// forever is the lifetime that stands for infinity (RFC 8415, section 7.7).
const forever = 0xffff_ffff * time.Second

// chosen is the index of the association of q that gets the address; -1 if none does.
func (s *Server) chosen(q *request) int {
	if s.guest.IsZero() {
		return -1
	}
	na, ta := -1, -1
	for i := range q.ias {
		ia := &q.ias[i]
		switch {
		case ia.has(s.guest):
			return i
		case ia.code == dhcpv6.OptionIANA && na < 0:
			na = i
		case ia.code == dhcpv6.OptionIATA && ta < 0:
			ta = i
		}
	}
	if na >= 0 {
		return na
	}
	return ta
}

// associate answers the identity associations of q in m.
func (s *Server) associate(m *dhcpv6.Message, q *request) {
	n := s.chosen(q)
	for i := range q.ias {
		m.AddOption(s.association(&q.ias[i], q.kind, i == n))
	}
}

// association is the answer to one association, ia, in a message of the given kind. gets
// says that it is the one that gets the address.
func (s *Server) association(ia *association, kind dhcpv6.MessageType, gets bool) dhcpv6.Option {
	var o dhcpv6.Options
	switch {
	case ia.code == dhcpv6.OptionIAPD:
		o.Add(&dhcpv6.OptStatusCode{StatusCode: iana.StatusNoPrefixAvail})
		return &dhcpv6.OptIAPD{IaId: ia.id, Options: dhcpv6.PDOptions{Options: o}}
	case kind == dhcpv6.MessageTypeRequest && len(ia.addrs) > 0 && !ia.has(s.guest):
		o.Add(&dhcpv6.OptStatusCode{StatusCode: iana.StatusNotOnLink}) // section 18.3.2
		return identity(ia, o, 0)
	}
	if gets {
		o.Add(address(s.guest, forever))
	}
	if kind == dhcpv6.MessageTypeRenew || kind == dhcpv6.MessageTypeRebind {
		for _, a := range ia.addrs {
			if a != s.guest || !gets {
				o.Add(address(a, 0)) // no longer to be used: sections 18.3.4 and 18.3.5
			}
		}
	}
	if gets {
		return identity(ia, o, forever)
	}
	if len(o) == 0 {
		o.Add(&dhcpv6.OptStatusCode{StatusCode: iana.StatusNoAddrsAvail})
	}
	return identity(ia, o, 0)
}

// identity is an IA_NA or IA_TA in answer to ia with the options o. t is when the client is
// to renew and to rebind, which IA_TA does not have.
func identity(ia *association, o dhcpv6.Options, t time.Duration) dhcpv6.Option {
	opts := dhcpv6.IdentityOptions{Options: o}
	if ia.code == dhcpv6.OptionIATA {
		return &dhcpv6.OptIATA{IaId: ia.id, Options: opts}
	}
	return &dhcpv6.OptIANA{IaId: ia.id, T1: t, T2: t, Options: opts}
}

// address is an address with both lifetimes.
func address(a inet.Addr, lifetime time.Duration) dhcpv6.Option {
	return &dhcpv6.OptIAAddress{IPv6Addr: a[:], PreferredLifetime: lifetime, ValidLifetime: lifetime}
}

// confirm is the status of a Confirm: whether all addresses that it lists are right. ok is
// false if it lists none, and then there must be no answer (RFC 8415, section 18.3.3).
func (s *Server) confirm(q *request) (code iana.StatusCode, ok bool) {
	code = iana.StatusSuccess
	for i := range q.ias {
		for _, a := range q.ias[i].addrs {
			ok = true
			if a != s.guest {
				code = iana.StatusNotOnLink
			}
		}
	}
	return code, ok
}
