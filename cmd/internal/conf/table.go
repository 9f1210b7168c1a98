package conf

import (
	"net"
	"net/netip"

	"passt/nat/portspec"
)

// option is one line of the table: everything there is to know about an option.
type option struct {
	long  string
	alias string // a second long name
	short byte   // 0 if none
	arg   string // what the argument stands for; empty: it takes none
	modes modes
	group group
	set   setter
	help  string // sentences, to be wrapped
}

func (o *option) names() []string {
	if o.alias == "" {
		return []string{o.long}
	}
	return []string{o.long, o.alias}
}

// modes is the set of programs that have an option.
type modes uint8

const (
	forPasst modes = 1 << ModePasst
	forPasta modes = 1 << ModePasta
	forBoth        = forPasst | forPasta
)

func (m modes) has(mode Mode) bool { return m>>mode&1 != 0 }

// group is the part of the help that an option stands in.
type group uint8

const (
	general group = iota
	logging
	machine
	namespace
	network
	resolver
	protocols
	mappings
	portGroup
	later
	numGroups
)

var groupTitle = [numGroups]string{
	general:   "General",
	logging:   "Messages and capture",
	machine:   "Virtual machine",
	namespace: "Namespace",
	network:   "Addresses, routes and outbound traffic",
	resolver:  "Name resolution and host names",
	protocols: "Protocols",
	mappings:  "Addresses with a special meaning",
	portGroup: "Port forwarding",
	later:     "Recognised for compatibility",
}

// refused kinds of addresses, of options that name a host of the network
const noHost = noLoopback | noUnspecified | noMulticast

// table has all options, in the order of the help.
var table = []option{
	{"help", "", 'h', "", forBoth, general, setHelp,
		"Print this text and exit."},
	{"version", "", 0, "", forBoth, general, setVersion,
		"Print the version and exit."},
	{"foreground", "", 'f', "", forBoth, general, on(func(o *Options) *bool { return &o.Foreground }),
		"Stay in the foreground, as is the case with a COMMAND or shell anyway. " +
			"Otherwise the process goes to the background once everything is ready."},
	{"pid", "", 'P', "FILE", forBoth, general, text(func(o *Options) *string { return &o.PidFile }, path),
		"Write the process ID to FILE once everything is ready."},
	{"runas", "", 0, "USER[:GROUP]", forBoth, general, setRunAs,
		"Run as this user, and group, by name or number. Needs privileges. Default: nobody, if started as root."},
	{"conf-path", "", 'c', "PATH", forBoth, general, text(func(o *Options) *string { return &o.ConfPath }, path),
		"Serve a control socket at PATH, to change ports while running."},
	{"chroot-fallback", "", 0, "", forBoth, general, on(func(o *Options) *bool { return &o.ChrootFallback }),
		"Use chroot() where the root file system allows no pivot_root(), such as an initramfs."},

	{"debug", "", 'd', "", forBoth, logging, setDebug,
		"Print what is being done. Of this and --quiet, the last one holds."},
	{"trace", "", 0, "", forBoth, logging, setTrace,
		"Print a line for every packet, too. Implies --debug."},
	{"quiet", "", 'q', "", forBoth, logging, setQuiet,
		"Print warnings and errors only."},
	{"log-file", "", 'l', "PATH", forBoth, logging, text(func(o *Options) *string { return &o.LogFile }, path),
		"Write messages to the file PATH instead of the system's log."},
	{"log-size", "", 0, "BYTES", forBoth, logging, setLogSize,
		"Keep the log file below this size by dropping its oldest lines. Default: 1048576."},
	{"stats", "", 0, "SECONDS", forBoth, logging, setStats,
		"Print statistics of events, at most this often."},
	{"pcap", "", 'p', "FILE", forBoth, logging, text(func(o *Options) *string { return &o.Pcap }, path),
		"Write the packets of the guest's interface to FILE, for tcpdump or Wireshark."},
	{"stderr", "", 'e', "", forBoth, logging, setNothing,
		"No effect; accepted since callers pass it."},

	{"socket", "socket-path", 's', "PATH", forPasst, machine, text(func(o *Options) *string { return &o.Socket }, path),
		"UNIX socket to accept the virtual machine on. Default: the first free one of /tmp/passt_1.socket to /tmp/passt_64.socket."},
	{"fd", "", 'F', "FD", forPasst, machine, setFD,
		"Use the descriptor FD, inherited from the caller: a connected stream socket, a connected seqpacket socket with one " +
			"frame a message, or a tap. Implies --one-off."},
	{"vsock", "", 0, "[CID:]PORT", forPasst, machine, setVSock,
		"Accept the virtual machine on this vsock port instead, only the one with context ID CID if given. Inside of it, " +
			"run passt guest --vsock 2:PORT."},
	{"one-off", "", '1', "", forPasst, machine, on(func(o *Options) *bool { return &o.OneOff }),
		"Quit when the first connection to the socket ends."},

	{"config-net", "", 0, "", forPasta, namespace, on(func(o *Options) *bool { return &o.ConfigNet }),
		"Set up the interface of the namespace: its addresses, routes and MTU. Otherwise DHCP, DHCPv6 and router " +
			"advertisements are there for a client in the namespace to do that."},
	{"ns-ifname", "", 'I', "NAME", forPasta, namespace, text(func(o *Options) *string { return &o.IfName }, ifName),
		"Name of the interface in the namespace. Default: that of the host's interface."},
	{"ns-mac-addr", "", 0, "MAC", forPasta, namespace, macSetter(func(o *Options) *net.HardwareAddr { return &o.NsMAC }),
		"MAC address of the interface in the namespace. Default: a random one."},
	{"netns", "", 0, "PATH|NAME", forPasta, namespace, setNetNS,
		"Join this network namespace: a path, or a name in /run/netns."},
	{"userns", "", 0, "PATH", forPasta, namespace, text(func(o *Options) *string { return &o.UserNS }, path),
		"Join this user namespace first. Default: that of PID, if given."},
	{"netns-only", "", 0, "", forPasta, namespace, on(func(o *Options) *bool { return &o.NetNSOnly }),
		"Join no user namespace, and create none. Implied by --netns without --userns."},
	{"no-netns-quit", "", 0, "", forPasta, namespace, on(func(o *Options) *bool { return &o.NoNetNSQuit }),
		"Keep running after the path or the process of the namespace is gone."},
	{"no-copy-routes", "", 0, "", forPasta, namespace, on(func(o *Options) *bool { return &o.NoCopyRoute }),
		"With --config-net, set a default route only, not all the routes of the host's interface. Implied by --gateway."},
	{"no-copy-addrs", "", 0, "", forPasta, namespace, on(func(o *Options) *bool { return &o.NoCopyAddrs }),
		"With --config-net, set one address of each IP version, not all those of the host's interface. Implied by --address."},

	{"interface", "", 'i', "NAME", forBoth, network, text(func(o *Options) *string { return &o.Interface }, ifName),
		"Take addresses and routes from this host interface. Default: the one with the default route."},
	{"address", "", 'a', "ADDR[/BITS]", forBoth, network, setAddress,
		"Address of the guest, once for each IP version. Default: that of the host's interface."},
	{"netmask", "", 'n', "MASK", forBoth, network, setNetmask,
		"IPv4 mask of the guest, such as 255.255.255.0 or 24. Default: that of the host's address, or else of the " +
			"address's class. Not together with --address ADDR/BITS."},
	{"gateway", "", 'g', "ADDR", forBoth, network, perFamily(func(o *Options) *[2]netip.Addr { return &o.Gateway }, noHost),
		"Default router of the guest, once for each IP version. Default: the host's."},
	{"mtu", "", 'm', "MTU", forBoth, network, setMTU,
		"MTU of the guest, 1280 to 65520 bytes, with --ipv4-only from 68 on; 0 announces none. Default: 65520."},
	{"mac-addr", "", 'M', "MAC", forBoth, network, macSetter(func(o *Options) *net.HardwareAddr { return &o.MAC }),
		"MAC address that the guest sees as the sender of all packets. Default: that of the host's interface."},
	{"outbound", "", 'o', "ADDR", forBoth, network, perFamily(func(o *Options) *[2]netip.Addr { return &o.OutAddr }, noUnspecified|noMulticast),
		"Source address of connections to the outside, once for each IP version. Default: the kernel's choice."},
	{"outbound-if4", "", 0, "NAME", forBoth, network, text(func(o *Options) *string { return &o.OutIf[0] }, ifName),
		"Send IPv4 to the outside by this host interface. Default: the one that the host's routes give for each destination."},
	{"outbound-if6", "", 0, "NAME", forBoth, network, text(func(o *Options) *string { return &o.OutIf[1] }, ifName),
		"The same for IPv6."},
	{"outbound-allow", "", 0, "LIST|none", forBoth, network, setOutboundAllow,
		"Let the guest reach the destinations in LIST only, and refuse others at once; may be repeated. LIST is " +
			"ADDR[/BITS][:PORT[-PORT]],..., IPv6 with ports [ADDR[/BITS]]:PORT. none: none at all. Default: everything."},

	{"dns", "", 'D', "ADDR|none", forBoth, resolver, setDNS,
		"Name server for the guest, as it is; may be repeated. Default: those in /etc/resolv.conf. none: no name servers."},
	{"dns-forward", "", 0, "ADDR", forBoth, resolver, perFamily(func(o *Options) *[2]netip.Addr { return &o.DNSForward }, noHost),
		"Queries that the guest sends to ADDR go to the host's name server. Once for each IP version."},
	{"dns-host", "", 0, "ADDR", forBoth, resolver, perFamily(func(o *Options) *[2]netip.Addr { return &o.DNSHost }, noUnspecified|noMulticast),
		"The name server behind --dns-forward, once for each IP version. Default: the first one in /etc/resolv.conf."},
	{"search", "", 'S', "LIST|none", forBoth, resolver, setSearch,
		"Search domains for the guest, separated by blanks; may be repeated. Default: those in /etc/resolv.conf. none: no search domains."},
	{"no-dhcp-dns", "", 0, "", forPasst, resolver, off(func(o *Options) *bool { return &o.DHCPDNS }),
		"Announce no name servers by DHCP, DHCPv6 and router advertisements."},
	{"dhcp-dns", "", 0, "", forPasta, resolver, on(func(o *Options) *bool { return &o.DHCPDNS }),
		"Announce name servers by DHCP, DHCPv6 and router advertisements."},
	{"no-dhcp-search", "", 0, "", forPasst, resolver, off(func(o *Options) *bool { return &o.DHCPSearch }),
		"Announce no search domains by DHCP, DHCPv6 and router advertisements."},
	{"dhcp-search", "", 0, "", forPasta, resolver, on(func(o *Options) *bool { return &o.DHCPSearch }),
		"Announce search domains by DHCP, DHCPv6 and router advertisements."},
	{"hostname", "", 'H', "NAME", forBoth, resolver, domainSetter(func(o *Options) *string { return &o.Hostname }),
		"Host name that DHCP gives to the guest."},
	{"fqdn", "", 0, "NAME", forBoth, resolver, domainSetter(func(o *Options) *string { return &o.FQDN }),
		"Full domain name that DHCP and DHCPv6 give to the guest."},

	{"ipv4-only", "", '4', "", forBoth, protocols, on(func(o *Options) *bool { return &o.IPv4Only }),
		"No IPv6."},
	{"ipv6-only", "", '6', "", forBoth, protocols, on(func(o *Options) *bool { return &o.IPv6Only }),
		"No IPv4."},
	{"no-tcp", "", 0, "", forBoth, protocols, on(func(o *Options) *bool { return &o.NoTCP }),
		"No TCP."},
	{"no-udp", "", 0, "", forBoth, protocols, on(func(o *Options) *bool { return &o.NoUDP }),
		"No UDP."},
	{"no-icmp", "", 0, "", forBoth, protocols, on(func(o *Options) *bool { return &o.NoICMP }),
		"No echo (ping) by ICMP and ICMPv6. Implies --no-ndp."},
	{"no-dhcp", "", 0, "", forBoth, protocols, on(func(o *Options) *bool { return &o.NoDHCP }),
		"No DHCP server."},
	{"no-dhcpv6", "", 0, "", forBoth, protocols, on(func(o *Options) *bool { return &o.NoDHCPv6 }),
		"No DHCPv6 server."},
	{"no-ndp", "", 0, "", forBoth, protocols, on(func(o *Options) *bool { return &o.NoNDP }),
		"Answer no neighbour discovery."},
	{"no-ra", "", 0, "", forBoth, protocols, on(func(o *Options) *bool { return &o.NoRA }),
		"Send no router advertisements."},

	{"no-map-gw", "", 0, "", forBoth, mappings, on(func(o *Options) *bool { return &o.NoMapGW }),
		"The gateway's address means the gateway. Otherwise it means the host's loopback, to the guest."},
	{"map-host-loopback", "", 0, "ADDR|none", forBoth, mappings,
		mapped(func(o *Options) (*[2]netip.Addr, *bool) { return &o.MapHostLoopback, &o.MapHostLoopbackNone }),
		"ADDR means the host's loopback, to the guest; once for each IP version. Default: the gateway, without --no-map-gw."},
	{"map-guest-addr", "", 0, "ADDR|none", forBoth, mappings,
		mapped(func(o *Options) (*[2]netip.Addr, *bool) { return &o.MapGuestAddr, &o.MapGuestAddrNone }),
		"ADDR means the host's own address, which the guest can't reach because it has the same; once for each IP version. " +
			"Default: none."},

	{"tcp-ports", "", 't', "SPEC", forBoth, portGroup, portSetter(func(o *Options) *portspec.Spec { return &o.TCPPorts }),
		"TCP ports of the host to forward to the guest; may be repeated. Default: none for a virtual machine, auto for a " +
			"namespace. SPEC is described below."},
	{"udp-ports", "", 'u', "SPEC", forBoth, portGroup, portSetter(func(o *Options) *portspec.Spec { return &o.UDPPorts }),
		"The same for UDP. Default: the TCP ports, without their mappings, and for a namespace auto, too."},
	{"tcp-ns", "", 'T', "SPEC", forPasta, portGroup, portSetter(func(o *Options) *portspec.Spec { return &o.TCPNsPorts }),
		"TCP ports of the namespace's loopback to forward to the host; may be repeated. Default: auto."},
	{"udp-ns", "", 'U', "SPEC", forPasta, portGroup, portSetter(func(o *Options) *portspec.Spec { return &o.UDPNsPorts }),
		"The same for UDP."},
	{"freebind", "", 0, "", forBoth, portGroup, on(func(o *Options) *bool { return &o.FreeBind }),
		"Bind ports to addresses that the host does not have yet, too."},
	{"host-lo-to-ns-lo", "", 0, "", forPasta, portGroup, on(func(o *Options) *bool { return &o.HostLoToNsLo }),
		"Connections from the host's loopback reach the loopback of the namespace, not its outer address."},
	{"no-splice", "", 0, "", forPasta, portGroup, on(func(o *Options) *bool { return &o.NoSplice }),
		"Connections from the host's loopback take the way through the interface of the namespace, not a shortcut."},
	{"splice-only", "", 0, "", forPasta, portGroup, on(func(o *Options) *bool { return &o.SpliceOnly }),
		"Forward ports between the loopbacks only, and make no interface in the namespace."},

	{"vhost-user", "", 0, "", forPasst, later, on(func(o *Options) *bool { return &o.VhostUser }),
		"Exchange packets with the virtual machine by shared memory."},
	{"print-capabilities", "", 0, "", forPasst, later, on(func(o *Options) *bool { return &o.PrintCaps }),
		"Print what the vhost-user back end can do, and exit."},
	{"repair-path", "", 0, "PATH|none", forPasst, later, text(func(o *Options) *string { return &o.RepairPath }, path),
		"Socket of a helper for the migration of connections."},
	{"migrate-exit", "", 0, "", forPasst, later, on(func(o *Options) *bool { return &o.MigrateExit }),
		"Quit after the virtual machine has migrated."},
	{"migrate-no-linger", "", 0, "", forPasst, later, on(func(o *Options) *bool { return &o.MigrateNoLinger }),
		"Close connections at once after the virtual machine has migrated."},
}
