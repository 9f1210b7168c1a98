package control

// The protocol of existing clients, version 2, on --conf-path. All numbers are big-endian.
//
//	server   hello   "basil:s\0"  version u32  name size u32 = 128  IFNAMSIZ u32 = 16
//	         tables  id u8  name[128]  abilities u32  count u32  rules    for each, then a 0
//	client   tables  id u8                           count u32  rules    for those to change,
//	                                                                     then a 0
//	server   makes the changes and closes
//
//	rule     address[16]  target address[16]  interface[16]
//	         first u16  last u16  target port u16  protocol u8  flags u8
//
// There are two tables: HOST has the ports of the host, which lead into the guest, SPLICE
// those of the namespace, which lead out. A rule of ours with exclusions is several of these.
//
// A client reads all and writes all back. What it writes is taken as the difference to what
// it has read, and that difference is made to the rules which are in force by then: so two
// clients at the same time do not undo each other's changes, and a rule that the protocol
// can't express stays what it is.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"passt/l3"
	"passt/l3/inet"
	"passt/l4/fwd"
	"passt/nat/portspec"
)

const (
	wireMagic   = "basil:s\x00"
	wireVersion = 2
	nameSize    = 128
	ifNameSize  = 16
	ruleSize    = 56
	// maxRules is the most rules of a table that is taken from a client, unless there are more already.
	maxRules = 4096
)

// Numbers of the tables.
const (
	tableHost   = 1
	tableSplice = 3
)

// Flags of a rule.
const (
	flagDual = 1 << iota // any address, of both IP versions
	flagWeak             // a port that can't be bound is no error
	flagScan             // only ports that are bound on the other side
)

// Abilities that a table is marked with.
const (
	canV4 = 1 << iota
	canV6
	canTCP
	canUDP
	canScan
	canIf
)

// wireRule is a rule in the form that it has on the wire.
type wireRule [ruleSize]byte

// wireTable is a table with the rules of ours that it was made from.
type wireTable struct {
	id    uint8
	name  string
	dir   fwd.Direction
	rules []fwd.Forward
	parts [][]wireRule // of each of rules
}

// sent is how many rules a client is told of.
func (t *wireTable) sent() (n uint32) {
	for _, p := range t.parts {
		n += uint32(len(p))
	}
	return n
}

// tablesOf puts rules into the tables that i has.
func tablesOf(rules []fwd.Forward, can Abilities) []wireTable {
	ts := []wireTable{{id: tableHost, name: "HOST", dir: fwd.In}}
	if can.Out {
		ts = append(ts, wireTable{id: tableSplice, name: "SPLICE", dir: fwd.Out})
	}
	for i := range ts {
		for _, f := range rules {
			if f.Dir == ts[i].dir {
				ts[i].rules = append(ts[i].rules, f)
				ts[i].parts = append(ts[i].parts, wireRules(&f))
			}
		}
	}
	return ts
}

// wireRules are the rules that say what f does.
func wireRules(f *fwd.Forward) (out []wireRule) {
	r := &f.Rule
	for _, p := range r.Ports() {
		var w wireRule
		flags := uint8(0)
		if r.Addr.IsValid() {
			a := inet.FromNetip(r.Addr)
			copy(w[:16], a[:])
		} else {
			flags |= flagDual
		}
		if r.ToAddr.IsValid() {
			a := inet.FromNetip(r.ToAddr)
			copy(w[16:32], a[:])
		}
		copy(w[32:47], r.IfName)
		if r.Weak {
			flags |= flagWeak
		}
		if r.Auto {
			flags |= flagScan
		}
		binary.BigEndian.PutUint16(w[48:], p.First)
		binary.BigEndian.PutUint16(w[50:], p.Last)
		binary.BigEndian.PutUint16(w[52:], r.Target(p.First))
		w[54], w[55] = f.Proto, flags
		out = append(out, w)
	}
	return out
}

// forward is what w says, for ports bound in direction d.
func (w *wireRule) forward(d fwd.Direction) (f fwd.Forward, err error) {
	be, flags := binary.BigEndian, w[55]
	f = fwd.Forward{Dir: d, Proto: w[54], Rule: portspec.Rule{
		First: be.Uint16(w[48:]), Last: be.Uint16(w[50:]), To: be.Uint16(w[52:]), Weak: flags&(flagWeak|flagScan) != 0, Auto: flags&flagScan != 0,
	}}
	r := &f.Rule
	name, rest, _ := bytes.Cut(w[32:48], []byte{0})
	r.IfName = string(name)
	to := inet.V6(w[16:32])
	if !to.IsZero() {
		r.ToAddr = to.Netip()
	}
	if a := inet.V6(w[:16]); flags&flagDual == 0 {
		r.Addr = a.Netip()
	} else if !a.IsUnspecified() {
		return f, errors.New("an address that stands for both IP versions must be unspecified")
	}
	switch {
	case f.Proto != l3.ProtoTCP && f.Proto != l3.ProtoUDP:
		return f, fmt.Errorf("protocol %d is neither TCP nor UDP", f.Proto)
	case r.First == 0 || r.Last < r.First || r.To == 0 || int(r.To)+int(r.Last-r.First) > 65535:
		return f, fmt.Errorf("ports %d-%d to %d on are no ranges of ports", r.First, r.Last, r.To)
	case flags&^(flagDual|flagWeak|flagScan) != 0:
		return f, fmt.Errorf("unknown flags %#x", flags)
	case r.Addr.IsMulticast() || r.ToAddr.IsMulticast() || r.ToAddr.IsValid() && r.ToAddr.IsUnspecified():
		return f, errors.New("addresses must be those of one host")
	case r.Addr.IsValid() && r.ToAddr.IsValid() && r.Addr.Is4() != r.ToAddr.Is4():
		return f, fmt.Errorf("%s and %s are of different IP versions", r.Addr, r.ToAddr)
	case r.Addr.IsValid() && r.Addr.Is6() && r.Addr.IsLinkLocalUnicast() && r.IfName == "":
		return f, fmt.Errorf("address %s is link-local and needs an interface", r.Addr)
	case r.Auto && (r.To != r.First || r.ToAddr.IsValid()):
		return f, errors.New("ports that are scanned for have no other target")
	case len(rest) == 0 && len(name) == ifNameSize:
		return f, errors.New("the name of the interface has no end")
	}
	if r.IfName != "" {
		err = portspec.CheckIfName(r.IfName)
	}
	return f, err
}

// encodeTables is all that the server says.
func encodeTables(ts []wireTable, can Abilities) []byte {
	be := binary.BigEndian
	b := be.AppendUint32([]byte(wireMagic), wireVersion)
	b = be.AppendUint32(be.AppendUint32(b, nameSize), ifNameSize)
	for i := range ts {
		t := &ts[i]
		b = append(b, t.id)
		b = append(b, make([]byte, nameSize)...)
		copy(b[len(b)-nameSize:], t.name)
		b = be.AppendUint32(b, can.bits())
		rules := slices.Concat(t.parts...)
		b = be.AppendUint32(b, uint32(len(rules)))
		for j := range rules {
			b = append(b, rules[j][:]...)
		}
	}
	return append(b, 0)
}

func (a Abilities) bits() (b uint32) {
	for _, c := range []struct {
		can bool
		bit uint32
	}{{a.V4, canV4}, {a.V6, canV6}, {a.TCP, canTCP}, {a.UDP, canUDP}, {a.Auto, canScan}, {true, canIf}} {
		if c.can {
			b |= c.bit
		}
	}
	return b
}

// change is a difference of rules.
type change struct{ add, remove []fwd.Forward }

// readAnswer reads what the client answers to ts, and returns the difference. A client that
// leaves without a word changes nothing.
func readAnswer(r io.Reader, ts []wireTable) (c change, err error) {
	left := slices.Clone(ts)
	for first := true; ; first = false {
		var head [5]byte
		if _, err := io.ReadFull(r, head[:1]); err == io.EOF && first {
			return change{}, nil
		} else if err != nil {
			return change{}, err
		}
		if head[0] == 0 {
			return c, nil
		}
		k := slices.IndexFunc(left, func(t wireTable) bool { return t.id == head[0] })
		if k < 0 {
			return change{}, fmt.Errorf("table %d does not exist, or was there before", head[0])
		}
		t := left[k]
		left = slices.Delete(left, k, k+1)
		if _, err := io.ReadFull(r, head[1:]); err != nil {
			return change{}, err
		}
		n := binary.BigEndian.Uint32(head[1:])
		if most := max(maxRules, 2*t.sent()); n > most {
			return change{}, fmt.Errorf("%d rules: %d are the most", n, most)
		}
		want := make(map[wireRule]int) // grows with what really comes
		var order []wireRule
		for range n {
			var w wireRule
			if _, err := io.ReadFull(r, w[:]); err != nil {
				return change{}, err
			}
			if want[w]++; want[w] == 1 {
				order = append(order, w)
			}
		}
		if err := c.compare(&t, want, order); err != nil {
			return change{}, err
		}
	}
}

// compare adds to c what makes of t the rules of want, which are in order.
func (c *change) compare(t *wireTable, want map[wireRule]int, order []wireRule) error {
	for i, parts := range t.parts {
		if !slices.ContainsFunc(parts, func(w wireRule) bool { return want[w] == 0 }) {
			for _, w := range parts {
				want[w]--
			}
			continue
		}
		c.remove = append(c.remove, t.rules[i])
	}
	for _, w := range order {
		if want[w] <= 0 {
			continue
		}
		f, err := w.forward(t.dir)
		if err != nil {
			return err
		}
		c.add = append(c.add, f)
	}
	return nil
}

// apply makes the change to rules.
func (c *change) apply(rules []fwd.Forward, can Abilities) ([]fwd.Forward, error) {
	if err := can.check(c.add); err != nil {
		return nil, err
	}
	rules = slices.DeleteFunc(slices.Clone(rules), func(f fwd.Forward) bool {
		return slices.ContainsFunc(c.remove, func(r fwd.Forward) bool { return r.Equal(&f) })
	})
	for _, f := range c.add {
		if !slices.ContainsFunc(rules, func(r fwd.Forward) bool { return r.Dir == f.Dir && r.Proto == f.Proto && r.Rule.Equal(f.Rule) }) {
			rules = append(rules, f)
		}
	}
	return rules, nil
}
