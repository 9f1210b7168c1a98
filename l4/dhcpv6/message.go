package dhcpv6

// A client's message taken apart (RFC 8415, sections 8 and 21). Only the options that
// matter are looked into, and of those that may repeat, only the first few: what a message
// costs does not grow with what a client puts into it, and an odd option in it that is
// none of our concern does not make it invalid.

import (
	"errors"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"passt/l3/inet"
)

// Limits to what is looked at.
const (
	maxRequest = 4096 // bytes
	maxDUID    = 130  // bytes, with its type (RFC 8415, section 11.1)
	maxIAs     = 4
	maxAddrs   = 8 // in all of a message
)

const lenHeader = 4 // message type and transaction identifier

// request is a client's message. Slices are borrowed from the packet.
type request struct {
	kind   dhcpv6.MessageType
	xid    dhcpv6.TransactionID
	client []byte // identifiers; nil if missing
	server []byte
	rapid  bool
	fqdn   []byte // the client's option; nil if missing
	wanted []byte // codes of the options that it asks for
	ias    []association
}

// association is an identity association of a client: IA_NA, IA_TA or IA_PD.
type association struct {
	code  dhcpv6.OptionCode
	id    [4]byte
	addrs []inet.Addr // that the client lists; none for IA_PD
}

// has says whether the client lists a.
func (ia *association) has(a inet.Addr) bool {
	for _, b := range ia.addrs {
		if a == b {
			return true
		}
	}
	return false
}

// raw is an option in wire form. data is kept, not copied.
func raw(code dhcpv6.OptionCode, data []byte) dhcpv6.Option {
	return &dhcpv6.OptionGeneric{OptionCode: code, OptionData: data}
}

// walk calls f for each option in b, in order, and stops at the first error.
func walk(b []byte, f func(code dhcpv6.OptionCode, data []byte) error) error {
	var none dhcpv6.Options
	return none.FromBytesWithParser(b, func(code dhcpv6.OptionCode, data []byte) (dhcpv6.Option, error) {
		return &ignored, f(code, data)
	})
}

var (
	ignored dhcpv6.OptionGeneric // stands for options in walk's list, which nobody reads
	errForm = errors.New("malformed option")
)

// parse takes a client's message apart; ok is false if it is malformed.
func parse(b []byte) (q request, ok bool) {
	if len(b) < lenHeader || len(b) > maxRequest {
		return q, false
	}
	q.kind = dhcpv6.MessageType(b[0])
	copy(q.xid[:], b[1:])
	if q.kind == dhcpv6.MessageTypeRelayForward || q.kind == dhcpv6.MessageTypeRelayReply {
		return q, true // of another form, and not for us
	}
	room := maxAddrs
	err := walk(b[lenHeader:], func(code dhcpv6.OptionCode, data []byte) error {
		return q.option(code, data, &room)
	})
	return q, err == nil
}

// option takes one option into q. room is how many more addresses are taken.
func (q *request) option(code dhcpv6.OptionCode, data []byte, room *int) error {
	switch code {
	case dhcpv6.OptionClientID, dhcpv6.OptionServerID:
		id := &q.client
		if code == dhcpv6.OptionServerID {
			id = &q.server
		}
		if len(data) < 3 || len(data) > maxDUID || *id != nil {
			return errForm
		}
		*id = data
	case dhcpv6.OptionRapidCommit:
		q.rapid = true
	case dhcpv6.OptionFQDN:
		if len(data) < 1 {
			return errForm
		}
		q.fqdn = data
	case dhcpv6.OptionORO:
		if len(data)%2 != 0 {
			return errForm
		}
		q.wanted = data
	case dhcpv6.OptionIANA, dhcpv6.OptionIATA, dhcpv6.OptionIAPD:
		if len(q.ias) == maxIAs {
			return nil
		}
		ia, err := parseIA(code, data, room)
		q.ias = append(q.ias, ia)
		return err
	}
	return nil
}

// parseIA takes an identity association apart.
func parseIA(code dhcpv6.OptionCode, data []byte, room *int) (ia association, err error) {
	fixed := 12 // IAID, T1, T2
	if code == dhcpv6.OptionIATA {
		fixed = 4
	}
	if len(data) < fixed {
		return ia, errForm
	}
	ia.code = code
	copy(ia.id[:], data)
	return ia, walk(data[fixed:], func(code dhcpv6.OptionCode, data []byte) error {
		if code != dhcpv6.OptionIAAddr || *room == 0 {
			return nil
		}
		if len(data) < 24 { // address and two lifetimes
			return errForm
		}
		*room--
		ia.addrs = append(ia.addrs, inet.V6(data))
		return nil
	})
}

// wants says whether the client asks for the option with this code.
func (q *request) wants(code dhcpv6.OptionCode) bool {
	for i := 0; i+1 < len(q.wanted); i += 2 {
		if dhcpv6.OptionCode(q.wanted[i])<<8|dhcpv6.OptionCode(q.wanted[i+1]) == code {
			return true
		}
	}
	return false
}
