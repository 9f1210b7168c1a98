package conf

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"passt/nat/portspec"
)

// finish takes the words behind the options, and checks what concerns several options.
func (p *parser) finish() error {
	o := p.o
	if o.NoICMP {
		o.NoNDP = true
	}
	for _, check := range []func() error{p.checkWords, p.checkFamilies, p.checkAddresses, p.checkMappings, p.checkNamespace} {
		if err := check(); err != nil {
			return err
		}
	}
	if o.NetNS != "" && o.UserNS == "" {
		o.NetNSOnly = true
	}
	return nil
}

// checkWords decides what the words behind the options are: a single number is the PID of
// a process whose namespace to join, everything else is a command.
func (p *parser) checkWords() error {
	o := p.o
	switch {
	case len(p.words) == 0:
		return nil
	case o.Mode == ModePasst:
		return fmt.Errorf("%q is no option, and passt takes nothing else%s", p.words[0], p.hint())
	case o.NetNS != "":
		return fmt.Errorf("--netns %q and %q: give either the namespace or a PID or command, not both", o.NetNS, p.words[0])
	case len(p.words) > 1 || p.words[0] == "" || strings.Trim(p.words[0], "0123456789") != "":
		o.Command = p.words
		return nil
	}
	n, err := number(p.words[0], 1, 1<<31-1)
	if err != nil {
		return fmt.Errorf("PID %s: %w", p.words[0], err)
	}
	o.PID = int(n)
	return nil
}

func (p *parser) checkFamilies() error {
	o := p.o
	switch {
	case o.IPv4Only && o.IPv6Only:
		return exclusive("--ipv4-only", "--ipv6-only")
	case o.MTU > 0 && o.MTU < minMTU6 && !o.IPv4Only:
		return fmt.Errorf("--mtu %d: IPv6 needs %d at least; give that, or add --ipv4-only", o.MTU, minMTU6)
	}
	for _, f := range []struct {
		off, option string
		fam         int
	}{{"--ipv6-only", "--outbound-if4", 0}, {"--ipv4-only", "--outbound-if6", 1}} {
		if only := [2]bool{o.IPv6Only, o.IPv4Only}[f.fam]; only && o.OutIf[f.fam] != "" {
			return exclusive(f.off, f.option)
		}
		if only := [2]bool{o.IPv6Only, o.IPv4Only}[f.fam]; only && o.Addr[f.fam].Addr().IsValid() {
			return fmt.Errorf("--address %s can't be used with %s; leave one out", o.Addr[f.fam].Addr(), f.off)
		}
	}
	return nil
}

func (p *parser) checkAddresses() error {
	o := p.o
	for fam, cidr := range p.cidr {
		if cidr && p.maskGiven {
			return fmt.Errorf("--address %s and --netmask %d both give a prefix length; leave out one of the two", o.Addr[fam], o.Mask)
		}
		if a := o.Addr[fam].Addr(); a.IsValid() && a == o.Gateway[fam] {
			return fmt.Errorf("--address and --gateway are both %s; the guest and its router need two addresses", a)
		}
	}
	switch {
	case o.Socket != "" && o.FD >= 0:
		return exclusive("--socket", "--fd")
	case o.VSock != nil && o.FD >= 0:
		return exclusive("--vsock", "--fd")
	case o.VSock != nil && o.Socket != "":
		return exclusive("--vsock", "--socket")
	}
	return nil
}

func (p *parser) checkMappings() error {
	o := p.o
	for fam := range 2 {
		loop, guest, dns := o.MapHostLoopback[fam], o.MapGuestAddr[fam], o.DNSForward[fam]
		if loop.IsValid() && loop == guest {
			return fmt.Errorf("--map-host-loopback and --map-guest-addr are both %s; an address can mean only one of the two", loop)
		}
		if a := o.Addr[fam].Addr(); a.IsValid() && (a == loop || a == guest || a == dns) {
			return fmt.Errorf("--address %s is the guest's own and can't be mapped to anything else; map another one", a)
		}
	}
	return nil
}

// NoEffect returns what o asks for in vain, one line each, and takes it out of o: ports of a
// protocol that is switched off. Call it once, after Parse.
func (o *Options) NoEffect() (warnings []string) {
	for _, c := range []struct {
		off           bool
		option, ports string
		spec          *portspec.Spec
	}{
		{o.NoTCP, "--no-tcp", "--tcp-ports", &o.TCPPorts},
		{o.NoTCP, "--no-tcp", "--tcp-ns", &o.TCPNsPorts},
		{o.NoUDP, "--no-udp", "--udp-ports", &o.UDPPorts},
		{o.NoUDP, "--no-udp", "--udp-ns", &o.UDPNsPorts},
	} {
		named := slices.ContainsFunc(c.spec.Rules, func(r portspec.Rule) bool { return !r.Auto })
		if c.off && named {
			warnings = append(warnings, fmt.Sprintf("%s %v has no effect with %s", c.ports, c.spec, c.option))
			*c.spec = portspec.Spec{}
		}
	}
	return warnings
}

func (p *parser) checkNamespace() error {
	o := p.o
	existing := o.Joins()
	switch {
	case o.HostLoToNsLo && o.NoSplice:
		return exclusive("--host-lo-to-ns-lo", "--no-splice")
	case o.NoSplice && len(o.TCPNsPorts.Rules) > 0:
		return exclusive("--no-splice", "--tcp-ns")
	case o.NoSplice && len(o.UDPNsPorts.Rules) > 0:
		return exclusive("--no-splice", "--udp-ns")
	case o.SpliceOnly && o.NoSplice:
		return exclusive("--splice-only", "--no-splice")
	case o.NetNSOnly && o.UserNS != "":
		return exclusive("--netns-only", "--userns")
	case o.UserNS != "" && !existing:
		return errors.New("--userns needs a network namespace to join as well; add --netns PATH or a PID")
	case o.NetNSOnly && !existing:
		return errors.New("--netns-only needs a network namespace to join; add --netns PATH or a PID")
	case o.NoCopyRoute && !o.ConfigNet:
		return errors.New("--no-copy-routes has a meaning only with --config-net; add that")
	case o.NoCopyAddrs && !o.ConfigNet:
		return errors.New("--no-copy-addrs has a meaning only with --config-net; add that")
	}
	return nil
}

func exclusive(a, b string) error {
	return fmt.Errorf("%s and %s exclude each other; leave one out", a, b)
}
