package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"passt/tests/world"
)

func TestLoopbackIsUp(t *testing.T) {
	needsPasta(t)
	for _, args := range [][]string{{"--config-net"}, nil} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			in := start(t, args...)
			if lo := links(t, in.ns)["lo"]; !slices.Contains(lo.Flags, "UP") {
				t.Errorf("lo has flags %v, want UP", lo.Flags)
			}
		})
	}
}

func TestInterface(t *testing.T) {
	needsPasta(t)
	for _, tc := range []struct {
		name string
		args []string
		want link
	}{
		{"as the host's", nil, link{Name: "eth0", MTU: 65520}},
		{"named by -I", []string{"-I", "guest0"}, link{Name: "guest0", MTU: 65520}},
		{"MTU by -m", []string{"-m", "1500"}, link{Name: "eth0", MTU: 1500}},
		{"MTU not assigned", []string{"-m", "0"}, link{Name: "eth0", MTU: 1500}},
		{"hardware address", []string{"--ns-mac-addr", "02:00:5e:10:20:30"}, link{Name: "eth0", MTU: 65520, MAC: "02:00:5e:10:20:30"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := start(t, append([]string{"--config-net"}, tc.args...)...)
			all := links(t, in.ns)
			got, ok := all[tc.want.Name]
			if !ok || len(all) != 2 {
				t.Fatalf("interfaces: %v, want lo and %s", all, tc.want.Name)
			}
			if !slices.Contains(got.Flags, "UP") {
				t.Errorf("flags %v, want UP", got.Flags)
			}
			if got.MTU != tc.want.MTU {
				t.Errorf("MTU %d, want %d", got.MTU, tc.want.MTU)
			}
			if tc.want.MAC != "" && got.MAC != tc.want.MAC {
				t.Errorf("hardware address %s, want %s", got.MAC, tc.want.MAC)
			}
		})
	}
}

func TestConfigNetEqualsHost(t *testing.T) {
	needsPasta(t)
	compare := func(t *testing.T, in *instance) {
		t.Helper()
		if got, want := addressList(t, in.ns, "eth0"), addressList(t, world.Host, "eth0"); !slices.Equal(got, want) {
			t.Errorf("addresses:\n got %v\nwant %v", got, want)
		}
		for _, family := range []string{"-4", "-6"} {
			if got, want := routeList(t, in.ns, family, "eth0"), routeList(t, world.Host, family, "eth0"); !slices.Equal(got, want) {
				t.Errorf("routes %s:\n got %q\nwant %q", family, got, want)
			}
		}
	}
	t.Run("one address, default route", func(t *testing.T) {
		compare(t, start(t, "--config-net"))
	})
	t.Run("several addresses and routes", func(t *testing.T) {
		world.ChangeHost(t, []string{
			"addr add 198.51.100.3/24 dev eth0",
			"addr add 192.0.2.2/30 dev eth0",
			"addr add 2001:db8:9::3/64 dev eth0 nodad",
			"route add 203.0.113.128/25 via 198.51.100.9 dev eth0 metric 50",
			"route add 203.0.113.64/26 dev eth0 scope link",
			"route add 203.0.113.32/27 via 192.168.77.1 dev eth0 onlink",
			"route add 2001:db8:55::/48 via 2001:db8:9::9 dev eth0 metric 77",
		}, []string{
			"route del 2001:db8:55::/48 dev eth0",
			"route del 203.0.113.32/27 dev eth0",
			"route del 203.0.113.64/26 dev eth0",
			"route del 203.0.113.128/25 dev eth0",
			"addr del 2001:db8:9::3/64 dev eth0",
			"addr del 192.0.2.2/30 dev eth0",
			"addr del 198.51.100.3/24 dev eth0",
		})
		compare(t, start(t, "--config-net"))
	})
	t.Run("a route that cannot be set is a warning", func(t *testing.T) {
		// Its source address is one of another interface, which the namespace does not have.
		world.ChangeHost(t, []string{
			"addr add 203.0.113.200/32 dev lo",
			"route add 203.0.113.96/27 via 198.51.100.9 dev eth0 src 203.0.113.200",
			"route add 203.0.113.160/27 via 198.51.100.9 dev eth0",
		}, []string{
			"route del 203.0.113.160/27 dev eth0",
			"route del 203.0.113.96/27 dev eth0",
			"addr del 203.0.113.200/32 dev lo",
		})
		in := start(t, "--config-net")
		if got := defaultRoute(t, in.ns, "-4"); got != world.GateV4 {
			t.Errorf("default route via %q, want %s", got, world.GateV4)
		}
		var got []string
		for _, r := range routes(t, in.ns, "-4", "eth0") {
			got = append(got, r.Dst)
		}
		if !slices.Contains(got, "203.0.113.160/27") {
			t.Errorf("routes %v lack 203.0.113.160/27, which could be set", got)
		}
		// Without its source address the route could be set after all.
		if log := in.Log(); !slices.Contains(got, "203.0.113.96/27") && !strings.Contains(log, "203.0.113.96") {
			t.Errorf("the route 203.0.113.96/27 is not there, and no warning names it")
		}
	})
}

func TestConfigNetOverrides(t *testing.T) {
	needsPasta(t)
	for _, tc := range []struct {
		name   string
		args   []string
		addrs  []string
		gate4  string
		gate6  string
		family string // "4": no IPv6 at all; "6": no IPv4
	}{
		{"IPv4", []string{"-a", "192.0.2.55", "-n", "24", "-g", "192.0.2.1"},
			[]string{"192.0.2.55/24", world.HostV6 + "/64"}, "192.0.2.1", world.GateV6, ""},
		{"mask in dots", []string{"-a", "192.0.2.55", "-n", "255.255.255.128", "-g", "192.0.2.1"},
			[]string{"192.0.2.55/25", world.HostV6 + "/64"}, "192.0.2.1", world.GateV6, ""},
		{"CIDR", []string{"-a", "192.0.2.55/26", "-g", "192.0.2.1"},
			[]string{"192.0.2.55/26", world.HostV6 + "/64"}, "192.0.2.1", world.GateV6, ""},
		{"gateway outside the subnet", []string{"-a", "192.0.2.55", "-n", "32", "-g", "203.0.113.1"},
			[]string{"192.0.2.55/32", world.HostV6 + "/64"}, "203.0.113.1", world.GateV6, ""},
		{"IPv6", []string{"-a", "2001:db8:77::5", "-g", "2001:db8:77::1"},
			[]string{world.HostV4 + "/24", "2001:db8:77::5/64"}, world.GateV4, "2001:db8:77::1", ""},
		{"both", []string{"-a", "192.0.2.55", "-a", "2001:db8:77::5", "-n", "24", "-g", "192.0.2.1", "-g", "fe80::1"},
			[]string{"192.0.2.55/24", "2001:db8:77::5/64"}, "192.0.2.1", "fe80::1", ""},
		{"IPv4 only", []string{"-4"}, []string{world.HostV4 + "/24"}, world.GateV4, "", "4"},
		{"IPv6 only", []string{"-6"}, []string{world.HostV6 + "/64"}, "", world.GateV6, "6"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := start(t, append([]string{"--config-net"}, tc.args...)...)
			if got := addressList(t, in.ns, "eth0"); !slices.Equal(got, tc.addrs) {
				t.Errorf("addresses %v, want %v", got, tc.addrs)
			}
			if got := defaultRoute(t, in.ns, "-4"); got != tc.gate4 {
				t.Errorf("IPv4 default route via %q, want %q", got, tc.gate4)
			}
			if got := defaultRoute(t, in.ns, "-6"); got != tc.gate6 {
				t.Errorf("IPv6 default route via %q, want %q", got, tc.gate6)
			}
			if tc.family == "4" {
				// Not even an autoconfigured address may appear later.
				time.Sleep(time.Second)
				if got := addressList(t, in.ns, "eth0"); !slices.Equal(got, tc.addrs) {
					t.Errorf("addresses after a second: %v, want %v", got, tc.addrs)
				}
			}
		})
	}
}

func TestGatewayHardwareAddress(t *testing.T) {
	needsPasta(t)
	world.Needs(t, "ping")
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"of the host's interface", nil, links(t, world.Host)["eth0"].MAC},
		{"given by -M", []string{"-M", "02:00:5e:aa:bb:cc"}, "02:00:5e:aa:bb:cc"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := start(t, append([]string{"--config-net"}, tc.args...)...)
			for family, gate := range map[string]string{"-4": world.GateV4, "-6": world.GateV6} {
				if _, err := in.ns.Run(5*time.Second, "ping", "-c1", "-W2", gate); err != nil {
					t.Error(err)
				}
				got, err := ipJSON[[]struct {
					Dst, LLAddr string
				}](in.ns, family, "neigh", "show", "to", gate)
				if err != nil {
					t.Fatal(err)
				}
				if len(got) != 1 || got[0].LLAddr != tc.want {
					t.Errorf("neighbour %s is %v, want %s", gate, got, tc.want)
				}
			}
		})
	}
}

func TestCommandIsRootInside(t *testing.T) {
	r := runPasta(t, 10*time.Second,
		withDefaults([]string{"--config-net", "--", "sh", "-c", "id -u; id -g; ip link set eth0 mtu 1300 && echo capable"})...)
	if want := "0\n0\ncapable\n"; r.stdout != want || r.code != 0 {
		t.Errorf("exit %d, printed %q and %q, want %q", r.code, r.stdout, r.stderr, want)
	}
}

func TestStartPrintsConfiguration(t *testing.T) {
	r := runPasta(t, 10*time.Second, withDefaults([]string{"--config-net", "--", "true"})...)
	for _, want := range []string{"eth0", world.HostV4, "255.255.255.0", world.GateV4, world.HostV6, world.GateV6} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("start does not print %s", want)
		}
	}
	if r.stdout != "" {
		t.Errorf("standard output belongs to the command, has %q", r.stdout)
	}
	if t.Failed() {
		t.Log(r.stderr)
	}
	r = runPasta(t, 10*time.Second, withDefaults([]string{"--quiet", "--config-net", "--", "true"})...)
	if r.stderr != "" || r.stdout != "" || r.code != 0 {
		t.Errorf("--quiet: exit %d, printed %q and %q, want nothing", r.code, r.stdout, r.stderr)
	}
}

func TestLocalModeWithoutInterface(t *testing.T) {
	needsPasta(t)
	// A host with no address but its loopback's: see the manual page's local mode.
	empty, err := world.NewNS(world.Unique("empty"))
	if err != nil {
		t.Fatal(err)
	}
	r := runPastaIn(t, empty, 10*time.Second,
		withDefaults([]string{"--config-net", "--", "sh", "-c", "ip -br addr; ip route; ip -6 route"})...)
	for _, want := range []string{"tap0", "169.254.2.1/16", "default via 169.254.2.2", "default via fe80::1"} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("local mode lacks %q (exit %d):\n%s%s", want, r.code, r.stdout, r.stderr)
		}
	}
}

func TestForwardWithoutIPv6(t *testing.T) {
	// A host whose kernel has IPv6 switched off: a port of an IPv6 address is passed over, with a warning.
	needsPasta(t)
	host, err := world.NewNS(world.Unique("no6"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := host.Run(time.Second, "sh", "-c", "ip link set lo up && for d in all default; do echo 1 > /proc/sys/net/ipv6/conf/$d/disable_ipv6; done")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, opt := range []string{"-t", "-u", "-T", "-U"} {
		r := runPastaIn(t, host, 10*time.Second, append(withDefaults([]string{"-q", opt, "::1/8080"}), "true")...)
		if r.code != 0 || !strings.Contains(r.stderr, "IPv6 is switched off in the host's kernel") {
			t.Errorf("%s: exit status %d, want 0 and a warning:\n%s", opt, r.code, r.stderr)
		}
	}
}
