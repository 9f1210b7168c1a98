package e2e

import (
	"strings"
	"testing"
	"time"
)

func TestBadOptions(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		want []string // each of these is in the message, in one of its forms
	}{
		{"unknown", []string{"--frobnicate"}, []string{"unrecognized option '--frobnicate'", "--help"}},
		{"address", []string{"-a", "198.51.100.300"}, []string{"-a", "198.51.100.300"}},
		{"address of all zeros", []string{"-a", "0.0.0.0"}, []string{"0.0.0.0"}},
		{"multicast address", []string{"-a", "224.0.0.1"}, []string{"224.0.0.1"}},
		{"loopback address", []string{"-a", "127.0.0.1"}, []string{"127.0.0.1"}},
		{"mask", []string{"-n", "33"}, []string{"-n", "33"}},
		{"mask with holes", []string{"-n", "255.0.255.0"}, []string{"255.0.255.0"}},
		{"prefix twice", []string{"-a", "192.0.2.5/24", "-n", "24"}, []string{"-n"}},
		{"gateway", []string{"-g", "nowhere"}, []string{"-g", "nowhere"}},
		{"interface", []string{"-i", "absent0"}, []string{"absent0"}},
		{"interface name too long", []string{"-I", "a-name-of-twenty-lett"}, []string{"-I|--ns-ifname", "a-name-of-twenty-lett"}},
		{"hardware address", []string{"-M", "02:00:00"}, []string{"-M|--mac-addr", "02:00:00"}},
		{"hardware address of the namespace", []string{"--ns-mac-addr", "zz"}, []string{"--ns-mac-addr", "zz"}},
		{"MTU too large", []string{"-m", "70000"}, []string{"-m", "70000"}},
		{"MTU not a number", []string{"-m", "big"}, []string{"-m", "big"}},
		{"DNS address", []string{"-D", "resolver"}, []string{"-D|--dns", "resolver"}},
		{"DNS forwarding address", []string{"--dns-forward", "1.2.3"}, []string{"--dns-forward", "1.2.3"}},
		{"port", []string{"-t", "70000"}, []string{"-t", "70000"}},
		{"port zero", []string{"-t", "0"}, []string{"-t", "0"}},
		{"range upside down", []string{"-t", "90-80"}, []string{"-t", "90-80"}},
		{"ranges of unequal length", []string{"-t", "80-90:80-85"}, []string{"80-90:80-85"}},
		{"port of nothing", []string{"-t", "22,,25"}, []string{"22,,25"}},
		{"UDP port", []string{"-u", "x"}, []string{"-u", "x"}},
		{"bound address", []string{"-t", "1.2.3.400/22"}, []string{"1.2.3.400"}},
		{"both families only", []string{"-4", "-6"}, []string{"-4|--ipv4-only", "-6|--ipv6-only"}},
		{"missing value", []string{"-a"}, []string{"-a|'a'"}},
		{"log size", []string{"--log-size", "lots"}, []string{"--log-size", "lots"}},
		{"passt's option", []string{"--socket", "/tmp/x"}, []string{"socket"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			args := append(tc.args, "--", "sh", "-c", "echo RAN")
			if tc.name == "missing value" {
				args = tc.args
			}
			r := runPasta(t, 5*time.Second, args...)
			if r.code != 1 {
				t.Errorf("exit status %d, want 1", r.code)
			}
			if strings.Contains(r.stdout, "RAN") {
				t.Error("the command ran all the same")
			}
			lines := strings.Split(strings.TrimSpace(r.stderr), "\n")
			if limit := 1 + strings.Count(tc.name, "unknown"); len(lines) > limit {
				t.Errorf("%d lines of message, want %d", len(lines), limit)
			}
			for _, w := range tc.want {
				found := false
				for form := range strings.SplitSeq(w, "|") {
					found = found || strings.Contains(r.stderr, form)
				}
				if !found {
					t.Errorf("the message does not name %q", w)
				}
			}
			if t.Failed() {
				t.Logf("printed:\n%s%s", r.stdout, lines[0])
			}
		})
	}
}

func TestInformation(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want []string
	}{
		{[]string{"--version"}, []string{"pasta"}},
		{[]string{"--help"}, []string{"--config-net", "--host-lo-to-ns-lo", "--map-guest-addr", "--no-map-gw", "--dns-forward"}},
		{[]string{"-h"}, []string{"--tcp-ports"}},
		{[]string{"--host-lo-to-ns-lo", "--version"}, []string{"pasta"}},
	} {
		t.Run(strings.Join(tc.args, " "), func(t *testing.T) {
			r := runPasta(t, 5*time.Second, tc.args...)
			if r.code != 0 || r.stderr != "" {
				t.Errorf("exit status %d, standard error %q, want 0 and nothing", r.code, r.stderr)
			}
			for _, w := range tc.want {
				if !strings.Contains(r.stdout, w) {
					t.Errorf("standard output lacks %q", w)
				}
			}
		})
	}
}

func TestOptionForms(t *testing.T) {
	// The habits of getopt_long: a value after "=", joined short options, abbreviations.
	for _, args := range [][]string{
		{"--config-net", "--address=192.0.2.55", "--netmask=24", "--gateway=192.0.2.1"},
		{"--config-net", "--address", "192.0.2.55", "--netmask", "24", "--gateway", "192.0.2.1"},
		{"--config-net", "-a192.0.2.55", "-n24", "-g192.0.2.1"},
		{"--config-n", "--addr", "192.0.2.55", "--netma", "24", "--gate=192.0.2.1"},
		{"-q4a", "192.0.2.55", "-n24", "-g192.0.2.1", "--config-net"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			// No "--": options end at the first word that is none.
			r := runPasta(t, 10*time.Second, append(withDefaults(args), "ip", "-4", "-o", "addr", "show", "dev", "eth0")...)
			if r.code != 0 || !strings.Contains(r.stdout, "192.0.2.55/24") {
				t.Errorf("exit status %d, printed %q and %q", r.code, r.stdout, r.stderr)
			}
		})
	}
}
