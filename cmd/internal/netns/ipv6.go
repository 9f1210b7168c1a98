package netns

import (
	"os"
	"path/filepath"
	"strings"

	"passt/cmd/internal/hostinfo"
)

// Theory of operation: the kernel's ip-sysctl documentation, and RFC 4862 for what it
// automates. Settings of one interface are files below /proc/sys/net/ipv6/conf/NAME, of the
// network namespace of the thread that opens them. They may be missing (no IPv6 in the
// kernel) or read-only (a container that has /proc/sys mounted so), so nothing here depends
// on them if netlink can do the same.

// Values of IFLA_INET6_ADDR_GEN_MODE: how the kernel makes link-local addresses.
const (
	addrGenEUI64 = 0
	addrGenNone  = 1
)

// minMTUv6 is the smallest MTU of a link with IPv6 (RFC 8200, 5).
const minMTUv6 = 1280

func sysctlPath(ifname, key string) string {
	return filepath.Join("/proc/sys/net/ipv6/conf", ifname, key)
}

func (c *config) setSysctl(key, value string) error {
	return os.WriteFile(sysctlPath(c.name, key), []byte(value), 0)
}

// disableIPv6 keeps every IPv6 address off the interface, the link-local one that comes by
// itself included. Where sysctls are read-only, that one at least is not made; where there
// is no IPv6 at all, both fail and nothing is lost.
func (c *config) disableIPv6() {
	if c.setSysctl("disable_ipv6", "1") != nil {
		_ = c.h.LinkSetIP6AddrGenMode(c.link, addrGenNone)
	}
}

// prepareIPv6 is called before the interface is set up, and says whether it can have IPv6.
//
// Router advertisements are not accepted on an interface that we configure: autoconfiguration
// would add one more address that the host does not have, and a second default route. The
// guest can switch accept_ra back on. If the sysctl cannot be written, the guest has
// them in addition, which does no harm.
func (c *config) prepareIPv6(n *hostinfo.Network) bool {
	if n.AnnounceMTU && n.MTU < minMTUv6 {
		c.warnf("no IPv6 on %s: --mtu %d is below %d, the least that IPv6 needs", c.name, n.MTU, minMTUv6)
		return false
	}
	if off, err := os.ReadFile(sysctlPath(c.name, "disable_ipv6")); err == nil && strings.TrimSpace(string(off)) != "0" {
		if err := c.setSysctl("disable_ipv6", "0"); err != nil {
			c.warnf("no IPv6 on %s: it is switched off in the namespace (net.ipv6.conf.%s.disable_ipv6), and that cannot be changed: %v",
				c.name, c.name, err)
			return false
		}
	}
	if err := c.h.LinkSetIP6AddrGenMode(c.link, addrGenNone); err != nil {
		c.warnf("no IPv6 on %s: the namespace's kernel does not have it: %v", c.name, err)
		return false
	}
	_ = c.setSysctl("accept_ra", "0")
	return true
}
