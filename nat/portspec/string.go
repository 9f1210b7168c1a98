package portspec

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// String returns r as a specification of its own: Parse makes a Spec with r alone of it.
func (r Rule) String() string { return args([]Rule{r})[0] }

// String returns x as FIRST-LAST, or as FIRST if that is all of it.
func (x Range) String() string {
	if x.First == x.Last {
		return fmt.Sprint(x.First)
	}
	return fmt.Sprintf("%d-%d", x.First, x.Last)
}

// Args returns specifications which, parsed and merged in this order, make s again: one
// for each run of rules with the same bound address and exclusions, none if s was not
// given.
func (s Spec) Args() []string {
	switch {
	case !s.Given:
		return nil
	case s.None || len(s.Rules) == 0:
		return []string{"none"}
	}
	return args(s.Rules)
}

// String returns Args joined by blanks. What Parse returned gives one specification, and
// parsing that gives an equal Spec.
func (s Spec) String() string { return strings.Join(s.Args(), " ") }

func args(rules []Rule) []string {
	var out []string
	for len(rules) > 0 {
		n, not := group(rules)
		out = append(out, format(rules[:n], not))
		rules = rules[n:]
	}
	return out
}

// group returns how many of rules can stand in one list, and the exclusions of that list.
func group(rules []Rule) (n int, not []Range) {
	not = rules[0].Exclude
	for n = 1; n < len(rules); n++ {
		r := rules[n]
		if r.Addr != rules[0].Addr || r.IfName != rules[0].IfName || slices.ContainsFunc(rules[:n], r.Equal) {
			break
		}
		both := normalize(slices.Concat(not, r.Exclude))
		if slices.ContainsFunc(rules[:n+1], func(q Rule) bool { return changes(q, both) }) {
			break
		}
		not = both
	}
	return n, not
}

// changes says whether a list with the exclusions not would make another rule of r.
func changes(r Rule, not []Range) bool {
	q := r
	q.exclude(not)
	return !r.Equal(q)
}

func format(rules []Rule, not []Range) string {
	var b strings.Builder
	a := rules[0].Addr
	if a.IsValid() {
		b.WriteString(bracketed(a))
	}
	if ifname := rules[0].IfName; ifname != "" {
		b.WriteString("%" + ifname)
	}
	if b.Len() > 0 {
		b.WriteByte('/')
	}
	// Exclusions alone are enough to say "all".
	if r := rules[0]; len(rules) > 1 || !r.Weak || r.Auto || r.ToAddr.IsValid() || len(not) == 0 {
		for i, r := range rules {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(r.item())
		}
		if len(not) > 0 {
			b.WriteByte(',')
		}
	}
	for i, x := range not {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("~" + x.String())
	}
	return b.String()
}

// item returns r as an item of a list, without exclusions.
func (r Rule) item() string {
	s := Range{r.First, r.Last}.String()
	switch {
	case r.Auto:
		return "auto"
	case r.Weak:
		s = "all"
	}
	if r.ToAddr.IsValid() {
		s += ":" + bracketed(r.ToAddr)
	}
	if r.To == r.First {
		return s
	}
	if r.ToAddr.IsValid() {
		s += "/"
	} else {
		s += ":"
	}
	return s + Range{r.To, r.To + (r.Last - r.First)}.String()
}

func bracketed(a netip.Addr) string {
	if a.Is6() {
		return "[" + a.String() + "]"
	}
	return a.String()
}
