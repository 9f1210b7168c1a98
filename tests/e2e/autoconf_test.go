package e2e

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/tests/world"
)

func TestDHCPv6(t *testing.T) {
	needsPasta(t)
	world.Needs(t, "dhclient")
	for _, tc := range []struct {
		name string
		args []string
		want world.Lease
	}{
		{"as the host", nil, world.Lease{"new_ip6_address": world.HostV6, "new_dhcp6_name_servers": "", "new_dhcp6_domain_search": ""}},
		{"given address", []string{"-a", "2001:db8:77::5"}, world.Lease{"new_ip6_address": "2001:db8:77::5"}},
		{"DNS and search list", []string{"--dhcp-dns", "--dhcp-search"}, world.Lease{
			"new_ip6_address": world.HostV6, "new_dhcp6_name_servers": world.PeerV6, "new_dhcp6_domain_search": strings.Join(world.SearchList, " "),
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := start(t, tc.args...)
			bringUp(t, in)
			world.DHClient6.Run(t, in.ns, in.ifname).Check(t, tc.want)
			if got := addressList(t, in.ns, in.ifname); !slices.ContainsFunc(got, func(s string) bool {
				return strings.HasPrefix(s, tc.want["new_ip6_address"]+"/")
			}) {
				t.Errorf("addresses %v lack the leased one", got)
			}
		})
	}
}

// bringUp sets the interface up and waits until its link-local address can be used.
func bringUp(t *testing.T, in *instance) {
	t.Helper()
	if err := world.Sysctl(in.ns, "net.ipv6.conf."+in.ifname+".accept_dad", "0"); err != nil {
		t.Fatal(err)
	}
	if _, err := in.ns.Run(time.Second, "ip", "link", "set", in.ifname, "up"); err != nil {
		t.Fatal(err)
	}
	world.Eventually(t, 3*time.Second, func() error {
		out, err := in.ns.Run(time.Second, "ip", "-6", "-o", "addr", "show", "dev", in.ifname, "scope", "link")
		if err == nil && (out == "" || strings.Contains(out, "tentative")) {
			err = fmt.Errorf("no link-local address: %q", out)
		}
		return err
	})
}

func TestSLAAC(t *testing.T) {
	needsPasta(t)
	for _, tc := range []struct {
		name   string
		args   []string
		prefix string
		mtu    string
	}{
		{"as the host", nil, "2001:db8:9::", "65520"},
		{"given address and MTU", []string{"-a", "2001:db8:77::5", "-m", "1400"}, "2001:db8:77::", "1400"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := start(t, tc.args...)
			bringUp(t, in)
			prefix := netip.MustParsePrefix(tc.prefix + "/64")
			world.Eventually(t, 5*time.Second, func() error {
				addrs, err := addresses(in.ns, in.ifname)
				if err != nil {
					return err
				}
				for _, a := range addrs {
					if ip, err := netip.ParseAddr(a.Local); err == nil && prefix.Contains(ip) && !a.Tentative {
						return nil
					}
				}
				return fmt.Errorf("no address of %v among %v", prefix, addrs)
			})
			if got := defaultRoute(t, in.ns, "-6"); got == "" {
				t.Error("no default route")
			}
			var mtu string
			if err := in.ns.Do(func() error {
				b, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + in.ifname + "/mtu")
				mtu = strings.TrimSpace(string(b))
				return err
			}); err != nil {
				t.Fatal(err)
			}
			// The kernel takes an advertised MTU only up to the device's own; see the advertisement itself below for the rest.
			if dev := fmt.Sprint(links(t, in.ns)[in.ifname].MTU); mtu != tc.mtu && mtu != dev {
				t.Errorf("IPv6 MTU %s, want %s", mtu, tc.mtu)
			}
			if tc.args == nil {
				world.Exchange(t, in.ns, world.Peer, "tcp", world.PeerV6, 7700, 1000)
			}
		})
	}
}

// advertisement is what the tests look at in a Router Advertisement (RFC 4861, section 4.2).
type advertisement struct {
	from     netip.Addr
	hopLimit int
	lifetime int
	prefixes []string // with flags: "2001:db8::/64 LA"
	mtu      uint32
	mac      net.HardwareAddr
	rdnss    []string
	dnssl    []string
}

// solicit asks for a Router Advertisement and parses it. It returns nil if none comes.
func solicit(t *testing.T, in *instance) *advertisement {
	t.Helper()
	pc, err := in.ns.ListenPacket("ip6:58", "::")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	c := pc.(*net.IPConn)
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var optErr error
	raw.Control(func(fd uintptr) {
		optErr = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255)
	})
	if optErr != nil {
		t.Fatal(optErr)
	}
	buf := make([]byte, 2000)
	for range 5 {
		// Router Solicitation; the kernel fills in the checksum.
		if _, err := c.WriteTo([]byte{133, 0, 0, 0, 0, 0, 0, 0}, &net.IPAddr{IP: net.ParseIP("ff02::2"), Zone: in.ifname}); err != nil {
			t.Fatal(err)
		}
		c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				break
			}
			if n >= 16 && buf[0] == 134 {
				ra := parseAdvertisement(t, buf[:n])
				ra.from, _ = netip.AddrFromSlice(from.(*net.IPAddr).IP)
				return ra
			}
		}
	}
	return nil
}

func parseAdvertisement(t *testing.T, b []byte) *advertisement {
	t.Helper()
	ra := &advertisement{hopLimit: int(b[4]), lifetime: int(binary.BigEndian.Uint16(b[6:]))}
	for b = b[16:]; len(b) > 0; {
		if len(b) < 8 || b[1] == 0 || int(b[1])*8 > len(b) {
			t.Fatalf("an option does not fit: % x", b)
		}
		opt := b[:int(b[1])*8]
		b = b[len(opt):]
		switch opt[0] {
		case 1:
			ra.mac = net.HardwareAddr(opt[2:8])
		case 3:
			flags := ""
			if opt[3]&0x80 != 0 {
				flags += "L"
			}
			if opt[3]&0x40 != 0 {
				flags += "A"
			}
			ra.prefixes = append(ra.prefixes, fmt.Sprintf("%v/%d %s", netip.AddrFrom16([16]byte(opt[16:32])), opt[2], flags))
		case 5:
			ra.mtu = binary.BigEndian.Uint32(opt[4:])
		case 25:
			for a := opt[8:]; len(a) >= 16; a = a[16:] {
				ra.rdnss = append(ra.rdnss, netip.AddrFrom16([16]byte(a)).String())
			}
		case 31:
			ra.dnssl = append(ra.dnssl, parseNames(opt[8:])...)
		}
	}
	return ra
}

// parseNames reads DNS names without compression, padded with zeros.
func parseNames(b []byte) []string {
	var names, labels []string
	for len(b) > 0 {
		n := int(b[0])
		if n == 0 {
			if labels != nil {
				names = append(names, strings.Join(labels, "."))
			}
			labels, b = nil, b[1:]
			continue
		}
		if n+1 > len(b) {
			return append(names, "(cut short)")
		}
		labels, b = append(labels, string(b[1:1+n])), b[1+n:]
	}
	return names
}

func TestRouterAdvertisement(t *testing.T) {
	needsPasta(t)
	for _, tc := range []struct {
		name string
		args []string
		want *advertisement // nil: none at all
	}{
		{"default", nil, &advertisement{prefixes: []string{"2001:db8:9::/64 A"}, mtu: 65520}},
		{"DNS and search list", []string{"--dhcp-dns", "--dhcp-search"}, &advertisement{
			prefixes: []string{"2001:db8:9::/64 A"}, mtu: 65520, rdnss: []string{world.PeerV6}, dnssl: world.SearchList}},
		{"given", []string{"-a", "2001:db8:77::5", "-m", "1280", "-D", "2001:db8::53", "-S", "x.example", "--dhcp-dns", "--dhcp-search"},
			&advertisement{prefixes: []string{"2001:db8:77::/64 A"}, mtu: 1280, rdnss: []string{"2001:db8::53"}, dnssl: []string{"x.example"}}},
		{"no MTU", []string{"-m", "0"}, &advertisement{prefixes: []string{"2001:db8:9::/64 A"}}},
		{"--no-ra", []string{"--no-ra"}, nil},
		{"--no-ndp", []string{"--no-ndp"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := start(t, tc.args...)
			bringUp(t, in)
			got := solicit(t, in)
			if (got == nil) != (tc.want == nil) {
				t.Fatalf("advertisement %+v, want %+v", got, tc.want)
			}
			if got == nil {
				return
			}
			if !got.from.IsLinkLocalUnicast() || got.lifetime == 0 || len(got.mac) != 6 {
				t.Errorf("from %v, lifetime %d, hardware address %v: want a link-local router with both", got.from, got.lifetime, got.mac)
			}
			for i, p := range got.prefixes { // on-link or not: both are sound
				got.prefixes[i] = strings.Replace(p, " LA", " A", 1)
			}
			for what, pair := range map[string][2]any{
				"prefixes": {got.prefixes, tc.want.prefixes}, "MTU": {got.mtu, tc.want.mtu},
				"RDNSS": {got.rdnss, tc.want.rdnss}, "DNSSL": {got.dnssl, tc.want.dnssl},
			} {
				if fmt.Sprint(pair[0]) != fmt.Sprint(pair[1]) {
					t.Errorf("%s %v, want %v", what, pair[0], pair[1])
				}
			}
		})
	}
}
