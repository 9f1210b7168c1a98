package dhcp

// What the server says of the configuration (RFC 2132; RFC 3397 for the search list, RFC 3442
// for classless routes, RFC 4702 for the client's full name, RFC 6842 for the client
// identifier). All of it is encoded once, but for what depends on the client.

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"passt/l4/service"
)

// Limits of what is given out: more than that would not fit into an answer, or into the
// client that gets it (dhcpcd drops a search list of more than 1 KiB of text).
const (
	maxDNS    = 63   // as many as one option has room for
	maxSearch = 1000 // bytes of wire form before compression
	maxHost   = 255  // bytes of the name in option 12
)

// forever is the lease time that stands for an endless lease (RFC 2131, section 3.3).
const forever = 0xffff_ffff

// Flags of option 81.
const (
	fqdnServer   = 1 << 0 // S: the server updates the address record
	fqdnOverride = 1 << 1 // O: S is not what the client asked for
	fqdnEncoded  = 1 << 2 // E: the name is in wire form
	fqdnNoUpdate = 1 << 3 // N: the server updates nothing
	fqdnRCode    = 255    // both response codes of a server (RFC 4702, section 2.2)
)

// configured is the options that come from the configuration, in wire form.
type configured struct {
	id       []byte   // server identifier
	lease    []byte   // lease time
	network  []option // what a client cannot do without
	names    []option // the rest
	fqdn     string
	fqdnWire []byte   // nil: not given
	lists    []option // search lists: the whole, and shorter and shorter beginnings of it
}

// configure encodes the options of cfg.
func configure(cfg *Config) (c configured) {
	c.id = addr(cfg.Ours)
	c.lease = binary.BigEndian.AppendUint32(nil, forever)
	c.network = []option{{code: dhcpv4.OptionSubnetMask, data: netMask(cfg.Guest.Bits())}}
	if cfg.Router.Is4() {
		if !cfg.Guest.Contains(cfg.Router) {
			c.network = append(c.network, option{code: dhcpv4.OptionClasslessStaticRoute, data: routesVia(cfg.Router)})
		}
		c.network = append(c.network, option{code: dhcpv4.OptionRouter, data: addr(cfg.Router)})
	}
	var dns []byte
	for _, d := range cfg.DNS {
		if d.Is4() && len(dns) < 4*maxDNS {
			dns = append(dns, addr(d)...)
		}
	}
	if len(dns) > 0 {
		c.network = append(c.network, option{code: dhcpv4.OptionDomainNameServer, data: dns, unit: 4})
	}
	if cfg.MTU > 0 {
		mtu := binary.BigEndian.AppendUint16(nil, uint16(min(cfg.MTU, 65535)))
		c.network = append(c.network, option{code: dhcpv4.OptionInterfaceMTU, data: mtu})
	}
	if h := cfg.Hostname; h != "" && len(h) <= maxHost {
		c.names = append(c.names, option{code: dhcpv4.OptionHostName, data: []byte(h)})
	}
	if wire, ok := service.AppendName(nil, cfg.FQDN); ok {
		c.fqdn, c.fqdnWire = strings.TrimSuffix(cfg.FQDN, "."), wire
	}
	c.lists = searchLists(cfg.Search)
	return c
}

// addr is the wire form of an IPv4 address.
func addr(a netip.Addr) []byte {
	b := a.As4()
	return b[:]
}

// netMask is the wire form of the mask with the given number of bits.
func netMask(bits int) []byte {
	return binary.BigEndian.AppendUint32(nil, ^uint32(1<<(32-bits)-1))
}

// routesVia is option 121 with a route to the router itself, on the link, and the default
// route through it (RFC 3442). A client that knows the option ignores the router option; one
// that does not is left with that.
func routesVia(router netip.Addr) []byte {
	b := append([]byte{32}, addr(router)...)
	b = append(b, 0, 0, 0, 0) // on the link
	b = append(b, 0)
	return append(b, addr(router)...)
}

// searchLists encodes names as option 119, compressed (RFC 3397, section 2), once for each
// number of names, longest list first.
func searchLists(names []string) (lists []option) {
	at := map[string]int{} // offset of each suffix that was written
	var b []byte
	plain := 0 // bytes before compression
	for _, name := range names {
		labels, ok := service.Labels(name)
		if !ok {
			continue
		}
		if plain += len(strings.Join(labels, ".")) + 2; plain > maxSearch {
			break
		}
		b = appendCompressed(b, labels, at)
		lists = append(lists, option{code: dhcpv4.OptionDNSDomainSearchList, data: slices.Clone(b)})
	}
	slices.Reverse(lists)
	return lists
}

// appendCompressed appends a name to b. at has the offsets in b that a pointer may name, and
// gets those of the new name.
func appendCompressed(b []byte, labels []string, at map[string]int) []byte {
	for i, l := range labels {
		rest := strings.Join(labels[i:], ".")
		if off, ok := at[rest]; ok {
			return binary.BigEndian.AppendUint16(b, 0xc000|uint16(off))
		}
		at[rest] = len(b)
		b = append(append(b, byte(len(l))), l...)
	}
	return append(b, 0)
}

// list is the options of an answer of the given type to q, but for the search list, in the
// order of their importance.
func (s *Server) list(q *request, kind dhcpv4.MessageType) []option {
	c := &s.options
	o := make([]option, 0, 16)
	if kind != dhcpv4.MessageTypeNone {
		o = append(o, option{code: dhcpv4.OptionDHCPMessageType, data: []byte{byte(kind)}}, option{code: dhcpv4.OptionServerIdentifier, data: c.id})
	}
	if id := q.options.Get(dhcpv4.OptionClientIdentifier); len(id) > 0 && len(id) <= 255 {
		o = append(o, option{code: dhcpv4.OptionClientIdentifier, data: id})
	}
	if kind == dhcpv4.MessageTypeNak {
		return o
	}
	if kind != dhcpv4.MessageTypeNone && q.kind != dhcpv4.MessageTypeInform {
		o = append(o, option{code: dhcpv4.OptionIPAddressLeaseTime, data: c.lease})
	}
	if kind == dhcpv4.MessageTypeAck && q.kind == dhcpv4.MessageTypeDiscover {
		o = append(o, option{code: dhcpv4.OptionRapidCommit})
	}
	o = append(append(o, c.network...), c.names...)
	if c.fqdnWire != nil && q.wants(dhcpv4.OptionFQDN) {
		o = append(o, option{code: dhcpv4.OptionFQDN, data: c.fqdnOption(q.options.Get(dhcpv4.OptionFQDN))})
	}
	return o
}

// search is the search lists that may end an answer of the given type.
func (c *configured) search(kind dhcpv4.MessageType) []option {
	if kind == dhcpv4.MessageTypeNak {
		return nil
	}
	return c.lists
}

// fqdnOption is option 81 in answer to the client's one, which may be missing. Nobody
// updates the DNS here, and the client is told so.
func (c *configured) fqdnOption(client []byte) []byte {
	flags, name := byte(fqdnEncoded|fqdnNoUpdate), c.fqdnWire
	if len(client) > 0 {
		if client[0]&fqdnServer != 0 {
			flags |= fqdnOverride
		}
		if client[0]&fqdnEncoded == 0 {
			flags, name = flags&^fqdnEncoded, []byte(c.fqdn)
		}
	}
	return append([]byte{flags, fqdnRCode, fqdnRCode}, name...)
}
