package guest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"passt/tests/world"
)

// leaseScript is what DHCP clients call with a lease: it keeps the client's variables in
// /tmp/lease, and makes the interface as the lease says.
const leaseScript = `#!/bin/sh
case "$reason$1" in
PREINIT*|deconfig) ip link set dev "$interface" up; exit 0 ;;
BOUND|bound|renew|BOUND6) ;;
*) exit 0 ;;
esac
env > /tmp/lease
[ "$reason" != BOUND6 ] || exec ip -6 addr add "$new_ip6_address/$new_ip6_prefixlen" dev "$interface"
addr=${new_ip_address:-$ip} mask=${new_subnet_mask:-$subnet} router=${new_routers:-$router} mtu=${new_interface_mtu:-$mtu}
ip -4 addr flush dev "$interface"
[ -z "$mtu" ] || ip link set dev "$interface" mtu "$mtu"
ip -4 addr add "$addr/$mask" dev "$interface"
ip -4 route add default via "${router%% *}" dev "$interface"
`

const dhclientConf = `timeout 20;
request subnet-mask, routers, interface-mtu, domain-name-servers, domain-search, host-name;
also request dhcp6.name-servers, dhcp6.domain-search;
`

// Command lines of DHCP clients in the guest; each ends, or goes to the background, once it
// has a lease.
const (
	runUdhcpc    = "udhcpc -f -q -n -t 5 -T 2 -O mtu -O dns -O search -O router -s /bin/lease-script -i eth0"
	runDhclient  = "dhclient -4 -1 -v -sf /bin/lease-script -cf /etc/dhclient.conf -lf /tmp/leases -pf /tmp/pid eth0"
	runDhclient6 = "dhclient -6 -1 -v -sf /bin/lease-script -cf /etc/dhclient.conf -lf /tmp/leases6 -pf /tmp/pid6 eth0"
)

// lease runs a client in the guest and returns its variables. names says what the client calls
// those that dhclient's script gets.
func lease(t *testing.T, v *vm, client string, names map[string]string) map[string]string {
	t.Helper()
	// A client that goes to the background keeps its output open.
	v.sh(t, 40*time.Second, "rm -f /tmp/lease; "+client+" >/tmp/client 2>&1 </dev/null || { cat /tmp/client; exit 1; }")
	l := make(map[string]string)
	for line := range strings.Lines(v.sh(t, 5*time.Second, "cat /tmp/lease; kill $(cat /tmp/pid /tmp/pid6 2>/dev/null) 2>/dev/null; true")) {
		if k, val, ok := strings.Cut(strings.TrimRight(line, "\n"), "="); ok {
			l[k] = val
		}
	}
	for want, has := range names {
		l[want] = l[has]
	}
	return l
}

// configure brings the guest's interface up with a lease, and waits for its IPv6 addresses.
func configure(t *testing.T, v *vm) {
	t.Helper()
	lease(t, v, runUdhcpc, nil)
	waitIPv6(t, v)
}

// waitIPv6 waits for a global IPv6 address and a default route, as router advertisements
// bring them.
func waitIPv6(t *testing.T, v *vm) {
	t.Helper()
	world.Eventually(t, 15*time.Second, func() error {
		out, err := v.try(5*time.Second, "ip -6 addr show dev eth0; ip -6 route")
		if err != nil {
			return err
		}
		if !strings.Contains(out, "scope global") || strings.Contains(out, "tentative") || !strings.Contains(out, "default via fe80:") {
			return fmt.Errorf("no usable IPv6:\n%s", out)
		}
		return nil
	})
}
