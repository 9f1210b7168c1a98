package fwd

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"

	"passt/l3"
	"passt/l4/sock"
	"passt/nat/portspec"
)

// rig is a Table that binds for real, and knows which sockets a worker would have.
type rig struct {
	*Table
	t    *testing.T
	open map[int]Listener
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, open: map[int]Listener{}}
	r.Table = NewTable(Config{
		TCP: sock.NewTCP(sock.Outbound{}, sock.Outbound{}), V4: true, V6: true,
		Ephemeral: portspec.Range{First: 32768, Last: 60999},
		Within:    func(_ Direction, f func()) { f() },
		Change: func(add, remove []Listener) {
			for _, l := range add {
				if _, ok := r.open[l.FD]; ok {
					t.Errorf("descriptor %d twice", l.FD)
				}
				r.open[l.FD] = l
			}
			for _, l := range remove {
				if _, ok := r.open[l.FD]; !ok {
					t.Errorf("descriptor %d was not there", l.FD)
				}
				delete(r.open, l.FD)
				sock.Close(l.FD)
			}
		},
	})
	t.Cleanup(func() { r.Apply(nil) })
	return r
}

// rules makes Forwards of "tcp SPEC" and "udp SPEC".
func rules(t *testing.T, specs ...string) (out []Forward) {
	t.Helper()
	for _, s := range specs {
		proto, spec, _ := strings.Cut(s, " ")
		p, err := portspec.Parse(spec)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range p.Rules {
			f := Forward{Proto: l3.ProtoTCP, Rule: r}
			if proto == "udp" {
				f.Proto = l3.ProtoUDP
			}
			out = append(out, f)
		}
	}
	return out
}

// bound lists what is bound, with descriptors.
func (r *rig) bound() (fds map[string]int) {
	fds = map[string]int{}
	for fd, l := range r.open {
		fds[fmt.Sprintf("%s %v to %d", protoName(l.Proto), l.Bound, l.To.Port)] = fd
	}
	return fds
}

func (r *rig) want(names ...string) map[string]int {
	r.t.Helper()
	b := r.bound()
	for _, n := range names {
		if _, ok := b[n]; !ok {
			r.t.Errorf("not bound: %s; there is %v", n, b)
		}
	}
	if len(b) != len(names) {
		r.t.Errorf("bound: %v, want %q", b, names)
	}
	return b
}

func TestApply(t *testing.T) {
	r := newRig(t)
	if _, err := r.Apply(rules(t, "tcp 127.0.0.1/21001,21002:80", "udp 127.0.0.1/21001")); err != nil {
		t.Fatal(err)
	}
	before := r.want("TCP 127.0.0.1:21001 to 21001", "TCP 127.0.0.1:21002 to 80", "UDP 127.0.0.1:21001 to 21001")

	if _, err := r.Apply(rules(t, "tcp 127.0.0.1/21002:81,21003", "udp 127.0.0.1/21001")); err != nil {
		t.Fatal(err)
	}
	after := r.want("TCP 127.0.0.1:21002 to 81", "TCP 127.0.0.1:21003 to 21003", "UDP 127.0.0.1:21001 to 21001")
	if k := "UDP 127.0.0.1:21001 to 21001"; before[k] != after[k] {
		t.Error("the socket of a rule that stays was touched")
	}
}

// TestApplyNothing has a change fail that would have removed and added something.
func TestApplyNothing(t *testing.T) {
	r := newRig(t)
	other, err := net.Listen("tcp", "127.0.0.1:21010")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := r.Apply(rules(t, "tcp 127.0.0.1/21011")); err != nil {
		t.Fatal(err)
	}
	r.want("TCP 127.0.0.1:21011 to 21011")
	_, err = r.Apply(rules(t, "tcp 127.0.0.1/21012", "tcp 127.0.0.1/21010"))
	if err == nil || !strings.Contains(err.Error(), "TCP port 127.0.0.1/21010") || !strings.Contains(err.Error(), syscall.EADDRINUSE.Error()) {
		t.Errorf("error: %v", err)
	}
	r.want("TCP 127.0.0.1:21011 to 21011")
	if got := r.Rules(); len(got) != 1 || got[0].Rule.First != 21011 {
		t.Errorf("rules: %v", got)
	}
}

// TestApplyOverlap replaces a socket by one that can't be bound beside it.
func TestApplyOverlap(t *testing.T) {
	r := newRig(t)
	for _, tt := range []struct {
		spec string
		want []string
	}{
		{"tcp 21020", []string{"TCP [::]:21020 to 21020"}},
		{"tcp 127.0.0.1/21020", []string{"TCP 127.0.0.1:21020 to 21020"}},
		{"tcp 21020:80", []string{"TCP [::]:21020 to 80"}},
		{"udp 21020", []string{"UDP [::]:21020 to 21020", "UDP 0.0.0.0:21020 to 21020"}},
		{"udp ::1/21020", []string{"UDP [::1]:21020 to 21020"}},
	} {
		if _, err := r.Apply(rules(t, tt.spec)); err != nil {
			t.Fatalf("%s: %v", tt.spec, err)
		}
		r.want(tt.want...)
	}
}

// TestOneVersionOnly has somebody else hold a port for one IP version, or at one address of it: the
// other one is forwarded, and that is said.
func TestOneVersionOnly(t *testing.T) {
	for _, tt := range []struct {
		name, taken string
		spec        string
		want        string
		warning     string
	}{
		{"TCP, IPv4 taken", "tcp 0.0.0.0/21060", "tcp 21060", "TCP [::]:21060 to 21060", "TCP port 21060 is forwarded for IPv6 only; for IPv4: address already in use"},
		{"TCP, IPv6 taken", "tcp ::/21060", "tcp 21060", "TCP 0.0.0.0:21060 to 21060", "TCP port 21060 is forwarded for IPv4 only; for IPv6: address already in use"},
		{"TCP, one address taken", "tcp 127.0.0.1/21060", "tcp 21060", "TCP [::]:21060 to 21060", "TCP port 21060 is forwarded for IPv6 only; for IPv4: address already in use"},
		{"UDP, IPv4 taken", "udp 0.0.0.0/21060", "udp 21060", "UDP [::]:21060 to 21060", "UDP port 21060 is forwarded for IPv6 only; for IPv4: address already in use"},
		{"UDP, IPv6 taken", "udp ::/21060", "udp 21060", "UDP 0.0.0.0:21060 to 21060", "UDP port 21060 is forwarded for IPv4 only; for IPv6: address already in use"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			other := newRig(t)
			if _, err := other.Apply(rules(t, tt.taken)); err != nil {
				t.Fatal(err)
			}
			r := newRig(t)
			// Beside rules that are to go, which might be what holds the port.
			for _, before := range []string{"tcp ::1/21061", "tcp ::1/21062"} {
				if _, err := r.Apply(rules(t, before)); err != nil {
					t.Fatal(err)
				}
				warnings, err := r.Apply(rules(t, tt.spec))
				if err != nil || !slices.Equal(warnings, []string{tt.warning}) {
					t.Errorf("got %q, %v, want %q", warnings, err, tt.warning)
				}
				r.want(tt.want)
			}
			second := newRig(t)
			if _, err := second.Apply(rules(t, tt.spec)); !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("the same once more: %v, want %v", err, syscall.EADDRINUSE)
			}
			second.want()
		})
	}
}

// TestVersionOff has rules for an address of an IP version that is off: by wish, or in the kernel.
func TestVersionOff(t *testing.T) {
	for _, tt := range []struct {
		name     string
		v4       bool
		without6 bool
		specs    []string
		want     []string // bound
		warnings []string // nil: refused
	}{
		{"no IPv6 by wish", true, false, []string{"tcp ::1/21066"}, nil, nil},
		{"no IPv4 by wish", false, false, []string{"tcp 127.0.0.1/21066"}, nil, nil},
		{"no IPv6 in the kernel", true, true, []string{"tcp ::1/21066", "udp ::1/21066:53", "tcp 21067"},
			[]string{"TCP 0.0.0.0:21067 to 21067"}, []string{
				"TCP port [::1]/21066 is not forwarded: IPv6 is switched off in the host's kernel",
				"UDP port [::1]/21066:53 is not forwarded: IPv6 is switched off in the host's kernel"}},
		{"no IPv6 in the kernel, all ports", true, true, []string{"tcp ::1/all"}, nil,
			[]string{"TCP port [::1]/all is not forwarded: IPv6 is switched off in the host's kernel"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			r.c.V4, r.c.V6, r.c.Without6 = tt.v4, !tt.v4, tt.without6
			warnings, err := r.Apply(rules(t, tt.specs...))
			if (err != nil) != (tt.warnings == nil) || !slices.Equal(warnings, tt.warnings) {
				t.Errorf("got %q, %v, want %q", warnings, err, tt.warnings)
			}
			r.want(tt.want...)
		})
	}
	r := newRig(t)
	r.c.V6, r.c.Without6 = false, true
	f := rules(t, "udp ::1/21066")
	f[0].Optional = true
	if warnings, err := r.Apply(f); err != nil || len(warnings) != 0 {
		t.Errorf("what nobody asked for: %q, %v", warnings, err)
	}
}

// TestOneVersionUnnamed leaves a port that nobody has named to whoever has it for one IP version.
func TestOneVersionUnnamed(t *testing.T) {
	other, r := newRig(t), newRig(t)
	if _, err := other.Apply(rules(t, "tcp 127.0.0.1/21068", "udp ::/21068")); err != nil {
		t.Fatal(err)
	}
	if warnings, err := r.Apply(rules(t, "tcp ~1-21067,~21070-65535", "udp ~1-21067,~21070-65535")); err != nil || len(warnings) != 0 {
		t.Errorf("got %q, %v", warnings, err)
	}
	r.want("TCP [::]:21069 to 21069", "UDP 0.0.0.0:21069 to 21069", "UDP [::]:21069 to 21069")
}

// TestOneVersionOut does the same for a port of the namespace.
func TestOneVersionOut(t *testing.T) {
	other, r := newRig(t), newRig(t)
	if _, err := other.Apply(rules(t, "tcp 127.0.0.1/21065")); err != nil {
		t.Fatal(err)
	}
	f := rules(t, "tcp 21065")
	f[0].Dir = Out
	want := []string{"TCP port 21065 of the namespace is forwarded for IPv6 only; for IPv4: address already in use"}
	if warnings, err := r.Apply(f); err != nil || !slices.Equal(warnings, want) {
		t.Errorf("got %q, %v, want %q", warnings, err, want)
	}
	r.want("TCP [::1]:21065 to 21065")
}

func TestExclusions(t *testing.T) {
	r := newRig(t)
	if _, err := r.Apply(rules(t, "tcp 127.0.0.1/21030-21035,~21031-21033")); err != nil {
		t.Fatal(err)
	}
	r.want("TCP 127.0.0.1:21030 to 21030", "TCP 127.0.0.1:21034 to 21034", "TCP 127.0.0.1:21035 to 21035")
}

// TestFewDescriptors has rules for whatever can be had take no more than their share.
func TestFewDescriptors(t *testing.T) {
	r := newRig(t)
	r.c.Most = 10
	f := rules(t, "tcp 127.0.0.1/21050,21051", "tcp 127.0.0.1/~1-21099", "udp 127.0.0.1/~1-21099")
	warnings, err := r.Apply(f)
	if err != nil {
		t.Fatal(err)
	}
	r.want("TCP 127.0.0.1:21050 to 21050", "TCP 127.0.0.1:21051 to 21051",
		"TCP 127.0.0.1:21100 to 21100", "TCP 127.0.0.1:21101 to 21101", "TCP 127.0.0.1:21102 to 21102", "TCP 127.0.0.1:21103 to 21103",
		"UDP 127.0.0.1:21100 to 21100", "UDP 127.0.0.1:21101 to 21101", "UDP 127.0.0.1:21102 to 21102", "UDP 127.0.0.1:21103 to 21103")
	if len(warnings) != 2 || !strings.Contains(warnings[0], "TCP port 127.0.0.1/") || !strings.Contains(warnings[0], "from 21104 on") || !strings.Contains(warnings[0], "ulimit -n") {
		t.Errorf("warnings: %q", warnings)
	}
	// A rule that gets nothing at all is refused, unless that was said to be fine.
	f = append(f, rules(t, "tcp 127.0.0.2/~1-21199")...)
	if _, err := r.Apply(f); !errors.Is(err, errNone) {
		t.Errorf("got %v, want %v", err, errNone)
	}
	f[len(f)-1].Optional = true
	if warnings, err := r.Apply(f); err != nil || len(warnings) != 1 {
		t.Errorf("got %q, %v, want one warning", warnings, err)
	}
}

// TestFollow follows the test's own namespace: ports out of it to itself.
func TestFollow(t *testing.T) {
	r := newRig(t)
	tables, err := sock.OpenTables()
	if err != nil {
		t.Fatal(err)
	}
	defer tables.Close()
	r.c.Tables[In], r.c.ToLoopback = tables, true
	server, err := net.Listen("tcp4", "127.0.0.1:21040")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	// Another address of the loopback network is free for the same port.
	f := rules(t, "tcp 127.0.0.2/auto,~1-21039,~21041-65535", "udp 127.0.0.2/auto,~1-21039,~21041-65535")
	if _, err := r.Apply(f); err != nil {
		t.Fatal(err)
	}
	r.want()
	if err := r.Follow(); err != nil {
		t.Fatal(err)
	}
	// UDP follows TCP.
	r.want("TCP 127.0.0.2:21040 to 21040", "UDP 127.0.0.2:21040 to 21040")
	first := r.bound()
	if err := r.Follow(); err != nil {
		t.Fatal(err)
	}
	if again := r.bound(); !slices.Equal(keys(first), keys(again)) {
		t.Errorf("the second time: %v, not %v", again, first)
	}
}

func keys(m map[string]int) (k []string) {
	for n := range m {
		k = append(k, n)
	}
	slices.Sort(k)
	return k
}

func TestReachable(t *testing.T) {
	at := func(s string) (l Listener) {
		r := rules(t, "tcp "+s)[0].Rule
		l.Bound.Addr, l.Bound.Port = r.Addr.As16(), r.First
		return l
	}
	own := at("127.0.0.1/22")
	for _, tt := range []struct {
		name       string
		d          Direction
		toLoopback bool
		at         string
		dual       bool
		want       ipVersions
	}{
		{"any IPv4 address", In, false, "0.0.0.0/80", false, version4},
		{"any address", In, false, "::/80", true, version4 | version6},
		{"any IPv6 address", In, false, "::/80", false, version6},
		{"the guest's loopback", In, false, "127.0.0.1/80", false, 0},
		{"the guest's loopback, as wanted", In, true, "127.0.0.1/80", false, version4},
		{"an address of the guest", In, false, "192.0.2.1/80", false, version4},
		{"the host's loopback", Out, false, "127.0.0.1/80", false, version4},
		{"the host's loopback, IPv6", Out, false, "::1/80", false, version6},
		{"another loopback address of the host", Out, false, "127.0.0.53/53", false, 0},
		{"an address of the host", Out, false, "192.0.2.1/80", false, 0},
		{"our own", In, true, "127.0.0.1/22", false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			table := NewTable(Config{ToLoopback: tt.toLoopback})
			table.entries = []*entry{{Forward: Forward{Dir: Out, Proto: l3.ProtoTCP}, ls: []Listener{own}}}
			l := at(tt.at)
			if got := table.reachable(tt.d, l3.ProtoTCP, l.Bound, tt.dual); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
