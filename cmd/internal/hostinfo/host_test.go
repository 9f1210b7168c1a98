package hostinfo

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"passt/cmd/internal/conf"
)

// host builds facts. Interfaces are numbered as they are added, lo is 1.
type host struct{ f *facts }

func newHost() host {
	return host{&facts{ipv6: true, links: []link{{index: 1, name: "lo", loopback: true}},
		addrs: [2][]addr{
			{{index: 1, prefix: netip.MustParsePrefix("127.0.0.1/8"), scope: unix.RT_SCOPE_HOST}},
			{{index: 1, prefix: netip.MustParsePrefix("::1/128"), scope: unix.RT_SCOPE_HOST}},
		}}}
}

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return v4
	}
	return v6
}

func (h host) link(name string, addrs ...string) host {
	index := len(h.f.links) + 1
	h.f.links = append(h.f.links, link{index: index, name: name, mac: net.HardwareAddr{2, 0, 0, 0, 0, byte(index)}})
	for _, s := range addrs {
		s, tags, _ := strings.Cut(s, " ")
		p := netip.MustParsePrefix(s)
		a := addr{index: index, prefix: p, temporary: strings.Contains(tags, "temp"), deprecated: strings.Contains(tags, "deprecated")}
		if p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() || strings.Contains(tags, "scopelink") {
			a.scope = unix.RT_SCOPE_LINK
		}
		h.f.addrs[familyOf(p.Addr())] = append(h.f.addrs[familyOf(p.Addr())], a)
	}
	return h
}

// noMAC makes the last link a tunnel.
func (h host) noMAC() host {
	h.f.links[len(h.f.links)-1].mac = nil
	return h
}

// route adds one route, in ip-route(8)'s words: "DST [via GW] dev NAME [src A] [metric N]
// [kernel] [link] [onlink] [down] [mtu N]", with "nexthop via GW dev NAME weight N" for each path.
func (h host) route(s string) host {
	words := strings.Fields(strings.Replace(s, "default6", "::/0", 1))
	words[0] = strings.Replace(words[0], "default", "0.0.0.0/0", 1)
	r := route{dst: netip.MustParsePrefix(words[0]), protocol: unix.RTPROT_STATIC}
	if words[1] != "nexthop" {
		r.hops = []hop{{weight: 1}}
	}
	for i := 1; i < len(words); i++ {
		number := func() (n int) { fmt.Sscan(words[i+1], &n); return n }
		var last *hop
		if len(r.hops) > 0 {
			last = &r.hops[len(r.hops)-1]
		}
		switch words[i] {
		case "nexthop":
			r.hops = append(r.hops, hop{weight: 1})
		case "via":
			last.gateway = netip.MustParseAddr(words[i+1])
		case "dev":
			last.index = slices.IndexFunc(h.f.links, func(l link) bool { return l.name == words[i+1] }) + 1
		case "weight":
			last.weight = number()
		case "src":
			r.src = netip.MustParseAddr(words[i+1])
		case "metric":
			r.priority = number()
		case "mtu":
			r.mtu = number()
		case "kernel":
			r.protocol = unix.RTPROT_KERNEL
		case "link":
			r.scope = unix.RT_SCOPE_LINK
		case "onlink":
			last.onlink = true
		case "down":
			last.down = true
		}
	}
	h.f.routes[familyOf(r.dst.Addr())] = append(h.f.routes[familyOf(r.dst.Addr())], r)
	return h
}

func (h host) resolv(s string) host {
	h.f.resolv, _ = ParseResolvConf(strings.NewReader(s))
	return h
}

func (h host) noIPv6() host {
	h.f.ipv6, h.f.addrs[v6], h.f.routes[v6] = false, nil, nil
	return h
}

// home is the usual case: one interface with both IP versions.
func home() host {
	return newHost().
		link("eth0", "192.168.1.118/24", "2001:db8:a::5/64", "fe80::2/64").
		route("default via 192.168.1.1 dev eth0 metric 100").
		route("192.168.1.0/24 dev eth0 src 192.168.1.118 kernel link metric 100").
		route("2001:db8:a::/64 dev eth0 kernel metric 256").
		route("fe80::/64 dev eth0 kernel metric 256").
		route("default6 via fe80::1:1 dev eth0 metric 1024")
}

// two has a second interface without default route.
func two() host {
	return home().link("eth1", "10.0.0.2/8", "fd00:1::2/64", "fe80::3/64").
		route("10.0.0.0/8 dev eth1 src 10.0.0.2 kernel link").
		route("172.16.0.0/12 via 10.0.0.1 dev eth1").
		route("fd00:1::/64 dev eth1 kernel metric 256")
}

func options(set ...func(*conf.Options)) *conf.Options {
	o := &conf.Options{Mode: conf.ModePasta, MTU: -1, Mask: -1, FD: -1, ConfigNet: true}
	for _, s := range set {
		s(o)
	}
	return o
}

// text shows one IP version in a line, for tables: interface, addresses, gateway, our
// address, routes.
func (fa *Family) text() string {
	if !fa.Enabled {
		return "off"
	}
	b := fa.IfName
	if fa.Local {
		b = "local"
	}
	for _, a := range fa.Addrs {
		b += " " + a.String()
	}
	b += " gw " + orNone(fa.Gateway) + " our " + orNone(fa.OurAddr)
	for _, r := range fa.Routes {
		b += "; " + strings.TrimSuffix(strings.TrimSuffix(r.Dst.String(), "/32"), "/128")
		if r.Gateway.IsValid() {
			b += " via " + r.Gateway.String()
		}
		if r.Src.IsValid() {
			b += " src " + r.Src.String()
		}
		if r.Flags == unix.RTNH_F_ONLINK {
			b += " onlink"
		}
		if r.Scope == unix.RT_SCOPE_LINK {
			b += " link"
		}
		if r.Priority != 0 {
			b += fmt.Sprint(" metric ", r.Priority)
		}
		if r.MTU != 0 {
			b += fmt.Sprint(" mtu ", r.MTU)
		}
	}
	return b
}

func orNone(a netip.Addr) string {
	if !a.IsValid() {
		return "none"
	}
	return a.String()
}

func addrOpt(s string) func(*conf.Options) {
	return func(o *conf.Options) {
		a, bits, has := strings.Cut(s, "/")
		ip, n := netip.MustParseAddr(a), -1
		if has {
			fmt.Sscan(bits, &n)
		}
		o.Addr[familyOf(ip)] = netip.PrefixFrom(ip, n)
	}
}

func gwOpt(s string) func(*conf.Options) {
	return func(o *conf.Options) { a := netip.MustParseAddr(s); o.Gateway[familyOf(a)] = a }
}

func ifOpt(s string) func(*conf.Options)   { return func(o *conf.Options) { o.Interface = s } }
func out4Opt(s string) func(*conf.Options) { return func(o *conf.Options) { o.OutIf[v4] = s } }
func out6Opt(s string) func(*conf.Options) { return func(o *conf.Options) { o.OutIf[v6] = s } }
func maskOpt(n int) func(*conf.Options)    { return func(o *conf.Options) { o.Mask = n } }
func only4(o *conf.Options)                { o.IPv4Only = true }
func only6(o *conf.Options)                { o.IPv6Only = true }
func noRoutes(o *conf.Options)             { o.NoCopyRoute = true }
func noAddrs(o *conf.Options)              { o.NoCopyAddrs = true }
