package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"passt/tests/world"
)

// leaseScript is what DHCP clients call with a lease. It keeps the client's variables and
// makes the interface as the lease says, in the way of the clients' own scripts, but touches
// nothing outside the namespace.
const leaseScript = `#!/bin/sh
env > "$E2E_LEASE.$$"
if [ "$E2E_SELF" ]; then # the client makes the interface itself
	case "$reason" in BOUND*) mv "$E2E_LEASE.$$" "$E2E_LEASE" ;; *) rm -f "$E2E_LEASE.$$" ;; esac
	exit 0
fi
case "$reason$1" in
PREINIT*|deconfig) ip link set dev "$interface" up; rm -f "$E2E_LEASE.$$"; exit 0 ;;
BOUND|bound|renew|BOUND6) ;;
*) rm -f "$E2E_LEASE.$$"; exit 0 ;;
esac
case "$reason" in
BOUND6) ip -6 addr add "$new_ip6_address/$new_ip6_prefixlen" dev "$interface" nodad ;;
*)
	addr=${new_ip_address:-$ip} mask=${new_subnet_mask:-$subnet} router=${new_routers:-$router}
	mtu=${new_interface_mtu:-$mtu}
	[ -z "$mtu" ] || ip link set dev "$interface" mtu "$mtu"
	ip -4 addr add "$addr/$mask" dev "$interface"
	for r in $router; do
		ip -4 route add "$r" dev "$interface" scope link 2>/dev/null
		ip -4 route add default via "$r" dev "$interface"
		break
	done ;;
esac
mv "$E2E_LEASE.$$" "$E2E_LEASE"
`

// lease is what a client learned, under the names of the options that its kind of script
// gets, brought to those of dhclient.
type lease map[string]string

// dhcpClients are the command lines of real clients; each ends once it has a lease.
var dhcpClients = []struct {
	name  string
	args  func(dir, ifname string) []string
	names map[string]string // its script's variable for each of dhclient's
}{
	{"dhclient", func(dir, ifname string) []string {
		return []string{"dhclient", "-4", "-1", "-v", "-sf", dir + "/script", "-lf", dir + "/leases", "-pf", dir + "/pid",
			"-cf", dir + "/dhclient.conf", "-e", "E2E_LEASE=" + dir + "/lease", ifname}
	}, nil},
	{"udhcpc", func(dir, ifname string) []string {
		return []string{"env", "E2E_LEASE=" + dir + "/lease", "udhcpc", "-f", "-q", "-n", "-t", "5", "-T", "1",
			"-O", "mtu", "-O", "dns", "-O", "search", "-O", "router", "-s", dir + "/script", "-i", ifname}
	}, map[string]string{
		"new_ip_address": "ip", "new_subnet_mask": "subnet", "new_routers": "router", "new_interface_mtu": "mtu",
		"new_domain_name_servers": "dns", "new_domain_search": "search", "new_dhcp_lease_time": "lease",
	}},
	{"dhcpcd", func(dir, ifname string) []string {
		return []string{"dhcpcd", "-4", "-1", "-B", "-L", "-d", "--noarp", "-f", dir + "/dhcpcd.conf", "-t", "10",
			"-e", "E2E_LEASE=" + dir + "/lease", "-e", "E2E_SELF=1", "-c", dir + "/script", ifname}
	}, nil},
}

// dhcp runs a client on the instance's interface and returns its lease.
func dhcp(t *testing.T, in *instance, args func(dir, ifname string) []string, names map[string]string) lease {
	t.Helper()
	dir := world.ScratchDir(t)
	for name, text := range map[string]string{
		"script":        leaseScript,
		"dhclient.conf": "timeout 10;\nrequest subnet-mask, routers, interface-mtu, domain-name-servers, domain-search;\nalso request dhcp6.name-servers, dhcp6.domain-search;\n",
		"dhcpcd.conf":   "option domain_name_servers, domain_search, interface_mtu\nnoipv6rs\n",
	} {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// Leases of an earlier test: prepareMounts has put a tmpfs there.
	if old, err := filepath.Glob("/var/lib/dhcpcd/*.lease"); err == nil {
		for _, f := range old {
			os.Remove(f)
		}
	}
	argv := args(dir, in.ifname)
	// dhclient goes to the background with a lease: its output is not waited for, and it is ended by its pid file.
	out, err := in.ns.Run(20*time.Second, append([]string{"sh", "-c", `log=$1; shift; "$@" >"$log" 2>&1 </dev/null`, "sh", dir + "/out"}, argv...)...)
	log, _ := os.ReadFile(dir + "/out")
	t.Cleanup(func() {
		if pid, err := os.ReadFile(dir + "/pid"); err == nil {
			in.ns.Run(time.Second, "kill", strings.TrimSpace(string(pid))) // gone already is fine
		}
	})
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, log)
	}
	b, err := os.ReadFile(dir + "/lease")
	if err != nil {
		t.Fatalf("no lease: %v\n%s", err, log)
	}
	l := make(lease)
	for line := range strings.SplitSeq(string(b), "\n") {
		if k, v, ok := strings.Cut(line, "="); ok {
			l[k] = v
		}
	}
	for want, has := range names {
		l[want] = l[has]
	}
	return l
}

func TestDHCP(t *testing.T) {
	needsPasta(t)
	for _, client := range dhcpClients {
		for _, tc := range []struct {
			name string
			args []string
			want lease
		}{
			{"as the host", nil, lease{
				"new_ip_address": world.HostV4, "new_subnet_mask": "255.255.255.0", "new_routers": world.GateV4, "new_interface_mtu": "65520",
				"new_domain_name_servers": "", "new_domain_search": "",
			}},
			{"given addresses", []string{"-a", "192.0.2.55", "-n", "25", "-g", "192.0.2.1", "-m", "1400"}, lease{
				"new_ip_address": "192.0.2.55", "new_subnet_mask": "255.255.255.128", "new_routers": "192.0.2.1", "new_interface_mtu": "1400",
			}},
			{"router outside the subnet", []string{"-a", "192.0.2.55", "-n", "32", "-g", "203.0.113.1"}, lease{
				"new_ip_address": "192.0.2.55", "new_subnet_mask": "255.255.255.255", "new_routers": "203.0.113.1",
			}},
			{"no MTU", []string{"-m", "0"}, lease{"new_ip_address": world.HostV4, "new_interface_mtu": ""}},
			{"DNS and search list", []string{"--dhcp-dns", "--dhcp-search"}, lease{
				"new_ip_address": world.HostV4, "new_domain_name_servers": world.PeerV4, "new_domain_search": strings.Join(world.SearchList, " "),
			}},
			{"given DNS and search list", []string{"--dhcp-dns", "--dhcp-search", "-D", "192.0.2.53", "-D", "192.0.2.54", "-S", "a.example b.a.example"}, lease{
				"new_domain_name_servers": "192.0.2.53 192.0.2.54", "new_domain_search": "a.example b.a.example",
			}},
		} {
			t.Run(client.name+" "+tc.name, func(t *testing.T) {
				world.Needs(t, client.name)
				if client.name == "dhcpcd" && !world.AsRoot {
					t.Skip("dhcpcd needs several user IDs")
				}
				in := start(t, tc.args...)
				l := dhcp(t, in, client.args, client.names)
				for k, want := range tc.want {
					if got := strings.ReplaceAll(l[k], ". ", " "); strings.TrimSuffix(got, ".") != want {
						t.Errorf("%s=%q, want %q", k, l[k], want)
					}
				}
				// And the namespace works with it.
				world.Exchange(t, in.ns, world.Peer, "tcp", world.PeerV4, 7700, 1000)
			})
		}
	}
}

func TestNoDHCP(t *testing.T) {
	needsPasta(t)
	world.Needs(t, "udhcpc")
	in := start(t, "--no-dhcp")
	if _, err := in.ns.Run(time.Second, "ip", "link", "set", in.ifname, "up"); err != nil {
		t.Fatal(err)
	}
	if _, err := in.ns.Run(10*time.Second, "udhcpc", "-f", "-q", "-n", "-t", "2", "-T", "1", "-s", "/bin/true", "-i", in.ifname); err == nil {
		t.Error("a lease came in spite of --no-dhcp")
	}
}
