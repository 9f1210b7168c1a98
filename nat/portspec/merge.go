package portspec

import (
	"fmt"
	"net/netip"
	"slices"
)

// Merge returns what s and a later option t say together. They add up; a rule given
// again is taken once. Of "none" and anything else the later one holds: "none" drops what
// came before it, and a port after "none" cancels it. Two explicit rules for one port of
// overlapping addresses are an error, since they can't both be bound. Neither argument
// is changed.
func (s Spec) Merge(t Spec) (Spec, error) {
	switch {
	case !t.Given:
		return s, nil
	case t.None || len(s.Rules) == 0:
		return t, nil
	}
	rules := slices.Clone(s.Rules)
	for _, r := range t.Rules {
		if slices.ContainsFunc(rules, r.Equal) {
			continue
		}
		for _, q := range s.Rules {
			if p, ok := conflict(q, r); ok {
				return s, fmt.Errorf("port %d of %q was given before, in %q; give every port once", p, r, q)
			}
		}
		rules = append(rules, r)
	}
	return newSpec(rules), nil
}

// sorted sorts rules in place: explicit, Weak, Auto, each in the order that they have.
func sorted(rules []Rule) []Rule {
	class := func(r Rule) int {
		switch {
		case r.Auto:
			return 2
		case r.Weak:
			return 1
		}
		return 0
	}
	slices.SortStableFunc(rules, func(a, b Rule) int { return class(a) - class(b) })
	return rules
}

// conflict returns the first port that both a and b, explicit rules, want to bind.
func conflict(a, b Rule) (port uint16, ok bool) {
	if a.Weak || b.Weak || !addrOverlap(a.Addr, b.Addr) || a.IfName != b.IfName && a.IfName != "" && b.IfName != "" {
		return 0, false
	}
	if a.First > b.Last || b.First > a.Last {
		return 0, false
	}
	for _, x := range a.Ports() {
		for _, y := range b.Ports() {
			if p := max(x.First, y.First); p <= min(x.Last, y.Last) {
				return p, true
			}
		}
	}
	return 0, false
}

// addrOverlap says whether sockets bound to a and b would be asked for the same packets.
func addrOverlap(a, b netip.Addr) bool {
	if !a.IsValid() || !b.IsValid() {
		return true
	}
	return a == b || a.Is4() == b.Is4() && (a.IsUnspecified() || b.IsUnspecified())
}
