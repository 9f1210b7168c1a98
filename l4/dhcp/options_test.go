package dhcp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/rfc1035label"
)

// allOptions is the options of the message m with the wire form b, those in file and
// sname included.
func allOptions(m *dhcpv4.DHCPv4, b []byte) (dhcpv4.Options, error) {
	o := m.Options
	v := m.Options.Get(dhcpv4.OptionOptionOverload)
	if len(v) != 1 {
		if v != nil {
			return nil, fmt.Errorf("overload option % x", v)
		}
		if !isZero(b[44:236]) {
			return nil, fmt.Errorf("something in sname or file")
		}
		return o, nil
	}
	if v[0] == 0 || v[0] > 3 {
		return nil, fmt.Errorf("overload option % x", v)
	}
	for _, field := range []struct {
		bit byte
		b   []byte
	}{{1, b[108:236]}, {2, b[44:108]}} {
		if v[0]&field.bit == 0 {
			if !isZero(field.b) {
				return nil, fmt.Errorf("something in field %d", field.bit)
			}
			continue
		}
		if !bytes.Contains(field.b, []byte{255}) {
			return nil, fmt.Errorf("no end in field %d", field.bit)
		}
		if err := o.FromBytes(field.b); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// ask sends m to a Server of cfg and returns the options of the answer, and its length.
func ask(t *testing.T, cfg Config, m *dhcpv4.DHCPv4) (dhcpv4.Options, int) {
	t.Helper()
	got := newClient(t, cfg).Send(nowhere, everywhere, m.ToBytes())
	if len(got) != 1 {
		t.Fatalf("got %d answers, want 1", len(got))
	}
	a, err := dhcpv4.FromBytes(got[0].Payload)
	if err != nil {
		t.Fatal(err)
	}
	o, err := allOptions(a, got[0].Payload)
	if err != nil {
		t.Fatal(err)
	}
	return o, len(got[0].Payload)
}

func TestOptions(t *testing.T) {
	tests := []struct {
		name string
		cfg  func(c *Config)
		m    *dhcpv4.DHCPv4
		code uint8
		want string // bytes; "": the option is missing
	}{
		{name: "mask", code: 1, want: "\xff\xff\xff\x00"},
		{name: "mask of one address", cfg: func(c *Config) { c.Guest = netip.MustParsePrefix("192.0.2.2/32") }, code: 1, want: "\xff\xff\xff\xff"},
		{name: "mask of everything", cfg: func(c *Config) { c.Guest = netip.MustParsePrefix("192.0.2.2/0") }, code: 1, want: "\x00\x00\x00\x00"},
		{name: "router", code: 3, want: "\xc0\x00\x02\x01"},
		{name: "no router", cfg: func(c *Config) { c.Router = netip.Addr{} }, code: 3},
		{name: "no routes if the router is in the subnet", code: 121},
		{name: "router outside the subnet", cfg: func(c *Config) { c.Router = netip.MustParseAddr("198.51.100.1") }, code: 3, want: "\xc6\x33\x64\x01"},
		{
			name: "route to a router outside the subnet", cfg: func(c *Config) { c.Router = netip.MustParseAddr("198.51.100.1") },
			code: 121, want: "\x20\xc6\x33\x64\x01\x00\x00\x00\x00" + "\x00\xc6\x33\x64\x01",
		},
		{name: "resolvers", code: 6, want: "\xc0\x00\x02\x35\xc0\x00\x02\x36"},
		{name: "no resolvers", cfg: func(c *Config) { c.DNS = c.DNS[1:2] }, code: 6},
		{name: "MTU", code: 26, want: "\xff\xf0"},
		{name: "no MTU", cfg: func(c *Config) { c.MTU = 0 }, code: 26},
		{name: "lease time", code: 51, want: "\xff\xff\xff\xff"},
		{name: "no times of renewal", code: 58},
		{name: "server", code: 54, want: "\xc0\x00\x02\x01"},
		{name: "host name", code: 12, want: "guest"},
		{name: "no host name", cfg: func(c *Config) { c.Hostname = "" }, code: 12},
		{name: "search list", code: 119, want: "\x07example\x03com\x00" + "\x04corp\xc0\x00"},
		{name: "no search list", cfg: func(c *Config) { c.Search = []string{"", ".", "a..b"} }, code: 119},
		{name: "client identifier", m: discover(with(61, 1, 2, 3)), code: 61, want: "\x01\x02\x03"},
		{name: "no client identifier", code: 61},
		{name: "client identifier in a refusal", m: discover(as(dhcpv4.MessageTypeRequest), asked("10.1.2.3"), with(61, 1, 2, 3)), code: 61, want: "\x01\x02\x03"},
		{name: "no mask in a refusal", m: discover(as(dhcpv4.MessageTypeRequest), asked("10.1.2.3")), code: 1},
		{name: "no search list in a refusal", m: discover(as(dhcpv4.MessageTypeRequest), asked("10.1.2.3")), code: 119},
		{name: "full name, not asked for", code: 81},
		{name: "full name, asked for", m: discover(with(55, 1, 81)), code: 81, want: "\x0c\xff\xff\x05guest\x07example\x03com\x00"},
		{name: "full name, server to update", m: discover(with(81, 5, 0, 0)), code: 81, want: "\x0e\xff\xff\x05guest\x07example\x03com\x00"},
		{name: "full name, in ASCII", m: discover(with(81, 0, 0, 0, 'x')), code: 81, want: "\x08\xff\xffguest.example.com"},
		{name: "full name, empty option", m: discover(with(81)), code: 81, want: "\x0c\xff\xff\x05guest\x07example\x03com\x00"},
		{name: "no full name", cfg: func(c *Config) { c.FQDN = "" }, m: discover(with(55, 81)), code: 81},
		{name: "mask for an inform", m: discover(as(dhcpv4.MessageTypeInform), ciaddr(guest)), code: 1, want: "\xff\xff\xff\x00"},
		{name: "mask for BOOTP", m: bootp(), code: 1, want: "\xff\xff\xff\x00"},
		{name: "no type for BOOTP", m: bootp(), code: 53},
		{name: "no overload", code: 52},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := config()
			if tt.cfg != nil {
				tt.cfg(&cfg)
			}
			if tt.m == nil {
				tt.m = discover()
			}
			o, _ := ask(t, cfg, tt.m)
			got, has := o[tt.code]
			if string(got) != tt.want || has != (tt.want != "") {
				t.Errorf("got option %d: % x, want % x", tt.code, got, tt.want)
			}
		})
	}
	t.Run("rapid commit", func(t *testing.T) {
		if o, _ := ask(t, config(), discover(with(80))); !o.Has(dhcpv4.OptionRapidCommit) {
			t.Error("missing")
		}
		if o, _ := ask(t, config(), discover()); o.Has(dhcpv4.OptionRapidCommit) {
			t.Error("not asked for")
		}
		if o, _ := ask(t, config(), discover(as(dhcpv4.MessageTypeRequest), asked(guest), with(80))); o.Has(dhcpv4.OptionRapidCommit) {
			t.Error("in answer to a request")
		}
	})
}

// names makes n domain names that do not compress much.
func names(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("sub%d.domain-number-%d.example.org", i, i))
	}
	return list
}

func TestSizes(t *testing.T) {
	size := func(n int) dhcpv4.Modifier { return with(57, byte(n>>8), byte(n)) }
	tests := []struct {
		name     string
		search   int // names
		dns      int // resolvers
		m        *dhcpv4.DHCPv4
		most     int // bytes
		overload bool
		least    int // names given
		given    int // resolvers given
	}{
		{"usual", 2, 2, discover(), 350, false, 2, 2},
		{"all of a long list in a large message", 23, 2, discover(size(1500)), 1472, false, 23, 2},
		{"beginning of a long list", 60, 2, discover(), 548, false, 10, 2},
		{"client's size", 60, 2, discover(size(700)), 672, false, 15, 2},
		{"client's size below the least", 60, 2, discover(size(68)), 548, false, 10, 2},
		{"client's size above the most", 60, 2, discover(size(65535)), 1472, false, 23, 2},
		{"size option of one byte", 60, 2, discover(with(57, 9)), 548, false, 10, 2},
		{"long client identifier", 60, 2, discover(with(61, make([]byte, 255)...)), 548, true, 3, 2},
		{"longest client identifier, many resolvers", 2, 30, discover(with(61, make([]byte, 255)...), with(55, 81)), 548, true, 0, 30},
		{"all resolvers that an option takes", 0, 80, discover(), 548, false, 0, 63},
		{"as many resolvers as fit beside a client identifier", 0, 80, discover(with(61, make([]byte, 60)...)), 548, true, 0, 53},
		{"as many resolvers as fit in another field", 0, 80, discover(with(61, make([]byte, 255)...)), 548, true, 0, 31},
		{"all resolvers in a large message", 2, 80, discover(with(61, make([]byte, 255)...), size(1500)), 1472, false, 2, 63},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := config()
			cfg.Search, cfg.DNS = names(tt.search), nil
			for i := range tt.dns {
				cfg.DNS = append(cfg.DNS, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
			}
			o, n := ask(t, cfg, tt.m)
			if n > tt.most || n < minMessage {
				t.Errorf("got %d bytes, want at most %d", n, tt.most)
			}
			if got := o.Has(dhcpv4.OptionOptionOverload); got != tt.overload {
				t.Errorf("overload: %v, want %v", got, tt.overload)
			}
			for _, code := range []uint8{1, 3, 6, 51, 53, 54} {
				if _, has := o[code]; !has {
					t.Errorf("no option %d", code)
				}
			}
			if dns := dhcpv4.GetIPs(dhcpv4.OptionDomainNameServer, o); len(dns) != tt.given || !dns[len(dns)-1].Equal(cfg.DNS[len(dns)-1].AsSlice()) {
				t.Errorf("got %d resolvers, want %d: %v", len(dns), tt.given, dns)
			}
			got := searchList(t, o)
			if len(got) < tt.least || !slices.Equal(got, cfg.Search[:len(got)]) {
				t.Errorf("got %d names, want %d: %v", len(got), tt.least, got)
			}
		})
	}
}

func searchList(t *testing.T, o dhcpv4.Options) []string {
	t.Helper()
	b := o.Get(dhcpv4.OptionDNSDomainSearchList)
	if b == nil {
		return nil
	}
	l, err := rfc1035label.FromBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	return l.Labels
}

// TestOrder holds that an answer begins with its type, as clients expect.
func TestOrder(t *testing.T) {
	for _, search := range []int{2, 60} {
		cfg := config()
		cfg.Search = names(search)
		got := newClient(t, cfg).Send(nowhere, everywhere, discover().ToBytes())[0].Payload
		if !bytes.HasPrefix(got[240:], []byte{53, 1, 2, 54, 4}) {
			t.Errorf("with %d names: got % x", search, got[240:260])
		}
	}
}

func TestCompression(t *testing.T) {
	for _, tt := range []struct {
		name  string
		names []string
		want  string
	}{
		{"suffix", []string{"example.com", "a.example.com"}, "\x07example\x03com\x00\x01a\xc0\x00"},
		{"part of a suffix", []string{"b.example.com", "a.example.com", "com"}, "\x01b\x07example\x03com\x00\x01a\xc0\x02\xc0\x0a"},
		{"the same twice", []string{"lan", "lan"}, "\x03lan\x00\xc0\x00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := searchLists(tt.names)[0].data; string(got) != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	t.Run("limit", func(t *testing.T) {
		lists := searchLists(names(1000))
		if len(lists) == 0 || len(lists) > 40 {
			t.Fatalf("got %d lists", len(lists))
		}
		l, err := rfc1035label.FromBytes(lists[0].data)
		if err != nil || len(strings.Join(l.Labels, " ")) > 1000 {
			t.Errorf("got %d bytes of names, %v", len(strings.Join(l.Labels, " ")), err)
		}
	})
}

func TestPut(t *testing.T) {
	long := make([]byte, 600)
	for i := range long {
		long[i] = byte(i)
	}
	for _, n := range []int{0, 1, 254, 255, 256, 510, 511, 600} {
		o := option{code: dhcpv4.GenericOptionCode(99), data: long[:n]}
		for _, room := range []int{o.size(), o.size() + 1} {
			r := region{b: make([]byte, room)}
			if got := r.put(&o); got != (room > o.size()) {
				t.Errorf("%d bytes into %d: got %v", n, room, got)
			} else if got {
				r.end()
				read := make(dhcpv4.Options)
				if err := read.FromBytes(r.b); err != nil || !bytes.Equal(read[99], o.data) || r.n != o.size() {
					t.Errorf("%d bytes: got %v, % x, %d bytes of room taken", n, err, read[99], r.n)
				}
			}
		}
	}
}

func TestMask(t *testing.T) {
	for bits := range 33 {
		want := uint32(0xffffffff)
		if bits < 32 {
			want <<= 32 - bits
		}
		if got := binary.BigEndian.Uint32(netMask(bits)); got != want {
			t.Errorf("%d bits: got %08x, want %08x", bits, got, want)
		}
	}
}
