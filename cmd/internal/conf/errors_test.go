package conf

import (
	"errors"
	"strings"
	"testing"
)

func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		mode Mode
		line string
		want []string
	}{
		{"unknown option", ModePasta, "--nonsense", []string{"unrecognized option '--nonsense'", "pasta --help"}},
		{"unknown option with value", ModePasta, "--nonsense=x", []string{"unrecognized option '--nonsense'"}},
		{"unknown option that begins as another", ModePasta, "--no-map-gateway", []string{"unrecognized option '--no-map-gateway'"}},
		{"unknown option with a line break", ModePasta, "--a\x0b", []string{`unrecognized option '--a\v'`}},
		{"equals alone", ModePasta, "--=x", []string{"unrecognized option '--'"}},
		{"unknown letter", ModePasta, "-Z", []string{"invalid option -- 'Z'", "pasta --help"}},
		{"unknown letter in a cluster", ModePasta, "-fZ", []string{"invalid option -- 'Z'"}},
		{"missing value", ModePasta, "--mtu", []string{"option '--mtu' requires an argument"}},
		{"missing value, abbreviated", ModePasta, "--mt", []string{"option '--mtu' requires an argument"}},
		{"missing value, letter", ModePasta, "-fm", []string{"option requires an argument -- 'm'"}},
		{"unneeded value", ModePasta, "--quiet=3", []string{"option '--quiet' doesn't allow an argument"}},
		{"ambiguous", ModePasta, "--no-dh", []string{"option '--no-dh' is ambiguous; possibilities: ", "'--no-dhcp' '--no-dhcpv6'", "'--no-dhcp-dns'"}},
		{"passt's option", ModePasta, "--socket x", []string{"'--socket'", "passt only"}},
		{"passt's option, letter", ModePasta, "-1", []string{"'-1'", "passt only"}},
		{"pasta's option", ModePasst, "--config-net", []string{"'--config-net'", "pasta only"}},
		{"pasta's ports", ModePasst, "-T auto", []string{"'-T'", "pasta only"}},
		{"passt and a command", ModePasst, "true", []string{`"true"`, "passt --help"}},

		{"mtu, word", ModePasta, "-m abc", []string{"'-m'", `"abc"`, "1280 to 65520"}},
		{"mtu, empty", ModePasta, "--mtu=", []string{"'--mtu'", `""`}},
		{"mtu, large", ModePasta, "-m 65521", []string{"1280 to 65520"}},
		{"mtu, tiny", ModePasta, "-4 -m 67", []string{"1280 to 65520"}},
		{"mtu, small for IPv6", ModePasta, "-m 1279", []string{"--mtu 1279", "IPv6 needs 1280", "--ipv4-only"}},
		{"log size, small", ModePasta, "--log-size 10", []string{"'--log-size'", `"10"`, "4096"}},
		{"log size, unit", ModePasta, "--log-size 1M", []string{"'--log-size'", `"1M"`}},
		{"stats", ModePasta, "--stats 0", []string{"'--stats'", `"0"`, "from 1"}},
		{"descriptor", ModePasst, "--fd -1", []string{"'--fd'", `"-1"`, "open descriptor"}},
		{"vsock", ModePasst, "--vsock 3:x", []string{"'--vsock'", `"3:x"`, "port"}},
		{"vsock of a guest that can't be", ModePasst, "--vsock 4294967295:1", []string{"'--vsock'", "context ID"}},
		{"vsock and socket", ModePasst, "--vsock 1 -s x", []string{"--vsock", "--socket"}},
		{"vsock and descriptor", ModePasst, "--vsock 1 -F 3", []string{"--vsock", "--fd"}},
		{"pid file, empty", ModePasta, "--pid=", []string{"'--pid'", "path"}},
		{"runas, empty group", ModePasta, "--runas x:", []string{"'--runas'", `"x:"`, "UID:GID"}},
		{"runas, negative", ModePasta, "--runas=-1", []string{"'--runas'", `"-1"`, "UID:GID"}},
		{"runas, negative group", ModePasta, "--runas x:-4294966296", []string{"'--runas'", "UID:GID"}},
		{"runas, three", ModePasta, "--runas 1:2:3", []string{"'--runas'"}},
		{"runas, large", ModePasta, "--runas 4294967295", []string{"'--runas'", "4294967294"}},

		{"address, bad", ModePasta, "-a 300.1.1.1", []string{"'-a'", `"300.1.1.1"`, "not an IPv4 or IPv6 address"}},
		{"address, loopback", ModePasta, "-a 127.0.0.1", []string{"'-a'", "loopback"}},
		{"address, multicast", ModePasta, "-a ff02::1", []string{"'-a'", "multicast"}},
		{"address, unspecified", ModePasta, "-a 0.0.0.0", []string{"'-a'", "unspecified"}},
		{"address, broadcast", ModePasta, "-a 255.255.255.255", []string{"'-a'", "broadcast"}},
		{"address, interface", ModePasta, "-a fe80::1%eth0", []string{"'-a'", "without %interface"}},
		{"address, prefix length", ModePasta, "-a 192.0.2.1/33", []string{"'-a'", `"192.0.2.1/33"`, "prefix length", "1 to 32"}},
		{"address, empty prefix length", ModePasta, "-a 192.0.2.1/", []string{"prefix length"}},
		{"CIDR and mask", ModePasta, "-a 192.0.2.1/24 -n 24", []string{"--address 192.0.2.1/24", "--netmask 24", "leave out one"}},
		{"mask and CIDR", ModePasta, "-n 24 -a 192.0.2.1/24", []string{"--address 192.0.2.1/24", "--netmask 24"}},
		{"IPv6 CIDR and length", ModePasta, "-a fd00::1/64 -n 64", []string{"'-n'", "prefix length already"}},
		{"mask, holes", ModePasta, "-n 255.0.255.0", []string{"'-n'", `"255.0.255.0"`, "255.255.255.0"}},
		{"mask, zero", ModePasta, "-n 0.0.0.0", []string{"'-n'"}},
		{"mask, long", ModePasta, "-n 33", []string{"'-n'", "1 to 32"}},
		{"mask, word", ModePasta, "-n ffffff00", []string{"'-n'", "255.255.255.0"}},
		{"gateway", ModePasta, "-g localhost", []string{"'-g'", `"localhost"`}},
		{"gateway is the address", ModePasta, "-a 192.0.2.1 -g 192.0.2.1", []string{"--address", "--gateway", "192.0.2.1"}},
		{"mac, multicast", ModePasta, "-M 01:00:00:00:00:01", []string{"'-M'", "multicast"}},
		{"mac, zero", ModePasta, "-M 00:00:00:00:00:00", []string{"'-M'", "zero"}},
		{"mac, short", ModePasta, "--ns-mac-addr 52:54:00:12:34", []string{"'--ns-mac-addr'", "six bytes"}},
		{"mac, eight bytes", ModePasta, "-M 02:00:00:00:00:00:00:01", []string{"six bytes"}},
		{"interface, long", ModePasta, "-i abcdefghijklmnop", []string{"'-i'", "16 bytes", "15"}},
		{"interface, slash", ModePasta, "-I a/b", []string{"'-I'", `"a/b"`}},
		{"outbound", ModePasta, "-o 224.0.0.1", []string{"'-o'", "multicast"}},
		{"dns", ModePasta, "-D dns.example", []string{"'-D'", `"dns.example"`, "or none"}},
		{"dns-forward", ModePasta, "--dns-forward 127.0.0.1", []string{"'--dns-forward'", "loopback"}},
		{"dns-host", ModePasta, "--dns-host 0.0.0.0", []string{"'--dns-host'", "unspecified"}},
		{"search, character", ModePasta, "-S a_b,c", []string{"'-S'", `"a_b,c"`}},
		{"search, label", ModePasta, "-S a..b", []string{"'-S'", "1 to 63"}},
		{"search, empty", ModePasta, "--search=", []string{"'--search'", "or none"}},
		{"hostname, long", ModePasta, "-H " + strings.Repeat("a.", 127) + "aa", []string{"'-H'", "253"}},
		{"map-host-loopback", ModePasta, "--map-host-loopback 127.0.0.1", []string{"'--map-host-loopback'", "or none"}},
		{"ports", ModePasta, "-t 22,70000", []string{"'-t'", `"22,70000"`, `item "70000"`, "out of range 1-65535"}},
		{"ports in conflict", ModePasta, "-t 22 -t 20-30", []string{"'-t'", `"20-30"`, "port 22"}},

		{"both families only", ModePasta, "-4 -6", []string{"--ipv4-only", "--ipv6-only"}},
		{"address of the other family", ModePasta, "-6 -a 192.0.2.1", []string{"--address 192.0.2.1", "--ipv6-only"}},
		{"destination, name", ModePasta, "--outbound-allow host.example", []string{"'--outbound-allow'", `"host.example"`, "not an IPv4 or IPv6 address"}},
		{"destination, brackets", ModePasst, "--outbound-allow 192.0.2.9,[fd00::]/8:53", []string{`item "[fd00::]/8:53"`, "[ADDR/BITS]:PORT"}},
		{"destination, none and another", ModePasta, "--outbound-allow none --outbound-allow 192.0.2.9", []string{"'--outbound-allow'", `"192.0.2.9"`, "none stands alone"}},
		{"interface of the other family", ModePasta, "-4 --outbound-if6 eth0", []string{"--ipv4-only", "--outbound-if6"}},
		{"one address, two meanings", ModePasta, "--map-host-loopback 192.0.2.1 --map-guest-addr 192.0.2.1", []string{"--map-host-loopback", "--map-guest-addr"}},
		{"guest's address mapped", ModePasta, "-a 192.0.2.1 --dns-forward 192.0.2.1", []string{"--address 192.0.2.1"}},
		{"socket and descriptor", ModePasst, "-s x -F 3", []string{"--socket", "--fd"}},
		{"loopback without bypass", ModePasta, "--host-lo-to-ns-lo --no-splice", []string{"--host-lo-to-ns-lo", "--no-splice"}},
		{"ports out without bypass", ModePasta, "-T 22 --no-splice", []string{"--no-splice", "--tcp-ns"}},
		{"UDP ports out without bypass", ModePasta, "--no-splice -U auto", []string{"--no-splice", "--udp-ns"}},
		{"bypass only and none", ModePasta, "--splice-only --no-splice", []string{"--splice-only", "--no-splice"}},
		{"PID and netns", ModePasta, "--netns x 1", []string{"--netns", `"1"`, "not both"}},
		{"command and netns", ModePasta, "--netns x true", []string{"--netns", `"true"`}},
		{"netns-only and userns", ModePasta, "--netns-only --userns x 1", []string{"--netns-only", "--userns"}},
		{"userns alone", ModePasta, "--userns x", []string{"--userns", "--netns PATH"}},
		{"netns-only alone", ModePasta, "--netns-only", []string{"--netns-only", "--netns PATH"}},
		{"netns, empty", ModePasta, "--netns=", []string{"'--netns'", "path"}},
		{"PID 0", ModePasta, "0", []string{"PID 0"}},
		{"PID, large", ModePasta, "99999999999", []string{"PID 99999999999"}},
		{"no-copy-routes alone", ModePasta, "--no-copy-routes", []string{"--no-copy-routes", "--config-net"}},
		{"no-copy-addrs alone", ModePasta, "--no-copy-addrs", []string{"--no-copy-addrs", "--config-net"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, err := Parse(tt.mode, tt.mode.String(), strings.Split(tt.line, " "))
			if err == nil || errors.Is(err, ErrHelp) || errors.Is(err, ErrVersion) {
				t.Fatalf("got %+v, %v, want an error", o, err)
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("got %q, which lacks %q", err, w)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, r := range optionRows {
		args := r.args
		if args == nil {
			args = strings.Fields(r.line)
		}
		f.Add(r.mode == ModePasta, strings.Join(args, "\x00"))
	}
	f.Add(true, "--no-dh\x00-Z\x00--=\x00-\x00--\x00-fm")
	f.Fuzz(func(t *testing.T, pasta bool, line string) {
		mode := ModePasst
		if pasta {
			mode = ModePasta
		}
		o, err := Parse(mode, mode.String(), strings.Split(line, "\x00"))
		if err != nil {
			if o != nil || strings.ContainsAny(err.Error(), "\n\r\x1b") {
				t.Errorf("%q: got %v and %q, want one line", line, o, err)
			}
			return
		}
		o.NotYet()
		for _, p := range []string{o.TCPPorts.String(), o.UDPPorts.String(), o.TCPNsPorts.String(), o.UDPNsPorts.String()} {
			if !pasta && strings.Contains(p, "auto") && !strings.Contains(p, "%") {
				t.Errorf("%q: NotYet left %q", line, p)
			}
		}
	})
}
