package conf

// manual is what the manual pages say of an option beyond its help, by its long name:
// paragraphs, separated by empty lines. An option that its help says everything about has
// none.
var manual = map[string]string{
	"foreground": `SIGTERM, SIGINT and SIGHUP end the program in either case, with exit status 0.`,
	"pid": `The file has the number and a line feed: of the process that stays, as the caller sees it. A file that is there
already is overwritten; one that was created is removed again if the start fails.`,
	"runas": `USER is a login name or a number, and so is GROUP. Without GROUP it is the user's own one. Supplementary groups are
dropped. Names are those of /etc/passwd and /etc/group. Root of a user namespace other than the system's, as in a rootless
container, stays what it is by default. A COMMAND runs as that user too, while it sees itself as root. --runas 0 keeps root.`,
	"conf-path": `The socket is for the user who started the program only, and speaks version 2 of the protocol that existing clients
use. It is removed at the end, unless root made it and the program is another user by then.

Ports that stay are not closed for a moment; a client that stalls or sends rubbish disturbs nobody. passt ports, see NOTES, needs
no such option.`,

	"debug": `Every line then begins with the seconds since the start. Nothing goes to the system's log. Flows that begin and end
are among the lines, the latter with the reason, as far as there are not too many.`,
	"stats": `A line has the counters that have changed since the last one, with their value and by how much they grew; there is none
if nothing happened. passt flows and passt ports, see NOTES, look at the program at any time.`,
	"log-file": `The file is opened once, at the start, and lines are added to what it has. Given more than once, the last one holds.
Without this option, messages of a program in the background go to the system's log (/dev/log).`,
	"log-size": `At the least 4096. The newest lines are kept, and none is cut.`,
	"pcap": `The file has the pcap format. It is created readable by its owner only, and overwritten if it exists. Packets of both
directions are in it as they pass over the link: large TCP and UDP packets that the link will cut into segments are
there in one piece, and checksums that were left to the link are completed.`,

	"socket": `The socket is for the user who started the program only. One that a dead process left at PATH is replaced;
anything else that is there stays, and is an error. One virtual machine at a time is served, and others are refused meanwhile. When it
goes, the next one may come, and the connections of the old one are reset. While there is none, connections to forwarded
ports are refused.`,
	"fd":    `On a stream socket, each frame stands behind its length as a number of 4 bytes, in network byte order.`,
	"vsock": `The framing is that of --socket. See vsock(7).`,

	"config-net": `The loopback interface is set up in any case. With this option the interface to the host is too, and it gets the
addresses of the host's interface (other than link-local ones), all of its routes, and the MTU of --mtu. A route that can't be set
is a warning. IPv6 is ready for use at once, without duplicate address detection, and router advertisements are not
accepted on the interface, since there is nothing more to learn from them. The congestion control of TCP in the namespace is set to
reno, since its connections end at this program, and the network has that of the host; so it is in any namespace that the program makes.

When the host's network changes, addresses and routes follow. An address that the host has lost stays for two hours, deprecated. A
namespace that root has made, outside of any user namespace, stays as it is.`,
	"netns":  `Neither a PID nor a command can be given with this option.`,
	"userns": `A path such as /proc/PID/ns/user.`,
	"no-netns-quit": `Without this option the program ends, and lets go of its ports, as soon as the file that --netns names is
deleted or the process that PID names is gone.`,
	"no-copy-routes": `There is little use for it; existing callers pass it.`,
	"no-copy-addrs":  `There is little use for it; existing callers pass it.`,

	"interface": `Without this option the interface is chosen for each IP version: the one that --outbound-if4 or --outbound-if6 names;
else the one of the first default route, where of several paths the one with the highest weight counts; else the
first one with any route.

If there is none, local mode is used for that IP version: the guest gets 169.254.2.1/16 and the gateway 169.254.2.2, or no
IPv6 address and the gateway fe80::1, and its interface is called tap0. What the host itself can reach, its loopback for
one, is still within reach.`,
	"address": `The guest gets it by DHCP or DHCPv6, or from --config-net, and the prefix of 64 bits around an IPv6 address by router
advertisements. Without BITS the prefix length is that of the host's network that the address is in, or else that of the
address's class, for IPv4, and 64 for IPv6.`,
	"gateway": `It is also the address that connections from the host's loopback have for the guest, see NOTES. It need not be in the
guest's own network. Router advertisements always come from a link-local address; if ADDR is none, from that of
the host's interface.`,
	"mtu": `DHCP (option 26) and router advertisements announce it, and --config-net sets it. In a namespace it has little effect on
throughput, for TCP passes through the interface in pieces of up to 64 KiB at any MTU, if the kernel knows segmentation
offload for tap devices.`,
	"mac-addr":     `If the host has no such interface, it is 9a:55:9a:55:9a:55.`,
	"outbound":     `Sockets to the host's own loopback are not bound to it.`,
	"outbound-if4": `Unless --interface is given, addresses and routes of IPv4 are taken from this interface too.`,
	"outbound-if6": `Unless --interface is given, addresses and routes of IPv6 are taken from this interface too.`,
	"outbound-allow": `A destination of LIST is an address as the guest writes to it, or a network with the length of its prefix, and
perhaps a port or a range of ports of TCP and UDP: 192.0.2.9, 192.0.2.0/24, 192.0.2.9:443, 192.0.2.0/24:8000-8010,
2001:db8::/32, [2001:db8::9]:443, [2001:db8::/32]:443. One without ports is for all of them, and for ping, which has none.
Multicast groups and the broadcast address are destinations like others.

This is about what the guest begins. A TCP connection to anywhere else is refused as by a server that does not listen; for
a datagram or a ping there is an ICMP error, "communication administratively prohibited". passt stats counts them
(tcp.denied, udp.denied, icmp.denied), and --debug shows them. What begins at a forwarded port is not affected, with its
answers. Nor are, in pasta, connections past the interface: those of --tcp-ns and --udp-ns, and to the loopback. With UDP,
answers from another address or port of a peer pass only if LIST has that too.

Some destinations need no place in LIST: the addresses given by --map-host-loopback and --map-guest-addr; DNS (ports 53
and 853) at the address given by --dns-forward, and at addresses that are announced to the guest as name servers, see
--dns, and lead to one of the host's. A name server of the network that is announced as it is needs a place, and so does
the gateway where it means the host's loopback without being asked to, see --no-map-gw. DHCP, DHCPv6 and neighbour
discovery go on in any case.`,

	"dns": `The addresses are announced by DHCP, DHCPv6 and router advertisements if those announce name servers at all, see
--dhcp-dns and --no-dhcp-dns.

A name server from /etc/resolv.conf that the guest can't reach under the same address is announced as the one that leads
there: one on the host's loopback as the address that means the host's loopback to the guest, or as that of --dns-forward;
it is left out if there is neither.`,
	"dns-forward": `This is about ports 53 and 853, of UDP and TCP. --dns none makes no difference to it. If there is no name server of
that IP version, that is a warning; one that the host gets later is used.

Without this option, these ports of the address that means the host's loopback (the gateway, by default) lead to the host's
name server if that is at a loopback address, or at the gateway itself.`,
	"dns-host": `If the file has none of that IP version, it is the first one of --dns whose address means nothing else to
the guest.`,
	"no-dhcp-dns": `Otherwise they are announced by DHCP option 6, DHCPv6 option 23 and option 25 of router advertisements.`,
	"dhcp-dns": `They are announced by DHCP option 6, DHCPv6 option 23 and option 25 of router advertisements. Without this option
the namespace goes on using the host's resolv.conf.`,
	"no-dhcp-search": `Otherwise they are announced by DHCP option 119, DHCPv6 option 24 and option 31 of router advertisements.`,
	"dhcp-search":    `They are announced by DHCP option 119, DHCPv6 option 24 and option 31 of router advertisements.`,
	"hostname":       `DHCP option 12.`,
	"fqdn":           `DHCP option 81 and DHCPv6 option 39, for clients that ask for them.`,

	"ipv4-only": `IPv6 packets of the guest are dropped. Without this option there is IPv6 unless it is switched off in the host's kernel.`,
	"ipv6-only": `IPv4 packets of the guest are dropped.`,
	"no-tcp": `TCP packets of the guest are dropped without an answer, and no TCP ports are forwarded: ports that are named all the same
are a warning.`,
	"no-udp": `UDP packets of the guest are dropped without an answer, and no UDP ports are forwarded: ports that are named all the same
are a warning. DHCP and DHCPv6 go on.`,
	"no-icmp":   `Echo requests of the guest are dropped without an answer.`,
	"no-dhcp":   `Requests of DHCP clients are dropped without an answer. Implied as long as there is no IPv4 gateway.`,
	"no-dhcpv6": `Requests of DHCPv6 clients are dropped without an answer, and router advertisements do not point to a server.`,
	"no-ndp":    `The guest then needs static entries in its table of neighbours for any IPv6 traffic.`,
	"no-ra":     `Router solicitations are not answered either.`,

	"no-map-gw":         `Implied for an IP version without a gateway. See NOTES.`,
	"map-host-loopback": `See NOTES. With none, and with --no-map-gw and without this option, the guest can't reach the host's loopback.`,
	"map-guest-addr":    `See NOTES.`,

	"tcp-ports": `A port is bound to all addresses of both IP versions unless SPEC says otherwise. If it can be bound for one IP version
only, that is a warning, and so is an IPv6 address where the host's kernel has IPv6 switched off. A port that was named and can't be bound at all is an error, and the program does not start;
with all, auto and lists of nothing but exclusions it takes what is free, and only nothing at all is an error.

With auto, a port is forwarded for the IP versions that it is bound for on the other side: one that takes IPv6 only (IPV6_V6ONLY, see
ipv6(7)) for IPv6 only.`,
	"udp-ports": `If this option is not given, the UDP ports with the numbers of the forwarded TCP ports are forwarded too, to the same
numbers in the guest, as far as they are free.`,
	"freebind": `The socket options IP_FREEBIND and IPV6_FREEBIND, see ip(7).`,

	"repair-path":       `Live migration is not supported.`,
	"migrate-exit":      `Live migration is not supported: no effect.`,
	"migrate-no-linger": `Live migration is not supported: no effect.`,
}
