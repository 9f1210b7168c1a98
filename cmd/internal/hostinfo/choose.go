package hostinfo

import "slices"

// Theory of operation: passt.1, options -i, -a and -g. The interface is the one named by
// the options, else the one of the first default route, else the first one with any route.
// An interface counts only if there is an address to give to the guest: one of its own, or
// that of -a. Of a route with several paths, the path with the highest weight counts; of
// equal ones, the first.

// choose returns the interface that addresses and routes of one IP version come from, and
// the path that its default route takes (nil if it has none). No interface: local mode.
func (d *decision) choose(fam int) (*link, *hop) {
	name := d.o.Interface
	if name == "" {
		name = d.o.OutIf[fam]
	}
	if name != "" {
		l := d.linkByName(name)
		if l == nil || !d.usable(fam, l.index) {
			return nil, nil
		}
		return l, d.find(fam, func(r route, h hop) bool { return r.dst.Bits() == 0 && h.index == l.index })
	}

	usable := func(h hop) bool { return d.usable(fam, h.index) }
	// A path without carrier is better than none: the cable may be plugged in later.
	for _, downToo := range []bool{false, true} {
		h := d.find(fam, func(r route, h hop) bool {
			return r.dst.Bits() == 0 && (downToo || !h.down) && usable(h)
		})
		if h != nil {
			return d.linkByIndex(h.index), h
		}
	}
	return d.anyRoute(fam), nil
}

// anyRoute returns the first interface with any route, and says so where there was a choice.
func (d *decision) anyRoute(fam int) *link {
	var found []int
	for _, downToo := range []bool{false, true} {
		for _, r := range d.routes[fam] {
			for _, h := range r.hops {
				if (downToo || !h.down) && !onEveryLink(r) && d.usable(fam, h.index) && !slices.Contains(found, h.index) {
					found = append(found, h.index)
				}
			}
		}
	}
	if len(found) == 0 {
		return nil
	}
	l := d.linkByIndex(found[0])
	if len(found) > 1 {
		d.warnf("the host has no default %s route: taking addresses and routes of %s, the first of %d interfaces with a route "+
			"(--interface chooses another)", familyNames[fam], l.name, len(found))
	}
	return l
}

// find returns the path of the first route with a path that matches: of those that do, the
// one with the highest weight.
func (d *decision) find(fam int, match func(route, hop) bool) *hop {
	for _, r := range d.routes[fam] {
		if h := r.best(func(h hop) bool { return match(r, h) }); h != nil {
			return h
		}
	}
	return nil
}

func (r *route) best(match func(hop) bool) *hop {
	var best *hop
	for i := range r.hops {
		if h := &r.hops[i]; match(*h) && (best == nil || h.weight > best.weight) {
			best = h
		}
	}
	return best
}

// usable says whether the interface can serve as a model for the guest's.
func (d *decision) usable(fam, index int) bool {
	l := d.linkByIndex(index)
	if l == nil || l.loopback {
		return false
	}
	return d.o.Addr[fam].Addr().IsValid() || slices.ContainsFunc(d.addrs[fam], func(a addr) bool {
		return a.index == index && a.copyable()
	})
}
