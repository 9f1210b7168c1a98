package portspec

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// ports is a rule for first to last, mapped to to on.
func ports(first, last, to uint16) Rule { return Rule{First: first, Last: last, To: to} }

// weak is a rule for all ports but not.
func weak(not ...Range) Rule {
	return Rule{First: 1, Last: 65535, To: 1, Weak: true, Exclude: not}
}

func auto(not ...Range) Rule {
	r := weak(not...)
	r.Auto = true
	return r
}

func (r Rule) on(a, ifname string) Rule {
	if a != "" {
		r.Addr = addr(a)
	}
	r.IfName = ifname
	return r
}

func (r Rule) to(a string) Rule {
	r.ToAddr = addr(a)
	return r
}

func (r Rule) not(xs ...Range) Rule {
	r.Exclude = xs
	return r
}

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     []Rule
		canon    string // String of the result, if other than in
	}{
		{"one port", "22", []Rule{ports(22, 22, 22)}, ""},
		{"mapped port", "22:23", []Rule{ports(22, 22, 23)}, ""},
		{"list", "22,25", []Rule{ports(22, 22, 22), ports(25, 25, 25)}, ""},
		{"range", "22-80", []Rule{ports(22, 80, 22)}, ""},
		{"mapped range", "22-80:32-90", []Rule{ports(22, 80, 32)}, ""},
		{"mapped range, first target only", "22-80:32", []Rule{ports(22, 80, 32)}, "22-80:32-90"},
		{"range of one, as container engines write it", "8080-8080:80-80", []Rule{ports(8080, 8080, 80)}, "8080:80"},
		{"mapped to itself", "22:22", []Rule{ports(22, 22, 22)}, "22"},
		{"first and last port", "1,65535", []Rule{ports(1, 1, 1), ports(65535, 65535, 65535)}, ""},
		{"leading zeros", "0022", []Rule{ports(22, 22, 22)}, "22"},
		{"bound address", "192.0.2.1/22", []Rule{ports(22, 22, 22).on("192.0.2.1", "")}, ""},
		{"bound address and interface", "192.0.2.1%eth0/22", []Rule{ports(22, 22, 22).on("192.0.2.1", "eth0")}, ""},
		{"bound interface", "%eth0/22", []Rule{ports(22, 22, 22).on("", "eth0")}, ""},
		{"any address", "*/22", []Rule{ports(22, 22, 22)}, "22"},
		{"any address of an interface", "*%eth0/22", []Rule{ports(22, 22, 22).on("", "eth0")}, "%eth0/22"},
		{"any IPv4 address", "0.0.0.0/22", []Rule{ports(22, 22, 22).on("0.0.0.0", "")}, ""},
		{"any IPv6 address", "::/22", []Rule{ports(22, 22, 22).on("::", "")}, "[::]/22"},
		{"IPv6", "2001:db8::1/80", []Rule{ports(80, 80, 80).on("2001:db8::1", "")}, "[2001:db8::1]/80"},
		{"IPv6 that could be port and target", "80:fd00::1/90", []Rule{ports(90, 90, 90).on("80:fd00::1", "")}, "[80:fd00::1]/90"},
		{"IPv6 in brackets", "[::1]/80", []Rule{ports(80, 80, 80).on("::1", "")}, ""},
		{"IPv6 in brackets with interface behind", "[fe80::1]%eth0/80", []Rule{ports(80, 80, 80).on("fe80::1", "eth0")}, ""},
		{"IPv6 in brackets with interface within", "[fe80::1%eth0]/80", []Rule{ports(80, 80, 80).on("fe80::1", "eth0")}, "[fe80::1]%eth0/80"},
		{"interface name with a bracket", "[::1]%eth0]/80", []Rule{ports(80, 80, 80).on("::1", "eth0]")}, ""},
		{"IPv4 in IPv6 form", "::ffff:192.0.2.1/80", []Rule{ports(80, 80, 80).on("192.0.2.1", "")}, "192.0.2.1/80"},
		{"longest interface name", "%abcdefghijklmno/1", []Rule{ports(1, 1, 1).on("", "abcdefghijklmno")}, ""},
		{"target address", "80:192.0.2.9", []Rule{ports(80, 80, 80).to("192.0.2.9")}, ""},
		{"target address and port", "80:192.0.2.9/8080", []Rule{ports(80, 80, 8080).to("192.0.2.9")}, ""},
		{"target address and range", "80-81:192.0.2.9/8080-8081", []Rule{ports(80, 81, 8080).to("192.0.2.9")}, ""},
		{"target address, range, first target only", "80-81:192.0.2.9/8080", []Rule{ports(80, 81, 8080).to("192.0.2.9")}, "80-81:192.0.2.9/8080-8081"},
		{"target IPv6", "80:fd00::1", []Rule{ports(80, 80, 80).to("fd00::1")}, "80:[fd00::1]"},
		{"target IPv6 in brackets and port", "80:[fd00::1]/90", []Rule{ports(80, 80, 90).to("fd00::1")}, ""},
		{"target in the second item", "22,80:192.0.2.9/81", []Rule{ports(22, 22, 22), ports(80, 80, 81).to("192.0.2.9")}, ""},
		{"bound and target address", "127.0.0.1/80:192.0.2.9/81", []Rule{ports(80, 80, 81).on("127.0.0.1", "").to("192.0.2.9")}, ""},
		{"exclusion", "2000-5000,~3000-3010", []Rule{ports(2000, 5000, 2000).not(Range{3000, 3010})}, ""},
		{"exclusion first", "~3000,2000-5000", []Rule{ports(2000, 5000, 2000).not(Range{3000, 3000})}, "2000-5000,~3000"},
		{"exclusion behind an address", "192.0.2.1/20-30,~25", []Rule{ports(20, 30, 20).on("192.0.2.1", "").not(Range{25, 25})}, ""},
		{"exclusion in a mapped range", "20-30:120-130,~25", []Rule{ports(20, 30, 120).not(Range{25, 25})}, ""},
		{"exclusion clipped to each range", "20-30,40-50,~25-45", []Rule{ports(20, 30, 20).not(Range{25, 30}), ports(40, 50, 40).not(Range{40, 45})}, "20-30,40-50,~25-30,~40-45"},
		{"exclusions joined", "1-100,~20-30,~31,~25-28,~50", []Rule{ports(1, 100, 1).not(Range{20, 31}, Range{50, 50})}, "1-100,~20-31,~50"},
		{"exclusion of nothing", "80,~90", []Rule{ports(80, 80, 80)}, "80"},
		{"exclusions alone", "~20000-20010", []Rule{weak(Range{20000, 20010})}, ""},
		{"exclusions alone on an interface", "%eth0/~25", []Rule{weak(Range{25, 25}).on("", "eth0")}, ""},
		{"all", "all", []Rule{weak()}, ""},
		{"all, written as an exclusion", "all,~22", []Rule{weak(Range{22, 22})}, "~22"},
		{"all to an address", "all:192.0.2.9", []Rule{weak().to("192.0.2.9")}, ""},
		{"all to an address with exclusion", "all:192.0.2.9,~80", []Rule{weak(Range{80, 80}).to("192.0.2.9")}, ""},
		{"all behind an explicit port", "80:8080,all", []Rule{ports(80, 80, 8080), weak()}, ""},
		{"all before an explicit port", "all,80:8080", []Rule{ports(80, 80, 8080), weak()}, "80:8080,all"},
		{"auto", "auto", []Rule{auto()}, ""},
		{"auto behind an address", "::1/auto", []Rule{auto().on("::1", "")}, "[::1]/auto"},
		{"auto behind ports", "8000-8010,auto", []Rule{ports(8000, 8010, 8000), auto()}, ""},
		{"auto with exclusion", "auto,~22", []Rule{auto(Range{22, 22})}, ""},
		{"libvirt: device and all", "%eth1/all", []Rule{weak().on("", "eth1")}, ""},
		{"libvirt: address, ranges and exclusion", "203.0.113.1%eth1/80-90:8080-8090,~85", []Rule{ports(80, 90, 8080).on("203.0.113.1", "eth1").not(Range{85, 85})}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			want := Spec{Given: true, Rules: tt.want}
			want.Auto = got.Auto // looked at below
			if !reflect.DeepEqual(got, want) {
				t.Errorf("Parse(%q)\n got %+v\nwant %+v", tt.in, got, want)
			}
			if tt.canon == "" {
				tt.canon = tt.in
			}
			if s := got.String(); s != tt.canon {
				t.Errorf("String() = %q, want %q", s, tt.canon)
			}
			again, err := Parse(got.String())
			if err != nil || !reflect.DeepEqual(again, got) {
				t.Errorf("Parse(String()) = %+v, %v, want %+v", again, err, got)
			}
		})
	}
}

func TestParseFlags(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Spec
	}{
		{"none", Spec{None: true, Given: true}},
		{"auto", Spec{Auto: true, Given: true, Rules: []Rule{auto()}}},
		{"80,auto", Spec{Auto: true, Given: true, Rules: []Rule{ports(80, 80, 80), auto()}}},
		{"*/auto", Spec{Auto: true, Given: true, Rules: []Rule{auto()}}},
		{"127.0.0.1/auto", Spec{Given: true, Rules: []Rule{auto().on("127.0.0.1", "")}}},
		{"all", Spec{Given: true, Rules: []Rule{weak()}}},
	} {
		if got, err := Parse(tt.in); err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("Parse(%q) = %+v, %v, want %+v", tt.in, got, err, tt.want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"empty", "", "empty"},
		{"too large", "70000", "port 70000 is out of range 1-65535"},
		{"far too large", "99999999999999999999999", "out of range 1-65535"},
		{"too large in a list names the item", "22,70000", `item "70000": port 70000 is out of range 1-65535`},
		{"port 0", "0", "port 0 is out of range 1-65535"},
		{"target port 0", "80:0", "target: port 0 is out of range"},
		{"negative", "-1", "a port is missing"},
		{"sign", "+80", `"+80" is not a port`},
		{"blank", " 80", `" 80" is not a port`},
		{"word", "ssh", `"ssh" is not a port`},
		{"line break stays one line", "80\n81", `"80\n81" is not a port`},
		{"reversed range", "90-80", "range 90-80 is reversed; give 80-90"},
		{"reversed target range", "80-90:90-80", "target: range 90-80 is reversed"},
		{"open range", "80-", "a port is missing"},
		{"three ends", "80-90-100", `"90-100" is not a port`},
		{"empty item", "80,,90", `item "": empty item`},
		{"trailing comma", "80,", "empty item"},
		{"lengths differ", "80-90:80-91", "11 ports are mapped to 12"},
		{"one port to a range", "80:90-91", "1 ports are mapped to 2"},
		{"beyond the last port", "80-90:65530", "reach beyond 65535"},
		{"no target", "80:", "target: a port is missing"},
		{"two targets", "80:90:100", "is not an IPv4 or IPv6 address"},
		{"twice", "22,22", `item "22": given twice`},
		{"overlap", "20-30,25", `item "25": port 25 is in item "20-30" already`},
		{"overlap with another target", "20-30,30:40", "port 30 is in item"},
		{"all twice", "all,all", "given twice"},
		{"all excluded", "22,~22", `item "22": every port of it is excluded again`},
		{"everything excluded", "~1-65535", "every port of it is excluded again"},
		{"exclusion with target", "20-30,~22:23", "an exclusion has no target"},
		{"exclusion without port", "20-30,~", "a port is missing"},
		{"none in a list", "80,none", `item "none": none stands alone`},
		{"none behind an address", "::1/none", "none stands alone"},
		{"auto with target", "auto:80", "auto takes no target"},
		{"all with target port", "all:80", `target address: "80" is not`},
		{"upper case", "ALL", `"ALL" is not a port`},
		{"address alone", "192.0.2.1", "give 192.0.2.1/PORT"},
		{"address with nothing", "192.0.2.1/", "empty item"},
		{"slash alone", "/80", "no address before '/'"},
		{"bad address", "300.1.1.1/80", `bound address: "300.1.1.1" is not an IPv4 or IPv6 address`},
		{"bad IPv6", "fd00::zz/80", `bound address: "fd00::zz" is not`},
		{"brackets around IPv4", "[192.0.2.1]/80", "is not an IPv4 or IPv6 address"},
		{"name as address", "localhost/80", `bound address: "localhost" is not`},
		{"multicast", "224.0.0.1/80", "multicast"},
		{"link-local without interface", "fe80::1/80", "fe80::1%INTERFACE/"},
		{"interface name empty", "192.0.2.1%/80", "interface name is empty"},
		{"interface name too long", "%abcdefghijklmnop/80", "has 16 bytes; the kernel allows 15"},
		{"interface name impossible", "%a b/80", `"a b" can't be the name of an interface`},
		{"target address bad", "80:300.1.1.1", `target address: "300.1.1.1" is not`},
		{"target unspecified", "80:0.0.0.0", "target address 0.0.0.0 is no host's"},
		{"target multicast", "80:ff02::1", "is no host's"},
		{"target with interface", "80:fe80::1%eth0", "no interface may follow"},
		{"families differ", "127.0.0.1/80:fd00::1", "different IP versions"},
		{"slash without target", "80/90", `bound address: "80" is not`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse(tt.in)
			if err == nil {
				t.Fatalf("Parse(%q) = %v, want an error", tt.in, got)
			}
			if s := err.Error(); !strings.Contains(s, tt.want) || strings.Contains(s, "\n") {
				t.Errorf("Parse(%q): %q, want one line with %q", tt.in, s, tt.want)
			}
		})
	}
}

func TestMerge(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   []string
		want string // Args, joined by blanks; "error: ..." for one
	}{
		{"not given", nil, ""},
		{"add up", []string{"22", "80:8080"}, "22,80:8080"},
		{"two addresses", []string{"127.0.0.1/22", "[::1]/22"}, "127.0.0.1/22 [::1]/22"},
		{"two interfaces", []string{"%eth0/22", "%eth1/22"}, "%eth0/22 %eth1/22"},
		{"the same again", []string{"22", "22,23"}, "22,23"},
		{"none, then a port", []string{"none", "22"}, "22"},
		{"a port, then none", []string{"22", "none"}, "none"},
		{"none twice", []string{"none", "none"}, "none"},
		{"explicit before all", []string{"all", "80:8080"}, "80:8080,all"},
		{"all before auto", []string{"auto", "all", "22"}, "22,all,auto"},
		{"exclusions of each stay its own", []string{"2000-3000,~2500", "2500:80"}, "2000-3000,~2500 2500:80"},
		{"conflict", []string{"22", "20-30"}, `error: port 22 of "20-30" was given before, in "22"`},
		{"conflict with another target", []string{"22:23", "22:24"}, "error: port 22"},
		{"conflict of any address and one", []string{"22", "127.0.0.1/22"}, "error: port 22"},
		{"conflict of any IPv4 address and one", []string{"0.0.0.0/22", "127.0.0.1/22"}, "error: port 22"},
		{"any IPv4 address and any IPv6 address", []string{"0.0.0.0/22", "::/22"}, "0.0.0.0/22 [::]/22"},
		{"conflict of an interface and none", []string{"%eth0/22", "22"}, "error: port 22"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := merged(t, tt.in)
			if msg, ok := strings.CutPrefix(tt.want, "error: "); ok {
				if !strings.Contains(got, msg) {
					t.Errorf("got %q, want an error with %q", got, msg)
				}
				return
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if again := merged(t, strings.Fields(got)); again != got {
				t.Errorf("again: got %q, want %q", again, got)
			}
		})
	}
}

func merged(t *testing.T, in []string) string {
	var s Spec
	for _, a := range in {
		p, err := Parse(a)
		if err != nil {
			t.Fatal(err)
		}
		before := s.String()
		old := s
		if s, err = s.Merge(p); err != nil {
			return err.Error()
		}
		if old.String() != before {
			t.Errorf("Merge changed its receiver from %q to %q", before, old)
		}
	}
	return s.String()
}

func TestPorts(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want []Range
	}{
		{"22", []Range{{22, 22}}},
		{"20-30,~25", []Range{{20, 24}, {26, 30}}},
		{"20-30,~20-22,~29-40", []Range{{23, 28}}},
		{"~1", []Range{{2, 65535}}},
		{"~65535", []Range{{1, 65534}}},
		{"~1-10,~65530-65535", []Range{{11, 65529}}},
	} {
		s, err := Parse(tt.in)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Rules[0].Ports(); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: Ports() = %v, want %v", tt.in, got, tt.want)
		}
	}
}

func TestTarget(t *testing.T) {
	r := ports(65000, 65535, 1)
	if got := r.Target(65535); got != 536 {
		t.Errorf("Target(65535) = %d, want 536", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"none", "22-80:32-90", "192.0.2.1%eth0/22,~25", "~20000-20010", "all:192.0.2.9,auto,80:[fd00::1]/90",
		"80:fd00::1/90", "[fe80::1%eth0]/20-30,20-40:1-21,~25", "*/auto", "22,,", "%/", "~", "0", "65536",
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
		canon := s.String()
		again, err := Parse(canon)
		if err != nil {
			t.Fatalf("%q gave %q: %v", in, canon, err)
		}
		if !reflect.DeepEqual(s, again) || again.String() != canon {
			t.Errorf("%q gave %q: %+v, then %q: %+v", in, canon, s, again.String(), again)
		}
		for _, r := range s.Rules {
			if len(r.Ports()) == 0 || r.First == 0 || r.To == 0 || r.Last < r.First || int(r.To)+int(r.Last-r.First) > 65535 {
				t.Errorf("%q: impossible rule %+v", in, r)
			}
			one, err := Parse(r.String())
			if err != nil || len(one.Rules) != 1 || !one.Rules[0].Equal(r) {
				t.Errorf("%q: rule %+v is %q, which is %+v, %v", in, r, r.String(), one, err)
			}
		}
	})
}
