package e2e

import (
	"strings"
	"testing"
	"time"

	"passt/tests/world"
)

func TestDHCP(t *testing.T) {
	needsPasta(t)
	for _, client := range world.DHCPClients {
		for _, tc := range []struct {
			name string
			args []string
			want world.Lease
		}{
			{"as the host", nil, world.Lease{
				"new_ip_address": world.HostV4, "new_subnet_mask": "255.255.255.0", "new_routers": world.GateV4, "new_interface_mtu": "65520",
				"new_domain_name_servers": "", "new_domain_search": "",
			}},
			{"given addresses", []string{"-a", "192.0.2.55", "-n", "25", "-g", "192.0.2.1", "-m", "1400"}, world.Lease{
				"new_ip_address": "192.0.2.55", "new_subnet_mask": "255.255.255.128", "new_routers": "192.0.2.1", "new_interface_mtu": "1400",
			}},
			{"router outside the subnet", []string{"-a", "192.0.2.55", "-n", "32", "-g", "203.0.113.1"}, world.Lease{
				"new_ip_address": "192.0.2.55", "new_subnet_mask": "255.255.255.255", "new_routers": "203.0.113.1",
			}},
			{"no MTU", []string{"-m", "0"}, world.Lease{"new_ip_address": world.HostV4, "new_interface_mtu": ""}},
			{"DNS and search list", []string{"--dhcp-dns", "--dhcp-search"}, world.Lease{
				"new_ip_address": world.HostV4, "new_domain_name_servers": world.PeerV4, "new_domain_search": strings.Join(world.SearchList, " "),
			}},
			{"given DNS and search list", []string{"--dhcp-dns", "--dhcp-search", "-D", "192.0.2.53", "-D", "192.0.2.54", "-S", "a.example b.a.example"}, world.Lease{
				"new_domain_name_servers": "192.0.2.53 192.0.2.54", "new_domain_search": "a.example b.a.example",
			}},
		} {
			t.Run(client.Name+" "+tc.name, func(t *testing.T) {
				world.Needs(t, client.Name)
				in := start(t, tc.args...)
				client.Run(t, in.ns, in.ifname).Check(t, tc.want)
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
