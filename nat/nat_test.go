package nat

import (
	"net/netip"
	"testing"

	"passt/l3/inet"
)

// addr parses an address; the empty string is the zero Addr.
func addr(s string) inet.Addr {
	if s == "" {
		return inet.Addr{}
	}
	return inet.FromNetip(netip.MustParseAddr(s))
}

// ep parses an endpoint; the empty string is the zero one, and ":80" one without address.
func ep(s string) inet.Endpoint {
	if s == "" {
		return inet.Endpoint{}
	}
	if s[0] == ':' {
		p := ep("0.0.0.0" + s)
		return inet.Endpoint{Port: p.Port}
	}
	p := netip.MustParseAddrPort(s)
	return inet.Endpoint{Addr: inet.FromNetip(p.Addr()), Port: p.Port()}
}

// usual is what a host with both IP versions and no options gives.
func usual() Config {
	return Config{
		V4: Family{Enabled: true, Guest: addr("192.0.2.10"), Host: addr("192.0.2.10"), Ours: addr("192.0.2.1"),
			MapHostLoopback: addr("192.0.2.1"), DNSHost: addr("198.51.100.53")},
		V6: Family{Enabled: true, Guest: addr("2001:db8::10"), Host: addr("2001:db8::10"), Ours: addr("fe80::1"),
			MapHostLoopback: addr("fe80::1"), DNSHost: addr("2001:db8::53")},
	}
}

// with is the usual Config after f.
func with(f func(c *Config)) Config {
	c := usual()
	f(&c)
	return c
}

var (
	// noMapGW is --no-map-gw.
	noMapGW = with(func(c *Config) { c.V4.MapHostLoopback, c.V6.MapHostLoopback = inet.Addr{}, inet.Addr{} })
	// podman is --no-map-gw --dns-forward 169.254.1.1 --map-guest-addr 169.254.1.2.
	podman = with(func(c *Config) {
		c.V4.MapHostLoopback, c.V6.MapHostLoopback = inet.Addr{}, inet.Addr{}
		c.V4.DNSForward, c.V4.MapGuestAddr = addr("169.254.1.1"), addr("169.254.1.2")
	})
	// moved is a host that had other resolvers before.
	moved = with(func(c *Config) { c.V4.DNSPast = []inet.Addr{addr("192.0.2.53"), addr("192.0.2.1")} })
	// mapped has every mapping at an address of its own.
	mapped = with(func(c *Config) {
		c.V4.DNSForward, c.V4.MapGuestAddr, c.V4.MapHostLoopback = addr("192.0.2.3"), addr("192.0.2.4"), addr("192.0.2.5")
		c.V6.DNSForward, c.V6.MapGuestAddr, c.V6.MapHostLoopback = addr("fd00::3"), addr("fd00::4"), addr("fd00::5")
	})
	// local is local mode: no interface on the host.
	local = Config{
		V4: Family{Enabled: true, Guest: addr("169.254.2.1"), Ours: addr("169.254.2.2"), MapHostLoopback: addr("169.254.2.2")},
		V6: Family{Enabled: true, Ours: addr("fe80::1"), MapHostLoopback: addr("fe80::1")},
	}
	// resolved is a host whose resolver is at 127.0.0.53.
	resolved = with(func(c *Config) { c.V4.DNSHost = addr("127.0.0.53") })
)

const (
	icmp   = 1
	tcp    = 6
	udp    = 17
	icmpv6 = 58
)

func TestFromGuest(t *testing.T) {
	for _, c := range []struct {
		name     string
		config   Config
		proto    uint8
		dst      string
		want     string // empty: refused
		loopback bool
	}{
		{"address of the world, IPv4", usual(), tcp, "203.0.113.5:80", "203.0.113.5:80", false},
		{"address of the world, IPv6", usual(), tcp, "[2001:db8:1::5]:80", "[2001:db8:1::5]:80", false},
		{"private address", usual(), udp, "10.1.2.3:53", "10.1.2.3:53", false},
		{"link-local address, IPv4", usual(), udp, "169.254.169.254:80", "169.254.169.254:80", false},
		{"link-local address, IPv6", usual(), udp, "[fe80::99]:80", "[fe80::99]:80", false},
		{"port 0", usual(), tcp, "203.0.113.5:0", "203.0.113.5:0", false},

		{"gateway is loopback, TCP", usual(), tcp, "192.0.2.1:80", "127.0.0.1:80", true},
		{"gateway is loopback, UDP", usual(), udp, "192.0.2.1:123", "127.0.0.1:123", true},
		{"gateway is loopback, IPv6", usual(), tcp, "[fe80::1]:80", "[::1]:80", true},
		{"gateway is loopback, echo", usual(), icmp, "192.0.2.1:4711", "127.0.0.1:4711", true},
		{"gateway is loopback, echo IPv6", usual(), icmpv6, "[fe80::1]:4711", "[::1]:4711", true},
		{"gateway with --no-map-gw", noMapGW, tcp, "192.0.2.1:80", "192.0.2.1:80", false},
		{"gateway with --no-map-gw, IPv6", noMapGW, tcp, "[fe80::1]:80", "[fe80::1]:80", false},
		{"gateway with another --map-host-loopback", mapped, tcp, "192.0.2.1:80", "192.0.2.1:80", false},
		{"--map-host-loopback", mapped, tcp, "192.0.2.5:80", "127.0.0.1:80", true},
		{"--map-host-loopback, IPv6", mapped, udp, "[fd00::5]:80", "[::1]:80", true},
		{"--map-guest-addr", mapped, tcp, "192.0.2.4:80", "192.0.2.10:80", false},
		{"--map-guest-addr, IPv6", mapped, udp, "[fd00::4]:80", "[2001:db8::10]:80", false},
		{"--map-guest-addr, echo", mapped, icmp, "192.0.2.4:80", "192.0.2.10:80", false},
		{"--map-guest-addr and no host address", with(func(c *Config) { c.V4.Host, c.V4.MapGuestAddr = inet.Addr{}, addr("192.0.2.4") }), tcp, "192.0.2.4:80", "", false},
		{"the guest's own address", usual(), tcp, "192.0.2.10:80", "192.0.2.10:80", false},

		{"--dns-forward, UDP 53", podman, udp, "169.254.1.1:53", "198.51.100.53:53", false},
		{"--dns-forward, TCP 53", podman, tcp, "169.254.1.1:53", "198.51.100.53:53", false},
		{"--dns-forward, TCP 853", podman, tcp, "169.254.1.1:853", "198.51.100.53:853", false},
		{"--dns-forward, UDP 853", podman, udp, "169.254.1.1:853", "198.51.100.53:853", false},
		{"--dns-forward, IPv6", mapped, udp, "[fd00::3]:53", "[2001:db8::53]:53", false},
		{"--dns-forward, another port", podman, udp, "169.254.1.1:54", "169.254.1.1:54", false},
		{"--dns-forward, echo with identifier 53", podman, icmp, "169.254.1.1:53", "169.254.1.1:53", false},
		{"--dns-forward at the gateway, DNS", with(func(c *Config) { c.V4.DNSForward = c.V4.Ours }), udp, "192.0.2.1:53", "198.51.100.53:53", false},
		{"--dns-forward at the gateway, other", with(func(c *Config) { c.V4.DNSForward = c.V4.Ours }), udp, "192.0.2.1:54", "127.0.0.1:54", true},
		{"--dns-forward and no resolver", with(func(c *Config) { c.V4.DNSForward, c.V4.DNSHost = addr("192.0.2.3"), inet.Addr{} }), udp, "192.0.2.3:53", "192.0.2.3:53", false},
		{"a former resolver, UDP", moved, udp, "192.0.2.53:53", "198.51.100.53:53", false},
		{"a former resolver, TCP 853", moved, tcp, "192.0.2.53:853", "198.51.100.53:853", false},
		{"a former resolver, another port", moved, tcp, "192.0.2.53:80", "192.0.2.53:80", false},
		{"a former resolver, and none now", with(func(c *Config) {
			c.V4.DNSPast, c.V4.DNSHost = []inet.Addr{addr("192.0.2.53")}, inet.Addr{}
		}), udp, "192.0.2.53:53", "192.0.2.53:53", false},
		{"a former resolver that is the gateway now, DNS", moved, udp, "192.0.2.1:53", "198.51.100.53:53", false},
		{"a former resolver that is the gateway now, other", moved, udp, "192.0.2.1:54", "127.0.0.1:54", true},
		{"resolver on loopback, by the gateway", resolved, udp, "192.0.2.1:53", "127.0.0.53:53", true},
		{"resolver on loopback, another port", resolved, tcp, "192.0.2.1:80", "127.0.0.1:80", true},
		{"resolver on loopback, --no-map-gw", with(func(c *Config) { c.V4.DNSHost, c.V4.MapHostLoopback = addr("127.0.0.53"), inet.Addr{} }), udp, "192.0.2.1:53", "192.0.2.1:53", false},

		{"loopback", usual(), tcp, "127.0.0.1:80", "", false},
		{"loopback, the last", usual(), tcp, "127.255.255.255:80", "", false},
		{"loopback, IPv6", usual(), tcp, "[::1]:80", "", false},
		{"loopback, echo", usual(), icmp, "127.0.0.1:80", "", false},
		{"loopback, DNS", podman, udp, "127.0.0.53:53", "", false},
		{"loopback, mapped form", usual(), tcp, "[::ffff:127.0.0.1]:80", "", false},
		{"unspecified", usual(), udp, "0.0.0.0:80", "", false},
		{"unspecified, IPv6", usual(), udp, "[::]:80", "", false},
		{"unspecified is no unset mapping", noMapGW, udp, "[::]:53", "", false},
		{"this network", usual(), udp, "0.1.2.3:80", "", false},
		{"reserved", usual(), udp, "240.0.0.1:80", "", false},
		{"reserved, the last", usual(), tcp, "255.255.255.254:80", "", false},
		{"broadcast, UDP", usual(), udp, "255.255.255.255:67", "255.255.255.255:67", false},
		{"broadcast, TCP", usual(), tcp, "255.255.255.255:67", "", false},
		{"broadcast, echo", usual(), icmp, "255.255.255.255:67", "", false},
		{"multicast, UDP", usual(), udp, "224.0.0.251:5353", "224.0.0.251:5353", false},
		{"multicast, TCP", usual(), tcp, "224.0.0.251:5353", "", false},
		{"multicast, UDP, IPv6", usual(), udp, "[ff02::fb]:5353", "[ff02::fb]:5353", false},
		{"multicast, TCP, IPv6", usual(), tcp, "[ff02::fb]:5353", "", false},
		{"multicast, echo, IPv6", usual(), icmpv6, "[ff02::1]:1", "", false},
		{"multicast inside the interface", usual(), udp, "[ff01::1]:5353", "", false},
		{"multicast inside the interface, transient", usual(), udp, "[ff11::1]:5353", "", false},
		{"multicast of scope 0", usual(), udp, "[ff00::1]:5353", "", false},

		{"IPv4 off", with(func(c *Config) { c.V4 = Family{} }), tcp, "203.0.113.5:80", "", false},
		{"IPv6 off", with(func(c *Config) { c.V6 = Family{} }), tcp, "[2001:db8::5]:80", "", false},
		{"IPv4 off, gateway", with(func(c *Config) { c.V4.Enabled = false }), tcp, "192.0.2.1:80", "", false},

		{"local mode, world", local, tcp, "203.0.113.5:80", "203.0.113.5:80", false},
		{"local mode, gateway", local, tcp, "169.254.2.2:80", "127.0.0.1:80", true},
		{"local mode, gateway, IPv6", local, tcp, "[fe80::1]:80", "[::1]:80", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dst := ep(c.dst)
			src := inet.Endpoint{Addr: c.config.V6.Guest, Port: 40000}
			if dst.Addr.Is4() {
				src.Addr = addr("192.0.2.10")
			}
			got, ok := New(c.config).FromGuest(c.proto, src, dst)
			if ok != (c.want != "") {
				t.Fatalf("FromGuest(%d, %v) = %v, %v; want %q", c.proto, dst, got.Dst, ok, c.want)
			}
			if want := (Target{Dst: ep(c.want), Loopback: c.loopback}); ok && got != want {
				t.Errorf("FromGuest(%d, %v) = %v, %v; want %v, %v", c.proto, dst, got.Dst, got.Loopback, want.Dst, want.Loopback)
			}
		})
	}
	if _, ok := New(usual()).FromGuest(tcp, ep("[2001:db8::10]:1"), ep("203.0.113.5:80")); ok {
		t.Error("a flow between two IP versions was accepted")
	}
}

func TestFromHost(t *testing.T) {
	none := Observed{}
	seen := Observed{V4: addr("192.0.2.77"), V6: addr("2001:db8::77"), LinkLocal: addr("fe80::77")}
	v4, v6 := "192.0.2.10", "2001:db8::10" // addresses of the host
	for _, c := range []struct {
		name     string
		config   Config
		remote   string
		local    string
		to       string
		obs      Observed
		src, dst string // src empty: refused
	}{
		{"peer in the world", usual(), "203.0.113.5:4000", v4, ":80", seen, "203.0.113.5:4000", "192.0.2.77:80"},
		{"peer in the world, nothing seen", usual(), "203.0.113.5:4000", v4, ":80", none, "203.0.113.5:4000", "192.0.2.10:80"},
		{"peer in the world, IPv6", usual(), "[2001:db8:1::5]:4000", v6, ":80", seen, "[2001:db8:1::5]:4000", "[2001:db8::77]:80"},
		{"peer in the world, IPv6, nothing seen", usual(), "[2001:db8:1::5]:4000", v6, ":80", none, "[2001:db8:1::5]:4000", "[2001:db8::10]:80"},
		{"the manual's example", usual(), "127.0.0.1:4000", "127.0.0.10", ":80", seen, "192.0.2.1:4000", "192.0.2.77:80"},
		{"loopback, IPv6", usual(), "[::1]:4000", "::1", ":80", seen, "[fe80::1]:4000", "[fe80::77]:80"},
		{"loopback, IPv6, no link-local seen", usual(), "[::1]:4000", "::1", ":80", Observed{V6: seen.V6}, "[fe80::1]:4000", "[2001:db8::77]:80"},
		{"loopback, IPv6, nothing seen", usual(), "[::1]:4000", "::1", ":80", none, "[fe80::1]:4000", "[2001:db8::10]:80"},
		{"loopback, --no-map-gw", noMapGW, "127.0.0.1:4000", "127.0.0.1", ":80", none, "192.0.2.1:4000", "192.0.2.10:80"},
		{"loopback, --map-host-loopback", mapped, "127.0.0.1:4000", "127.0.0.1", ":80", none, "192.0.2.5:4000", "192.0.2.10:80"},
		{"loopback, --map-host-loopback, IPv6", mapped, "[::1]:4000", "::1", ":80", seen, "[fd00::5]:4000", "[2001:db8::77]:80"},
		{"loopback and no gateway", with(func(c *Config) { c.V4.Ours, c.V4.MapHostLoopback = inet.Addr{}, inet.Addr{} }), "127.0.0.1:4000", "127.0.0.1", ":80", none, "", ""},
		{"unspecified", usual(), "0.0.0.0:4000", v4, ":80", none, "192.0.2.1:4000", "192.0.2.10:80"},

		{"the host itself", usual(), "192.0.2.10:4000", v4, ":80", none, "192.0.2.1:4000", "192.0.2.10:80"},
		{"the host itself, IPv6", usual(), "[2001:db8::10]:4000", v6, ":80", none, "[fe80::1]:4000", "[2001:db8::10]:80"},
		{"the host itself, --map-guest-addr", podman, "192.0.2.10:4000", v4, ":80", none, "169.254.1.2:4000", "192.0.2.10:80"},
		{"the host itself, --no-map-gw", noMapGW, "192.0.2.10:4000", v4, ":80", none, "192.0.2.1:4000", "192.0.2.10:80"},
		{"the host itself, all mappings", mapped, "192.0.2.10:4000", v4, ":80", none, "192.0.2.4:4000", "192.0.2.10:80"},
		{"the host itself, guest elsewhere", with(func(c *Config) { c.V4.Guest = addr("10.0.2.100") }), "192.0.2.10:4000", v4, ":80", none, "192.0.2.10:4000", "10.0.2.100:80"},
		{"the host itself, guest elsewhere, --map-guest-addr", with(func(c *Config) { c.V4.Guest, c.V4.MapGuestAddr = addr("10.0.2.100"), addr("10.0.2.4") }), "192.0.2.10:4000", v4, ":80", none, "10.0.2.4:4000", "10.0.2.100:80"},
		{"an address that the guest was seen to use", usual(), "192.0.2.77:4000", v4, ":80", seen, "192.0.2.1:4000", "192.0.2.77:80"},
		{"a link-local address that the guest was seen to use", usual(), "[fe80::77]:4000", "fe80::10", ":80", seen, "[fe80::1]:4000", "[fe80::77]:80"},

		{"link-local neighbour", usual(), "[fe80::5]:4000", "fe80::10", ":80", seen, "[fe80::5]:4000", "[fe80::77]:80"},
		{"link-local neighbour, none seen", usual(), "[fe80::5]:4000", "fe80::10", ":80", none, "[fe80::5]:4000", "[2001:db8::10]:80"},
		{"to the host's link-local address", usual(), "[2001:db8::5]:4000", "fe80::10", ":80", seen, "[2001:db8::5]:4000", "[fe80::77]:80"},

		{"target address", usual(), "203.0.113.5:4000", v4, "10.9.9.9:8080", seen, "203.0.113.5:4000", "10.9.9.9:8080"},
		{"target address, from loopback", usual(), "127.0.0.1:4000", "127.0.0.1", "10.9.9.9:8080", seen, "192.0.2.1:4000", "10.9.9.9:8080"},
		{"target address of the other version", usual(), "[2001:db8::5]:4000", v6, "10.9.9.9:8080", seen, "192.0.2.1:4000", "10.9.9.9:8080"},
		{"target address of a version that is off", with(func(c *Config) { c.V6 = Family{} }), "203.0.113.5:4000", v4, "[fd00::9]:80", seen, "", ""},

		{"IPv4 off", with(func(c *Config) { c.V4 = Family{} }), "203.0.113.5:4000", v4, ":80", seen, "", ""},
		{"IPv6 off", with(func(c *Config) { c.V6 = Family{} }), "[2001:db8::5]:4000", v6, ":80", seen, "", ""},
		{"multicast source", usual(), "224.0.0.1:4000", v4, ":80", seen, "", ""},
		{"broadcast source", usual(), "255.255.255.255:4000", v4, ":80", seen, "", ""},
		{"local mode", local, "127.0.0.1:4000", "127.0.0.1", ":80", none, "169.254.2.2:4000", "169.254.2.1:80"},
		{"local mode, IPv6, nothing seen", local, "[::1]:4000", "::1", ":80", none, "", ""},
		{"local mode, IPv6", local, "[::1]:4000", "::1", ":80", Observed{LinkLocal: seen.LinkLocal}, "[fe80::1]:4000", "[fe80::77]:80"},
		{"local mode, IPv6, peer in the world", local, "[2001:db8::5]:4000", v6, ":80", Observed{LinkLocal: seen.LinkLocal}, "[2001:db8::5]:4000", "[fe80::77]:80"},
	} {
		t.Run(c.name, func(t *testing.T) {
			src, dst, ok := New(c.config).FromHost(tcp, ep(c.remote), addr(c.local), ep(c.to), &c.obs)
			if ok != (c.src != "") {
				t.Fatalf("FromHost(%s, %s, %s) = %v, %v, %v; want %q, %q", c.remote, c.local, c.to, src, dst, ok, c.src, c.dst)
			}
			if ok && (src != ep(c.src) || dst != ep(c.dst)) {
				t.Errorf("FromHost(%s, %s, %s) = %v, %v; want %s, %s", c.remote, c.local, c.to, src, dst, c.src, c.dst)
			}
		})
	}
	if _, _, ok := New(usual()).FromHost(icmp, ep("203.0.113.5:1"), addr(v4), ep(":1"), &none); ok {
		t.Error("an echo was forwarded")
	}
}

func TestNameserver(t *testing.T) {
	for _, c := range []struct {
		name       string
		config     Config
		host, want string // want empty: left out
	}{
		{"in the world", usual(), "198.51.100.53", "198.51.100.53"},
		{"loopback", usual(), "127.0.0.1", "192.0.2.1"},
		{"loopback, IPv6", usual(), "::1", "fe80::1"},
		{"another loopback", resolved, "127.0.0.53", "192.0.2.1"},
		{"loopback, --no-map-gw", noMapGW, "127.0.0.1", ""},
		{"loopback, --dns-forward to it", with(func(c *Config) { c.V4.DNSHost, c.V4.DNSForward = addr("127.0.0.53"), addr("192.0.2.3") }), "127.0.0.53", "192.0.2.3"},
		{"the host's own address", usual(), "192.0.2.10", ""},
		{"the host's own address, --map-guest-addr", mapped, "192.0.2.10", "192.0.2.4"},
		{"unspecified", usual(), "0.0.0.0", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := New(c.config).Nameserver(addr(c.host))
			if ok != (c.want != "") || ok && got != addr(c.want) {
				t.Errorf("Nameserver(%s) = %v, %v; want %q", c.host, got, ok, c.want)
			}
		})
	}
}

// mappings are the addresses of c that stand for something else.
func mappings(c *Config) [6]inet.Addr {
	a, b := &c.V4, &c.V6
	return [...]inet.Addr{a.DNSForward, a.MapHostLoopback, a.MapGuestAddr, b.DNSForward, b.MapHostLoopback, b.MapGuestAddr}
}

// checkNoLoopback fails if dst leads to the host's loopback and is no mapping.
func checkNoLoopback(t *testing.T, r *Rules, proto uint8, dst inet.Endpoint) {
	t.Helper()
	var src inet.Endpoint
	if dst.Addr.Is4() {
		src.Addr = inet.V4([]byte{192, 0, 2, 10})
	}
	got, ok := r.FromGuest(proto, src, dst)
	if !ok {
		return
	}
	for _, m := range mappings(&r.c) {
		if dst.Addr == m && !m.IsZero() {
			return
		}
	}
	a := got.Dst.Addr
	if got.Loopback || a.IsLoopback() || a.IsUnspecified() || a.Is4() && a[12] == 0 || a != dst.Addr {
		t.Fatalf("FromGuest(%d, %v) = %+v, which no mapping leads to", proto, dst, got)
	}
}

// TestNoLoopback tries every /16 of IPv4, and every IPv6 address of few bits.
func TestNoLoopback(t *testing.T) {
	for _, c := range []Config{usual(), noMapGW, podman, mapped, local, resolved, {V4: Family{Enabled: true}, V6: Family{Enabled: true}}} {
		r := New(c)
		for _, proto := range []uint8{icmp, tcp, udp} {
			for i := range 1 << 16 {
				for _, low := range [][2]byte{{0, 0}, {0, 1}, {0, 53}, {255, 255}} {
					a := inet.V4([]byte{byte(i >> 8), byte(i), low[0], low[1]})
					checkNoLoopback(t, r, proto, inet.Endpoint{Addr: a, Port: 53})
				}
			}
			for i := range 128 * 128 {
				var a inet.Addr
				a[i/128/8] |= 1 << (i / 128 % 8)
				a[i%128/8] |= 1 << (i % 8)
				checkNoLoopback(t, r, proto, inet.Endpoint{Addr: a, Port: 53})
			}
		}
	}
}

func FuzzFromGuest(f *testing.F) {
	f.Add(uint8(udp), []byte{15: 1}, uint16(53), uint8(0), uint8(0))
	f.Add(uint8(tcp), []byte{10: 255, 11: 255, 12: 127, 15: 1}, uint16(80), uint8(3), uint8(12))
	f.Fuzz(func(t *testing.T, proto uint8, b []byte, port uint16, which, change uint8) {
		if len(b) < 16 {
			return
		}
		configs := []Config{usual(), noMapGW, podman, mapped, local, resolved}
		c := configs[int(which)%len(configs)]
		a := inet.V6(b)
		r := New(c)
		checkNoLoopback(t, r, proto, inet.Endpoint{Addr: a, Port: port})
		for _, m := range mappings(&r.c) { // one bit beside a mapping
			m[change/8%16] ^= 1 << (change % 8)
			checkNoLoopback(t, r, proto, inet.Endpoint{Addr: m, Port: port})
		}
	})
}

// FuzzFromHost checks that what the guest is shown can be answered: not a loopback address,
// not its own.
func FuzzFromHost(f *testing.F) {
	f.Add([]byte{15: 1}, []byte{15: 1}, []byte{15: 0}, uint8(0))
	f.Add([]byte{10: 255, 11: 255, 12: 127, 15: 1}, []byte{15: 1}, []byte{15: 0}, uint8(3))
	f.Fuzz(func(t *testing.T, remote, local, seen []byte, which uint8) {
		if len(remote) < 16 || len(local) < 16 || len(seen) < 16 {
			return
		}
		configs := []Config{usual(), noMapGW, podman, mapped, resolved}
		c := configs[int(which)%len(configs)]
		obs := Observed{V4: addr("192.0.2.77"), V6: inet.V6(seen)}
		if obs.V6.Is4() || obs.V6.IsLoopback() {
			return
		}
		src, dst, ok := New(c).FromHost(udp, inet.Endpoint{Addr: inet.V6(remote), Port: 1}, inet.V6(local), inet.Endpoint{Port: 2}, &obs)
		if !ok {
			return
		}
		if src.Addr.IsLoopback() || !src.Addr.IsUnicast() || src.Addr == dst.Addr || src.Addr.Is4() != dst.Addr.Is4() || src.Port != 1 || dst.Port != 2 {
			t.Errorf("remote %v, local %v: shown as %v to %v", inet.V6(remote), inet.V6(local), src, dst)
		}
	})
}

func TestAllocs(t *testing.T) {
	r, obs := New(limited(mapped, dest("203.0.113.0/24", 80, 80), dest("192.0.2.0/24", 1, 65535))), Observed{}
	src, dst := ep("192.0.2.10:4000"), ep("192.0.2.5:53")
	if n := testing.AllocsPerRun(100, func() {
		r.FromGuest(udp, src, dst)
		r.FromHost(udp, dst, src.Addr, inet.Endpoint{Port: 80}, &obs)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
