package control

// Changes of the list of rules. They only make the new list: whether its ports can be bound,
// the instance finds out.

import (
	"errors"
	"fmt"
	"slices"

	"passt/l3"
	"passt/l4/fwd"
	"passt/nat/portspec"
)

var (
	errNone    = errors.New("none adds and deletes nothing; to forward no more ports, delete those that are listed")
	errNothing = errors.New("no ports are given")
)

// specError is about one port specification.
type specError struct {
	option, spec string
	err          error
}

func (e *specError) Error() string { return fmt.Sprintf("%s %q: %v", e.option, e.spec, e.err) }
func (e *specError) Unwrap() error { return e.err }

// check says what of fs the instance is not able to do.
func (a Abilities) check(fs []fwd.Forward) error {
	for i := range fs {
		f := &fs[i]
		why := ""
		switch {
		case f.Proto == l3.ProtoTCP && !a.TCP:
			why = "TCP is off"
		case f.Proto == l3.ProtoUDP && !a.UDP:
			why = "UDP is off"
		case f.Dir == fwd.Out && !a.Out:
			why = "there is no namespace, or no way past its interface, to forward ports from"
		case f.Rule.Auto && !a.Auto:
			why = "it can't be seen which ports are bound in a virtual machine"
		default:
			continue
		}
		return fmt.Errorf("%v: %s", f, why)
	}
	return nil
}

// add returns rules with more, of which none may be there or claim a port that another has.
// Ports that were only implied make room.
func add(rules, more []fwd.Forward) ([]fwd.Forward, error) {
	if len(more) == 0 {
		return nil, errNothing
	}
	for i := range more {
		m := &more[i]
		var out []fwd.Forward
		for j := range rules {
			r := rules[j]
			if r.Dir != m.Dir || r.Proto != m.Proto {
				out = append(out, r)
				continue
			}
			if r.Optional && !r.Rule.Auto && !m.Rule.Weak {
				if r.Rule = r.Rule.Without(m.Rule.Ports()...); len(r.Rule.Ports()) == 0 {
					continue
				}
			} else if r.Rule.Equal(m.Rule) {
				return nil, fmt.Errorf("%v is forwarded already", &r)
			} else if _, err := one(r.Rule).Merge(one(m.Rule)); err != nil {
				return nil, fmt.Errorf("%v: %w", m, err)
			}
			out = append(out, r)
		}
		rules = out
	}
	return append(slices.Clip(rules), more...), nil
}

func one(r portspec.Rule) portspec.Spec { return portspec.Spec{Given: true, Rules: []portspec.Rule{r}} }

// remove returns rules without less: each a rule of the list or, without saying where that
// leads to, some of its ports.
func remove(rules, less []fwd.Forward) ([]fwd.Forward, error) {
	if len(less) == 0 {
		return nil, errNothing
	}
	rules = slices.Clone(rules)
	for i := range less {
		l := &less[i]
		k := find(rules, l)
		if k < 0 {
			return nil, fmt.Errorf("%v is not forwarded", l)
		}
		r := &rules[k]
		if !l.Rule.Weak {
			r.Rule = r.Rule.Without(l.Rule.Ports()...)
		}
		if l.Rule.Weak || len(r.Rule.Ports()) == 0 {
			rules = slices.Delete(rules, k, k+1)
		}
	}
	return rules, nil
}

// find finds the rule that l is about: the same one before one with the same ports, and that
// before one with more.
func find(rules []fwd.Forward, l *fwd.Forward) int {
	for _, matches := range []func(r, l *portspec.Rule) bool{
		func(r, l *portspec.Rule) bool { return r.Equal(*l) },
		func(r, l *portspec.Rule) bool {
			return l.Weak && everything(r) && r.Auto == l.Auto && len(l.Exclude) == 0 && (!l.ToAddr.IsValid() || l.ToAddr == r.ToAddr)
		},
		func(r, l *portspec.Rule) bool { return !l.Weak && !everything(r) && covers(r, l) },
		func(r, l *portspec.Rule) bool { return !l.Weak && everything(r) && covers(r, l) },
	} {
		for i := range rules {
			r := &rules[i]
			if r.Dir == l.Dir && r.Proto == l.Proto && r.Rule.Addr == l.Rule.Addr && r.Rule.IfName == l.Rule.IfName && matches(&r.Rule, &l.Rule) {
				return i
			}
		}
	}
	return -1
}

// everything says whether r is one of "all", "auto" or exclusions alone.
func everything(r *portspec.Rule) bool { return r.Weak && r.First == 1 && r.Last == 65535 }

// covers says whether r forwards every port of l, to where l says if it does.
func covers(r, l *portspec.Rule) bool {
	if (l.ToAddr.IsValid() || l.To != l.First) && (r.ToAddr != l.ToAddr || !within(r, l) || r.Target(l.First) != l.To) {
		return false
	}
	return within(r, l)
}

// within says whether every port of l is one of r.
func within(r, l *portspec.Rule) bool {
	have := r.Ports()
	for _, x := range l.Ports() {
		if !slices.ContainsFunc(have, func(h portspec.Range) bool { return h.First <= x.First && x.Last <= h.Last }) {
			return false
		}
	}
	return true
}
