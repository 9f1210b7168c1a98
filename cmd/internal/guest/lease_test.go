package guest

import (
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

func TestDecide(t *testing.T) {
	ip := func(s string) net.IP { return net.ParseIP(s) }
	network := func(s string) *net.IPNet {
		_, n, err := net.ParseCIDR(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	mask := func(bits int) dhcpv4.Modifier {
		return dhcpv4.WithOption(dhcpv4.OptSubnetMask(net.CIDRMask(bits, 32)))
	}
	router := func(list ...string) dhcpv4.Modifier {
		var ips []net.IP
		for _, s := range list {
			ips = append(ips, ip(s))
		}
		return dhcpv4.WithOption(dhcpv4.OptRouter(ips...))
	}
	to := func(dst, via string) route {
		r := route{dst: netip.MustParsePrefix(dst)}
		if via != "" {
			r.via = netip.MustParseAddr(via)
		}
		return r
	}
	for _, tt := range []struct {
		name   string
		addr   string
		mods   []dhcpv4.Modifier
		want   string
		mtu    int
		routes []route
	}{
		{name: "address, mask and router", addr: "192.0.2.2", mods: []dhcpv4.Modifier{mask(24), router("192.0.2.1")},
			want: "192.0.2.2/24", routes: []route{to("0.0.0.0/0", "192.0.2.1")}},
		{name: "no router", addr: "192.0.2.2", mods: []dhcpv4.Modifier{mask(24)}, want: "192.0.2.2/24"},
		{name: "router 0.0.0.0", addr: "192.0.2.2", mods: []dhcpv4.Modifier{mask(24), router("0.0.0.0")}, want: "192.0.2.2/24"},
		{name: "the first of two routers", addr: "192.0.2.2", mods: []dhcpv4.Modifier{mask(24), router("192.0.2.1", "192.0.2.7")},
			want: "192.0.2.2/24", routes: []route{to("0.0.0.0/0", "192.0.2.1")}},
		{name: "router outside of the subnet", addr: "192.0.2.2", mods: []dhcpv4.Modifier{mask(32), router("198.51.100.1")},
			want: "192.0.2.2/32", routes: []route{to("198.51.100.1/32", ""), to("0.0.0.0/0", "198.51.100.1")}},
		{name: "classless routes replace the router", addr: "192.0.2.2", mods: []dhcpv4.Modifier{mask(32), router("192.0.2.1"),
			dhcpv4.WithOption(dhcpv4.OptClasslessStaticRoute(
				&dhcpv4.Route{Dest: network("198.51.100.1/32"), Router: ip("0.0.0.0")},
				&dhcpv4.Route{Dest: network("0.0.0.0/0"), Router: ip("198.51.100.1")}))},
			want: "192.0.2.2/32", routes: []route{to("198.51.100.1/32", ""), to("0.0.0.0/0", "198.51.100.1")}},
		{name: "no mask: that of the class", addr: "192.0.2.2", want: "192.0.2.2/24"},
		{name: "MTU", addr: "192.0.2.2", mods: []dhcpv4.Modifier{mask(24), dhcpv4.WithGeneric(dhcpv4.OptionInterfaceMTU, []byte{5, 0xdc})},
			want: "192.0.2.2/24", mtu: 1500},
		{name: "MTU of the wrong length", addr: "192.0.2.2", mods: []dhcpv4.Modifier{mask(24), dhcpv4.WithGeneric(dhcpv4.OptionInterfaceMTU, []byte{5})},
			want: "192.0.2.2/24"},
		{name: "no address", addr: "0.0.0.0", mods: []dhcpv4.Modifier{mask(24)}},
		{name: "mask with holes", addr: "192.0.2.2", mods: []dhcpv4.Modifier{dhcpv4.WithOption(dhcpv4.OptSubnetMask(net.IPMask{255, 0, 255, 0}))}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ack, err := dhcpv4.New(append(tt.mods, dhcpv4.WithYourIP(ip(tt.addr)))...)
			if err != nil {
				t.Fatal(err)
			}
			if ack, err = dhcpv4.FromBytes(ack.ToBytes()); err != nil {
				t.Fatal(err)
			}
			got, err := decide(ack)
			if tt.want == "" {
				if err == nil {
					t.Fatalf("got %+v, want an error", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.addr.String() != tt.want || got.mtu != tt.mtu || !slices.Equal(got.routes, tt.routes) {
				t.Errorf("got %+v, want %s, MTU %d, routes %v", got, tt.want, tt.mtu, tt.routes)
			}
		})
	}
}
