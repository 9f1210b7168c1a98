package netns

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"passt/cmd/internal/hostinfo"
	"passt/cmd/internal/netns/nstest"
)

// moved is where both's host is next: another network, with one address kept.
func moved() *hostinfo.Network {
	n := both()
	n.V4.Addrs = []netip.Prefix{netip.MustParsePrefix("10.7.0.5/16"), netip.MustParsePrefix("203.0.113.9/32")}
	n.V4.Routes = []hostinfo.Route{
		route("10.7.0.0/16", "", func(r *hostinfo.Route) {
			r.Scope, r.Protocol, r.Src = unix.RT_SCOPE_LINK, unix.RTPROT_KERNEL, netip.MustParseAddr("10.7.0.5")
		}),
		route("0.0.0.0/0", "10.7.0.1", func(r *hostinfo.Route) { r.Priority = 100 }),
	}
	n.V6.Addrs = []netip.Prefix{netip.MustParsePrefix("2001:db8:b::2/64")}
	n.V6.Routes = []hostinfo.Route{
		route("2001:db8:b::/64", "", func(r *hostinfo.Route) { r.Priority, r.Protocol = 100, unix.RTPROT_KERNEL }),
		route("::/0", "fe80::2", func(r *hostinfo.Route) { r.Priority, r.Protocol = 1024, unix.RTPROT_RA }),
	}
	return n
}

func TestUpdate(t *testing.T) {
	nstest.Run(t, func(t *testing.T) {
		openTap(t, "eth0")
		o := options(nil)
		if warnings, err := Configure(both(), "eth0", o); err != nil || len(warnings) > 0 {
			t.Fatalf("warnings %q, error %v", warnings, err)
		}
		// What the owner of the namespace has done himself is his.
		nstest.IP(t, "addr add 172.31.0.1/24 dev eth0", "route add 172.30.0.0/16 via 172.31.0.9 dev eth0", "addr del 203.0.113.9/32 dev eth0")
		update := func(old, n *hostinfo.Network) {
			t.Helper()
			if warnings, err := Update(old, n, "eth0", o); err != nil || len(warnings) > 0 {
				t.Fatalf("warnings %q, error %v", warnings, err)
			}
		}
		update(both(), both())
		if has(show(t, "-4 addr show dev eth0"), "203.0.113.9") {
			t.Error("an address is set again without need")
		}
		update(both(), moved())
		v4, v6 := show(t, "-4 addr show dev eth0"), show(t, "-6 addr show dev eth0 scope global")
		mustHave(t, v4, "10.7.0.5/16", "203.0.113.9/32", "172.31.0.1/24", "198.51.100.2/24")
		mustHave(t, v6, "2001:db8:b::2/64", "2001:db8::2/64", "2001:db8:1::5/128")
		for _, l := range append(v4, v6...) {
			old := strings.Contains(l, "198.51.100.2/") || strings.Contains(l, "2001:db8::2/") || strings.Contains(l, "2001:db8:1::5/")
			if old != strings.Contains(l, "deprecated") || old != strings.Contains(l, "preferred_lft 0sec") || old == strings.Contains(l, "valid_lft forever") {
				t.Errorf("wrong lifetimes: %s", l)
			}
		}
		want4 := []string{
			"default via 10.7.0.1 dev eth0 proto static metric 100",
			"10.7.0.0/16 dev eth0 proto kernel scope link src 10.7.0.5",
			"172.30.0.0/16 via 172.31.0.9 dev eth0",
			"172.31.0.0/24 dev eth0 proto kernel scope link src 172.31.0.1",
		}
		if got := show(t, "-4 route show"); !slices.Equal(got, want4) {
			t.Errorf("IPv4 routes:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want4, "\n"))
		}
		v6routes := show(t, "-6 route show")
		mustHave(t, v6routes, "2001:db8:b::/64 dev eth0 proto kernel metric 100", "default via fe80::2 dev eth0 proto ra")
		for _, gone := range []string{"fe80::1 ", "2001:db8:77::/48", "2001:db8::/64"} {
			if has(v6routes, gone) {
				t.Errorf("route %s is left in\n%s", gone, strings.Join(v6routes, "\n"))
			}
		}
		// The old addresses go on for connections that there are.
		if got := show(t, "-4 route get 198.51.100.77 from 198.51.100.2"); !has(got, "via 10.7.0.1") {
			t.Errorf("from the old address: %s", got)
		}
		if got := show(t, "-4 route get 192.0.2.77"); !has(got, "src 10.7.0.5") {
			t.Errorf("new connections: %s", got)
		}
		if got := show(t, "-6 route get 2001:db8:ff::1"); !has(got, "src 2001:db8:b::2") {
			t.Errorf("new connections: %s", got)
		}
		update(moved(), both())
		v4, v6 = show(t, "-4 addr show dev eth0"), show(t, "-6 addr show dev eth0 scope global")
		for _, l := range append(v4, v6...) {
			old := strings.Contains(l, "10.7.0.5/") || strings.Contains(l, "2001:db8:b::2/")
			if old != strings.Contains(l, "deprecated") || old == strings.Contains(l, "valid_lft forever") {
				t.Errorf("back again: wrong lifetimes: %s", l)
			}
		}
		mustHave(t, show(t, "-4 route show"), "default via 198.51.100.1 dev eth0 proto static metric 100", "10.1.0.0/16 via 198.51.100.7",
			"198.51.100.0/24 dev eth0 proto kernel scope link src 198.51.100.2 metric 100")
		mustHave(t, show(t, "-6 route show"), "default via fe80::1 dev eth0 proto ra", "2001:db8::/64 dev eth0 proto kernel metric 100")
		if _, err := Update(both(), moved(), "nothere", o); err == nil {
			t.Error("no error, without an interface")
		}
	})
}

// TestUpdateFromLocalMode: the namespace was made before the host had a network.
func TestUpdateFromLocalMode(t *testing.T) {
	nstest.Run(t, func(t *testing.T) {
		openTap(t, "eth0")
		local := &hostinfo.Network{MTU: 65520, AnnounceMTU: true, IfName: "eth0",
			V4: hostinfo.Family{Enabled: true, Local: true, Addrs: []netip.Prefix{netip.MustParsePrefix("169.254.2.1/16")},
				Routes: []hostinfo.Route{route("0.0.0.0/0", "169.254.2.2", nil)}},
			V6: hostinfo.Family{Enabled: true, Local: true, Routes: []hostinfo.Route{route("::/0", "fe80::1", nil)}},
		}
		o := options(nil)
		if _, err := Configure(local, "eth0", o); err != nil {
			t.Fatal(err)
		}
		if warnings, err := Update(local, moved(), "eth0", o); err != nil || len(warnings) > 0 {
			t.Fatalf("warnings %q, error %v", warnings, err)
		}
		mustHave(t, show(t, "-4 addr show dev eth0"), "10.7.0.5/16", "169.254.2.1/16 brd 169.254.255.255 scope global deprecated")
		mustHave(t, show(t, "-4 route show"), "default via 10.7.0.1")
		mustHave(t, show(t, "-6 route show"), "default via fe80::2")
		if got := show(t, "-4 route get 192.0.2.77"); !has(got, "src 10.7.0.5") {
			t.Errorf("new connections: %s", got)
		}
	})
}
