package hostinfo

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Theory of operation: netlink(7) and rtnetlink(7). A dump is one request and a run of
// answers; the kernel says with NLM_F_DUMP_INTR when the table changed meanwhile, and the
// dump is then asked for again. Routes come in the kernel's own order, which for routes to
// one destination is the order of preference (metric), so that "the first default route"
// is the one that the host uses.

// facts is what the host has, as far as decide needs it. All slices are in the order of
// the kernel's dumps; pairs have IPv4 at 0 and IPv6 at 1.
type facts struct {
	links    []link
	addrs    [2][]addr
	routes   [2][]route
	ipv6     bool // false if IPv6 is off in the kernel or in this namespace
	resolv   ResolvConf
	problems []string // what could not be read, one line each, for the user
}

type link struct {
	index    int
	name     string
	mac      net.HardwareAddr // nil if the link has no Ethernet address
	loopback bool
}

type addr struct {
	index      int
	prefix     netip.Prefix // the address, host bits kept
	scope      uint8        // RT_SCOPE_*
	temporary  bool         // IPv6 privacy address, or IPv4 secondary (the kernel has one bit for both)
	deprecated bool
}

// route is a unicast route of the main table. A route with a single path has one hop.
type route struct {
	dst      netip.Prefix
	src      netip.Addr // invalid if none
	priority int
	scope    uint8
	protocol uint8
	mtu      int
	hops     []hop // at least one
}

type hop struct {
	index   int        // of the link
	gateway netip.Addr // invalid if on-link
	weight  int        // at least 1
	onlink  bool
	down    bool // the link has no carrier
}

const (
	procIfInet6 = "/proc/net/if_inet6"
	procDisable = "/proc/sys/net/ipv6/conf/all/disable_ipv6"
	ResolvPath  = "/etc/resolv.conf"
)

// gather asks the kernel of the calling thread's network namespace, and reads resolv.conf.
func gather() (*facts, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket to look at the host's network: %w", err)
	}
	defer h.Close()

	f := &facts{}
	links, err := dump(h.LinkList)
	if err != nil {
		return nil, fmt.Errorf("listing the host's network interfaces: %w", err)
	}
	for _, l := range links {
		f.links = append(f.links, toLink(l.Attrs()))
	}
	versions := 1
	if kernelHasIPv6() {
		versions = 2
	}
	for fam := range versions {
		if err := f.gatherFamily(h, fam); err != nil {
			return nil, err
		}
	}
	// With disable_ipv6 set for "all", single interfaces may still have it on.
	f.ipv6 = versions == 2 && (!ipv6Disabled() || len(f.addrs[v6]) > 0)
	f.readResolvConf()
	return f, nil
}

func (f *facts) gatherFamily(h *netlink.Handle, fam int) error {
	af := [2]int{unix.AF_INET, unix.AF_INET6}[fam]
	addrs, err := dump(func() ([]netlink.Addr, error) { return h.AddrList(nil, af) })
	if err != nil {
		return fmt.Errorf("listing the host's %s addresses: %w", familyNames[fam], err)
	}
	for i := range addrs {
		if a, ok := toAddr(&addrs[i]); ok {
			f.addrs[fam] = append(f.addrs[fam], a)
		}
	}
	// An empty filter leaves netlink's own: main table, no cached routes.
	routes, err := dump(func() ([]netlink.Route, error) {
		return h.RouteListFiltered(af, &netlink.Route{}, 0)
	})
	if err != nil {
		return fmt.Errorf("listing the host's %s routes: %w", familyNames[fam], err)
	}
	for i := range routes {
		if r, ok := toRoute(&routes[i]); ok {
			f.routes[fam] = append(f.routes[fam], r)
		}
	}
	return nil
}

// dump repeats a dump that the kernel says was interrupted, a few times: on a host where
// routes never rest, the last one is good enough.
func dump[T any](list func() ([]T, error)) ([]T, error) {
	var got []T
	var err error
	for range 4 {
		if got, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return got, err
		}
	}
	return got, nil
}

func kernelHasIPv6() bool {
	_, err := os.Stat(procIfInet6)
	return !errors.Is(err, fs.ErrNotExist)
}

func ipv6Disabled() bool {
	b, err := os.ReadFile(procDisable)
	return err == nil && strings.TrimSpace(string(b)) == "1"
}

func (f *facts) readResolvConf() {
	file, err := os.OpenFile(ResolvPath, os.O_RDONLY|unix.O_NONBLOCK, 0) // not to wait for who may write to a pipe
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		defer file.Close()
		if st, e := file.Stat(); e == nil && !st.Mode().IsRegular() {
			err = fmt.Errorf("%s is no regular file", ResolvPath)
		} else {
			f.resolv, err = ParseResolvConf(file)
		}
	}
	if err != nil {
		f.problems = append(f.problems, fmt.Sprintf("no resolvers from the host: %v", err))
	}
}

func toLink(a *netlink.LinkAttrs) link {
	l := link{index: a.Index, name: a.Name, loopback: a.Flags&net.FlagLoopback != 0}
	if isUnicastMAC(a.HardwareAddr) {
		l.mac = a.HardwareAddr
	}
	return l
}

// isUnicastMAC tells an address that an Ethernet interface may have from that of a tunnel
// (4 or 16 bytes, or none), from zeroes and from a group address.
func isUnicastMAC(m net.HardwareAddr) bool {
	if len(m) != 6 || m[0]&1 != 0 {
		return false
	}
	for _, b := range m {
		if b != 0 {
			return true
		}
	}
	return false
}

// toAddr leaves out addresses that turned out to be somebody else's. One that is still
// tentative counts: in a second or two it will be usable.
func toAddr(a *netlink.Addr) (addr, bool) {
	if a.IPNet == nil || a.Flags&unix.IFA_F_DADFAILED != 0 {
		return addr{}, false
	}
	p, ok := Prefix(a.IPNet)
	return addr{
		index:      a.LinkIndex,
		prefix:     p,
		scope:      uint8(a.Scope),
		temporary:  a.Flags&unix.IFA_F_TEMPORARY != 0,
		deprecated: a.Flags&unix.IFA_F_DEPRECATED != 0,
	}, ok
}

// toRoute leaves out what is no unicast route, what is down, and routes for one type of
// service only.
func toRoute(r *netlink.Route) (route, bool) {
	if r.Type != unix.RTN_UNICAST || r.Tos != 0 || r.Dst == nil {
		return route{}, false
	}
	dst, ok := Prefix(r.Dst)
	if !ok {
		return route{}, false
	}
	out := route{
		dst:      dst.Masked(),
		src:      toIP(r.Src),
		priority: r.Priority,
		scope:    uint8(r.Scope),
		protocol: uint8(r.Protocol),
		mtu:      r.MTU,
	}
	if len(r.MultiPath) == 0 {
		out.addHop(r.LinkIndex, r.Gw, r.Via, r.Flags, 1)
	}
	for _, nh := range r.MultiPath {
		out.addHop(nh.LinkIndex, nh.Gw, nh.Via, nh.Flags, nh.Hops+1) // rtnh_hops is the weight less one
	}
	return out, len(out.hops) > 0
}

func (r *route) addHop(index int, gw net.IP, via netlink.Destination, flags, weight int) {
	if index == 0 || flags&unix.RTNH_F_DEAD != 0 {
		return
	}
	if v, ok := via.(*netlink.Via); ok && v != nil {
		gw = v.Addr
	}
	r.hops = append(r.hops, hop{
		index:   index,
		gateway: toIP(gw),
		weight:  weight,
		onlink:  flags&unix.RTNH_F_ONLINK != 0,
		down:    flags&unix.RTNH_F_LINKDOWN != 0,
	})
}

// toIP returns an invalid address for none, and for the unspecified address, which netlink
// means to be none.
func toIP(ip net.IP) netip.Addr {
	a, ok := netip.AddrFromSlice(ip)
	if !ok || a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}

// Prefix is n as a value, with its host bits. An IPv4 network may come with 16 bytes of
// address, but always has 4 bytes of mask. It is false if n is nil or contradicts itself.
func Prefix(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(n.IP)
	ones, bits := n.Mask.Size()
	if bits == 32 {
		a = a.Unmap()
	}
	if !ok || bits != a.BitLen() {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, ones), true
}
