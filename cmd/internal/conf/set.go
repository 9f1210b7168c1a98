package conf

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"passt/nat/destspec"
	"passt/nat/portspec"
)

// setter puts the value of an option into p.o. Its error says what would be right; the
// caller adds the option's name and the value.
type setter func(p *parser, value string) error

// on sets a field to true.
func on(field func(*Options) *bool) setter {
	return func(p *parser, _ string) error {
		*field(p.o) = true
		return nil
	}
}

// off sets a field to false.
func off(field func(*Options) *bool) setter {
	return func(p *parser, _ string) error {
		*field(p.o) = false
		return nil
	}
}

// text sets a field to the value, if check has nothing against it.
func text(field func(*Options) *string, check func(string) error) setter {
	return func(p *parser, v string) error {
		*field(p.o) = v
		return check(v)
	}
}

// perFamily sets the element of the address's IP version.
func perFamily(field func(*Options) *[2]netip.Addr, not int) setter {
	return func(p *parser, v string) error {
		a, err := address(v, not)
		field(p.o)[family(a)] = a
		return err
	}
}

// mapped is perFamily with "none", which takes back what came before it.
func mapped(field func(*Options) (addr *[2]netip.Addr, none *bool)) setter {
	return func(p *parser, v string) error {
		addr, none := field(p.o)
		if v == "none" {
			*addr, *none = [2]netip.Addr{}, true
			return nil
		}
		a, err := address(v, noLoopback|noUnspecified|noMulticast)
		if err != nil {
			return fmt.Errorf("%w, or none", err)
		}
		addr[family(a)] = a
		return nil
	}
}

func macSetter(field func(*Options) *net.HardwareAddr) setter {
	return func(p *parser, v string) (err error) {
		*field(p.o), err = macAddress(v)
		return err
	}
}

func domainSetter(field func(*Options) *string) setter {
	return func(p *parser, v string) (err error) {
		*field(p.o), err = domain(v)
		return err
	}
}

// portSetter adds a port specification.
func portSetter(field func(*Options) *portspec.Spec) setter {
	return func(p *parser, v string) error {
		s, err := portspec.Parse(v)
		if err == nil {
			s, err = field(p.o).Merge(s)
		}
		if err != nil {
			return err
		}
		*field(p.o) = s
		return nil
	}
}

func setOutboundAllow(p *parser, v string) error {
	s, err := destspec.Parse(v)
	if err == nil {
		s, err = p.o.OutAllow.Merge(s)
	}
	if err != nil {
		return err
	}
	p.o.OutAllow = s
	return nil
}

func setHelp(*parser, string) error    { return ErrHelp }
func setVersion(*parser, string) error { return ErrVersion }
func setNothing(*parser, string) error { return nil }

func setDebug(p *parser, _ string) error {
	p.o.Debug, p.o.Quiet = true, false
	return nil
}

func setTrace(p *parser, _ string) error {
	p.o.Trace = true
	return setDebug(p, "")
}

func setQuiet(p *parser, _ string) error {
	p.o.Debug, p.o.Trace, p.o.Quiet = false, false, true
	return nil
}

func setLogSize(p *parser, v string) (err error) {
	p.o.LogSize, err = number(v, minLogSize, 1<<40)
	return err
}

func setStats(p *parser, v string) error {
	n, err := number(v, 1, 1<<31-1)
	p.o.Stats = int(n)
	return err
}

func setMTU(p *parser, v string) error {
	n, err := number(v, 0, maxMTU)
	p.o.MTU = int(n)
	if err != nil || n > 0 && n < minMTU4 {
		return fmt.Errorf("give %d to %d bytes, or 0 to announce none", minMTU6, maxMTU)
	}
	return nil
}

func setAddress(p *parser, v string) error {
	s, length, cidr := strings.Cut(v, "/")
	a, err := address(s, noLoopback|noUnspecified|noMulticast)
	if err != nil {
		return err
	}
	fam, n := family(a), -1
	if cidr {
		l, err := number(length, 1, int64(a.BitLen()))
		if err != nil {
			return fmt.Errorf("prefix length: %w", err)
		}
		n = int(l)
	}
	p.o.Addr[fam] = netip.PrefixFrom(a, n)
	p.cidr[fam], p.lastAddr6 = cidr, fam == 1
	return nil
}

// setNetmask takes an IPv4 mask. Callers that give address and length by turns give those
// of IPv6 too: more than 32 bits, after an IPv6 address, are its prefix length.
func setNetmask(p *parser, v string) error {
	n, err := netmask(v)
	switch {
	case err != nil:
		return err
	case n <= 32:
		p.o.Mask, p.maskGiven = n, true
	case p.lastAddr6 && !p.cidr[1]:
		p.o.Addr[1] = netip.PrefixFrom(p.o.Addr[1].Addr(), n)
	case p.lastAddr6:
		return errors.New("-a gave the prefix length already; leave out one of the two")
	default:
		return errors.New("an IPv4 mask has 1 to 32 bits")
	}
	return nil
}

func setDNS(p *parser, v string) error {
	if v == "none" {
		p.o.DNS, p.o.DNSNone = nil, true
		return nil
	}
	a, err := address(v, noUnspecified|noMulticast)
	if err != nil {
		return fmt.Errorf("%w, or none", err)
	}
	p.o.DNS, p.o.DNSNone = append(p.o.DNS, a), false
	return nil
}

func setSearch(p *parser, v string) error {
	if v == "none" {
		p.o.Search, p.o.SearchNone = nil, true
		return nil
	}
	names := strings.Fields(v)
	if len(names) == 0 {
		return errors.New("give domains separated by blanks, or none")
	}
	for _, s := range names {
		name, err := domain(s)
		if err != nil {
			return err
		}
		p.o.Search = append(p.o.Search, name)
	}
	p.o.SearchNone = false
	return nil
}

func setRunAs(p *parser, v string) error {
	p.o.RunAs = v
	return runAs(v)
}

func setFD(p *parser, v string) error {
	n, err := number(v, 0, 1<<31-1)
	if err != nil {
		return errors.New("give the number of an open descriptor")
	}
	p.o.FD, p.o.OneOff = int(n), true
	return nil
}

func setVSock(p *parser, v string) error {
	vs, err := ParseVSock(v, AnyCID)
	p.o.VSock = &vs
	return err
}

// ParseVSock reads [CID:]PORT. cid is the context ID if none is given.
func ParseVSock(s string, cid uint32) (VSock, error) {
	wrong := errors.New("give a vsock port, from 0 to 4294967294, perhaps with the guest's context ID and a colon before it")
	c, port, ok := strings.Cut(s, ":")
	if !ok {
		port = s
	} else if n, err := number(c, 0, AnyCID-1); err != nil {
		return VSock{}, wrong
	} else {
		cid = uint32(n)
	}
	n, err := number(port, 0, 1<<32-2)
	if err != nil {
		return VSock{}, wrong
	}
	return VSock{CID: cid, Port: uint32(n)}, nil
}

func setNetNS(p *parser, v string) error {
	switch {
	case v == "" || v == "." || v == ".." || strings.Contains(v, "\x00"):
		return errors.New("give the path of a network namespace, or a name in /run/netns")
	case !strings.Contains(v, "/"):
		v = "/run/netns/" + v // as ip-netns(8) has it
	}
	p.o.NetNS = v
	return nil
}
