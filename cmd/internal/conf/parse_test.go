package conf

import (
	"errors"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"passt/nat/destspec"
	"passt/nat/portspec"
)

// defaults returns the Options of an empty command line.
func defaults(m Mode) *Options {
	return &Options{
		Mode: m, LogSize: 1 << 20, MTU: -1, Mask: -1, FD: -1,
		DHCPDNS: m == ModePasst, DHCPSearch: m == ModePasst,
	}
}

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

// bare is an address without prefix length.
func bare(s string) netip.Prefix { return netip.PrefixFrom(ip(s), -1) }

func mac(s string) net.HardwareAddr {
	m, err := net.ParseMAC(s)
	if err != nil {
		panic(err)
	}
	return m
}

func spec(ss ...string) (sum portspec.Spec) {
	for _, s := range ss {
		p, err := portspec.Parse(s)
		if err != nil {
			panic(err)
		}
		if sum, err = sum.Merge(p); err != nil {
			panic(err)
		}
	}
	return sum
}

// row is a command line, split at blanks unless args is given, and what it changes in
// the defaults.
type row struct {
	name string
	mode Mode
	line string
	args []string
	want func(*Options)
}

func (r row) run(t *testing.T) {
	t.Helper()
	args := r.args
	if args == nil {
		args = strings.Fields(r.line)
	}
	got, err := Parse(r.mode, r.mode.String(), args)
	if err != nil {
		t.Fatal(err)
	}
	want := defaults(r.mode)
	r.want(want)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q\n got %+v\nwant %+v", args, got, want)
	}
}

// optionRows has a row for each option; its name is the long name.
var optionRows = []row{
	{"stderr", ModePasta, "-e", nil, func(*Options) {}},
	{"foreground", ModePasta, "-f", nil, func(o *Options) { o.Foreground = true }},
	{"pid", ModePasta, "-P /run/x.pid", nil, func(o *Options) { o.PidFile = "/run/x.pid" }},
	{"runas", ModePasta, "--runas user:group", nil, func(o *Options) { o.RunAs = "user:group" }},
	{"runas", ModePasta, "--runas 1000:65535", nil, func(o *Options) { o.RunAs = "1000:65535" }},
	{"conf-path", ModePasta, "-c /run/x.sock", nil, func(o *Options) { o.ConfPath = "/run/x.sock" }},
	{"chroot-fallback", ModePasta, "--chroot-fallback", nil, func(o *Options) { o.ChrootFallback = true }},
	{"debug", ModePasta, "-d", nil, func(o *Options) { o.Debug = true }},
	{"debug", ModePasta, "-q -d", nil, func(o *Options) { o.Debug = true }},
	{"trace", ModePasta, "--trace", nil, func(o *Options) { o.Debug, o.Trace = true, true }},
	{"quiet", ModePasta, "-q", nil, func(o *Options) { o.Quiet = true }},
	{"quiet", ModePasta, "--trace -q", nil, func(o *Options) { o.Quiet = true }},
	{"log-file", ModePasta, "-l a -l b", nil, func(o *Options) { o.LogFile = "b" }},
	{"log-size", ModePasta, "--log-size 65536", nil, func(o *Options) { o.LogSize = 65536 }},
	{"stats", ModePasta, "--stats 5", nil, func(o *Options) { o.Stats = 5 }},
	{"pcap", ModePasta, "-p x.pcap", nil, func(o *Options) { o.Pcap = "x.pcap" }},
	{"socket", ModePasst, "-s /tmp/s", nil, func(o *Options) { o.Socket = "/tmp/s" }},
	{"socket", ModePasst, "--socket-path /tmp/s", nil, func(o *Options) { o.Socket = "/tmp/s" }},
	{"fd", ModePasst, "-F 3", nil, func(o *Options) { o.FD, o.OneOff = 3, true }},
	{"fd of standard input", ModePasst, "--fd 0", nil, func(o *Options) { o.FD, o.OneOff = 0, true }},
	{"vsock", ModePasst, "--vsock 1024", nil, func(o *Options) { o.VSock = &VSock{AnyCID, 1024} }},
	{"vsock of one guest", ModePasst, "--vsock=3:1024", nil, func(o *Options) { o.VSock = &VSock{3, 1024} }},
	{"one-off", ModePasst, "-1", nil, func(o *Options) { o.OneOff = true }},
	{"config-net", ModePasta, "--config-net", nil, func(o *Options) { o.ConfigNet = true }},
	{"ns-ifname", ModePasta, "-I tap0", nil, func(o *Options) { o.IfName = "tap0" }},
	{"ns-mac-addr", ModePasta, "--ns-mac-addr 52:54:00:12:34:56", nil, func(o *Options) { o.NsMAC = mac("52:54:00:12:34:56") }},
	{"netns", ModePasta, "--netns blue", nil, func(o *Options) { o.NetNS, o.NetNSOnly = "/run/netns/blue", true }},
	{"netns", ModePasta, "--netns ./blue", nil, func(o *Options) { o.NetNS, o.NetNSOnly = "./blue", true }},
	{"userns", ModePasta, "--userns /u --netns /n", nil, func(o *Options) { o.UserNS, o.NetNS = "/u", "/n" }},
	{"netns-only", ModePasta, "--netns-only 123", nil, func(o *Options) { o.NetNSOnly, o.PID = true, 123 }},
	{"no-netns-quit", ModePasta, "--no-netns-quit", nil, func(o *Options) { o.NoNetNSQuit = true }},
	{"no-copy-routes", ModePasta, "--config-net --no-copy-routes", nil, func(o *Options) { o.ConfigNet, o.NoCopyRoute = true, true }},
	{"no-copy-addrs", ModePasta, "--no-copy-addrs --config-net", nil, func(o *Options) { o.ConfigNet, o.NoCopyAddrs = true, true }},
	{"interface", ModePasta, "-i eth0", nil, func(o *Options) { o.Interface = "eth0" }},
	{"address", ModePasta, "-a 192.0.2.1", nil, func(o *Options) { o.Addr[0] = bare("192.0.2.1") }},
	{"address", ModePasta, "-a 192.0.2.1/24 -a fd00::1/64", nil, func(o *Options) {
		o.Addr = [2]netip.Prefix{netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("fd00::1/64")}
	}},
	{"address", ModePasta, "-a 192.0.2.1/24 -a 192.0.2.2 -n 25", nil, func(o *Options) { o.Addr[0], o.Mask = bare("192.0.2.2"), 25 }},
	{"netmask", ModePasta, "-n 255.255.240.0", nil, func(o *Options) { o.Mask = 20 }},
	{"netmask", ModePasta, "-n 255.255.255.255", nil, func(o *Options) { o.Mask = 32 }},
	{"netmask", ModePasta, "-n 24", nil, func(o *Options) { o.Mask = 24 }},
	{"gateway", ModePasta, "-g 192.0.2.1 -g fe80::1 -g 192.0.2.2", nil, func(o *Options) { o.Gateway = [2]netip.Addr{ip("192.0.2.2"), ip("fe80::1")} }},
	{"mtu", ModePasta, "-m 1500", nil, func(o *Options) { o.MTU = 1500 }},
	{"mtu", ModePasta, "-m 0", nil, func(o *Options) { o.MTU = 0 }},
	{"mtu", ModePasta, "-m 68 -4", nil, func(o *Options) { o.MTU, o.IPv4Only = 68, true }},
	{"mac-addr", ModePasta, "-M 02-00-00-00-00-01", nil, func(o *Options) { o.MAC = mac("02:00:00:00:00:01") }},
	{"outbound", ModePasta, "-o 192.0.2.1 -o fd00::1", nil, func(o *Options) { o.OutAddr = [2]netip.Addr{ip("192.0.2.1"), ip("fd00::1")} }},
	{"outbound-if4", ModePasta, "--outbound-if4 eth0", nil, func(o *Options) { o.OutIf[0] = "eth0" }},
	{"outbound-if6", ModePasta, "--outbound-if6 eth1", nil, func(o *Options) { o.OutIf[1] = "eth1" }},
	{"outbound-allow", ModePasta, "--outbound-allow 192.0.2.9:443,[fd00::/8]:53-54 --outbound-allow 198.51.100.0/24", nil, func(o *Options) {
		o.OutAllow = destspec.Spec{Given: true, Dests: []destspec.Dest{
			{Net: netip.MustParsePrefix("192.0.2.9/32"), Ports: portspec.Range{First: 443, Last: 443}},
			{Net: netip.MustParsePrefix("fd00::/8"), Ports: portspec.Range{First: 53, Last: 54}},
			{Net: netip.MustParsePrefix("198.51.100.0/24")},
		}}
	}},
	{"outbound-allow", ModePasst, "--outbound-allow none", nil, func(o *Options) { o.OutAllow.Given = true }},
	{"dns", ModePasta, "-D 192.0.2.53 -D fd00::53 -D 192.0.2.54", nil, func(o *Options) { o.DNS = []netip.Addr{ip("192.0.2.53"), ip("fd00::53"), ip("192.0.2.54")} }},
	{"dns", ModePasta, "-D 192.0.2.53 -D none", nil, func(o *Options) { o.DNSNone = true }},
	{"dns", ModePasta, "-D none -D 192.0.2.53", nil, func(o *Options) { o.DNS = []netip.Addr{ip("192.0.2.53")} }},
	{"dns-forward", ModePasta, "--dns-forward 192.0.2.53 --dns-forward fd00::53", nil, func(o *Options) { o.DNSForward = [2]netip.Addr{ip("192.0.2.53"), ip("fd00::53")} }},
	{"dns-host", ModePasta, "--dns-host 127.0.0.53", nil, func(o *Options) { o.DNSHost[0] = ip("127.0.0.53") }},
	{"search", ModePasta, "", []string{"-S", "a.example  b.example", "--search", "c."}, func(o *Options) { o.Search = []string{"a.example", "b.example", "c"} }},
	{"search", ModePasta, "-S a.example -S none", nil, func(o *Options) { o.SearchNone = true }},
	{"search", ModePasta, "-S none.", nil, func(o *Options) { o.Search = []string{"none"} }},
	{"no-dhcp-dns", ModePasst, "--no-dhcp-dns", nil, func(o *Options) { o.DHCPDNS = false }},
	{"dhcp-dns", ModePasta, "--dhcp-dns", nil, func(o *Options) { o.DHCPDNS = true }},
	{"no-dhcp-search", ModePasst, "--no-dhcp-search", nil, func(o *Options) { o.DHCPSearch = false }},
	{"dhcp-search", ModePasta, "--dhcp-search", nil, func(o *Options) { o.DHCPSearch = true }},
	{"hostname", ModePasta, "-H box", nil, func(o *Options) { o.Hostname = "box" }},
	{"fqdn", ModePasta, "--fqdn box.example.", nil, func(o *Options) { o.FQDN = "box.example" }},
	{"ipv4-only", ModePasta, "-4", nil, func(o *Options) { o.IPv4Only = true }},
	{"ipv6-only", ModePasta, "-6", nil, func(o *Options) { o.IPv6Only = true }},
	{"no-tcp", ModePasta, "--no-tcp", nil, func(o *Options) { o.NoTCP = true }},
	{"no-udp", ModePasta, "--no-udp -u none", nil, func(o *Options) { o.NoUDP, o.UDPPorts = true, spec("none") }},
	{"no-icmp", ModePasta, "--no-icmp", nil, func(o *Options) { o.NoICMP, o.NoNDP = true, true }},
	{"no-dhcp", ModePasta, "--no-dhcp", nil, func(o *Options) { o.NoDHCP = true }},
	{"no-dhcpv6", ModePasta, "--no-dhcpv6", nil, func(o *Options) { o.NoDHCPv6 = true }},
	{"no-ndp", ModePasta, "--no-ndp", nil, func(o *Options) { o.NoNDP = true }},
	{"no-ra", ModePasta, "--no-ra", nil, func(o *Options) { o.NoRA = true }},
	{"no-map-gw", ModePasta, "--no-map-gw", nil, func(o *Options) { o.NoMapGW = true }},
	{"map-host-loopback", ModePasta, "--map-host-loopback 192.0.2.9", nil, func(o *Options) { o.MapHostLoopback[0] = ip("192.0.2.9") }},
	{"map-host-loopback", ModePasta, "--map-host-loopback fd00::9 --map-host-loopback none", nil, func(o *Options) { o.MapHostLoopbackNone = true }},
	{"map-host-loopback", ModePasta, "--map-host-loopback none --map-host-loopback fd00::9", nil, func(o *Options) {
		o.MapHostLoopbackNone, o.MapHostLoopback[1] = true, ip("fd00::9")
	}},
	{"map-guest-addr", ModePasta, "--map-guest-addr 192.0.2.8", nil, func(o *Options) { o.MapGuestAddr[0] = ip("192.0.2.8") }},
	{"map-guest-addr", ModePasta, "--map-guest-addr none", nil, func(o *Options) { o.MapGuestAddrNone = true }},
	{"tcp-ports", ModePasta, "-t 22 -t 80:8080", nil, func(o *Options) { o.TCPPorts = spec("22,80:8080") }},
	{"tcp-ports", ModePasst, "-t ~20000-20010", nil, func(o *Options) { o.TCPPorts = spec("~20000-20010") }},
	{"udp-ports", ModePasta, "-u none -u 53", nil, func(o *Options) { o.UDPPorts = spec("53") }},
	{"tcp-ns", ModePasta, "-T auto", nil, func(o *Options) { o.TCPNsPorts = spec("auto") }},
	{"udp-ns", ModePasta, "-U 53 -U none", nil, func(o *Options) { o.UDPNsPorts = spec("none") }},
	{"freebind", ModePasta, "--freebind", nil, func(o *Options) { o.FreeBind = true }},
	{"host-lo-to-ns-lo", ModePasta, "--host-lo-to-ns-lo", nil, func(o *Options) { o.HostLoToNsLo = true }},
	{"no-splice", ModePasta, "--no-splice", nil, func(o *Options) { o.NoSplice = true }},
	{"splice-only", ModePasta, "--splice-only", nil, func(o *Options) { o.SpliceOnly = true }},
	{"vhost-user", ModePasst, "--vhost-user", nil, func(o *Options) { o.VhostUser = true }},
	{"print-capabilities", ModePasst, "--print-capabilities", nil, func(o *Options) { o.PrintCaps = true }},
	{"repair-path", ModePasst, "--repair-path none", nil, func(o *Options) { o.RepairPath = "none" }},
	{"migrate-exit", ModePasst, "--migrate-exit", nil, func(o *Options) { o.MigrateExit = true }},
	{"migrate-no-linger", ModePasst, "--migrate-no-linger", nil, func(o *Options) { o.MigrateNoLinger = true }},
}

func TestOptions(t *testing.T) {
	tested := map[string]bool{"help": true, "version": true} // TestOutcomes
	for _, r := range optionRows {
		t.Run(r.name+" "+r.line, r.run)
		tested[r.name] = true
	}
	for i := range table {
		if !tested[table[i].long] {
			t.Errorf("no row for --%s", table[i].long)
		}
	}
}

func TestTable(t *testing.T) {
	long, short := map[string]bool{}, map[byte]bool{}
	for i := range table {
		o := &table[i]
		for _, n := range o.names() {
			if long[n] || n == "" {
				t.Errorf("--%s stands there twice, or is empty", n)
			}
			long[n] = true
		}
		if o.short != 0 && short[o.short] {
			t.Errorf("-%c stands there twice", o.short)
		}
		short[o.short] = true
		if o.set == nil || o.modes == 0 || !strings.HasSuffix(o.help, ".") {
			t.Errorf("--%s: incomplete: %+v", o.long, o)
		}
	}
}

func TestGetopt(t *testing.T) {
	for _, r := range []row{
		{"nothing", ModePasta, "", nil, func(*Options) {}},
		{"long with equals", ModePasta, "--mtu=1500", nil, func(o *Options) { o.MTU = 1500 }},
		{"long with blank", ModePasta, "--mtu 1500", nil, func(o *Options) { o.MTU = 1500 }},
		{"equals in the value", ModePasta, "--pid=a=b", nil, func(o *Options) { o.PidFile = "a=b" }},
		{"short with value attached", ModePasta, "-PFILE", nil, func(o *Options) { o.PidFile = "FILE" }},
		{"short with equals keeps it", ModePasta, "-P=FILE", nil, func(o *Options) { o.PidFile = "=FILE" }},
		{"cluster", ModePasta, "-fq", nil, func(o *Options) { o.Foreground, o.Quiet = true, true }},
		{"cluster ends with value", ModePasta, "-fqm1500", nil, func(o *Options) { o.Foreground, o.Quiet, o.MTU = true, true, 1500 }},
		{"cluster, then value", ModePasta, "-fm 1500", nil, func(o *Options) { o.Foreground, o.MTU = true, 1500 }},
		{"abbreviation", ModePasta, "--foreg", nil, func(o *Options) { o.Foreground = true }},
		{"abbreviation with value", ModePasta, "--addr=192.0.2.1", nil, func(o *Options) { o.Addr[0] = bare("192.0.2.1") }},
		{"exact name that begins others", ModePasta, "--no-dhcp --dns 192.0.2.1", nil, func(o *Options) { o.NoDHCP, o.DNS = true, []netip.Addr{ip("192.0.2.1")} }},
		{"abbreviation of both names of an option", ModePasst, "--sock x", nil, func(o *Options) { o.Socket = "x" }},
		{"value that looks like an option", ModePasta, "-P -f", nil, func(o *Options) { o.PidFile = "-f" }},
		{"value that is two dashes", ModePasta, "-P --", nil, func(o *Options) { o.PidFile = "--" }},
		{"last one wins", ModePasta, "-m 1500 -m 9000", nil, func(o *Options) { o.MTU = 9000 }},
		{"command", ModePasta, "-f sh -c true", nil, func(o *Options) { o.Foreground, o.Command = true, []string{"sh", "-c", "true"} }},
		{"command behind two dashes", ModePasta, "-- -f --pid", nil, func(o *Options) { o.Command = []string{"-f", "--pid"} }},
		{"options end at the command", ModePasta, "ls -f --nonsense", nil, func(o *Options) { o.Command = []string{"ls", "-f", "--nonsense"} }},
		{"a dash alone is a command", ModePasta, "- -f", nil, func(o *Options) { o.Command = []string{"-", "-f"} }},
		{"PID", ModePasta, "1234", nil, func(o *Options) { o.PID = 1234 }},
		{"number with arguments is a command", ModePasta, "1234 x", nil, func(o *Options) { o.Command = []string{"1234", "x"} }},
		{"two dashes alone", ModePasst, "--", nil, func(*Options) {}},
	} {
		t.Run(r.name, r.run)
	}
}

// TestAbbreviations checks that options of our own leave each abbreviation alone that is one
// without them: callers and people's scripts were written for the program whose place we take.
func TestAbbreviations(t *testing.T) {
	ours := map[string]bool{"vsock": true, "outbound-allow": true}
	options := make(map[string]map[string]bool) // by abbreviation, the options that it may stand for
	for i := range table {
		o := &table[i]
		for _, name := range o.names() {
			for n := 1; n <= len(name) && !ours[o.long]; n++ {
				if options[name[:n]] == nil {
					options[name[:n]] = make(map[string]bool)
				}
				options[name[:n]][o.long] = true
			}
		}
	}
	p := &parser{argv0: "pasta"}
	for abbreviation, of := range options {
		o, _, err := p.find(abbreviation)
		if len(of) == 1 && (err != nil || !of[o.long]) {
			t.Errorf("--%s: got %v, %v, want one of %v", abbreviation, o, err, of)
		}
	}
}

// TestCallers has the command lines that real callers build.
func TestCallers(t *testing.T) {
	for _, r := range []row{
		{"podman", ModePasta, "--config-net -t 127.0.0.1/8080-8080:80-80 -u 5353-5354:53-54 --dns-forward 169.254.1.1 " +
			"-T none -U none --no-map-gw --quiet --map-guest-addr 169.254.1.2 --pid /run/p --netns /run/user/1000/netns/n", nil, func(o *Options) {
			o.ConfigNet, o.NoMapGW, o.Quiet = true, true, true
			o.TCPPorts, o.UDPPorts = spec("127.0.0.1/8080:80"), spec("5353-5354:53-54")
			o.TCPNsPorts, o.UDPNsPorts = spec("none"), spec("none")
			o.DNSForward[0], o.MapGuestAddr[0] = ip("169.254.1.1"), ip("169.254.1.2")
			o.PidFile, o.NetNS, o.NetNSOnly = "/run/p", "/run/user/1000/netns/n", true
		}},
		{"podman, no ports, older", ModePasta, "--config-net --dns-forward 169.254.1.1 -t none -u none -T none -U none --no-map-gw --quiet " +
			"--netns /run/n --map-guest-addr 169.254.1.2 -c /run/pasta.sock", nil, func(o *Options) {
			o.ConfigNet, o.NoMapGW, o.Quiet = true, true, true
			o.TCPPorts, o.UDPPorts, o.TCPNsPorts, o.UDPNsPorts = spec("none"), spec("none"), spec("none"), spec("none")
			o.DNSForward[0], o.MapGuestAddr[0] = ip("169.254.1.1"), ip("169.254.1.2")
			o.NetNS, o.NetNSOnly, o.ConfPath = "/run/n", true, "/run/pasta.sock"
		}},
		{"rootlesskit, PID", ModePasta, "--stderr --ns-ifname=tap0 --mtu=65520 --config-net --address=10.0.2.100 --netmask=24 " +
			"--gateway=10.0.2.2 --dns-forward=10.0.2.3 --no-map-gw --ipv4-only --tcp-ports=auto --udp-ports=auto --host-lo-to-ns-lo 4711", nil, func(o *Options) {
			rootlesskit(o)
			o.NoMapGW, o.IPv4Only, o.HostLoToNsLo, o.PID = true, true, true, 4711
			o.TCPPorts, o.UDPPorts = spec("auto"), spec("auto")
		}},
		{"rootlesskit, paths", ModePasta, "--stderr --ns-ifname=tap0 --mtu=65520 --config-net --address=10.0.2.100 --netmask=24 " +
			"--gateway=10.0.2.2 --dns-forward=10.0.2.3 --tcp-ports=none --udp-ports=none --userns=/proc/4711/ns/user --netns=/run/n", nil, func(o *Options) {
			rootlesskit(o)
			o.TCPPorts, o.UDPPorts = spec("none"), spec("none")
			o.UserNS, o.NetNS = "/proc/4711/ns/user", "/run/n"
		}},
		{"libvirt", ModePasst, "--one-off --socket /run/s --pid /run/p --mtu 9000 --interface eth0 --log-file /var/log/l --hostname box --fqdn box.example " +
			"--mac-addr 52:54:00:12:34:56 --address 192.0.2.10 --netmask 24 --address fd00::10 --netmask 64 " +
			"--tcp-ports 203.0.113.1%eth1/80-90:8080-8090,~85 --tcp-ports %eth2/all --udp-ports 53:5353", nil, func(o *Options) {
			o.OneOff, o.Socket, o.PidFile, o.MTU, o.Interface, o.LogFile = true, "/run/s", "/run/p", 9000, "eth0", "/var/log/l"
			o.Hostname, o.FQDN, o.MAC = "box", "box.example", mac("52:54:00:12:34:56")
			o.Addr, o.Mask = [2]netip.Prefix{bare("192.0.2.10"), netip.MustParsePrefix("fd00::10/64")}, 24
			o.TCPPorts, o.UDPPorts = spec("203.0.113.1%eth1/80-90:8080-8090,~85", "%eth2/all"), spec("53:5353")
		}},
		{"QEMU", ModePasst, "--quiet --mtu 1500 --address 192.0.2.10 --no-map-gw --pid /tmp/x --fd 3", nil, func(o *Options) {
			o.Quiet, o.MTU, o.Addr[0], o.NoMapGW, o.PidFile, o.FD, o.OneOff = true, 1500, bare("192.0.2.10"), true, "/tmp/x", 3, true
		}},
		{"libkrun", ModePasst, "-f --fd 7", nil, func(o *Options) { o.Foreground, o.FD, o.OneOff = true, 7, true }},
		{"muvm", ModePasst, "-t all -f --fd 7", nil, func(o *Options) {
			o.TCPPorts, o.Foreground, o.FD, o.OneOff = spec("all"), true, 7, true
		}},
		{"krunvm", ModePasst, "-q -f --fd 7 -t 8080-8080:80-80 -u 192.0.2.1/53-53:53-53", nil, func(o *Options) {
			o.Quiet, o.Foreground, o.FD, o.OneOff = true, true, 7, true
			o.TCPPorts, o.UDPPorts = spec("8080:80"), spec("192.0.2.1/53")
		}},
		{"sandbox", ModePasta, "--foreground --quiet --config-net --no-map-gw --map-guest-addr none --map-host-loopback 169.254.1.3 " +
			"-t none -u none -T none -U none --no-netns-quit --netns /proc/9/ns/net --userns /proc/9/ns/user", nil, func(o *Options) {
			o.Foreground, o.Quiet, o.ConfigNet, o.NoMapGW, o.MapGuestAddrNone = true, true, true, true, true
			o.MapHostLoopback[0] = ip("169.254.1.3")
			o.TCPPorts, o.UDPPorts, o.TCPNsPorts, o.UDPNsPorts = spec("none"), spec("none"), spec("none"), spec("none")
			o.NoNetNSQuit, o.NetNS, o.UserNS = true, "/proc/9/ns/net", "/proc/9/ns/user"
		}},
	} {
		t.Run(r.name, r.run)
	}
}

func rootlesskit(o *Options) {
	o.IfName, o.MTU, o.ConfigNet, o.Addr[0], o.Mask = "tap0", 65520, true, bare("10.0.2.100"), 24
	o.Gateway[0], o.DNSForward[0] = ip("10.0.2.2"), ip("10.0.2.3")
}

func TestOutcomes(t *testing.T) {
	for _, tt := range []struct {
		name, line string
		want       error
	}{
		{"help", "--help", ErrHelp},
		{"short help", "-h", ErrHelp},
		{"help in a cluster", "-fh", ErrHelp},
		{"version", "--version", ErrVersion},
		{"abbreviated", "--vers", ErrVersion},
		{"the first counts", "--version --help", ErrVersion},
		{"probe for an option", "--host-lo-to-ns-lo --version", ErrVersion},
		{"probe for one not supported yet", "--splice-only --version", ErrVersion},
		{"before a conflict is found", "-4 -6 --help", ErrHelp},
		{"before a wrong option", "--help --nonsense", ErrHelp},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, err := Parse(ModePasta, "pasta", strings.Fields(tt.line))
			if o != nil || !errors.Is(err, tt.want) {
				t.Errorf("got %v, %v, want %v", o, err, tt.want)
			}
		})
	}
	if _, err := Parse(ModePasta, "pasta", []string{"--nonsense", "--version"}); err == nil || errors.Is(err, ErrVersion) {
		t.Errorf("wrong option before --version: got %v", err)
	}
	if o, err := Parse(ModePasta, "pasta", []string{"true", "--version"}); err != nil || len(o.Command) != 2 {
		t.Errorf("--version of the command: got %v, %v", o, err)
	}
}

func TestNoEffect(t *testing.T) {
	for _, tt := range []struct {
		name, line string
		want       []string
		without    string // the line that then means the same
	}{
		{"nothing", "-t 22 -u 53", nil, "-t 22 -u 53"},
		{"no TCP", "--no-tcp -t 22:2222 -t 80 -u 53", []string{"--tcp-ports 22:2222,80 has no effect with --no-tcp"}, "--no-tcp -u 53"},
		{"no UDP", "--no-udp -t 22 -u 53", []string{"--udp-ports 53 has no effect with --no-udp"}, "--no-udp -t 22"},
		{"out of the namespace", "--no-tcp --no-udp -T 22 -U 53,auto", []string{
			"--tcp-ns 22 has no effect with --no-tcp", "--udp-ns 53,auto has no effect with --no-udp"}, "--no-tcp --no-udp"},
		{"all", "--no-tcp -t all", []string{"--tcp-ports all has no effect with --no-tcp"}, "--no-tcp"},
		{"auto and none", "--no-tcp --no-udp -t auto -u none -T none -U auto", nil, "--no-tcp --no-udp -t auto -u none -T none -U auto"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, err := Parse(ModePasta, "pasta", strings.Fields(tt.line))
			if err != nil {
				t.Fatal(err)
			}
			if got := o.NoEffect(); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			same, err := Parse(ModePasta, "pasta", strings.Fields(tt.without))
			if err != nil || !reflect.DeepEqual(o, same) {
				t.Errorf("got %+v, want %+v, %v", o, same, err)
			}
		})
	}
}
