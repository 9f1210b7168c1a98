package policy

import (
	seccomp "github.com/elastic/go-seccomp-bpf"
	"golang.org/x/sys/unix"
)

// sockets are the arguments of socket: flows and forwarded ports of TCP and UDP, and ping. All
// others, such as the netlink and raw ones and those that lead to virtual machines and clients,
// were made before the sandbox closed. A new UNIX socket could reach programs of the host that
// listen on an abstract address, for which no file system is needed.
func sockets() (out []seccomp.ArgumentConditions) {
	const flags = unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC
	for _, s := range [][3]uint64{
		{unix.AF_INET, unix.SOCK_STREAM, 0},
		{unix.AF_INET6, unix.SOCK_STREAM, 0},
		{unix.AF_INET, unix.SOCK_DGRAM, 0},
		{unix.AF_INET6, unix.SOCK_DGRAM, 0},
		{unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP},
		{unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_ICMPV6},
	} {
		out = append(out, seccomp.ArgumentConditions{is(0, s[0]), is(1, s[1]|flags), is(2, s[2])})
	}
	return out
}

// options are the arguments of setsockopt: what packages l4/sock and link/stream set. The test
// reads their source and misses what is not here.
func options() (out []seccomp.ArgumentConditions) {
	for _, o := range []struct {
		level uint64
		names []uint64
	}{
		{unix.SOL_SOCKET, []uint64{
			unix.SO_PEEK_OFF, unix.SO_LINGER, unix.SO_SNDBUF, unix.SO_RCVBUF, unix.SO_KEEPALIVE, unix.SO_REUSEADDR,
			unix.SO_BINDTODEVICE, unix.SO_OOBINLINE,
		}},
		{unix.IPPROTO_TCP, []uint64{unix.TCP_NODELAY, unix.TCP_CONGESTION}},
		{unix.IPPROTO_UDP, []uint64{unix.UDP_GRO}},
		{unix.IPPROTO_IP, []uint64{
			unix.IP_TTL, unix.IP_RECVERR, unix.IP_RECVTTL, unix.IP_PKTINFO, unix.IP_FREEBIND, unix.IP_BIND_ADDRESS_NO_PORT,
		}},
		{unix.IPPROTO_IPV6, []uint64{
			unix.IPV6_UNICAST_HOPS, unix.IPV6_RECVERR, unix.IPV6_RECVHOPLIMIT, unix.IPV6_RECVPKTINFO, unix.IPV6_FREEBIND,
			unix.IPV6_V6ONLY,
		}},
	} {
		for _, n := range o.names {
			out = append(out, seccomp.ArgumentConditions{is(1, o.level), is(2, n)})
		}
	}
	return out
}
