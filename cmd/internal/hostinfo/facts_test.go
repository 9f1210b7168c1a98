package hostinfo

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"passt/cmd/internal/conf"
	"passt/cmd/internal/netns/nstest"
)

// topology is what the tests below start from: two interfaces with carrier.
var topology = []string{
	"link add eth0 address 02:00:00:00:00:01 type veth peer name far0", "link add eth1 type veth peer name far1",
	"link set far0 up", "link set far1 up", "link set eth0 up", "link set eth1 up", "link set lo up",
	"addr add 198.51.100.2/24 dev eth0", "addr add 10.7.0.2/16 dev eth1",
	"-6 addr add 2001:db8::2/64 dev eth0 nodad", "-6 addr add fd07::2/64 dev eth1 nodad",
}

// lookAt gathers and decides in a namespace that has the topology and what commands add.
func lookAt(t *testing.T, o *conf.Options, commands ...string) (*Network, []string) {
	t.Helper()
	nstest.IP(t, append(topology, commands...)...)
	began := time.Now()
	n, warnings, err := Resolve(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("took %v", time.Since(began))
	return n, warnings
}

func wantText(t *testing.T, n *Network, want4, want6 string) {
	t.Helper()
	for fam, want := range []string{want4, want6} {
		if got := n.families()[fam].text(); got != want {
			t.Errorf("%s:\n got %s\nwant %s", familyNames[fam], got, want)
		}
	}
}

func TestResolveTwoInterfaces(t *testing.T) {
	nstest.Run(t, func(t *testing.T) {
		n, warnings := lookAt(t, options(),
			"route add default via 10.7.0.1 dev eth1 metric 300", "route add default via 198.51.100.1 dev eth0 metric 200",
			"route add 10.8.0.0/16 via 198.51.100.9 dev eth0 mtu 1300",
			"route add blackhole 10.9.0.0/16", "route add 10.10.0.0/16 via 198.51.100.9 dev eth0 table 77",
			"-6 route add default via 2001:db8::1 dev eth0 metric 200", "-6 route add default via fd07::1 dev eth1 metric 100")
		if len(warnings) > 0 {
			t.Errorf("warnings: %q", warnings)
		}
		wantText(t, n,
			"eth0 198.51.100.2/24 gw 198.51.100.1 our 198.51.100.1; 198.51.100.0/24 src 198.51.100.2 link; 10.8.0.0/16 via 198.51.100.9 mtu 1300; 0.0.0.0/0 via 198.51.100.1 metric 200",
			"eth1 fd07::2/64 gw fd07::1 our "+n.V6.LinkLocal.String()+"; fd07::/64 metric 256; ::/0 via fd07::1 metric 100")
		if n.MAC.String() != "02:00:00:00:00:01" || n.IfName != "eth0" {
			t.Errorf("MAC %s, name %s", n.MAC, n.IfName)
		}
	})
}

func TestResolveMultipath(t *testing.T) {
	nstest.Run(t, func(t *testing.T) {
		n, _ := lookAt(t, options(only4),
			"route add default nexthop via 198.51.100.1 dev eth0 weight 1 nexthop via 10.7.0.1 dev eth1 weight 10")
		wantText(t, n, "eth1 10.7.0.2/16 gw 10.7.0.1 our 10.7.0.1; 10.7.0.0/16 src 10.7.0.2 link; 0.0.0.0/0 via 10.7.0.1", "off")
	})
}

func TestResolveOddRoutes(t *testing.T) {
	nstest.Run(t, func(t *testing.T) {
		n, _ := lookAt(t, options(only4),
			"route add 10.20.0.0/16 via inet6 fe80::9 dev eth0", "route add default via 192.0.2.1 dev eth0 onlink src 198.51.100.2")
		wantText(t, n, "eth0 198.51.100.2/24 gw 192.0.2.1 our 192.0.2.1; 198.51.100.0/24 src 198.51.100.2 link; "+
			"10.20.0.0/16 via fe80::9; 0.0.0.0/0 via 192.0.2.1 src 198.51.100.2 onlink", "off")
	})
}

func TestResolveNoDefault(t *testing.T) {
	nstest.Run(t, func(t *testing.T) {
		n, warnings := lookAt(t, options(only4), "route add 10.20.0.0/16 dev eth1")
		if len(warnings) != 1 || !strings.Contains(warnings[0], "no default IPv4 route") || n.V4.IfIndex == 0 {
			t.Errorf("interface %q, warnings %q", n.V4.IfName, warnings)
		}
	})
}

func TestResolveNothing(t *testing.T) {
	nstest.Run(t, func(t *testing.T) {
		n, warnings, err := Resolve(options())
		if err != nil || len(warnings) != 1 {
			t.Fatalf("warnings %q, error %v", warnings, err)
		}
		wantText(t, n, localV4, localV6)
		if _, _, err := Resolve(options(ifOpt("eth9"))); err == nil || !strings.Contains(err.Error(), "eth9") {
			t.Errorf("no such interface: %v", err)
		}
	})
}

func TestResolveIPv6SwitchedOff(t *testing.T) {
	nstest.Run(t, func(t *testing.T) {
		for _, key := range []string{"all", "default"} {
			if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+key+"/disable_ipv6", []byte("1"), 0); err != nil {
				t.Skipf("no IPv6, or sysctls are read-only: %v", err)
			}
		}
		nstest.IP(t, "link add eth0 type veth peer name far0", "link set far0 up", "link set eth0 up", "addr add 198.51.100.2/24 dev eth0")
		n, warnings, err := Resolve(options())
		if err != nil || len(warnings) > 0 {
			t.Fatalf("warnings %q, error %v", warnings, err)
		}
		wantText(t, n, "eth0 198.51.100.2/24 gw none our 169.254.2.2; 198.51.100.0/24 src 198.51.100.2 link", "off")
		if _, warnings, _ = Resolve(options(only6)); len(warnings) != 1 {
			t.Errorf("-6: warnings %q", warnings)
		}
	})
}

func TestToAddrLeavesOut(t *testing.T) {
	for name, tc := range map[string]struct {
		flags int
		want  bool
	}{
		"usable":    {unix.IFA_F_PERMANENT, true},
		"tentative": {unix.IFA_F_TENTATIVE, true},
		"duplicate": {unix.IFA_F_DADFAILED | unix.IFA_F_TENTATIVE, false},
	} {
		_, n, _ := net.ParseCIDR("2001:db8::/64")
		if _, got := toAddr(&netlink.Addr{IPNet: n, Flags: tc.flags}); got != tc.want {
			t.Errorf("%s: got %v, want %v", name, got, tc.want)
		}
	}
	if _, ok := toAddr(&netlink.Addr{}); ok {
		t.Error("an address without an address")
	}
}

func TestIsUnicastMAC(t *testing.T) {
	for s, want := range map[string]bool{
		"02:00:00:00:00:01": true, "00:00:00:00:00:00": false, "01:00:5e:00:00:01": false, "02:00:5e:10:00:00:00:01": false,
	} {
		m, err := net.ParseMAC(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := isUnicastMAC(m); got != want {
			t.Errorf("%s: got %v, want %v", s, got, want)
		}
	}
	if isUnicastMAC(nil) {
		t.Error("no address at all")
	}
}
