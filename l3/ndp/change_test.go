package ndp

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/ndp"

	"passt/link"
)

// said is what an advertisement says of prefixes, resolvers and names, and for how long: "∞"
// or a number of seconds.
func said(t *testing.T, a answer) string {
	t.Helper()
	ra, ok := a.msg.(*ndp.RouterAdvertisement)
	if !ok {
		t.Fatalf("%T", a.msg)
	}
	life := func(d time.Duration) string {
		if d == ndp.Infinity {
			return "∞"
		}
		return fmt.Sprint(int(d.Seconds()))
	}
	parts := []string{fmt.Sprintf("router %s %d", a.src, int(ra.RouterLifetime.Seconds()))}
	for _, o := range ra.Options {
		switch o := o.(type) {
		case *ndp.PrefixInformation:
			parts = append(parts, fmt.Sprintf("%v %s/%s", o.Prefix, life(o.PreferredLifetime), life(o.ValidLifetime)))
		case *ndp.RecursiveDNSServer:
			for _, s := range o.Servers {
				parts = append(parts, fmt.Sprintf("dns %v %s", s, life(o.Lifetime)))
			}
		case *ndp.DNSSearchList:
			for _, n := range o.DomainNames {
				parts = append(parts, fmt.Sprintf("search %s %s", n, life(o.Lifetime)))
			}
		}
	}
	return strings.Join(parts, ", ")
}

func TestChange(t *testing.T) {
	const s = int64(time.Second)
	first := config()
	first.DNS, first.Search = []netip.Addr{netip.MustParseAddr("2001:db8::53")}, []string{"a.example", "both.example"}
	second := first
	second.Prefix = netip.MustParsePrefix("2001:db8:2::2/64")
	second.DNS, second.Search = []netip.Addr{netip.MustParseAddr("2001:db8:2::53")}, []string{"both.example"}
	moved := second
	moved.LinkLocal = netip.MustParseAddr("fe80::2")
	none := second
	none.Prefix, none.DNS, none.Search = netip.Prefix{}, nil, nil

	const (
		sayFirst  = "router fe80::1 65535, 2001:db8:: ∞/∞, dns 2001:db8::53 ∞, search a.example ∞, search both.example ∞"
		saySecond = ", 2001:db8:2:: ∞/∞, dns 2001:db8:2::53 ∞, search both.example ∞, 2001:db8:: 0/0, dns 2001:db8::53 0, search a.example 0"
		sayAgain  = "router fe80::1 65535, 2001:db8:: ∞/∞, dns 2001:db8::53 ∞, search a.example ∞, search both.example ∞, 2001:db8:2:: 0/0, dns 2001:db8:2::53 0"
		sayNone   = "router fe80::1 65535, 2001:db8:: 0/0, dns 2001:db8::53 0, search a.example 0, search both.example 0"
	)
	for _, tc := range []struct {
		name    string
		changes []Config
		want    []string
	}{
		{"nothing", []Config{first}, []string{sayFirst}},
		{"another network", []Config{second}, []string{"router fe80::1 65535" + saySecond}},
		{"another network, and back", []Config{second, first}, []string{sayAgain}},
		{"none", []Config{none}, []string{sayNone}},
		{"another router", []Config{moved}, []string{"router fe80::2 65535" + saySecond, "router fe80::1 0"}},
		{"another router, and back before it was said", []Config{moved, second}, []string{"router fe80::1 65535" + saySecond, "router fe80::2 0"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWire(t, first)
			now := int64(1e15)
			w.r.Timer(now)
			if got := w.take(); len(got) != 1 || said(t, got[0]) != sayFirst {
				t.Fatalf("before: %v", got)
			}
			now += 100 * s
			for _, c := range tc.changes {
				w.r.Change(c, now)
			}
			// At once, and like the first ones; RFC 4861, section 6.2.4.
			for i, wait := range []int64{16, 16, 16, 600} {
				next := w.r.Timer(now)
				var got []string
				for _, a := range w.take() {
					got = append(got, said(t, a))
				}
				want := tc.want
				if i == 3 {
					want = want[:1]
				}
				if !slices.Equal(got, want) {
					t.Errorf("%d:\n got %q\nwant %q", i, got, want)
				}
				if next != now+wait*s {
					t.Errorf("%d: next in %d s, want %d", i, (next-now)/s, wait)
				}
				now = next
			}
		})
	}
}

// TestChangeTooEarly: two advertisements to all nodes have three seconds between them.
func TestChangeTooEarly(t *testing.T) {
	const s = int64(time.Second)
	w := newWire(t, config())
	now := int64(1e15)
	w.r.Timer(now)
	w.take()
	cfg := config()
	cfg.Prefix = netip.MustParsePrefix("2001:db8:2::2/64")
	w.r.Change(cfg, now+s)
	if next := w.r.Timer(now + s); next != now+3*s || len(w.take()) != 0 {
		t.Errorf("next after %d s, want 3", (next-now)/s)
	}
	// Whoever asks gets the answer.
	got := w.frame(func() []byte { m := routerSolicitation(guestLL); return m.frame() }(), link.Meta{})
	if len(got) != 1 || !strings.Contains(said(t, got[0]), "2001:db8:2::") {
		t.Errorf("answer: %v", got)
	}
	if w.r.Timer(now + 3*s); len(w.take()) != 1 {
		t.Error("none after three seconds")
	}
}

// TestManyChanges: what is taken back is limited, and the last things are.
func TestManyChanges(t *testing.T) {
	w := newWire(t, config())
	now := int64(1e15)
	w.r.Timer(now)
	w.take()
	for i := range 50 {
		cfg := config()
		cfg.Prefix = netip.MustParsePrefix(fmt.Sprintf("2001:db8:%x::2/64", i+2))
		cfg.LinkLocal = netip.MustParseAddr(fmt.Sprintf("fe80::%x", i+2))
		cfg.DNS = []netip.Addr{netip.MustParseAddr(fmt.Sprintf("2001:db8:%x::53", i+2))}
		cfg.Search = []string{strings.Repeat(fmt.Sprintf("a%d.", i), 30) + "example"}
		w.r.Change(cfg, now)
	}
	w.r.Timer(now + int64(minDelayBetweenRAs))
	got := w.take()
	if len(got) != 1+maxPast {
		t.Errorf("%d messages, want %d", len(got), 1+maxPast)
	}
	text := said(t, got[0])
	for _, want := range []string{"2001:db8:33:: ∞/∞", "2001:db8:32:: 0/0", "2001:db8:2b:: 0/0"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	if strings.Contains(text, "2001:db8:2a::") || len(w.r.adv.msg) > maxMessage {
		t.Errorf("%d bytes: %s", len(w.r.adv.msg), text)
	}
}
