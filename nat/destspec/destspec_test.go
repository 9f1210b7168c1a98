package destspec

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"passt/nat/portspec"
)

// to is the destination of a prefix, and of ports unless they are 0.
func to(prefix string, first, last uint16) Dest {
	return Dest{netip.MustParsePrefix(prefix), portspec.Range{First: first, Last: last}}
}

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want []Dest
	}{
		{"none", nil},
		{"192.0.2.9", []Dest{to("192.0.2.9/32", 0, 0)}},
		{"192.0.2.0/24", []Dest{to("192.0.2.0/24", 0, 0)}},
		{"192.0.2.9/24", []Dest{to("192.0.2.0/24", 0, 0)}},
		{"0.0.0.0/0", []Dest{to("0.0.0.0/0", 0, 0)}},
		{"192.0.2.9:443", []Dest{to("192.0.2.9/32", 443, 443)}},
		{"192.0.2.0/24:1-65535", []Dest{to("192.0.2.0/24", 1, 65535)}},
		{"2001:db8::9", []Dest{to("2001:db8::9/128", 0, 0)}},
		{"[2001:db8::9]", []Dest{to("2001:db8::9/128", 0, 0)}},
		{"2001:db8::/32", []Dest{to("2001:db8::/32", 0, 0)}},
		{"[2001:db8::/32]", []Dest{to("2001:db8::/32", 0, 0)}},
		{"::/0", []Dest{to("::/0", 0, 0)}},
		{"[2001:db8::9]:443", []Dest{to("2001:db8::9/128", 443, 443)}},
		{"[2001:db8::/32]:8000-8010", []Dest{to("2001:db8::/32", 8000, 8010)}},
		{"2001:db8::9:443", []Dest{to("2001:db8::9:443/128", 0, 0)}},
		{"::ffff:192.0.2.9", []Dest{to("192.0.2.9/32", 0, 0)}},
		{"[::ffff:192.0.2.9]:80", []Dest{to("192.0.2.9/32", 80, 80)}},
		{"224.0.0.251:5353,ff02::/16", []Dest{to("224.0.0.251/32", 5353, 5353), to("ff02::/16", 0, 0)}},
		{"192.0.2.9:1,[::1]:2,192.0.2.9:1", []Dest{to("192.0.2.9/32", 1, 1), to("::1/128", 2, 2), to("192.0.2.9/32", 1, 1)}},
	} {
		t.Run(tt.in, func(t *testing.T) {
			got, err := Parse(tt.in)
			if want := (Spec{Given: true, Dests: tt.want}); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, %v, want %+v", got, err, want)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	const brackets = "give IPv6 with ports as [ADDR]:PORT or [ADDR/BITS]:PORT"
	for _, tt := range []struct{ in, want string }{
		{"", "empty; give destinations such as"},
		{"192.0.2.9,", `item "": "" is not an IPv4 or IPv6 address`},
		{"192.0.2.9,none", `item "none": none stands alone`},
		{"host.example:443", `"host.example" is not an IPv4 or IPv6 address`},
		{"443", `"443" is not an IPv4 or IPv6 address`},
		{":443", `"" is not an IPv4 or IPv6 address`},
		{"*:443", `"*" is not`},
		{"192.0.2.9:", "a port is missing"},
		{"192.0.2.9:0", "port 0 is out of range 1-65535"},
		{"192.0.2.9:https", `"https" is not a port`},
		{"192.0.2.9:90-80", "range 90-80 is reversed"},
		{"192.0.2.9:65536", "out of range"},
		{"192.0.2.9:80:90", `"192.0.2.9:80:90" is not`},
		{"192.0.2.0/33", `prefix length "33": give a number from 0 to 32`},
		{"192.0.2.0/", `prefix length "": give a number from 0 to 32`},
		{"192.0.2.0/+24", `prefix length "+24"`},
		{"192.0.2.0/24/24", `prefix length "24/24"`},
		{"192.0.2.0:443/24", `"443/24" is not a port`},
		{"2001:db8::/129", `give a number from 0 to 128`},
		{"::ffff:192.0.2.0/120", `give a number from 0 to 32`},
		{"0.0.0.0", "give 0.0.0.0/0 for all addresses"},
		{"[::]:80", "give ::/0 for all addresses"},
		{"fe80::1%eth0", "without %interface"},
		{"[fe80::1%eth0]:80", "without %interface"},
		{"2001:db8::/32:443", brackets},
		{"[2001:db8::]/32:443", brackets},
		{"[2001:db8::]443", brackets},
		{"[2001:db8::", brackets},
		{"2001:db8::]:443", brackets},
		{"[192.0.2.9]:443", brackets},
		{"[]:443", brackets},
	} {
		t.Run(tt.in, func(t *testing.T) {
			if got, err := Parse(tt.in); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %+v, %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestMerge(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		want []Dest
		err  bool
	}{
		{"they add up", []string{"192.0.2.9,192.0.2.8", "192.0.2.7"}, []Dest{to("192.0.2.9/32", 0, 0), to("192.0.2.8/32", 0, 0), to("192.0.2.7/32", 0, 0)}, false},
		{"none twice", []string{"none", "none"}, nil, false},
		{"none, then another", []string{"none", "192.0.2.9"}, nil, true},
		{"none after another", []string{"192.0.2.9", "none"}, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got Spec
			var err error
			for _, arg := range tt.args {
				next, perr := Parse(arg)
				if perr != nil {
					t.Fatal(perr)
				}
				if got, err = got.Merge(next); err != nil {
					break
				}
			}
			if (err != nil) != tt.err {
				t.Fatalf("error %v, want one: %v", err, tt.err)
			}
			if want := (Spec{Given: true, Dests: tt.want}); err == nil && !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

// FuzzParse checks that whatever is read is well-formed, and is read again from its own parts.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"none", "192.0.2.9", "192.0.2.0/24:443", "192.0.2.9:1-65535", "2001:db8::/32", "[2001:db8::/32]:443",
		"[::1]", "[2001:db8::]/32:443", "::ffff:192.0.2.9", "0.0.0.0/0,::/0", "192.0.2.9,,", "[:]:", "1.2.3.4/:", "[[::1]]:1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		s, err := Parse(in)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("error of several lines: %q", err)
			}
			return
		}
		if !s.Given || (len(s.Dests) == 0) != (in == "none") {
			t.Fatalf("%q: %+v", in, s)
		}
		for _, d := range s.Dests {
			a := d.Net.Addr()
			if !d.Net.IsValid() || d.Net.Masked() != d.Net || a.Is4In6() || a.Zone() != "" || d.Ports.Last < d.Ports.First || d.Ports.First == 0 && d.Ports.Last != 0 {
				t.Errorf("%q: impossible destination %+v", in, d)
			}
			text := d.Net.String()
			if a.Is6() {
				text = "[" + text + "]"
			}
			if d.Ports.First != 0 {
				text += ":" + d.Ports.String()
			}
			if again, err := Parse(text); err != nil || len(again.Dests) != 1 || again.Dests[0] != d {
				t.Errorf("%q: %+v is %q, which is %+v, %v", in, d, text, again, err)
			}
		}
	})
}
