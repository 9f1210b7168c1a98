package ndp

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/ndp"

	"passt/link"
)

func routerSolicitation(src string, opts ...ndp.Option) message {
	return message{src: src, dst: "ff02::2", hops: 255, b: marshal(&ndp.RouterSolicitation{Options: opts})}
}

func TestRouterSolicitation(t *testing.T) {
	tests := []struct {
		name    string
		m       message
		change  func(m *message)
		cfg     func(c *Config)
		dst     string // "": no answer
		bad     uint64
		ignored uint64
	}{
		{name: "with an address", m: routerSolicitation(guestLL, guestLLA), dst: guestLL},
		{name: "without options", m: routerSolicitation(guestLL), dst: guestLL},
		{name: "from a global address", m: routerSolicitation(guestOwn), dst: guestOwn},
		{name: "from nowhere", m: routerSolicitation("::"), dst: "ff02::1"},
		{name: "from nowhere with a link-layer address", m: routerSolicitation("::", guestLLA), bad: 1},
		{name: "forwarded", m: routerSolicitation(guestLL), change: func(m *message) { m.hops = 64 }, bad: 1},
		{name: "too short", m: routerSolicitation(guestLL), change: func(m *message) { m.b = m.b[:7] }, bad: 1},
		{name: "option of length 0", m: routerSolicitation(guestLL, guestLLA), change: func(m *message) { m.b[9] = 0 }, bad: 1},
		{name: "advertisements off", m: routerSolicitation(guestLL), cfg: func(c *Config) { c.NoRA, c.Rand = true, nil }, ignored: 1},
		{name: "no link-local address", m: routerSolicitation(guestLL), cfg: func(c *Config) { c.LinkLocal = netip.Addr{} }, ignored: 1},
		{name: "global address for it", m: routerSolicitation(guestLL), cfg: func(c *Config) { c.LinkLocal = c.Gateway }, ignored: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.change != nil {
				tt.change(&tt.m)
			}
			cfg := config()
			if tt.cfg != nil {
				tt.cfg(&cfg)
			}
			w := newWire(t, cfg)
			got := w.frame(tt.m.frame(), link.Meta{})
			if s := w.r.Stats; s.Rx != 1 || s.RxBad != tt.bad || s.RxIgnored != tt.ignored {
				t.Errorf("got %+v", s)
			}
			if tt.dst == "" {
				if len(got) != 0 {
					t.Errorf("got answer %+v, want none", got)
				}
				return
			}
			if len(got) != 1 || got[0].src != ourLL || got[0].dst != tt.dst {
				t.Fatalf("got %+v, want one from %v to %v", got, ourLL, tt.dst)
			}
			if _, ok := got[0].msg.(*ndp.RouterAdvertisement); !ok {
				t.Errorf("got %T", got[0].msg)
			}
		})
	}
}

// advertisement is what a Router of cfg advertises.
func advertisementOf(t *testing.T, cfg Config) *ndp.RouterAdvertisement {
	t.Helper()
	w := newWire(t, cfg)
	w.r.Timer(0)
	got := w.take()
	if len(got) != 1 {
		t.Fatalf("got %d messages, want 1", len(got))
	}
	return got[0].msg.(*ndp.RouterAdvertisement)
}

func TestAdvertisement(t *testing.T) {
	find := func(ra *ndp.RouterAdvertisement, code uint8) (found string) {
		for _, o := range ra.Options {
			if o.Code() == code {
				found += fmt.Sprintf("%+v", o)
			}
		}
		return found
	}
	const prefix, mtu, rdnss, dnssl = 3, 5, 25, 31
	prefixOpt := func(p string) string {
		return fmt.Sprintf("%+v", &ndp.PrefixInformation{PrefixLength: 64, OnLink: true, AutonomousAddressConfiguration: true,
			ValidLifetime: ndp.Infinity, PreferredLifetime: ndp.Infinity, Prefix: netip.MustParseAddr(p)})
	}
	tests := []struct {
		name string
		cfg  func(c *Config)
		code uint8
		want string
	}{
		{"source", nil, 1, fmt.Sprintf("%+v", &ndp.LinkLayerAddress{Direction: ndp.Source, Addr: ourMAC[:]})},
		{"prefix", nil, prefix, prefixOpt("2001:db8::")},
		{"prefix of a longer one", func(c *Config) { c.Prefix = netip.MustParsePrefix("2001:db8:1:2:3::4/128") }, prefix, prefixOpt("2001:db8:1:2::")},
		{"no prefix", func(c *Config) { c.Prefix = netip.Prefix{} }, prefix, ""},
		{"IPv4 prefix", func(c *Config) { c.Prefix = netip.MustParsePrefix("192.0.2.2/24") }, prefix, ""},
		{"link-local prefix", func(c *Config) { c.Prefix = netip.MustParsePrefix("fe80::2/64") }, prefix, ""},
		{"MTU", nil, mtu, fmt.Sprintf("%+v", ndp.NewMTU(65520))},
		{"no MTU", func(c *Config) { c.MTU = 0 }, mtu, ""},
		{"resolvers", nil, rdnss, fmt.Sprintf("%+v", &ndp.RecursiveDNSServer{Lifetime: ndp.Infinity,
			Servers: []netip.Addr{netip.MustParseAddr("2001:db8::53"), netip.MustParseAddr("fe80::53")}})},
		{"no resolvers", func(c *Config) { c.DNS = c.DNS[1:2] }, rdnss, ""},
		{"search list", nil, dnssl, fmt.Sprintf("%+v", &ndp.DNSSearchList{Lifetime: ndp.Infinity, DomainNames: []string{"example.com", "lan"}})},
		{"no search list", func(c *Config) { c.Search = []string{".", "a..b"} }, dnssl, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := config()
			if tt.cfg != nil {
				tt.cfg(&cfg)
			}
			if got := find(advertisementOf(t, cfg), tt.code); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	t.Run("header", func(t *testing.T) {
		ra := advertisementOf(t, config())
		ra.Options = nil
		want := ndp.RouterAdvertisement{CurrentHopLimit: 64, ManagedConfiguration: true, OtherConfiguration: true, RouterLifetime: 65535 * time.Second}
		if fmt.Sprint(*ra) != fmt.Sprint(want) {
			t.Errorf("got %+v, want %+v", *ra, want)
		}
	})
	t.Run("flags", func(t *testing.T) {
		cfg := config()
		cfg.Managed, cfg.Other = false, false
		if ra := advertisementOf(t, cfg); ra.ManagedConfiguration || ra.OtherConfiguration {
			t.Errorf("got %+v", ra)
		}
	})
}

func TestLongLists(t *testing.T) {
	many := config()
	many.DNS, many.Search = nil, nil
	for i := range 200 {
		many.DNS = append(many.DNS, netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i)}))
		many.Search = append(many.Search, fmt.Sprintf("%d.%s.example", i, strings.Repeat("a", 50)))
	}
	manyNames := many
	manyNames.DNS = many.DNS[:3]
	for _, tt := range []struct {
		name string
		cfg  Config
	}{{"resolvers", many}, {"names", manyNames}} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWire(t, tt.cfg)
			if n := len(w.r.adv.msg); n > maxMessage || n < maxMessage-80 {
				t.Errorf("got %d bytes, want nearly %d", n, maxMessage)
			}
			var servers []netip.Addr
			var names []string
			for _, o := range advertisementOf(t, tt.cfg).Options {
				switch o := o.(type) {
				case *ndp.RecursiveDNSServer:
					servers = append(servers, o.Servers...)
				case *ndp.DNSSearchList:
					names = append(names, o.DomainNames...)
				}
			}
			if !slices.Equal(servers, tt.cfg.DNS[:len(servers)]) || !slices.Equal(names, tt.cfg.Search[:len(names)]) {
				t.Errorf("got %v and %v, not the beginnings of the lists", servers, names)
			}
			if len(servers)+len(names) < 15 {
				t.Errorf("got only %d servers and %d names", len(servers), len(names))
			}
		})
	}
}

func TestTimer(t *testing.T) {
	const s = int64(time.Second)
	w := newWire(t, config())
	start := int64(1e15)
	now := start
	for i, want := range []int64{16, 16, 16, 600, 600} { // RFC 4861, section 6.2.4
		next := w.r.Timer(now)
		if got := w.take(); len(got) != 1 || got[0].dst != "ff02::1" || got[0].src != ourLL {
			t.Fatalf("%d: got %+v", i, got)
		}
		if next != now+want*s {
			t.Errorf("%d: next in %d s, want %d", i, (next-now)/s, want)
		}
		if again := w.r.Timer(next - 1); again != next || len(w.take()) != 0 {
			t.Errorf("%d: early call gave %d, want %d", i, again, next)
		}
		now = next
	}
	t.Run("least interval", func(t *testing.T) {
		cfg := config()
		cfg.MinInterval, cfg.MaxInterval = time.Second, 10*time.Second
		cfg.Rand = func(int64) int64 { return 0 }
		if got := newWire(t, cfg).r.Timer(0); got != 3*s {
			t.Errorf("got %d s, want 3", got/s)
		}
	})
	t.Run("equal limits", func(t *testing.T) {
		cfg := config()
		cfg.MinInterval, cfg.MaxInterval = 10*time.Second, 10*time.Second
		cfg.Rand = nil
		if got := newWire(t, cfg).r.Timer(0); got != 10*s {
			t.Errorf("got %d s, want 10", got/s)
		}
	})
	t.Run("off", func(t *testing.T) {
		cfg := config()
		cfg.NoRA = true
		w := newWire(t, cfg)
		if got := w.r.Timer(0); got != 0 || len(w.take()) != 0 {
			t.Errorf("got %d, want never", got)
		}
	})
}

func TestAdvertisementRate(t *testing.T) {
	t.Run("to all nodes", func(t *testing.T) {
		w := newWire(t, config())
		m := routerSolicitation("::")
		f := m.frame()
		for _, step := range []struct {
			at   time.Duration
			want int
		}{{0, 1}, {time.Second, 0}, {2999 * time.Millisecond, 0}, {3 * time.Second, 1}, {4 * time.Second, 0}} {
			w.now = int64(step.at)
			if got := len(w.frame(f, link.Meta{})); got != step.want {
				t.Errorf("after %v: got %d answers, want %d", step.at, got, step.want)
			}
		}
	})
	t.Run("flood", func(t *testing.T) {
		w := newWire(t, config())
		w.now = int64(time.Hour)
		m := routerSolicitation(guestLL)
		f, got := m.frame(), 0
		for range 1000 {
			got += len(w.frame(f, link.Meta{}))
			w.now += int64(time.Millisecond)
		}
		if got != 29 || w.r.Stats.RxLimited != 1000-29 { // 20 at once, then 10 a second
			t.Errorf("got %d answers, %+v", got, w.r.Stats)
		}
	})
}

// TestConstant holds that answers leave no trace in the message that is sent to all.
func TestConstant(t *testing.T) {
	w := newWire(t, config())
	before := bytes.Clone(w.r.adv.msg)
	m := routerSolicitation(guestLL)
	w.frame(m.frame(), link.Meta{})
	w.r.Timer(0)
	if !bytes.Equal(before, w.r.adv.msg) {
		t.Error("the message changed")
	}
}
