package dhcp

// The message's fixed part and the options behind it (RFC 2131, section 2; RFC 2132;
// RFC 3396 for options in several pieces; RFC 2132, section 9.3, for options that continue
// in the fields file and sname).

import (
	"encoding/binary"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Layout of a message, in bytes.
const (
	lenFixed   = 236 // before the magic cookie
	lenCookie  = 4
	lenSname   = 64
	lenFile    = 128
	offSname   = 44
	offFile    = 108
	offOptions = lenFixed + lenCookie
)

// Sizes of messages, in bytes of UDP payload.
const (
	minMessage     = 300                             // of BOOTP (RFC 1542, section 2.1)
	defaultMessage = 576 - ipLen                     // what every client takes (RFC 2131, section 2)
	maxMessage     = 1500 - ipLen                    // no answer is longer
	maxRequest     = 4096                            // no request is looked at that is longer
	ipLen          = 20 + 8                          // IPv4 and UDP headers
	flagBroadcast  = uint16(1 << 15)                 // of the flags field
	cookie         = uint32(0x63_82_53_63)           // magic
	opRequest      = uint8(dhcpv4.OpcodeBootRequest) // from client to server
	opReply        = uint8(dhcpv4.OpcodeBootReply)
)

// message is a view of a message, at least lenFixed bytes long.
type message []byte

func (m message) op() uint8       { return m[0] }
func (m message) hlen() uint8     { return m[2] }
func (m message) broadcast() bool { return binary.BigEndian.Uint16(m[10:])&flagBroadcast != 0 }
func (m message) ciaddr() []byte  { return m[12:16] }
func (m message) yiaddr() []byte  { return m[16:20] }
func (m message) giaddr() []byte  { return m[24:28] }
func (m message) sname() []byte   { return m[offSname : offSname+lenSname] }
func (m message) file() []byte    { return m[offFile : offFile+lenFile] }

// reply makes m an answer to q, with what answers copy from the question (RFC 2131, table
// 3) and a magic cookie, and returns it.
func (m message) reply(q message) message {
	clear(m)
	m[0] = opReply
	copy(m[1:3], q[1:3])     // htype, hlen
	copy(m[4:8], q[4:8])     // xid
	copy(m[10:12], q[10:12]) // flags
	copy(m[28:44], q[28:44]) // chaddr
	binary.BigEndian.PutUint32(m[lenFixed:], cookie)
	return m
}

// request is a message from a client. m is borrowed from the packet.
type request struct {
	m       message
	kind    dhcpv4.MessageType // MessageTypeNone for plain BOOTP
	options dhcpv4.Options
}

// parse takes a client's message apart; ok is false if it is none.
func parse(b []byte) (q request, ok bool) {
	q = request{m: b, options: make(dhcpv4.Options)}
	if len(b) < lenFixed || len(b) > maxRequest || q.m.op() != opRequest || q.m.hlen() > 16 {
		return q, false
	}
	if len(b) < offOptions || binary.BigEndian.Uint32(b[lenFixed:]) != cookie {
		return q, true // BOOTP, with a vendor area of another kind or none
	}
	if q.options.FromBytes(b[offOptions:]) != nil {
		return q, false
	}
	if o := q.options.Get(dhcpv4.OptionOptionOverload); len(o) == 1 {
		if o[0]&overloadFile != 0 && q.options.FromBytes(q.m.file()) != nil {
			return q, false
		}
		if o[0]&overloadSname != 0 && q.options.FromBytes(q.m.sname()) != nil {
			return q, false
		}
	}
	if k, has := q.options[dhcpv4.OptionDHCPMessageType.Code()]; has {
		if len(k) != 1 || k[0] == 0 {
			return q, false
		}
		q.kind = dhcpv4.MessageType(k[0])
	}
	return q, true
}

// room is the size of the longest answer that the client takes, in bytes of UDP payload. The
// option counts the IP and UDP headers: clients differ in that, and this is the safe
// reading of it.
func (q *request) room() int {
	if o := q.options.Get(dhcpv4.OptionMaximumDHCPMessageSize); len(o) == 2 {
		return min(max(int(binary.BigEndian.Uint16(o))-ipLen, defaultMessage), maxMessage)
	}
	return defaultMessage
}

// wants says whether the client has an option of its own with this code, or asks for one.
func (q *request) wants(code dhcpv4.OptionCode) bool {
	if q.options.Has(code) {
		return true
	}
	for _, c := range q.options.Get(dhcpv4.OptionParameterRequestList) {
		if c == code.Code() {
			return true
		}
	}
	return false
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
