package world

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// leaseScript is what DHCP clients call with a lease. It keeps the client's variables and
// makes the interface as the lease says, in the way of the clients' own scripts, but touches
// nothing outside the namespace.
const leaseScript = `#!/bin/sh
env > "$WORLD_LEASE.$$"
if [ "$WORLD_SELF" ]; then # the client makes the interface itself
	case "$reason" in BOUND*) mv "$WORLD_LEASE.$$" "$WORLD_LEASE" ;; *) rm -f "$WORLD_LEASE.$$" ;; esac
	exit 0
fi
case "$reason$1" in
PREINIT*|deconfig) ip link set dev "$interface" up; rm -f "$WORLD_LEASE.$$"; exit 0 ;;
BOUND|bound|renew|BOUND6) ;;
*) rm -f "$WORLD_LEASE.$$"; exit 0 ;;
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
mv "$WORLD_LEASE.$$" "$WORLD_LEASE"
`

// Lease is what a client learned, under the names of the options that its kind of script
// gets, brought to those of dhclient.
type Lease map[string]string

// DHCPClient is a real client: what it is called, its command line, which ends once it has a
// lease, and its script's variable for each of dhclient's.
type DHCPClient struct {
	Name  string
	args  func(dir, ifname string) []string
	names map[string]string
}

// DHCPClients are those for IPv4.
var DHCPClients = []DHCPClient{
	{"dhclient", func(dir, ifname string) []string {
		return []string{"dhclient", "-4", "-1", "-v", "-sf", dir + "/script", "-lf", dir + "/leases", "-pf", dir + "/pid",
			"-cf", dir + "/dhclient.conf", "-e", "WORLD_LEASE=" + dir + "/lease", ifname}
	}, nil},
	{"udhcpc", func(dir, ifname string) []string {
		return []string{"env", "WORLD_LEASE=" + dir + "/lease", "udhcpc", "-f", "-q", "-n", "-t", "5", "-T", "1",
			"-O", "mtu", "-O", "dns", "-O", "search", "-O", "router", "-O", "hostname", "-s", dir + "/script", "-i", ifname}
	}, map[string]string{
		"new_ip_address": "ip", "new_subnet_mask": "subnet", "new_routers": "router", "new_interface_mtu": "mtu",
		"new_domain_name_servers": "dns", "new_domain_search": "search", "new_dhcp_lease_time": "lease", "new_host_name": "hostname",
	}},
	{"dhcpcd", func(dir, ifname string) []string {
		return []string{"dhcpcd", "-4", "-1", "-B", "-L", "-d", "--noarp", "-f", dir + "/dhcpcd.conf", "-t", "10",
			"-e", "WORLD_LEASE=" + dir + "/lease", "-e", "WORLD_SELF=1", "-c", dir + "/script", ifname}
	}, nil},
}

// DHClient6 is dhclient for IPv6.
var DHClient6 = DHCPClient{"dhclient", func(dir, ifname string) []string {
	return []string{"dhclient", "-6", "-1", "-v", "-sf", dir + "/script", "-lf", dir + "/leases6", "-pf", dir + "/pid",
		"-cf", dir + "/dhclient.conf", "-e", "WORLD_LEASE=" + dir + "/lease", ifname}
}, nil}

// Run runs the client on an interface of a namespace and returns its lease.
func (c *DHCPClient) Run(t *testing.T, n *NS, ifname string) Lease {
	t.Helper()
	Needs(t, c.Name)
	if c.Name == "dhcpcd" && !AsRoot {
		t.Skip("dhcpcd needs several user IDs")
	}
	dir := ScratchDir(t)
	for name, text := range map[string]string{
		"script": leaseScript,
		"dhclient.conf": "timeout 10;\nrequest subnet-mask, routers, interface-mtu, domain-name-servers, domain-search, host-name;\n" +
			"send fqdn.fqdn \"asks.example.\";\nsend fqdn.encoded on;\nalso request fqdn.fqdn, dhcp6.fqdn, dhcp6.name-servers, dhcp6.domain-search;\n",
		"dhcpcd.conf": "option domain_name_servers, domain_search, interface_mtu, host_name\nnoipv6rs\n",
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
	argv := c.args(dir, ifname)
	// dhclient goes to the background with a lease: its output is not waited for, and it is ended by its pid file.
	out, err := n.Run(20*time.Second, append([]string{"sh", "-c", `log=$1; shift; "$@" >"$log" 2>&1 </dev/null`, "sh", dir + "/out"}, argv...)...)
	log, _ := os.ReadFile(dir + "/out")
	t.Cleanup(func() {
		if pid, err := os.ReadFile(dir + "/pid"); err == nil {
			n.Run(time.Second, "kill", strings.TrimSpace(string(pid))) // gone already is fine
		}
	})
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, log)
	}
	b, err := os.ReadFile(dir + "/lease")
	if err != nil {
		t.Fatalf("no lease: %v\n%s", err, log)
	}
	l := make(Lease)
	for line := range strings.SplitSeq(string(b), "\n") {
		if k, v, ok := strings.Cut(line, "="); ok {
			l[k] = v
		}
	}
	for want, has := range c.names {
		l[want] = l[has]
	}
	return l
}

// Check fails the test where the lease is not as it should be. Lists of names compare without
// the dots at their ends.
func (l Lease) Check(t *testing.T, want Lease) {
	t.Helper()
	for k, want := range want {
		if got := strings.ReplaceAll(l[k], ". ", " "); strings.TrimSuffix(got, ".") != want {
			t.Errorf("%s=%q, want %q", k, l[k], want)
		}
	}
}
