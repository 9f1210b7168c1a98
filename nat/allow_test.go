package nat

import (
	"net/netip"
	"testing"

	"passt/l3/inet"
)

// dest is the destination of a prefix, and of ports unless they are 0.
func dest(prefix string, first, last uint16) Destination {
	p := netip.MustParsePrefix(prefix)
	return Destination{inet.FromNetip(p.Addr()), p.Bits(), first, last}
}

// limited is c with these destinations only.
func limited(c Config, allowed ...Destination) Config {
	c.Limited, c.Allowed = true, allowed
	return c
}

func TestAllowed(t *testing.T) {
	some := limited(usual(), dest("203.0.113.0/25", 0, 0), dest("198.51.100.7/32", 443, 443), dest("198.51.100.8/32", 8000, 8010),
		dest("2001:db8:1::/45", 0, 0), dest("2001:db8:ff::7/128", 443, 443))
	all4, all6 := limited(usual(), dest("0.0.0.0/0", 0, 0)), limited(usual(), dest("::/0", 0, 0))
	none := limited(usual())
	told := with(func(c *Config) {
		c.V4.DNSHost, c.V4.DNSTold = addr("127.0.0.53"), []inet.Addr{addr("192.0.2.1"), addr("198.51.100.54")}
	})
	type verdict int
	const (
		yes        verdict = iota
		prohibited         // the guest is told
		nowhere            // as without limits
	)
	for _, c := range []struct {
		name   string
		config Config
		proto  uint8
		dst    string
		want   verdict
	}{
		{"network", some, tcp, "203.0.113.5:80", yes},
		{"network, first address", some, tcp, "203.0.113.0:80", yes},
		{"network, last address", some, tcp, "203.0.113.127:80", yes},
		{"behind the network", some, tcp, "203.0.113.128:80", prohibited},
		{"before the network", some, tcp, "203.0.112.255:80", prohibited},
		{"network, UDP", some, udp, "203.0.113.5:80", yes},
		{"network, port 0", some, udp, "203.0.113.5:0", yes},
		{"network, echo", some, icmp, "203.0.113.5:4711", yes},
		{"elsewhere, echo", some, icmp, "203.0.113.200:4711", prohibited},
		{"port", some, tcp, "198.51.100.7:443", yes},
		{"port, UDP", some, udp, "198.51.100.7:443", yes},
		{"port below", some, tcp, "198.51.100.7:442", prohibited},
		{"port above", some, tcp, "198.51.100.7:444", prohibited},
		{"port is no identifier of echo", some, icmp, "198.51.100.7:443", prohibited},
		{"range, first port", some, udp, "198.51.100.8:8000", yes},
		{"range, last port", some, udp, "198.51.100.8:8010", yes},
		{"behind the range", some, udp, "198.51.100.8:8011", prohibited},
		{"neighbour of an address", some, tcp, "198.51.100.6:443", prohibited},
		{"network, IPv6", some, tcp, "[2001:db8:1::5]:80", yes},
		{"network, IPv6, last address", some, tcp, "[2001:db8:7:ffff:ffff:ffff:ffff:ffff]:80", yes},
		{"behind the network, IPv6", some, tcp, "[2001:db8:8::]:80", prohibited},
		{"network, IPv6, echo", some, icmpv6, "[2001:db8:1::5]:4711", yes},
		{"port, IPv6", some, tcp, "[2001:db8:ff::7]:443", yes},
		{"another port, IPv6", some, tcp, "[2001:db8:ff::7]:80", prohibited},
		{"port, IPv6, is no identifier of echo", some, icmpv6, "[2001:db8:ff::7]:443", prohibited},

		{"all of IPv4", all4, tcp, "203.0.113.5:80", yes},
		{"all of IPv4 is not IPv6", all4, tcp, "[2001:db8:1::5]:80", prohibited},
		{"all of IPv6", all6, tcp, "[2001:db8:1::5]:80", yes},
		{"all of IPv6 is not IPv4", all6, tcp, "203.0.113.5:80", prohibited},
		{"all, loopback", all4, tcp, "127.0.0.1:80", nowhere},
		{"all, gateway", all4, tcp, "192.0.2.1:80", yes},
		{"none, IPv4", none, tcp, "203.0.113.5:80", prohibited},
		{"none, IPv6", none, udp, "[2001:db8:1::5]:80", prohibited},
		{"none, echo", none, icmpv6, "[2001:db8:1::5]:1", prohibited},
		{"none, the guest's own address", none, tcp, "192.0.2.10:80", prohibited},
		{"none, resolver of the network", none, udp, "198.51.100.53:53", prohibited},
		{"no limits", usual(), tcp, "203.0.113.5:80", yes},
		{"a list without limits means nothing", Config{V4: usual().V4, Allowed: none.Allowed}, tcp, "203.0.113.5:80", yes},

		{"loopback", none, tcp, "127.0.0.1:80", nowhere},
		{"unspecified", none, tcp, "0.0.0.0:80", nowhere},
		{"IPv6 off", limited(Config{V4: usual().V4}), tcp, "[2001:db8::5]:80", nowhere},
		{"group, TCP", none, tcp, "224.0.0.251:5353", nowhere},
		{"group, UDP", none, udp, "224.0.0.251:5353", prohibited},
		{"group, UDP, listed", limited(usual(), dest("224.0.0.0/4", 5353, 5353)), udp, "224.0.0.251:5353", yes},
		{"broadcast, UDP", none, udp, "255.255.255.255:67", prohibited},

		{"gateway", none, tcp, "192.0.2.1:80", prohibited},
		{"gateway, echo", none, icmp, "192.0.2.1:1", prohibited},
		{"gateway, listed", limited(usual(), dest("192.0.2.1/32", 80, 80)), tcp, "192.0.2.1:80", yes},
		{"gateway, listed with another port", limited(usual(), dest("192.0.2.1/32", 80, 80)), tcp, "192.0.2.1:81", prohibited},
		{"gateway, what it means is listed", limited(usual(), dest("127.0.0.0/8", 0, 0)), tcp, "192.0.2.1:80", prohibited},
		{"gateway by --map-host-loopback", limited(with(func(c *Config) { c.V4.LoopbackChosen = true })), tcp, "192.0.2.1:80", yes},
		{"gateway by --map-host-loopback, echo", limited(with(func(c *Config) { c.V4.LoopbackChosen = true })), icmp, "192.0.2.1:80", yes},
		{"gateway with --no-map-gw", limited(noMapGW), tcp, "192.0.2.1:80", prohibited},
		{"--map-guest-addr", limited(mapped), tcp, "192.0.2.4:80", yes},
		{"--map-guest-addr, IPv6", limited(mapped), udp, "[fd00::4]:80", yes},
		{"--map-guest-addr and no host address", limited(with(func(c *Config) {
			c.V4.Host, c.V4.MapGuestAddr = inet.Addr{}, addr("192.0.2.4")
		})), tcp, "192.0.2.4:80", nowhere},
		{"--map-host-loopback for the resolver, DNS", limited(with(func(c *Config) {
			c.V4.DNSHost, c.V4.MapHostLoopback, c.V4.LoopbackChosen = addr("127.0.0.53"), addr("192.0.2.5"), true
		})), udp, "192.0.2.5:53", yes},

		{"--dns-forward", limited(with(func(c *Config) {
			c.V4.DNSForward, c.V4.DNSTold = addr("192.0.2.3"), []inet.Addr{addr("192.0.2.3")}
		})), udp, "192.0.2.3:53", yes},
		{"--dns-forward, another port", limited(with(func(c *Config) {
			c.V4.DNSForward, c.V4.DNSTold = addr("192.0.2.3"), []inet.Addr{addr("192.0.2.3")}
		})), udp, "192.0.2.3:54", prohibited},
		{"--dns-forward and no resolver", limited(with(func(c *Config) {
			c.V4.DNSForward, c.V4.DNSTold, c.V4.DNSHost = addr("192.0.2.3"), []inet.Addr{addr("192.0.2.3")}, inet.Addr{}
		})), udp, "192.0.2.3:53", prohibited},
		{"told, mapped, DNS", limited(told), udp, "192.0.2.1:53", yes},
		{"told, mapped, DNS over TLS", limited(told), tcp, "192.0.2.1:853", yes},
		{"told, mapped, another port", limited(told), udp, "192.0.2.1:54", prohibited},
		{"told, mapped, echo", limited(told), icmp, "192.0.2.1:53", prohibited},
		{"told, of the network", limited(told), udp, "198.51.100.54:53", prohibited},
		{"told, second resolver on loopback", limited(with(func(c *Config) { c.V4.DNSTold = []inet.Addr{addr("192.0.2.1")} })), udp, "192.0.2.1:53", yes},
		{"not told, mapped, DNS", limited(resolved), udp, "192.0.2.1:53", prohibited},
		{"a former resolver", limited(moved), udp, "192.0.2.53:53", yes},
		{"a former resolver, another port", limited(moved), udp, "192.0.2.53:54", prohibited},
	} {
		t.Run(c.name, func(t *testing.T) {
			dst := ep(c.dst)
			src := inet.Endpoint{Addr: addr("2001:db8::10"), Port: 40000}
			if dst.Addr.Is4() {
				src.Addr = addr("192.0.2.10")
			}
			to, ok := New(c.config).FromGuest(c.proto, src, dst)
			got := yes
			if !ok {
				got = nowhere
			}
			if to.Prohibited {
				got = prohibited
			}
			if got != c.want || ok != (c.want == yes) {
				t.Errorf("FromGuest(%d, %v) = %+v, %v", c.proto, dst, to, ok)
			}
			if free := c.config; got == yes {
				free.Limited = false
				if want, _ := New(free).FromGuest(c.proto, src, dst); to != want {
					t.Errorf("leads to %v, without limits to %v", to, want)
				}
			}
		})
	}
}

// FuzzAllowed compares Destination with net/netip.
func FuzzAllowed(f *testing.F) {
	f.Add([]byte{203, 0, 113, 0}, uint8(24), []byte{203, 0, 113, 9}, uint16(80), uint16(90), uint16(85))
	f.Add([]byte{0x20, 1, 13: 0, 15: 0}, uint8(45), []byte{0x20, 1, 15: 9}, uint16(0), uint16(0), uint16(85))
	f.Add([]byte{15: 0}, uint8(0), []byte{203, 0, 113, 9}, uint16(0), uint16(0), uint16(85))
	f.Fuzz(func(t *testing.T, network []byte, bits uint8, to []byte, first, last, port uint16) {
		n, ok := netip.AddrFromSlice(network)
		a, ok2 := netip.AddrFromSlice(to)
		if !ok || !ok2 || n.Is4In6() || a.Is4In6() {
			return
		}
		p := netip.PrefixFrom(n, int(bits)).Masked()
		if !p.IsValid() || first > last || (first == 0) != (last == 0) {
			return
		}
		d := Destination{inet.FromNetip(p.Addr()), p.Bits(), first, last}
		e := inet.Endpoint{Addr: inet.FromNetip(a), Port: port}
		inNet := p.Contains(a)
		if got, want := d.has(tcp, &e), inNet && (last == 0 || first <= port && port <= last); got != want {
			t.Errorf("%v ports %d to %d has %v: %v, want %v", p, first, last, e, got, want)
		}
		if got, want := d.has(icmp, &e), inNet && last == 0; got != want {
			t.Errorf("%v ports %d to %d has echo to %v: %v, want %v", p, first, last, a, got, want)
		}
	})
}
