package hostinfo

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"passt/cmd/internal/conf"
)

// elsewhere is another network than home's.
func elsewhere() host {
	return newHost().
		link("wlan0", "10.7.0.5/16", "2001:db8:b::5/64", "fe80::2/64").
		route("default via 10.7.0.1 dev wlan0").
		route("default6 via fe80::2:1 dev wlan0")
}

func TestAgain(t *testing.T) {
	const (
		away4 = "wlan0 10.7.0.5/16 gw 10.7.0.1 our 10.7.0.1; 0.0.0.0/0 via 10.7.0.1"
		away6 = "wlan0 2001:db8:b::5/64 gw fe80::2:1 our fe80::2:1; ::/0 via fe80::2:1"
	)
	bridge := func() host {
		return newHost().link("virbr0", "192.168.122.1/24").route("192.168.122.0/24 dev virbr0 kernel link")
	}
	for _, tc := range []struct {
		name     string
		was, now host
		set      func(*conf.Options)
		v4, v6   string
	}{
		{"the same", home(), home(), nil, homeV4, homeV6},
		{"another network", home(), elsewhere(), nil, away4, away6},
		{"started before there was one", newHost(), home(), nil, homeV4, homeV6},
		{"started before there was one, IPv4 first", newHost(), newHost().link("wlan0", "10.7.0.5/16").route("default via 10.7.0.1 dev wlan0"), nil, away4, localV6},
		{"the network is lost", home(), newHost().link("eth0"), nil, homeV4, homeV6},
		{"the interface is lost", home(), newHost(), nil, homeV4, homeV6},
		{"the default route is lost", home(), newHost().link("eth0", "192.168.1.118/24", "2001:db8:a::5/64").
			route("192.168.1.0/24 dev eth0 kernel link").route("2001:db8:a::/64 dev eth0 kernel"), nil, homeV4, homeV6},
		{"there is but a bridge", home(), bridge(), nil, homeV4, homeV6},
		{"a bridge is better than nothing", newHost(), bridge(), nil,
			"virbr0 192.168.122.1/24 gw none our 169.254.2.2; 192.168.122.0/24 link", localV6},
		{"IPv4 is elsewhere, IPv6 is lost", home(), newHost().link("wlan0", "10.7.0.5/16").route("default via 10.7.0.1 dev wlan0"), nil, away4, homeV6},
		{"IPv6 is switched off", home(), home().noIPv6(), nil, homeV4, homeV6},
		{"IPv6 is switched on", home().noIPv6(), home(), nil, homeV4, "off"},
		{"-a and -g", home(), elsewhere(), func(o *conf.Options) {
			addrOpt("10.1.2.3/24")(o)
			gwOpt("10.1.2.1")(o)
		}, "wlan0 10.1.2.3/24 gw 10.1.2.1 our 10.1.2.1; 0.0.0.0/0 via 10.1.2.1", away6},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := options()
			if tc.set != nil {
				tc.set(o)
			}
			prev, _, err := decide(tc.was.f, o, nil)
			if err != nil {
				t.Fatal(err)
			}
			prev.IfName = "ns0" // as its owner may have called it
			next, _, err := decide(tc.now.f, o, prev)
			if err != nil {
				t.Fatal(err)
			}
			for fam, want := range []string{tc.v4, tc.v6} {
				if got := next.families()[fam].text(); got != want {
					t.Errorf("%s:\n got %s\nwant %s", familyNames[fam], got, want)
				}
			}
			if next.IfName != "ns0" || next.MAC.String() != prev.MAC.String() || next.MTU != prev.MTU || next.AnnounceMTU != prev.AnnounceMTU {
				t.Errorf("the interface has changed: %s %v %d", next.IfName, next.MAC, next.MTU)
			}
			if changed := tc.name == "another network"; (changed || tc.name == "the same") && next.Equal(prev) == changed {
				t.Errorf("changed: %v, want %v", !changed, changed)
			}
			if s := next.String(); strings.Contains(s, "\n") || s == "" {
				t.Errorf("in a line: %q", s)
			}
			if m := next.Outline(); m.V4.Routes != nil || m.V6.Addrs != nil || next.V4.Routes == nil || m.V4.Addr != next.V4.Addr {
				t.Errorf("outline: %+v of %+v", m, next)
			}
		})
	}
}

func TestAgainResolvers(t *testing.T) {
	fwd := func(o *conf.Options) { o.DNSForward[v4] = netip.MustParseAddr("169.254.1.1") }
	for _, tc := range []struct {
		name     string
		was, now string
		set      func(*conf.Options)
		dns      []netip.Addr
		host     string
		search   []string
	}{
		{"others", "nameserver 192.0.2.53\nsearch a.example\n", "nameserver 192.0.2.54\nsearch b.example\n", fwd, ips("192.0.2.54"), "192.0.2.54", []string{"b.example"}},
		{"none any more", "nameserver 192.0.2.53\nsearch a.example\n", "# nothing\n", fwd, ips("192.0.2.53"), "192.0.2.53", []string{"a.example"}},
		{"none before", "", "nameserver 192.0.2.54\n", fwd, ips("192.0.2.54"), "192.0.2.54", nil},
		{"none before, -D", "", "nameserver 192.0.2.54\n", func(o *conf.Options) { o.DNS = ips("1.1.1.1") }, ips("1.1.1.1"), "192.0.2.54", nil},
		{"-D and --dns-host", "nameserver 192.0.2.53\n", "nameserver 192.0.2.54\n", func(o *conf.Options) {
			o.DNS, o.DNSHost[v4] = ips("1.1.1.1"), netip.MustParseAddr("9.9.9.9")
		}, ips("1.1.1.1"), "9.9.9.9", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := options(tc.set)
			prev, _, err := decide(home().resolv(tc.was).f, o, nil)
			if err != nil {
				t.Fatal(err)
			}
			next, _, err := decide(home().resolv(tc.now).f, o, prev)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(next.V4.DNS, tc.dns) || orNone(next.V4.DNSHost) != tc.host || !slices.Equal(next.Search, tc.search) {
				t.Errorf("got %v %v %v", next.V4.DNS, next.V4.DNSHost, next.Search)
			}
		})
	}
}

func TestAgainWithoutInterface(t *testing.T) {
	o := options(ifOpt("eth1"))
	prev, _, err := decide(two().f, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := decide(home().f, o, prev); err == nil {
		t.Error("no error, though the interface of the options is gone")
	}
}
