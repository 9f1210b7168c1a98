package portspec

import (
	"net/netip"
	"slices"
)

// Spec is what the repeated port options of one direction and protocol say, merged.
// The zero Spec is that of options not given: nothing is forwarded.
type Spec struct {
	None  bool   // "none" was the last word: Rules is empty
	Auto  bool   // an Auto rule bound to no address is among Rules
	Given bool   // any option of this direction and protocol was given
	Rules []Rule // explicit ports first, then Weak, then Auto ones; else in the order given
}

// Rule forwards the ports First to Last, both included, to To to To+(Last-First).
//
// Rules of one Spec that are not Weak never claim the same port of overlapping addresses.
// A Weak one may: bind the others first, as the order in Spec has it, and let it have
// what is left.
type Rule struct {
	Addr    netip.Addr // bound address, without zone; invalid: any address of both families
	IfName  string     // bound interface; empty: any
	First   uint16     // 1 to 65535
	Last    uint16     // First to 65535
	To      uint16     // To+(Last-First) is 65535 at most
	ToAddr  netip.Addr // target address, without zone; invalid: the guest's own
	Exclude []Range    // ports not to forward, within First to Last, sorted, disjoint

	// Weak marks rules of "all", of "auto" and of exclusions alone. They span ports 1 to
	// 65535; whoever binds leaves out the ephemeral ports. A port that can't be bound is
	// no error, unless none of the rule can.
	Weak bool

	// Auto marks rules of "auto", which are Weak too: forward only ports that are bound
	// on the other side.
	Auto bool
}

// Range is the ports First to Last, both included.
type Range struct{ First, Last uint16 }

// Ports returns the ranges of ports that r forwards, sorted and disjoint: First to Last
// without those in Exclude.
func (r Rule) Ports() []Range {
	var out []Range
	next := uint(r.First)
	for _, x := range r.Exclude {
		if uint(x.First) > next {
			out = append(out, Range{uint16(next), x.First - 1})
		}
		next = uint(x.Last) + 1
	}
	if next <= uint(r.Last) {
		out = append(out, Range{uint16(next), r.Last})
	}
	return out
}

// Target returns the port that r forwards port to, which must be within First to Last.
func (r Rule) Target(port uint16) uint16 { return r.To + (port - r.First) }

// Equal says whether r and s are the same rule.
func (r Rule) Equal(s Rule) bool {
	x, y := r.Exclude, s.Exclude
	return slices.Equal(x, y) && r.Addr == s.Addr && r.IfName == s.IfName &&
		r.First == s.First && r.Last == s.Last && r.To == s.To && r.ToAddr == s.ToAddr &&
		r.Weak == s.Weak && r.Auto == s.Auto
}

// exclude sets r.Exclude to the parts of xs within First to Last. xs is sorted and
// disjoint.
func (r *Rule) exclude(xs []Range) {
	r.Exclude = nil
	for _, x := range xs {
		if x.Last >= r.First && x.First <= r.Last {
			r.Exclude = append(r.Exclude, Range{max(x.First, r.First), min(x.Last, r.Last)})
		}
	}
}

// normalize sorts xs and joins what overlaps or touches. It works in place.
func normalize(xs []Range) []Range {
	slices.SortFunc(xs, func(a, b Range) int { return int(a.First) - int(b.First) })
	out := xs[:0]
	for _, x := range xs {
		if n := len(out); n > 0 && uint(x.First) <= uint(out[n-1].Last)+1 {
			out[n-1].Last = max(out[n-1].Last, x.Last)
			continue
		}
		out = append(out, x)
	}
	return out
}

// Without returns r with the ports of x left out too. It may be left without any port: see
// Ports.
func (r Rule) Without(x ...Range) Rule {
	r.exclude(normalize(slices.Concat(r.Exclude, x)))
	return r
}
