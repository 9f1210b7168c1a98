package netns

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/cmd/internal/conf"
	"passt/cmd/internal/hostinfo"
	"passt/cmd/internal/netns/nstest"
)

// openTap makes a tap and keeps it open: without an open descriptor it has no carrier.
func openTap(t *testing.T, name string) {
	t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("no tap device here: /dev/net/tun: %v", err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	req, err := unix.NewIfreq(name)
	if err != nil {
		t.Fatal(err)
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		t.Skipf("no tap device here: TUNSETIFF: %v", err)
	}
}

func options(set func(*conf.Options)) *conf.Options {
	o := &conf.Options{Mode: conf.ModePasta, MTU: -1, Mask: -1, FD: -1, ConfigNet: true}
	if set != nil {
		set(o)
	}
	return o
}

// show is ip(8)'s output, one line for each object, without runs of blanks.
func show(t *testing.T, args string) []string {
	t.Helper()
	out, err := exec.Command("ip", strings.Fields("-o "+args)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip -o %s: %v\n%s", args, err, out)
	}
	var lines []string
	for l := range strings.Lines(string(out)) {
		lines = append(lines, strings.Join(strings.Fields(l), " "))
	}
	return lines
}

func has(lines []string, want string) bool {
	return slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, want) })
}

func mustHave(t *testing.T, lines []string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !has(lines, w) {
			t.Errorf("no %q in:\n%s", w, strings.Join(lines, "\n"))
		}
	}
}

func route(dst, gw string, set func(*hostinfo.Route)) hostinfo.Route {
	r := hostinfo.Route{Dst: netip.MustParsePrefix(dst), Protocol: unix.RTPROT_STATIC}
	if gw != "" {
		r.Gateway = netip.MustParseAddr(gw)
	}
	if set != nil {
		set(&r)
	}
	return r
}

func both() *hostinfo.Network {
	return &hostinfo.Network{
		MTU: 65520, AnnounceMTU: true, IfName: "eth0",
		V4: hostinfo.Family{
			Enabled: true,
			Addrs:   []netip.Prefix{netip.MustParsePrefix("198.51.100.2/24"), netip.MustParsePrefix("203.0.113.9/32")},
			Routes: []hostinfo.Route{
				route("198.51.100.0/24", "", func(r *hostinfo.Route) {
					r.Priority, r.Scope, r.Protocol = 100, unix.RT_SCOPE_LINK, unix.RTPROT_KERNEL
					r.Src = netip.MustParseAddr("198.51.100.2")
				}),
				route("10.1.0.0/16", "198.51.100.7", func(r *hostinfo.Route) { r.MTU = 1400 }),
				route("10.2.0.0/16", "192.168.77.1", nil), // outside: only with ONLINK
				route("0.0.0.0/0", "198.51.100.1", func(r *hostinfo.Route) { r.Priority = 100 }),
			},
		},
		V6: hostinfo.Family{
			Enabled: true,
			Addrs:   []netip.Prefix{netip.MustParsePrefix("2001:db8::2/64"), netip.MustParsePrefix("2001:db8:1::5/128")},
			Routes: []hostinfo.Route{
				route("2001:db8::/64", "", func(r *hostinfo.Route) { r.Priority, r.Protocol = 100, unix.RTPROT_KERNEL }),
				route("2001:db8:77::/48", "2001:db8:5::1", nil), // outside
				route("::/0", "fe80::1", func(r *hostinfo.Route) { r.Priority, r.Protocol = 1024, unix.RTPROT_RA }),
			},
		},
	}
}

func TestConfigureTap(t *testing.T) {
	nstest.Run(t, func(t *testing.T) {
		openTap(t, "eth0")
		mac := net.HardwareAddr{0x02, 0, 0, 0xaa, 0xbb, 0xcc}
		began := time.Now()
		warnings, err := Configure(both(), "eth0", options(func(o *conf.Options) { o.NsMAC = mac }))
		t.Logf("took %v", time.Since(began))
		if err != nil || len(warnings) > 0 {
			t.Fatalf("warnings %q, error %v", warnings, err)
		}

		mustHave(t, show(t, "link show eth0"), "mtu 65520", "02:00:00:aa:bb:cc", ",UP")
		mustHave(t, show(t, "link show lo"), ",UP")
		mustHave(t, show(t, "-4 addr show dev eth0"),
			"198.51.100.2/24 brd 198.51.100.255 scope global noprefixroute eth0", "203.0.113.9/32 scope global eth0")
		addrs := show(t, "-6 addr show dev eth0")
		mustHave(t, addrs, "2001:db8::2/64 scope global nodad noprefixroute", "2001:db8:1::5/128 scope global nodad",
			"fe80::ff:feaa:bbcc/64 scope link nodad")
		if has(addrs, "tentative") || len(addrs) != 3 {
			t.Errorf("IPv6 addresses are not all usable, or too many:\n%s", strings.Join(addrs, "\n"))
		}
		want4 := []string{
			"default via 198.51.100.1 dev eth0 proto static metric 100",
			"10.1.0.0/16 via 198.51.100.7 dev eth0 proto static mtu 1400",
			"10.2.0.0/16 via 192.168.77.1 dev eth0 proto static onlink",
			"198.51.100.0/24 dev eth0 proto kernel scope link src 198.51.100.2 metric 100",
		}
		if got := show(t, "-4 route show"); !slices.Equal(got, want4) {
			t.Errorf("IPv4 routes:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want4, "\n"))
		}
		mustHave(t, show(t, "-6 route show"), "2001:db8::/64 dev eth0 proto kernel metric 100",
			"2001:db8:1::5 dev eth0 proto kernel metric 256",
			"2001:db8:77::/48 via 2001:db8:5::1 dev eth0 proto static metric 1024 onlink",
			"default via fe80::1 dev eth0 proto ra metric 1024", "fe80::/64 dev eth0 proto kernel")

		// At once, with a global source and with a link-local one: no detection of duplicates.
		for _, to := range []string{"[2001:db8::99]:9", "[fe80::99%eth0]:9"} {
			if c, err := net.Dial("udp6", to); err != nil {
				t.Errorf("not usable at once: %v", err)
			} else {
				c.Close()
			}
		}
		if got, err := MAC("eth0"); err != nil || got.String() != mac.String() {
			t.Errorf("MAC: %v, %v", got, err)
		}
		if _, err := MAC("nothere"); err == nil {
			t.Error("MAC of an interface that is not there: no error")
		}
	})
}

// TestConfigureLikeHost copies a host interface to a tap and finds the same tables there.
func TestConfigureLikeHost(t *testing.T) {
	nstest.Run(t, func(t *testing.T) {
		nstest.IP(t,
			"link add host0 type veth peer name peer0", "link set peer0 up", "link set host0 up",
			"addr add 10.0.0.2/24 dev host0", "addr add 10.0.0.3/24 dev host0", "addr add 10.5.0.1 peer 10.5.0.2/32 dev host0",
			"-6 addr add 2001:db8::2/64 dev host0 nodad",
			"route add 192.168.9.0/24 via 10.0.0.9 dev host0 metric 7 mtu 1300",
			"route add 10.0.9.9 dev host0 scope link", "route add default via 10.0.9.9 dev host0",
			"-6 route add default via 2001:db8::1 dev host0 metric 55")
		o := options(func(o *conf.Options) { o.IfName = "tap9" })
		n, warnings, err := hostinfo.Resolve(o)
		if err != nil || len(warnings) > 0 {
			t.Fatalf("warnings %q, error %v", warnings, err)
		}
		want := map[string][]string{}
		tables := []string{"-4 route show dev host0", "-6 route show dev host0"}
		for _, table := range tables {
			want[table] = show(t, table)
		}
		nstest.IP(t, "link del host0")
		openTap(t, n.IfName)
		if warnings, err = Configure(n, n.IfName, o); err != nil || len(warnings) > 0 {
			t.Fatalf("warnings %q, error %v", warnings, err)
		}
		for _, table := range tables {
			got := strings.Join(show(t, strings.ReplaceAll(table, "host0", "tap9")), "\n")
			if want := strings.Join(want[table], "\n"); got != want {
				t.Errorf("ip %s:\n%s\nwant\n%s", table, got, want)
			}
		}
	})
}

func TestConfigureIPv4Only(t *testing.T) {
	for _, configNet := range []bool{true, false} {
		name := map[bool]string{true: "WithConfigNet", false: "Without"}[configNet]
		t.Run(name, func(t *testing.T) { ipv4Only(t, configNet) })
	}
}

func ipv4Only(t *testing.T, configNet bool) {
	nstest.Run(t, func(t *testing.T) {
		openTap(t, "eth0")
		n := both()
		n.V6 = hostinfo.Family{}
		if warnings, err := Configure(n, "eth0", options(func(o *conf.Options) { o.ConfigNet = configNet })); err != nil || len(warnings) > 0 {
			t.Fatalf("warnings %q, error %v", warnings, err)
		}
		nstest.IP(t, "link set eth0 up")
		time.Sleep(20 * time.Millisecond) // the kernel would make link-local addresses in a work queue
		if got := show(t, "-6 addr show dev eth0"); len(got) > 0 {
			t.Errorf("IPv6 addresses: %q", got)
		}
		if got := show(t, "-6 route show dev eth0"); len(got) > 0 {
			t.Errorf("IPv6 routes: %q", got)
		}
	})
}

func TestConfigureIPv6Only(t *testing.T) {
	nstest.Run(t, func(t *testing.T) {
		openTap(t, "eth0")
		n := both()
		n.V4 = hostinfo.Family{}
		if warnings, err := Configure(n, "eth0", options(nil)); err != nil || len(warnings) > 0 {
			t.Fatalf("warnings %q, error %v", warnings, err)
		}
		if got := append(show(t, "-4 addr show dev eth0"), show(t, "-4 route show")...); len(got) > 0 {
			t.Errorf("IPv4 left: %q", got)
		}
	})
}

func TestConfigureNothing(t *testing.T) {
	nstest.Run(t, func(t *testing.T) {
		openTap(t, "eth0")
		if warnings, err := Configure(both(), "eth0", options(func(o *conf.Options) { o.ConfigNet = false })); err != nil || len(warnings) > 0 {
			t.Fatalf("warnings %q, error %v", warnings, err)
		}
		mustHave(t, show(t, "link show lo"), ",UP")
		mustHave(t, show(t, "link show eth0"), "mtu 1500", "state DOWN")
		if got := show(t, "addr show dev eth0"); len(got) > 0 {
			t.Errorf("addresses: %q", got)
		}
		if warnings, err := Configure(both(), "", options(nil)); err != nil || len(warnings) > 0 {
			t.Errorf("with no tap: warnings %q, error %v", warnings, err)
		}
	})
}

func TestConfigureBad(t *testing.T) {
	nstest.Run(t, func(t *testing.T) {
		openTap(t, "eth0")
		n := both()
		if _, err := Configure(n, "nothere", options(nil)); err == nil || !strings.Contains(err.Error(), "nothere") {
			t.Errorf("no such interface: %v", err)
		}
		n.MTU = 70000
		if _, err := Configure(n, "eth0", options(nil)); err == nil || !strings.Contains(err.Error(), "--mtu 70000") {
			t.Errorf("MTU too large: %v", err)
		}
		n.MTU = 1000
		n.V4.Routes = append(n.V4.Routes, route("10.3.0.0/16", "198.51.100.1", func(r *hostinfo.Route) {
			r.Src = netip.MustParseAddr("198.51.100.77")
		}), route("10.4.0.0/16", "198.51.100.1", nil))
		warnings, err := Configure(n, "eth0", options(nil))
		if err != nil {
			t.Fatal(err)
		}
		mustHave(t, warnings, "--mtu 1000 is below 1280",
			"route 10.3.0.0/16 via 198.51.100.1 dev eth0 src 198.51.100.77 not set: the namespace has no such source address")
		if len(warnings) != 2 {
			t.Errorf("warnings: %q", warnings)
		}
		mustHave(t, show(t, "-4 route show"), "10.4.0.0/16")
	})
}

func TestConfigureIPv6SwitchedOff(t *testing.T) {
	nstest.Run(t, func(t *testing.T) {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0); err != nil {
			t.Skipf("no IPv6, or sysctls are read-only: %v", err)
		}
		openTap(t, "eth0")
		if warnings, err := Configure(both(), "eth0", options(nil)); err != nil || len(warnings) > 0 {
			t.Fatalf("warnings %q, error %v", warnings, err)
		}
		mustHave(t, show(t, "-6 addr show dev eth0"), "2001:db8::2/64")
	})
}

// TestCongestionControl wants TCP of a namespace that is ours to set up to send without any.
func TestCongestionControl(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  func(*conf.Options)
		want string
	}{
		{"new", func(o *conf.Options) { o.ConfigNet = false }, "reno"},
		{"new, configured", func(*conf.Options) {}, "reno"},
		{"of a process, configured", func(o *conf.Options) { o.PID = 7 }, "reno"},
		{"of a process", func(o *conf.Options) { o.PID, o.ConfigNet = 7, false }, "cubic"},
		{"by its name", func(o *conf.Options) { o.NetNS, o.ConfigNet = "/run/netns/x", false }, "cubic"},
	} {
		t.Run(tt.name, func(t *testing.T) { congestionControl(t, tt.set, tt.want) })
	}
}

func congestionControl(t *testing.T, set func(*conf.Options), want string) {
	nstest.Run(t, func(t *testing.T) {
		const path = "/proc/sys/net/ipv4/tcp_congestion_control"
		if err := os.WriteFile(path, []byte("cubic"), 0); err != nil {
			t.Skipf("no other congestion control to begin with: %v", err)
		}
		openTap(t, "eth0")
		if _, err := Configure(both(), "eth0", options(set)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || strings.TrimSpace(string(got)) != want {
			t.Errorf("%s, %v; want %s", got, err, want)
		}
	})
}

func TestLinkLocal(t *testing.T) {
	got, ok := LinkLocal(net.HardwareAddr{0x5e, 0x90, 0x02, 0xeb, 0xb0, 0x2a})
	if want := netip.MustParseAddr("fe80::5c90:2ff:feeb:b02a"); !ok || got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if _, ok := LinkLocal(net.HardwareAddr{1, 2, 3, 4, 5, 6, 7, 8}); ok {
		t.Error("an address of 8 bytes has one")
	}
}
