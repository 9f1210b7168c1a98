package guest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"passt/tests/world"
)

// onTap runs passt on a tap in a new namespace, in place of a virtual machine, and brings
// the interface up.
func onTap(t *testing.T, args ...string) *world.NS {
	t.Helper()
	n := newStandin(t)
	tap, err := world.OpenTap(n, "eth0", false)
	if err != nil {
		t.Fatal(err)
	}
	startDescriptor(t, tap, args...)
	if err := world.Batch(n, "link set eth0 up"); err != nil {
		t.Fatal(err)
	}
	world.Eventually(t, 5*time.Second, func() error { // a client for IPv6 needs it
		out, err := n.Run(5*time.Second, "ip", "-6", "-o", "addr", "show", "dev", "eth0", "scope", "link")
		if err == nil && (out == "" || strings.Contains(out, "tentative")) {
			err = fmt.Errorf("no link-local address: %q", out)
		}
		return err
	})
	return n
}

// TestNames asks real clients what they learn of names: name servers, search lists, and
// the guest's own.
func TestNames(t *testing.T) {
	const (
		dns4, search, name = "new_domain_name_servers", "new_domain_search", "new_host_name"
		dns6, search6      = "new_dhcp6_name_servers", "new_dhcp6_domain_search"
		fqdn               = "new_fqdn_fqdn" // of both; dhclient's only
	)
	list := strings.Join(world.SearchList, " ")
	for _, tc := range []struct {
		name string
		args []string
		want world.Lease
	}{
		{"the host's", nil, world.Lease{dns4: world.PeerV4, dns6: world.PeerV6, search: list, search6: list, name: "", fqdn: ""}},
		{"given", []string{"-D", "192.0.2.53", "-D", "2001:db8::53", "-D", "192.0.2.54", "-S", "a.example b.a.example"}, world.Lease{
			dns4: "192.0.2.53 192.0.2.54", dns6: "2001:db8::53", search: "a.example b.a.example", search6: "a.example b.a.example"}},
		{"no name servers by DHCP", []string{"--no-dhcp-dns"}, world.Lease{dns4: "", dns6: "", search: list, search6: list}},
		{"no search list by DHCP", []string{"--no-dhcp-search"}, world.Lease{dns4: world.PeerV4, dns6: world.PeerV6, search: "", search6: ""}},
		{"none of either", []string{"-D", "none", "-S", "none"}, world.Lease{dns4: "", dns6: "", search: "", search6: ""}},
		{"names of the guest", []string{"-H", "vm1", "--fqdn", "vm1.corp.example"}, world.Lease{
			dns4: world.PeerV4, name: "vm1", fqdn: "vm1.corp.example"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := onTap(t, tc.args...)
			clients := append([]world.DHCPClient{world.DHClient6}, world.DHCPClients...)
			for i := range clients {
				c := &clients[i]
				t.Run(c.Name, func(t *testing.T) {
					want := make(world.Lease)
					for k, v := range tc.want {
						if k == fqdn && c.Name == "dhclient" || k != fqdn && strings.Contains(k, "dhcp6") == (i == 0) {
							want[k] = v
						}
					}
					c.Run(t, n, "eth0").Check(t, want)
					world.Batch(n, "addr flush dev eth0 scope global") // for the next client
				})
			}
		})
	}
}
