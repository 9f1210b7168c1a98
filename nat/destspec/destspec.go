package destspec

// The grammar:
//
//	spec = "none" | dest { "," dest }
//	dest = net | IPv4 [ "/" BITS ] ":" ports | "[" IPv6 [ "/" BITS ] "]" ":" ports
//	net  = ADDR [ "/" BITS ] | "[" IPv6 [ "/" BITS ] "]"
//	ports = PORT [ "-" PORT ]
//
// What stands in the brackets is all that would stand there without ports.

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"passt/nat/portspec"
)

// Spec is what the repeated option says, merged. The zero Spec is that of an option not
// given: there is no limit.
type Spec struct {
	Given bool
	Dests []Dest // in the order given; empty if "none" was
}

// Dest is a set of destinations.
type Dest struct {
	Net   netip.Prefix   // without bits behind the prefix; an address alone has all bits
	Ports portspec.Range // of TCP and UDP; zero: all of them, and echo
}

// Parse reads one specification, the argument of one option. Given is always set in what
// it returns. The error is one line that says what would be right.
func Parse(s string) (Spec, error) {
	switch s {
	case "none":
		return Spec{Given: true}, nil
	case "":
		return Spec{}, errors.New("empty; give destinations such as 192.0.2.9:443,2001:db8::/32, or none")
	}
	spec := Spec{Given: true}
	for item := range strings.SplitSeq(s, ",") {
		d, err := parseDest(item)
		if err != nil && item != s {
			err = fmt.Errorf("item %q: %w", item, err)
		}
		if err != nil {
			return Spec{}, err
		}
		spec.Dests = append(spec.Dests, d)
	}
	return spec, nil
}

// Merge returns what s and a later option t say together: they add up. None stands alone.
func (s Spec) Merge(t Spec) (Spec, error) {
	switch {
	case !s.Given:
		return t, nil
	case (len(s.Dests) == 0) != (len(t.Dests) == 0):
		return s, errNoneAlone
	}
	t.Dests = append(s.Dests[:len(s.Dests):len(s.Dests)], t.Dests...)
	return t, nil
}

var errNoneAlone = errors.New("none stands alone, without other destinations; leave out one of the two")

func parseDest(s string) (d Dest, err error) {
	network, ports, hasPorts := cutPorts(s)
	if d.Net, err = parseNet(network); err != nil {
		return Dest{}, err
	}
	if hasPorts {
		if d.Ports, err = portspec.ParseRange(ports); err != nil {
			return Dest{}, err
		}
	}
	return d, nil
}

// cutPorts cuts the ports off a destination. The colons of an IPv6 address without brackets
// are no place to cut.
func cutPorts(s string) (network, ports string, ok bool) {
	if inside, ok := strings.CutPrefix(s, "["); ok {
		if network, behind, closed := strings.Cut(inside, "]"); closed && strings.Contains(network, ":") {
			ports, ok = strings.CutPrefix(behind, ":")
			if ok || behind == "" {
				return network, ports, ok
			}
		}
		return s, "", false
	}
	if strings.Count(s, ":") == 1 {
		return strings.Cut(s, ":")
	}
	return s, "", false
}

// parseNet reads ADDR or ADDR/BITS.
func parseNet(s string) (netip.Prefix, error) {
	addr, length, hasLength := strings.Cut(s, "/")
	a, err := netip.ParseAddr(addr)
	switch {
	case s == "none":
		return netip.Prefix{}, errNoneAlone
	case err != nil && strings.ContainsAny(s, "[]"), err == nil && a.Is6() && strings.Contains(length, ":"):
		return netip.Prefix{}, errors.New("give IPv6 with ports as [ADDR]:PORT or [ADDR/BITS]:PORT")
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("%q is not an IPv4 or IPv6 address", addr)
	case a.Zone() != "":
		return netip.Prefix{}, errors.New("give the address without %interface")
	}
	a = a.Unmap()
	bits := a.BitLen()
	if hasLength {
		n, err := strconv.ParseUint(length, 10, 8)
		if err != nil || int(n) > bits {
			return netip.Prefix{}, fmt.Errorf("prefix length %q: give a number from 0 to %d", length, bits)
		}
		bits = int(n)
	} else if a.IsUnspecified() {
		return netip.Prefix{}, fmt.Errorf("%s is nobody's address; give %s/0 for all addresses", a, a)
	}
	return netip.PrefixFrom(a, bits).Masked(), nil
}
