package hostinfo

import (
	"errors"
	"strings"
	"testing"

	"passt/cmd/internal/conf"
)

func TestDescribe(t *testing.T) {
	passt := func(o *conf.Options) { o.Mode, o.DHCPDNS, o.DHCPSearch = conf.ModePasst, true, true }
	for _, tc := range []struct {
		name string
		host host
		set  func(*conf.Options)
		want []string
	}{
		{"pasta", home(), func(*conf.Options) {}, []string{
			"Outbound interface: eth0, namespace interface: eth0",
			"ARP:", "    address: 02:00:00:00:00:02",
			"DHCP:", "    assign: 192.168.1.118", "    mask: 255.255.255.0", "    router: 192.168.1.1",
			"NDP/DHCPv6:", "    assign: 2001:db8:a::5", "    router: fe80::1:1"}},
		{"passt", home().resolv("nameserver 192.0.2.53\nsearch a.example b.example\n"), passt, []string{
			"Outbound interface: eth0",
			"ARP:", "    address: 02:00:00:00:00:02",
			"DHCP:", "    assign: 192.168.1.118", "    mask: 255.255.255.0", "    router: 192.168.1.1",
			"    DNS:", "        192.0.2.53", "    search:", "        a.example", "        b.example",
			"NDP/DHCPv6:", "    assign: 2001:db8:a::5", "    router: fe80::1:1",
			"    search:", "        a.example", "        b.example"}},
		{"local mode", newHost(), func(*conf.Options) {}, []string{
			"Outbound interface: none, local mode, namespace interface: tap0",
			"ARP:", "    address: 9a:55:9a:55:9a:55",
			"DHCP:", "    assign: 169.254.2.1", "    mask: 255.255.0.0", "    router: 169.254.2.2",
			"NDP/DHCPv6:", "    router: fe80::1"}},
		{"two interfaces, bound sockets, no services", two(), func(o *conf.Options) {
			out4Opt("eth1")(o)
			o.OutAddr[v4] = ips("10.0.0.2")[0]
			o.NoDHCP, o.NoRA, o.NoDHCPv6, o.ConfigNet = true, true, true, false
		}, []string{
			"Outbound interface: eth1 (IPv4), eth0 (IPv6), namespace interface: eth1",
			"IPv4 sockets bound to address: 10.0.0.2",
			"ARP:", "    address: 02:00:00:00:00:03"}},
		{"socket interface apart, -4, no DHCP", two(), func(o *conf.Options) {
			ifOpt("eth0")(o)
			out4Opt("eth1")(o)
			o.IPv4Only, o.NoDHCP = true, true
		}, []string{
			"Outbound interface: eth0 (IPv4 only), namespace interface: eth0",
			"IPv4 sockets bound to interface: eth1",
			"ARP:", "    address: 02:00:00:00:00:02",
			"IPv4:", "    assign: 192.168.1.118", "    mask: 255.255.255.0", "    router: 192.168.1.1"}},
		{"no gateway", two(), func(o *conf.Options) {
			ifOpt("eth1")(o)
			o.IPv4Only, o.ConfigNet = true, false
		}, []string{
			"Outbound interface: eth1 (IPv4 only), namespace interface: eth1",
			"ARP:", "    address: 02:00:00:00:00:03"}},
		{"no gateway, namespace configured", two(), func(o *conf.Options) {
			ifOpt("eth1")(o)
			only4(o)
		}, []string{
			"Outbound interface: eth1 (IPv4 only), namespace interface: eth1",
			"ARP:", "    address: 02:00:00:00:00:03",
			"IPv4:", "    assign: 10.0.0.2", "    mask: 255.0.0.0"}},
		{"name servers that nothing passes", home().resolv("nameserver 192.0.2.53\nnameserver 2001:db8::53\n"), func(o *conf.Options) {
			o.DHCPDNS, o.NoDHCP, o.NoRA, o.NoDHCPv6 = true, true, true, true
		}, []string{
			"Outbound interface: eth0, namespace interface: eth0",
			"ARP:", "    address: 02:00:00:00:00:02",
			"IPv4:", "    assign: 192.168.1.118", "    mask: 255.255.255.0", "    router: 192.168.1.1",
			"IPv6:", "    assign: 2001:db8:a::5", "    router: fe80::1:1"}},
		{"no interface in the namespace", home(), func(o *conf.Options) { o.SpliceOnly = true }, []string{
			"Namespace interface: none, forwarded ports only"}},
		{"-6, NDP only, no gateway", newHost().link("wg0", "fd09::2/128").noMAC().route("default6 dev wg0"), func(o *conf.Options) {
			o.IPv6Only, o.NoDHCPv6 = true, true
		}, []string{
			"Outbound interface: wg0 (IPv6 only), namespace interface: wg0",
			"ARP:", "    address: 9a:55:9a:55:9a:55",
			"NDP:", "    assign: fd09::2", "    router: fe80::1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := options(tc.set)
			n, _, err := decide(tc.host.f, o, nil)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			n.Describe(&b, o)
			if want := strings.Join(tc.want, "\n") + "\n"; b.String() != want {
				t.Errorf("got\n%swant\n%s", b.String(), want)
			}
		})
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("closed") }

func TestDescribeToNowhere(t *testing.T) {
	n, _, err := decide(home().f, options(), nil)
	if err != nil {
		t.Fatal(err)
	}
	n.Describe(brokenWriter{}, options()) // standard error may be closed
}
