package hostinfo

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
)

// Theory of operation: resolv.conf(5). A line begins with its keyword, in the first column;
// ";" and "#" there start a comment. Nameservers add up; of the "search" and "domain"
// lines, the last one counts.

// ResolvConf is what a resolv.conf file says.
type ResolvConf struct {
	Nameservers []netip.Addr // in order, without duplicates; zones kept
	Search      []string     // without trailing dots
}

// maxResolvConf bounds, in bytes, what is read of a file that anybody may have written.
const maxResolvConf = 1 << 20

// ParseResolvConf reads a resolv.conf file. Lines that it does not understand are skipped,
// as the C library does. The error is one of reading only.
func ParseResolvConf(r io.Reader) (ResolvConf, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxResolvConf))
	if err != nil {
		return ResolvConf{}, fmt.Errorf("reading resolv.conf: %w", err)
	}
	var c ResolvConf
	for line := range strings.Lines(string(b)) {
		words := strings.Fields(line)
		if len(words) < 2 || !strings.HasPrefix(line, words[0]) {
			continue
		}
		switch words[0] {
		case "nameserver":
			c.addNameserver(words[1])
		case "search":
			c.Search = domains(words[1:])
		case "domain":
			c.Search = domains(words[1:2])
		}
	}
	return c, nil
}

// addNameserver puts loopback for the unspecified address: a datagram to it reaches the
// host itself (resolv.conf(5): the name server on the local machine).
func (c *ResolvConf) addNameserver(s string) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return
	}
	a = a.Unmap()
	switch {
	case a == netip.IPv4Unspecified():
		a = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case a == netip.IPv6Unspecified():
		a = netip.IPv6Loopback()
	}
	if !slices.Contains(c.Nameservers, a) {
		c.Nameservers = append(c.Nameservers, a)
	}
}

// domains keeps the names that DNS can carry (RFC 1035, 2.3.4): a list with any other
// could not be put into a DHCP option or a router advertisement.
func domains(words []string) []string {
	var out []string
	for _, w := range words {
		w = strings.TrimSuffix(w, ".")
		if isDomain(w) && !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}

func isDomain(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
	}
	return strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) < 0
}
