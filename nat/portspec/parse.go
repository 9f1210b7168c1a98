package portspec

// The grammar, as passt.1 has it with its later additions:
//
//	spec    = "none" | [ address "/" ] item { "," item }
//	address = ( ADDR | "[" IPv6 "]" | "*" ) [ "%" IF ] | "[" IPv6 "%" IF "]" | "%" IF
//	item    = ports [ ":" target ] | "~" ports | "all" [ ":" TOADDR ] | "auto"
//	target  = ports | TOADDR [ "/" ports ]
//	ports   = PORT [ "-" PORT ]
//
// A slash stands in two places: what precedes the first one is the bound address if it
// is one as a whole. So "22:fd00::1/33" is an address with port 33, and port 22 to port
// 33 of fd00::1 is "22:[fd00::1]/33".
//
// Exclusions hold for the whole list that they stand in. A list of exclusions only means
// all other ports.

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode"
)

const maxPort = 65535

// maxIfName is the length of the longest interface name, IFNAMSIZ less the terminator.
const maxIfName = 15

// Parse reads one specification, the argument of one option. Given is always set in what
// it returns. The error is one line that names the item and says what would be right.
func Parse(s string) (Spec, error) {
	if s == "none" {
		return Spec{None: true, Given: true}, nil
	}
	if s == "" {
		return Spec{}, errors.New("empty; give ports such as 22,8000-8010:80-90, or all, auto, none")
	}
	bound, list, err := splitBound(s)
	if err != nil {
		return Spec{}, err
	}
	rules, err := parseList(list, bound)
	if err != nil {
		return Spec{}, err
	}
	return newSpec(rules), nil
}

// newSpec makes the Spec of rules, which it sorts.
func newSpec(rules []Rule) Spec {
	s := Spec{Given: true, Rules: sorted(rules)}
	for _, r := range rules {
		s.Auto = s.Auto || r.Auto && !r.Addr.IsValid()
	}
	return s
}

// splitBound cuts the bound address off s: a rule with Addr and IfName, and the list.
func splitBound(s string) (bound Rule, list string, err error) {
	before, after, ok := strings.Cut(s, "/")
	if !ok {
		return bound, s, nil
	}
	if strings.HasPrefix(before, "[") && strings.Index(before, "]") == len(before)-1 && strings.Contains(before, ":") {
		before = before[1 : len(before)-1] // perhaps with %IF inside
	}
	addr, ifname, hasIf := strings.Cut(before, "%")
	switch {
	case before == "":
		return bound, "", errors.New("no address before '/'; leave out the '/', or give ADDRESS/, %INTERFACE/ or */")
	case addr == "" || addr == "*":
	default:
		if bound.Addr, err = ParseAddr(addr); err != nil {
			if beginsWithItem(before) {
				return bound, s, nil // the slash belongs to a target
			}
			return bound, "", fmt.Errorf("bound address: %w", err)
		}
	}
	if bound.Addr.IsMulticast() {
		return bound, "", fmt.Errorf("bound address %s is multicast; give one of this host's, or */ for any", bound.Addr)
	}
	if hasIf {
		if err := CheckIfName(ifname); err != nil {
			return bound, "", err
		}
		bound.IfName = ifname
	} else if bound.Addr.Is6() && bound.Addr.IsLinkLocalUnicast() {
		return bound, "", fmt.Errorf("bound address %s is link-local and needs an interface: %s%%INTERFACE/", bound.Addr, bound.Addr)
	}
	return bound, after, nil
}

// beginsWithItem says whether s, which is no address, is rather the beginning of a list:
// whether its text up to the first colon or comma looks like ports.
func beginsWithItem(s string) bool {
	i := strings.IndexAny(s, ",:")
	if i < 0 {
		return false
	}
	return s[:i] == "all" || s[:i] == "auto" || strings.Trim(s[:i], "0123456789-~") == ""
}

// parseList reads items, and returns a rule for each that is no exclusion.
func parseList(list string, bound Rule) ([]Rule, error) {
	var rules []Rule
	var texts []string // of the items behind rules
	var not []Range
	items := strings.Split(list, ",")
	for _, item := range items {
		r, x, err := parseItem(item)
		switch {
		case err != nil && len(items) > 1:
			return nil, fmt.Errorf("item %q: %w", item, err)
		case err != nil:
			return nil, err
		case x != Range{}:
			not = append(not, x)
			continue
		}
		r.Addr, r.IfName = bound.Addr, bound.IfName
		if err := sameFamily(r); err != nil {
			return nil, fmt.Errorf("item %q: %w", item, err)
		}
		rules, texts = append(rules, r), append(texts, item)
	}
	if len(rules) == 0 {
		rules = append(rules, Rule{Addr: bound.Addr, IfName: bound.IfName, First: 1, Last: maxPort, To: 1, Weak: true})
		texts = append(texts, list)
	}
	not = normalize(not)
	for i := range rules {
		rules[i].exclude(not)
		if len(rules[i].Ports()) == 0 {
			return nil, fmt.Errorf("item %q: every port of it is excluded again; leave one of the two out", texts[i])
		}
		for j, r := range rules[:i] {
			if r.Equal(rules[i]) {
				return nil, fmt.Errorf("item %q: given twice; leave one out", texts[i])
			}
			if p, ok := conflict(r, rules[i]); ok {
				return nil, fmt.Errorf("item %q: port %d is in item %q already; list every port once", texts[i], p, texts[j])
			}
		}
	}
	return rules, nil
}

// parseItem reads one item: a rule, or an exclusion, which is never the zero Range.
func parseItem(item string) (r Rule, not Range, err error) {
	if item == "" {
		return r, not, errors.New("empty item; remove the extra ',' or add a port")
	}
	if ports, ok := strings.CutPrefix(item, "~"); ok {
		if strings.Contains(ports, ":") {
			return r, not, errors.New("an exclusion has no target; give ~PORT or ~FIRST-LAST")
		}
		not, err = ParseRange(ports)
		return r, not, err
	}
	ports, target, mapped := strings.Cut(item, ":")
	switch ports {
	case "none":
		return r, not, errors.New("none stands alone, without address and other items")
	case "auto":
		if mapped {
			return r, not, errors.New("auto takes no target")
		}
		return Rule{First: 1, Last: maxPort, To: 1, Weak: true, Auto: true}, not, nil
	case "all":
		r = Rule{First: 1, Last: maxPort, To: 1, Weak: true}
		if mapped {
			r.ToAddr, err = parseTarget(target)
		}
		return r, not, err
	}
	p, err := ParseRange(ports)
	if err != nil {
		if a, aerr := ParseAddr(item); aerr == nil {
			err = fmt.Errorf("an address without ports; give %s/PORT", a)
		}
		return r, not, err
	}
	r = Rule{First: p.First, Last: p.Last, To: p.First}
	if mapped {
		err = r.mapTo(target)
	}
	return r, not, err
}

// mapTo sets the target that the part of an item behind its first colon gives.
func (r *Rule) mapTo(target string) (err error) {
	ports := target
	if strings.ContainsAny(target, ".:[]/") {
		addr, after, ok := strings.Cut(target, "/")
		if r.ToAddr, err = parseTarget(addr); err != nil || !ok {
			return err
		}
		ports = after
	}
	to, err := ParseRange(ports)
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	n, m := int(r.Last)-int(r.First)+1, int(to.Last)-int(to.First)+1
	if m != n && strings.Contains(ports, "-") {
		return fmt.Errorf("%d ports are mapped to %d; both ranges must have the same length", n, m)
	}
	if int(to.First)+n-1 > maxPort {
		return fmt.Errorf("%d ports from target port %d on reach beyond %d", n, to.First, maxPort)
	}
	r.To = to.First
	return nil
}

func parseTarget(s string) (netip.Addr, error) {
	a, err := ParseAddr(s)
	switch {
	case err != nil:
		return a, fmt.Errorf("target address: %w", err)
	case a.IsUnspecified() || a.IsMulticast():
		return a, fmt.Errorf("target address %s is no host's; give the address of one", a)
	}
	return a, nil
}

// ParseAddr reads an address, IPv6 perhaps in brackets, without zone. An IPv4 address in
// IPv6 form becomes IPv4.
func ParseAddr(s string) (netip.Addr, error) {
	bare := s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		bare = s[1 : len(s)-1]
	}
	a, err := netip.ParseAddr(bare)
	switch {
	case err != nil, a.Is4() && bare != s:
		return netip.Addr{}, fmt.Errorf("%q is not an IPv4 or IPv6 address", s)
	case a.Zone() != "":
		return netip.Addr{}, fmt.Errorf("%q: no interface may follow this address", s)
	}
	return a.Unmap(), nil
}

// CheckIfName reports, in one line, why no interface can have this name, in the kernel's
// own terms.
func CheckIfName(s string) error {
	switch {
	case s == "":
		return errors.New("interface name is empty")
	case len(s) > maxIfName:
		return fmt.Errorf("interface name %q has %d bytes; the kernel allows %d", s, len(s), maxIfName)
	case s == "." || s == ".." || strings.ContainsAny(s, "/:%\x00") || strings.ContainsFunc(s, unicode.IsSpace):
		return fmt.Errorf("%q can't be the name of an interface", s)
	}
	return nil
}

func sameFamily(r Rule) error {
	if r.Addr.IsValid() && r.ToAddr.IsValid() && r.Addr.Is4() != r.ToAddr.Is4() {
		return fmt.Errorf("%s and %s are of different IP versions; use one for both", r.Addr, r.ToAddr)
	}
	return nil
}

// ParseRange reads FIRST[-LAST]. What it returns without an error is never the zero Range.
func ParseRange(s string) (Range, error) {
	first, last, ok := strings.Cut(s, "-")
	a, err := parsePort(first)
	if err != nil || !ok {
		return Range{a, a}, err
	}
	b, err := parsePort(last)
	if err == nil && b < a {
		err = fmt.Errorf("range %d-%d is reversed; give %d-%d", a, b, b, a)
	}
	return Range{a, b}, err
}

func parsePort(s string) (uint16, error) {
	if s == "" {
		return 0, errors.New("a port is missing; give a number from 1 to 65535")
	}
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, fmt.Errorf("%q is not a port; give a number from 1 to 65535", s)
		}
		n = min(n*10+int(s[i]-'0'), maxPort+1)
	}
	if n == 0 || n > maxPort {
		return 0, fmt.Errorf("port %s is out of range 1-65535", s)
	}
	return uint16(n), nil
}
