package manpage

// notes writes what passt and pasta have in common to be known; guest is what it is about: a
// guest or a namespace.
func (p *page) notes(guest string) {
	p.section("Notes")
	p.subsection("Local addresses")
	p.text(`The ` + guest + ` has the host's addresses, and a loopback of its own. So it can reach the host itself only under
addresses that mean something else to it, and what the host sends from such an address must be shown with another one. These are
all addresses that are translated; any other is what it says.`)
	p.text("From the " + guest + " to the host:")
	p.tagged("the gateway", `The host's loopback, 127.0.0.1 or ::1. --map-host-loopback chooses another address for it; --no-map-gw and
--map-host-loopback none switch it off.`)
	p.tagged("the address of "+bold("--map-guest-addr"), "The host's own address, which it shares with the "+guest+". There is none by default.")
	p.tagged("the address of "+bold("--dns-forward")+", ports 53 and 853", "The host's name server. See that option for what holds without it.")
	p.tagged("127.0.0.0/8, ::1 and the like", "Refused: no address that a "+guest+" can make up leads to the host's loopback but those above.")
	p.text("From the host to the " + guest + ", for connections and datagrams to forwarded ports:")
	p.tagged("source on the host's loopback", `Shown as the address that means the host's loopback: the gateway, by default. If that is switched
off, it is shown as the gateway all the same.`)
	p.tagged("source is the "+guest+"'s own address", "Shown as the address of --map-guest-addr or, if there is none, as above.")
	p.tagged("destination", `The address that the `+guest+` was last seen to send from or, before it has sent anything, the one that it was given;
for an IPv6 link-local source, the link-local one.`)
	p.subsection("Changes of the host's network")
	p.text(`If the host gets another address, gateway, route or name server, or gets a network only after the start, what the
` + guest + ` is given follows within a second or two, except for what options say. Router advertisements announce the new prefix and name
servers at once, and the old ones as not to be used for anything new. DHCP and DHCPv6 give the new ones to whoever asks next. Until
then, and if it never does, the ` + guest + ` works with what it has: its old address is translated, and a name server that it was
told of before leads to the present one. Connections go on. If the host loses its network, what it had is kept until there is
another.`)
	p.subsection("Ports below 1024")
	p.text(`A user may not bind ports below 1024 of the host by default. The way to allow it is to lower the limit to the lowest port that
is needed, as root:`)
	p.example("sysctl -w net.ipv4.ip_unprivileged_port_start=443")
	p.text(`Root may bind them, and so may the program for any user if its file has the capability to, which is given by root as well:`)
	p.example("setcap cap_net_bind_service=ep /usr/local/bin/passt")
	p.text(`Whoever can run that file can then have any of these ports. The right stays with the process that follows the host's network, which
binds such ports for the one that handles packets, also when they are added while it runs, and does nothing else with it.`)
	p.subsection("Ping")
	p.text(`Echo requests are sent from ping sockets, see icmp(7). Their identifier is the one that the ` + guest + ` uses if that is free on
the host; otherwise the host's differs, and replies get the ` + guest + `'s back. The group of the user must be in the range of the
sysctl net.ipv4.ping_group_range; if it is not, a line at the start says so, with the command that mends it, unless --quiet is
given. For all groups, as root:`)
	p.example(`sysctl -w net.ipv4.ping_group_range="0 2147483647"`)
	p.subsection("Looking at a running instance, and changing its ports")
	p.text(`passt ports and passt flows find the running instances of passt and pasta of the user, the only one or that of --pid,
--socket or --name. For example:`)
	p.example(`passt ports list
passt ports add -t 8080:80 -u 5353
passt ports delete -t 8080
passt flows --json`)
	p.text(`Specifications are those of --tcp-ports, --udp-ports, --tcp-ns and --udp-ns. A change is made as a whole, and the rules in force
are printed; or it is refused with the reason, exit status 1, and nothing has changed. Connections and the sockets of other rules go on
undisturbed.`)
	p.text(`Each instance has a socket for this in the folder passt of XDG_RUNTIME_DIR or, where there is none, in /run/passt for root and
/tmp/passt-UID for others. Its name is the number of the process, and it is accessible to the user only. It is removed at the end.`)
	p.subsection("Isolation")
	p.text(`The process that handles packets has user, mount, PID, IPC and UTS namespaces of its own, an empty root file system that can't be
written to, and no capability but CAP_NET_BIND_SERVICE in its own user namespace, which means nothing on the host. Files are opened
before that. The process that was started, or in the background another one
in its place, stays to follow the host's network and to clean up; it has no capabilities, but for that to bind ports below 1024 if it
had it, and nothing to do with packets.`)
	p.section("Limitations")
	p.text(`Of the IP protocols, TCP, UDP, and echo by ICMP and ICMPv6 pass. Multicast groups of the host's network can't be joined from
inside. Selective acknowledgements and timestamps of TCP are not used between the ` + guest + ` and the program; towards the network the
host's kernel uses them.`)
}
