package fwd

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"

	"passt/l3/inet"
)

// Table is the forwarded ports of an instance. Any goroutine may use it.
type Table struct {
	mu      sync.Mutex
	c       Config
	entries []*entry
	seen    [2][1 << 16]ipVersions // of TCP and UDP: what Follow works with
	wrong   [2]bool                // the tables of a direction could not be read, and that was said
}

// NewTable makes an empty Table.
func NewTable(c Config) *Table { return &Table{c: c} }

// Apply makes rules the rules of the Table, all of them or, with an error, none. Sockets of
// rules that stay are not touched, connections that were accepted are not either. Ports of
// "auto" come with the next Follow.
func (t *Table) Apply(rules []Forward) (warnings []string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next, fresh, doomed := t.compare(rules)
	warnings, err = t.open(next, fresh, doomed)
	if errors.Is(err, syscall.EADDRINUSE) && len(doomed) > 0 {
		// What is in use may be ours, and about to go.
		t.c.Change(nil, listeners(doomed))
		for _, e := range doomed {
			e.ls = nil
		}
		if warnings, err = t.open(next, fresh, nil); err != nil {
			return nil, t.restore(doomed, err)
		}
	}
	if err != nil {
		return nil, err
	}
	t.entries = next
	t.c.Change(listeners(fresh), listeners(doomed))
	return warnings, nil
}

// compare finds out which entries the table has next, which of these are new, and which of
// the present ones are to go.
func (t *Table) compare(rules []Forward) (next, fresh, doomed []*entry) {
	doomed = slices.Clone(t.entries)
	for i := range rules {
		k := slices.IndexFunc(doomed, func(e *entry) bool { return e.Forward.Equal(&rules[i]) })
		if k >= 0 {
			next = append(next, doomed[k])
			doomed = slices.Delete(doomed, k, k+1)
			continue
		}
		e := &entry{Forward: rules[i]}
		next, fresh = append(next, e), append(fresh, e)
	}
	return next, fresh, doomed
}

// open binds the ports of all of fresh, which are part of next, or of none. Weak rules share
// the descriptors that are left for them.
func (t *Table) open(next, fresh, doomed []*entry) (warnings []string, err error) {
	left, weak := t.c.Most, 0
	for _, e := range next {
		left -= len(e.ls)
	}
	for _, e := range fresh {
		if e.Rule.Weak && !e.Rule.Auto {
			weak++
		}
	}
	for i, e := range fresh {
		if e.Rule.Auto {
			continue
		}
		most := allPorts
		if e.Rule.Weak {
			if t.c.Most > 0 {
				most = max(left+weak-1, 0) / weak
			}
			weak--
		}
		w, err := t.c.open(e, doomed, most)
		if err != nil {
			for _, done := range fresh[:i] {
				closeAll(done.ls)
				done.ls = nil
			}
			return nil, err
		}
		left -= len(e.ls)
		warnings = append(warnings, w...)
	}
	return warnings, nil
}

// restore binds the ports of entries again that were given up for nothing.
func (t *Table) restore(entries []*entry, cause error) error {
	for _, e := range entries {
		if e.Rule.Auto {
			continue
		}
		if _, err := t.c.open(e, nil, allPorts); err != nil {
			cause = fmt.Errorf("%w; and what it should replace is lost: %w", cause, err)
		}
	}
	t.c.Change(listeners(entries), nil)
	return cause
}

func listeners(entries []*entry) (ls []Listener) {
	for _, e := range entries {
		ls = append(ls, e.ls...)
	}
	return ls
}

// Rules are the rules in force.
func (t *Table) Rules() []Forward {
	t.mu.Lock()
	defer t.mu.Unlock()
	rules := make([]Forward, len(t.entries))
	for i, e := range t.entries {
		rules[i] = e.Forward
	}
	return rules
}

// Each calls f for every rule with the sockets that are bound for it, which are the Table's.
func (t *Table) Each(f func(rule Forward, bound []Listener)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.entries {
		f(e.Forward, e.ls)
	}
}

// find finds the socket of e that is bound at at, nil if there is none.
func (e *entry) find(at inet.Endpoint) *Listener {
	i, ok := slices.BinarySearchFunc(e.ls, at.Port, func(l Listener, port uint16) int { return cmp.Compare(l.Bound.Port, port) })
	for ; ok && i < len(e.ls) && e.ls[i].Bound.Port == at.Port; i++ {
		if e.ls[i].Bound.Addr == at.Addr {
			return &e.ls[i]
		}
	}
	return nil
}
