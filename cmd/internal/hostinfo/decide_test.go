package hostinfo

import (
	"encoding/json"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"passt/cmd/internal/conf"
)

const (
	homeV4  = "eth0 192.168.1.118/24 gw 192.168.1.1 our 192.168.1.1; 192.168.1.0/24 src 192.168.1.118 link metric 100; 0.0.0.0/0 via 192.168.1.1 metric 100"
	homeV6  = "eth0 2001:db8:a::5/64 gw fe80::1:1 our fe80::1:1; 2001:db8:a::/64 metric 256; ::/0 via fe80::1:1 metric 1024"
	localV4 = "local 169.254.2.1/16 gw 169.254.2.2 our 169.254.2.2; 0.0.0.0/0 via 169.254.2.2"
	localV6 = "local gw fe80::1 our fe80::1; ::/0 via fe80::1"
)

func TestDecide(t *testing.T) {
	type opts []func(*conf.Options)
	for _, tc := range []struct {
		name     string
		host     host
		opts     opts
		v4, v6   string // "" if not looked at
		warnings int
	}{
		{"home", home(), nil, homeV4, homeV6, 0},
		{"-4", home(), opts{only4}, homeV4, "off", 0},
		{"-6", home(), opts{only6}, "off", homeV6, 0},
		{"nothing but loopback", newHost(), nil, localV4, localV6, 1},
		{"IPv4 only on the host", newHost().link("eth0", "192.168.1.118/24").
			route("default via 192.168.1.1 dev eth0 metric 100").
			route("192.168.1.0/24 dev eth0 src 192.168.1.118 kernel link metric 100"), nil, homeV4, localV6, 0},
		{"IPv6 off in the kernel", home().noIPv6(), nil, homeV4, "off", 0},
		{"IPv6 off in the kernel, -6", home().noIPv6(), opts{only6}, "off", "off", 1},
		{"IPv6 off in the kernel, IPv6 option", home().noIPv6(), opts{addrOpt("fd00::1")}, homeV4, "off", 1},

		{"-i", two(), opts{ifOpt("eth1")},
			"eth1 10.0.0.2/8 gw none our 169.254.2.2; 10.0.0.0/8 src 10.0.0.2 link; 172.16.0.0/12 via 10.0.0.1",
			"eth1 fd00:1::2/64 gw none our fe80::3; fd00:1::/64 metric 256", 0},
		{"--outbound-if4 derives IPv4 only", two(), opts{out4Opt("eth1")},
			"eth1 10.0.0.2/8 gw none our 169.254.2.2; 10.0.0.0/8 src 10.0.0.2 link; 172.16.0.0/12 via 10.0.0.1", homeV6, 0},
		{"-i goes before --outbound-if", two(), opts{ifOpt("eth0"), out4Opt("eth1"), out6Opt("eth1")}, homeV4, homeV6, 0},
		{"-i without addresses", home().link("eth1"), opts{ifOpt("eth1")}, localV4, localV6, 1},
		{"-i lo", home(), opts{ifOpt("lo")}, localV4, localV6, 1},
		{"-i without addresses, -a", home().link("eth1"), opts{ifOpt("eth1"), addrOpt("10.1.1.1/24"), only4},
			"eth1 10.1.1.1/24 gw none our 169.254.2.2", "off", 0},
		{"--outbound-if6 without address", home().link("eth1", "10.0.0.2/8"), opts{out6Opt("eth1")}, homeV4, localV6, 1},

		{"no default route, one interface", newHost().link("a", "10.0.0.2/24").route("10.0.0.0/24 dev a kernel link src 10.0.0.2"), opts{only4},
			"a 10.0.0.2/24 gw none our 169.254.2.2; 10.0.0.0/24 src 10.0.0.2 link", "off", 0},
		{"no default route, the first of two", newHost().link("a", "10.0.0.2/24").link("b", "10.1.0.2/24").
			route("10.1.0.0/24 dev b kernel link").route("10.0.0.0/24 dev a kernel link"), opts{only4},
			"b 10.1.0.2/24 gw none our 169.254.2.2; 10.1.0.0/24 link", "off", 1},
		{"no default route, one with carrier goes first", newHost().link("a", "10.0.0.2/24").link("b", "10.1.0.2/24").
			route("10.0.0.0/24 dev a kernel link down").route("10.1.0.0/24 dev b kernel link"), opts{only4},
			"b 10.1.0.2/24 gw none our 169.254.2.2; 10.1.0.0/24 link", "off", 1},
		{"link-local routes are no network", newHost().link("a", "fe80::2/64").route("fe80::/64 dev a kernel metric 256"), opts{only6}, "off", localV6, 1},
		{"default route through an interface without address", newHost().link("a").link("b", "10.0.0.2/24").
			route("default via 10.0.0.1 dev a").route("default via 10.0.0.1 dev b metric 5"), opts{only4},
			"b 10.0.0.2/24 gw 10.0.0.1 our 10.0.0.1; 0.0.0.0/0 via 10.0.0.1 metric 5", "off", 0},
		{"default route without carrier goes last", newHost().link("a", "10.0.0.2/24").link("b", "10.1.0.2/24").
			route("default via 10.0.0.1 dev a down").route("default via 10.1.0.1 dev b metric 5"), opts{only4},
			"b 10.1.0.2/24 gw 10.1.0.1 our 10.1.0.1; 0.0.0.0/0 via 10.1.0.1 metric 5", "off", 0},
		{"default route without carrier is better than none", newHost().link("a", "10.0.0.2/24").link("b", "10.1.0.2/24").
			route("default via 10.0.0.1 dev a down").route("10.1.0.0/24 dev b kernel link"), opts{only4},
			"a 10.0.0.2/24 gw 10.0.0.1 our 10.0.0.1; 0.0.0.0/0 via 10.0.0.1", "off", 0},
		{"only link-scope address", newHost().link("a", "169.254.7.7/16 scopelink").route("169.254.0.0/16 dev a link"), opts{only4}, localV4, "off", 1},
		{"namespace in local mode", newHost().link("tap0", "169.254.2.1/16").route("default via 169.254.2.2 dev tap0"), opts{only4},
			"tap0 169.254.2.1/16 gw 169.254.2.2 our 169.254.2.2; 0.0.0.0/0 via 169.254.2.2", "off", 0},

		{"multipath: highest weight", newHost().link("a", "10.0.0.2/24").link("b", "10.1.0.2/24").
			route("default nexthop via 10.0.0.1 dev a weight 1 nexthop via 10.1.0.1 dev b weight 5 nexthop via 10.1.0.9 dev b weight 5"), opts{only4},
			"b 10.1.0.2/24 gw 10.1.0.1 our 10.1.0.1; 0.0.0.0/0 via 10.1.0.1", "off", 0},
		{"multipath: highest weight on -i", newHost().link("a", "10.0.0.2/24").link("b", "10.1.0.2/24").
			route("default nexthop via 10.0.0.1 dev a weight 1 nexthop via 10.0.0.9 dev a weight 2 nexthop via 10.1.0.1 dev b weight 5"), opts{only4, ifOpt("a")},
			"a 10.0.0.2/24 gw 10.0.0.9 our 10.0.0.9; 0.0.0.0/0 via 10.0.0.9", "off", 0},
		{"point-to-point", newHost().link("wg0", "10.9.0.2/32", "fd09::2/128").noMAC().route("default dev wg0 link").route("default6 dev wg0 metric 1024"), nil,
			"wg0 10.9.0.2/32 gw none our 169.254.2.2; 0.0.0.0/0 link", "wg0 fd09::2/128 gw none our fe80::1; ::/0 metric 1024", 0},
		{"point-to-point, no copies", newHost().link("wg0", "10.9.0.2/32", "fd09::2/128").noMAC().route("default dev wg0 link").route("default6 dev wg0 metric 1024"),
			opts{noRoutes}, "wg0 10.9.0.2/32 gw none our 169.254.2.2; 0.0.0.0/0 link", "wg0 fd09::2/128 gw none our fe80::1; ::/0", 0},
		{"IPv6 gateway for IPv4", newHost().link("a", "10.0.0.2/32").route("default via fe80::1 dev a"), opts{only4},
			"a 10.0.0.2/32 gw none our 169.254.2.2; 0.0.0.0/0 via fe80::1", "off", 0},
		{"gateway by a host route", newHost().link("a", "10.0.0.2/32").route("default via 10.255.0.1 dev a").route("10.255.0.1/32 dev a link"), opts{only4},
			"a 10.0.0.2/32 gw 10.255.0.1 our 10.255.0.1; 10.255.0.1 link; 0.0.0.0/0 via 10.255.0.1", "off", 0},
		{"global IPv6 gateway, onlink, MTU", newHost().link("a", "2001:db8::2/64", "fe80::9/64").route("default6 via 2001:db8:1::1 dev a onlink mtu 1400"), opts{only6},
			"off", "a 2001:db8::2/64 gw 2001:db8:1::1 our fe80::9; ::/0 via 2001:db8:1::1 onlink mtu 1400", 0},

		{"several addresses", newHost().link("a", "10.0.0.3/24 temp", "10.0.0.2/24", "169.254.1.1/16 scopelink").route("default via 10.0.0.1 dev a"), opts{only4},
			"a 10.0.0.2/24 10.0.0.3/24 gw 10.0.0.1 our 10.0.0.1; 0.0.0.0/0 via 10.0.0.1", "off", 0},
		{"source of the default route", newHost().link("a", "10.0.0.2/24", "10.0.0.3/32").route("default via 10.0.0.1 dev a src 10.0.0.3"), opts{only4},
			"a 10.0.0.3/32 10.0.0.2/24 gw 10.0.0.1 our 10.0.0.1; 0.0.0.0/0 via 10.0.0.1 src 10.0.0.3", "off", 0},
		{"IPv6: lasting, global, assigned", newHost().link("a", "2001:db8::a/64 temp", "2001:db8::b/64 deprecated", "fd00::c/64", "2001:db8::d/64", "2001:db8::e/128").
			route("default6 via fe80::1 dev a"), opts{only6}, "off",
			"a 2001:db8::e/128 2001:db8::a/64 2001:db8::b/64 fd00::c/64 2001:db8::d/64 gw fe80::1 our fe80::1; ::/0 via fe80::1", 0},
		{"--no-copy-addrs", newHost().link("a", "10.0.0.2/24", "10.0.0.3/24").route("default via 10.0.0.1 dev a"), opts{only4, noAddrs},
			"a 10.0.0.2/24 gw 10.0.0.1 our 10.0.0.1; 0.0.0.0/0 via 10.0.0.1", "off", 0},

		{"-a", home(), opts{only4, addrOpt("10.1.2.3/24")},
			"eth0 10.1.2.3/24 gw 192.168.1.1 our 192.168.1.1; 192.168.1.0/24 link metric 100; 0.0.0.0/0 via 192.168.1.1 metric 100", "off", 0},
		{"-a of one version leaves the other", home(), opts{addrOpt("10.1.2.3/24")}, "", homeV6, 0},
		{"-a in the host's network", home(), opts{only4, addrOpt("192.168.1.50")},
			"eth0 192.168.1.50/24 gw 192.168.1.1 our 192.168.1.1; 192.168.1.0/24 src 192.168.1.50 link metric 100; 0.0.0.0/0 via 192.168.1.1 metric 100", "off", 0},
		{"-a, block of class A", home(), opts{only4, noRoutes, addrOpt("10.1.2.3")},
			"eth0 10.1.2.3/8 gw 192.168.1.1 our 192.168.1.1; 0.0.0.0/0 via 192.168.1.1 onlink", "off", 0},
		{"-a, IPv6 without length", home(), opts{only6, noRoutes, addrOpt("fd77::1")}, "off",
			"eth0 fd77::1/64 gw fe80::1:1 our fe80::1:1; ::/0 via fe80::1:1", 0},
		{"-a, both, local mode", newHost(), opts{addrOpt("10.1.2.3/24"), addrOpt("fd77::1")},
			"local 10.1.2.3/24 gw 169.254.2.2 our 169.254.2.2; 0.0.0.0/0 via 169.254.2.2 onlink",
			"local fd77::1/64 gw fe80::1 our fe80::1; ::/0 via fe80::1", 1},
		{"-n", home(), opts{only4, maskOpt(16)},
			"eth0 192.168.1.118/16 gw 192.168.1.1 our 192.168.1.1; 0.0.0.0/0 via 192.168.1.1 metric 100", "off", 0},
		{"-g", home(), opts{gwOpt("192.168.1.77")},
			"eth0 192.168.1.118/24 gw 192.168.1.77 our 192.168.1.77; 0.0.0.0/0 via 192.168.1.77", homeV6, 0},
		{"-g IPv6", home(), opts{gwOpt("2001:db8:a::77")}, homeV4,
			"eth0 2001:db8:a::5/64 gw 2001:db8:a::77 our fe80::2; ::/0 via 2001:db8:a::77", 0},
		{"RootlessKit's", home(), opts{only4, addrOpt("10.0.2.100"), maskOpt(24), gwOpt("10.0.2.2")},
			"eth0 10.0.2.100/24 gw 10.0.2.2 our 10.0.2.2; 0.0.0.0/0 via 10.0.2.2", "off", 0},
		{"--no-copy-routes", home(), opts{noRoutes},
			"eth0 192.168.1.118/24 gw 192.168.1.1 our 192.168.1.1; 0.0.0.0/0 via 192.168.1.1",
			"eth0 2001:db8:a::5/64 gw fe80::1:1 our fe80::1:1; ::/0 via fe80::1:1", 0},
		{"--no-copy-routes, no default", newHost().link("a", "10.0.0.2/24").route("10.0.0.0/24 dev a kernel link"), opts{only4, noRoutes},
			"a 10.0.0.2/24 gw none our 169.254.2.2", "off", 0},
		{"-o not on the host", home(), opts{func(o *conf.Options) { o.OutAddr[v4] = netip.MustParseAddr("192.0.2.1") }}, homeV4, homeV6, 1},
		{"-o on the host", two(), opts{func(o *conf.Options) { o.OutAddr[v4] = netip.MustParseAddr("10.0.0.2") }}, homeV4, homeV6, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n, warnings, err := decide(tc.host.f, options(tc.opts...), nil)
			if err != nil {
				t.Fatal(err)
			}
			for fam, want := range []string{tc.v4, tc.v6} {
				if got := n.families()[fam].text(); want != "" && got != want {
					t.Errorf("%s:\n got %s\nwant %s", familyNames[fam], got, want)
				}
			}
			if len(warnings) != tc.warnings {
				t.Errorf("%d warnings wanted: %q", tc.warnings, warnings)
			}
			for _, w := range warnings {
				if strings.Contains(w, "\n") {
					t.Errorf("not one line: %q", w)
				}
			}
		})
	}
}

func TestDecideBadNames(t *testing.T) {
	for name, tc := range map[string]struct {
		set  func(*conf.Options)
		host host
		want string
	}{
		"-i":             {ifOpt("eth9"), two(), "--interface eth9: no such interface; there are: eth0, eth1"},
		"--outbound-if4": {out4Opt("eth9"), home(), "--outbound-if4 eth9: no such interface; there are: eth0"},
		"--outbound-if6": {out6Opt("x"), newHost(), "--outbound-if6 x: no such interface; there are none but loopback"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := decide(tc.host.f, options(tc.set), nil); err == nil || err.Error() != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

func TestDecideDevice(t *testing.T) {
	wg := newHost().link("wg0", "10.9.0.2/32").noMAC().link("eth0", "2001:db8::2/64").
		route("default dev wg0 link").route("default6 via fe80::1 dev eth0")
	for _, tc := range []struct {
		name, ifname, mac string
		host              host
		set               func(*conf.Options)
		mtu               int
		announce          bool
	}{
		{"the host's", "eth0", "02:00:00:00:00:02", home(), nil, 65520, true},
		{"that of IPv6, if IPv4's has none", "wg0", "02:00:00:00:00:03", wg, nil, 65520, true},
		{"local mode", "tap0", "9a:55:9a:55:9a:55", newHost(), nil, 65520, true},
		{"-I, -M, -m", "net7", "02:aa:00:00:00:01", home(), func(o *conf.Options) {
			o.IfName, o.MTU = "net7", 1500
			o.MAC = net.HardwareAddr{2, 0xaa, 0, 0, 0, 1}
		}, 1500, true},
		{"-m 0", "eth0", "02:00:00:00:00:02", home(), func(o *conf.Options) { o.MTU = 0 }, 65520, false},
		{"-i", "eth1", "02:00:00:00:00:03", two(), ifOpt("eth1"), 65520, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := options()
			if tc.set != nil {
				tc.set(o)
			}
			n, _, err := decide(tc.host.f, o, nil)
			if err != nil {
				t.Fatal(err)
			}
			if n.IfName != tc.ifname || n.MAC.String() != tc.mac || n.MTU != tc.mtu || n.AnnounceMTU != tc.announce {
				t.Errorf("got %s %s %d %v", n.IfName, n.MAC, n.MTU, n.AnnounceMTU)
			}
		})
	}
}

func TestDecideOutbound(t *testing.T) {
	n, _, err := decide(two().f, options(out4Opt("eth1")), nil)
	if err != nil || n.V4.OutIf != "eth1" || n.V6.OutIf != "" {
		t.Errorf("only as given: %q %q, error %v", n.V4.OutIf, n.V6.OutIf, err)
	}
	if n.V4.HostAddr != netip.MustParseAddr("10.0.0.2") || n.V6.LinkLocal != netip.MustParseAddr("fe80::2") {
		t.Errorf("host's addresses: %v %v", n.V4.HostAddr, n.V6.LinkLocal)
	}
}

func TestDecideSameMAC(t *testing.T) {
	_, warnings, err := decide(home().f, options(func(o *conf.Options) { o.NsMAC = net.HardwareAddr{2, 0, 0, 0, 0, 2} }), nil)
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "--ns-mac-addr") {
		t.Errorf("%q, %v", warnings, err)
	}
}

func TestDecideResolvers(t *testing.T) {
	const stub = "nameserver 127.0.0.53\nnameserver 192.0.2.53\nnameserver ::1\nnameserver fe80::53%eth0\nsearch a.example b.example\n"
	gw4, gw6 := ips("192.168.1.1", "192.0.2.53"), ips("fe80::1:1", "fe80::53")
	for _, tc := range []struct {
		name   string
		resolv string
		set    func(*conf.Options)
		v4, v6 []netip.Addr
		host4  string
		host6  string
		search []string
	}{
		{"none", "", nil, nil, nil, "none", "none", nil},
		{"loopback becomes the gateway", stub, nil, gw4, gw6, "127.0.0.53", "::1", []string{"a.example", "b.example"}},
		{"--no-map-gw", stub, func(o *conf.Options) { o.NoMapGW = true }, ips("192.0.2.53"), ips("fe80::53"), "127.0.0.53", "::1", []string{"a.example", "b.example"}},
		{"--map-host-loopback none", stub, func(o *conf.Options) { o.MapHostLoopbackNone, o.SearchNone = true, true },
			ips("192.0.2.53"), ips("fe80::53"), "127.0.0.53", "::1", nil},
		{"--map-host-loopback", stub, func(o *conf.Options) {
			o.NoMapGW, o.MapHostLoopback[v4], o.Search = true, netip.MustParseAddr("169.254.9.9"), []string{"c.example"}
		}, ips("169.254.9.9", "192.0.2.53"), ips("fe80::53"), "127.0.0.53", "::1", []string{"c.example"}},
		{"--no-map-gw --dns-forward", stub, func(o *conf.Options) {
			o.NoMapGW, o.SearchNone, o.DNSForward[v4] = true, true, netip.MustParseAddr("169.254.1.1")
		}, ips("169.254.1.1", "192.0.2.53"), ips("fe80::53"), "127.0.0.53", "::1", nil},
		{"-D as it is", stub, func(o *conf.Options) { o.DNS, o.SearchNone = ips("127.0.0.1", "1.1.1.1"), true },
			ips("127.0.0.1", "1.1.1.1"), nil, "127.0.0.53", "::1", nil},
		{"-D where the host has none", "", func(o *conf.Options) { o.DNS = ips("1.1.1.1", "8.8.8.8", "2001:db8::53") },
			ips("1.1.1.1", "8.8.8.8"), ips("2001:db8::53"), "1.1.1.1", "2001:db8::53", nil},
		{"-D that means something else to the guest", "", func(o *conf.Options) {
			o.DNSForward[v4], o.MapGuestAddr[v4] = netip.MustParseAddr("169.254.1.1"), netip.MustParseAddr("169.254.1.2")
			o.DNS = ips("169.254.1.1", "169.254.1.2", "192.168.1.1", "127.0.0.1")
		}, ips("169.254.1.1", "169.254.1.2", "192.168.1.1", "127.0.0.1"), nil, "none", "none", nil},
		{"-D none", stub, func(o *conf.Options) { o.DNSNone, o.SearchNone = true, true }, nil, nil, "127.0.0.53", "::1", nil},
		{"--dns-host", "", func(o *conf.Options) { o.DNSHost[v4] = netip.MustParseAddr("9.9.9.9") }, nil, nil, "9.9.9.9", "none", nil},
		{"the gateway is the resolver", "nameserver 192.168.1.1\n", nil, ips("192.168.1.1"), nil, "192.168.1.1", "none", nil},
		{"the gateway is the resolver, --dns-forward", "nameserver 192.168.1.1\n", func(o *conf.Options) { o.DNSForward[v4] = netip.MustParseAddr("169.254.1.1") },
			ips("169.254.1.1"), nil, "192.168.1.1", "none", nil},
		{"on the address that guest and host share", "nameserver 192.168.1.118\n", func(o *conf.Options) { o.MapGuestAddr[v4] = netip.MustParseAddr("169.254.1.2") },
			ips("169.254.1.2"), nil, "192.168.1.118", "none", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := options()
			if tc.set != nil {
				tc.set(o)
			}
			n, _, err := decide(home().resolv(tc.resolv).f, o, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(n.V4.DNS, tc.v4) || !slices.Equal(n.V6.DNS, tc.v6) || !slices.Equal(n.Search, tc.search) {
				t.Errorf("got %v %v %v", n.V4.DNS, n.V6.DNS, n.Search)
			}
			if orNone(n.V4.DNSHost) != tc.host4 || orNone(n.V6.DNSHost) != tc.host6 {
				t.Errorf("--dns-forward's: %v %v", n.V4.DNSHost, n.V6.DNSHost)
			}
		})
	}
}

func TestManyResolvers(t *testing.T) {
	o := options(func(o *conf.Options) {
		o.DHCPDNS = true
		for i := range 70 {
			o.DNS = append(o.DNS, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
		}
	})
	n, warnings, err := decide(home().f, o, nil)
	if err != nil || !slices.Equal(n.V4.DNS, o.DNS[:63]) || len(warnings) != 1 || !strings.Contains(warnings[0], "63 of 70 IPv4 name servers") {
		t.Errorf("got %d resolvers, %q, %v", len(n.V4.DNS), warnings, err)
	}
}

// TestForwardToNone has no name server of the IP version of --dns-forward.
func TestForwardToNone(t *testing.T) {
	forward := func(o *conf.Options) { o.DNSForward[v4] = netip.MustParseAddr("169.254.1.1") }
	for _, tc := range []struct {
		name   string
		resolv string
		set    func(*conf.Options)
		warns  bool
	}{
		{"no name server", "", nil, true},
		{"IPv6 only", "nameserver 2001:db8::53\n", nil, true},
		{"no IPv4", "", only6, false},
		{"--dns-host", "", func(o *conf.Options) { o.DNSHost[v4] = netip.MustParseAddr("9.9.9.9") }, false},
		{"-D", "", func(o *conf.Options) { o.DNS = ips("9.9.9.9") }, false},
		{"a name server", "nameserver 192.0.2.53\n", nil, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := options(forward)
			if tc.set != nil {
				tc.set(o)
			}
			_, warnings, err := decide(home().resolv(tc.resolv).f, o, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := len(warnings) == 1 && strings.HasPrefix(warnings[0], "--dns-forward 169.254.1.1: "); got != tc.warns {
				t.Errorf("warnings: %q", warnings)
			}
		})
	}
}

func TestBlockLen(t *testing.T) {
	for a, want := range map[string]int{"10.0.0.1": 8, "127.1.1.1": 8, "128.0.0.1": 16, "191.255.0.1": 16, "192.0.2.1": 24, "223.1.1.1": 24, "224.0.0.1": 32, "fd00::1": 64} {
		if got := blockLen(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: got %d, want %d", a, got, want)
		}
	}
}

// TestJSON: later stages of the process get the Network in this form.
func TestJSON(t *testing.T) {
	for name, h := range map[string]host{"home": home().resolv("nameserver fe80::1%eth0\n"), "local": newHost(), "IPv4": home().noIPv6()} {
		n, _, err := decide(h.f, options(), nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		var got Network
		if err := json.Unmarshal(b, &got); err != nil || !reflect.DeepEqual(&got, n) {
			t.Errorf("%s: error %v; got %+v, want %+v", name, err, got, n)
		}
	}
}
