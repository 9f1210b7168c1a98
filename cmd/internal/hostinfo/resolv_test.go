package hostinfo

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func ips(s ...string) (out []netip.Addr) {
	for _, a := range s {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func TestParseResolvConf(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		servers  []netip.Addr
		search   []string
	}{
		{name: "empty"},
		{name: "plain", in: "nameserver 192.0.2.1\nnameserver 2001:db8::1\nsearch example.org lab.example.org\n",
			servers: ips("192.0.2.1", "2001:db8::1"), search: []string{"example.org", "lab.example.org"}},
		{name: "tabs, blanks, CR, no newline at the end", in: "nameserver\t 192.0.2.1 \r\nsearch \t a.example\t",
			servers: ips("192.0.2.1"), search: []string{"a.example"}},
		{name: "comments", in: "# nameserver 1.1.1.1\n;nameserver 2.2.2.2\nnameserver 192.0.2.1 # mine\n", servers: ips("192.0.2.1")},
		{name: "keyword not in the first column", in: " nameserver 192.0.2.1\n"},
		{name: "keyword alone", in: "nameserver\nsearch\n"},
		{name: "longer keyword", in: "nameservers 192.0.2.1\n"},
		{name: "not an address", in: "nameserver localhost\nnameserver 300.1.1.1\nnameserver 192.0.2.1\n", servers: ips("192.0.2.1")},
		{name: "twice the same", in: "nameserver 192.0.2.1\nnameserver 192.0.2.1\n", servers: ips("192.0.2.1")},
		{name: "more than three", in: "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n",
			servers: ips("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4")},
		{name: "zone", in: "nameserver fe80::1%eth0\n", servers: ips("fe80::1%eth0")},
		{name: "IPv4-mapped", in: "nameserver ::ffff:192.0.2.1\n", servers: ips("192.0.2.1")},
		{name: "unspecified", in: "nameserver 0.0.0.0\nnameserver ::\n", servers: ips("127.0.0.1", "::1")},
		{name: "last of search and domain counts", in: "search a.example b.example\ndomain c.example\n", search: []string{"c.example"}},
		{name: "domain then search", in: "domain c.example\nsearch a.example b.example\n", search: []string{"a.example", "b.example"}},
		{name: "domain has one name", in: "domain c.example d.example\n", search: []string{"c.example"}},
		{name: "names that DNS cannot carry", in: "search . a..b " + strings.Repeat("x", 64) + ".example " +
			strings.Repeat("abcdefg.", 32) + "ex é.example ok.example. ok.example\n", search: []string{"ok.example"}},
		{name: "options ignored", in: "options edns0 trust-ad\nsortlist 1.2.3.4\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := ParseResolvConf(strings.NewReader(tc.in))
			if err != nil || !slices.Equal(got.Nameservers, tc.servers) || !slices.Equal(got.Search, tc.search) {
				t.Errorf("got %v, error %v; want %v %v", got, err, tc.servers, tc.search)
			}
		})
	}
}

func TestParseResolvConfError(t *testing.T) {
	want := errors.New("disk on fire")
	if _, err := ParseResolvConf(iotest.ErrReader(want)); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func FuzzParseResolvConf(f *testing.F) {
	f.Add("nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch fritz.box\n")
	f.Add("domain a.example\r\nnameserver fe80::1%3\n")
	f.Add("search . .. \x00 \xff\n")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseResolvConf(strings.NewReader(s))
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range c.Nameservers {
			if !a.IsValid() || a.Is4In6() || a.IsUnspecified() {
				t.Errorf("nameserver %v", a)
			}
		}
		for _, name := range c.Search {
			if !isDomain(name) {
				t.Errorf("search %q", name)
			}
		}
	})
}
