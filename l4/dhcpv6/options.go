package dhcpv6

// What the server says of the configuration: resolvers and search list (RFC 3646), and the
// client's full name (RFC 4704). All of it is encoded once.

import (
	"encoding/binary"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"passt/l4/service"
)

// Limits of what is given out: with them, and those to what is taken of a request, an
// answer fits unfragmented into any IPv6 link.
const (
	maxDNS    = 8
	maxSearch = 256 // bytes of wire form
)

// Flags of the option for the full name.
const (
	fqdnServer   = 1 << 0 // S: the server updates the address record
	fqdnOverride = 1 << 1 // O: S is not what the client asked for
	fqdnNoUpdate = 1 << 2 // N: the server updates nothing
)

// DUID and hardware types of the server's identifier.
const (
	duidLL           = 3 // RFC 8415, section 11.4
	hardwareEthernet = 1
)

// configured is the options that come from the configuration, in wire form. nil stands for
// those that are not given.
type configured struct {
	id     []byte
	dns    []byte
	search []byte
	fqdn   []byte // the name
}

// configure encodes the options of cfg.
func configure(cfg *Config) (c configured) {
	c.id = binary.BigEndian.AppendUint16(nil, duidLL)
	c.id = binary.BigEndian.AppendUint16(c.id, hardwareEthernet)
	c.id = append(c.id, cfg.MAC[:]...)
	for _, d := range cfg.DNS {
		if d.Is6() && !d.Is4In6() && len(c.dns) < 16*maxDNS {
			c.dns = append(c.dns, d.AsSlice()...)
		}
	}
	for _, name := range cfg.Search {
		if longer, ok := service.AppendName(c.search, name); ok && len(longer) <= maxSearch {
			c.search = longer
		}
	}
	c.fqdn, _ = service.AppendName(nil, cfg.FQDN)
	return c
}

// add adds the configuration to m, an answer to q.
func (c *configured) add(m *dhcpv6.Message, q *request) {
	if c.dns != nil {
		m.AddOption(raw(dhcpv6.OptionDNSRecursiveNameServer, c.dns))
	}
	if c.search != nil {
		m.AddOption(raw(dhcpv6.OptionDomainSearchList, c.search))
	}
	if c.fqdn != nil && (q.fqdn != nil || q.wants(dhcpv6.OptionFQDN)) {
		flags := byte(fqdnNoUpdate) // nobody updates the DNS here
		if q.fqdn != nil && q.fqdn[0]&fqdnServer != 0 {
			flags |= fqdnOverride
		}
		m.AddOption(raw(dhcpv6.OptionFQDN, append([]byte{flags}, c.fqdn...)))
	}
}
