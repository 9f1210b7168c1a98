package conf

import (
	"errors"
	"fmt"
	"math/bits"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"passt/nat/portspec"
)

const (
	defaultLogSize = 1 << 20
	minLogSize     = 4096 // enough to keep the newest lines when the file wraps

	minMTU4 = 68    // RFC 791, section 3.2
	minMTU6 = 1280  // RFC 8200, section 5
	maxMTU  = 65520 // 65535 less an Ethernet header, rounded down to IPv4 words
)

// number reads a decimal number from low to high.
func number(s string, low, high int64) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || s[0] == '+' || n < low || n > high {
		return 0, fmt.Errorf("give a number from %d to %d", low, high)
	}
	return n, nil
}

// family is the index of a's IP version in pairs.
func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// kinds of addresses that are refused.
const (
	noLoopback = 1 << iota
	noUnspecified
	noMulticast // and not the limited broadcast address
)

// address reads an address that is none of the kinds in not.
func address(s string, not int) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return a, errors.New("not an IPv4 or IPv6 address")
	}
	if a.Zone() != "" {
		return a, errors.New("give the address without %interface")
	}
	a = a.Unmap()
	what := ""
	switch {
	case not&noLoopback != 0 && a.IsLoopback():
		what = "a loopback"
	case not&noUnspecified != 0 && a.IsUnspecified():
		what = "the unspecified"
	case not&noMulticast != 0 && a.IsMulticast():
		what = "a multicast"
	case not&noMulticast != 0 && a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		what = "the broadcast"
	default:
		return a, nil
	}
	return a, fmt.Errorf("%s address is of no use here; give one that a host can have", what)
}

// macAddress reads the MAC address of one interface.
func macAddress(s string) (net.HardwareAddr, error) {
	m, err := net.ParseMAC(s)
	switch {
	case err != nil || len(m) != 6:
		return nil, errors.New("not a MAC address; give six bytes such as 52:54:00:12:34:56")
	case m[0]&1 != 0:
		return nil, errors.New("this is a multicast MAC address; the lowest bit of the first byte must be 0")
	case [6]byte(m) == [6]byte{}:
		return nil, errors.New("the zero MAC address is no interface's; give another one")
	}
	return m, nil
}

// netmask reads a mask as number of bits or in dotted form.
func netmask(s string) (prefixLen int, err error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Is4() {
		b := a.As4()
		m := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
		n := bits.LeadingZeros32(^m)
		if n == 0 || m<<n != 0 {
			return 0, errors.New("the ones of a mask must stand together on the left, as in 255.255.255.0")
		}
		return n, nil
	}
	n, err := number(s, 1, 128)
	if err != nil {
		return 0, errors.New("give a mask such as 255.255.255.0, or its number of bits from 1 to 32")
	}
	return int(n), nil
}

// domain checks a DNS name of letters, digits, hyphens and underscores, and returns it
// without the trailing dot (RFC 1035, section 2.3.4, for the lengths).
func domain(s string) (string, error) {
	name := strings.TrimSuffix(s, ".")
	if name == "" || len(name) > 253 {
		return "", fmt.Errorf("%q has %d bytes; a name has 1 to 253", s, len(name))
	}
	for label := range strings.SplitSeq(name, ".") {
		switch {
		case label == "" || len(label) > 63:
			return "", fmt.Errorf("%q: what stands between two dots of a name has 1 to 63 bytes", s)
		case strings.ContainsFunc(label, func(r rune) bool { return !nameRune(r) }):
			return "", fmt.Errorf("%q: a name has letters, digits, '-', '_' and '.' only", s)
		}
	}
	return name, nil
}

func nameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
}

// runAs checks the form of UID|UID:GID|LOGIN|LOGIN:GROUP.
func runAs(s string) error {
	const wrong = "give UID, UID:GID, LOGIN or LOGIN:GROUP"
	user, group, has := strings.Cut(s, ":")
	parts := []string{user}
	if has {
		parts = append(parts, group)
	}
	for _, part := range parts {
		if part == "" || strings.ContainsAny(part, ": \t\n\x00") || strings.ContainsAny(part[:1], "+-") {
			return errors.New(wrong)
		}
		if strings.Trim(part, "0123456789") == "" {
			// All ones means "no change" to setresuid.
			if _, err := number(part, 0, 1<<32-2); err != nil {
				return fmt.Errorf("%s; %s as ID: %w", wrong, part, err)
			}
		}
	}
	return nil
}

// path checks that s can be the path of a file.
func path(s string) error {
	if s == "" || strings.Contains(s, "\x00") {
		return errors.New("give the path of a file")
	}
	return nil
}

func ifName(s string) error { return portspec.CheckIfName(s) }
