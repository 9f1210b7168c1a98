package netns

import (
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"passt/cmd/internal/conf"
	"passt/cmd/internal/hostinfo"
)

// Theory of operation: rtnetlink(7). Each setting is one request with an acknowledgement,
// some ten microseconds each. What the guest can live without is a warning: one route that
// the kernel refuses must not keep the others from working.
//
// IPv6 is ready for use when Configure returns. The kernel would otherwise spend one to two
// seconds on duplicate address detection (RFC 4862, 5.4), for the link-local address even
// before the first router is asked; on this link there is nobody but us to have a duplicate.

// loopbackIndex is the same in every network namespace (the kernel's LOOPBACK_IFINDEX).
const loopbackIndex = 1

// config is the state of one call of Configure.
type config struct {
	h        *netlink.Handle
	link     netlink.Link
	name     string
	mac      net.HardwareAddr
	warnings []string
}

// Configure sets up the network namespace of the calling thread: loopback up in any case;
// for the tap called ifname the MAC address of --ns-mac-addr and, if n has IPv6 off, no
// IPv6. With --config-net it also gets its MTU, is set up, and gets the addresses and
// routes of n. Without, all of that is left to the guest's own DHCP client and the tap
// stays down. In a namespace that is set up so, or that is new, TCP gets the congestion control
// that fits the link. An empty ifname means that there is no tap.
//
// The warnings are for the user, one line each. After an error, the namespace is of no use.
func Configure(n *hostinfo.Network, ifname string, o *conf.Options) (warnings []string, err error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket in the namespace: %w", err)
	}
	defer h.Close()
	c := &config{h: h, name: ifname}
	if err := c.up(linkAt(loopbackIndex)); err != nil {
		return nil, fmt.Errorf("setting the namespace's loopback interface up: %w", err)
	}
	if ifname == "" {
		return nil, nil
	}
	if err := c.prepare(n, o); err != nil {
		return nil, err
	}
	if o.ConfigNet {
		err = c.configure(n)
	}
	return c.warnings, err
}

// MAC returns the MAC address of an interface in the calling thread's network namespace: the
// guest's, before it has sent a frame.
func MAC(ifname string) (net.HardwareAddr, error) {
	l, err := netlink.LinkByName(ifname)
	if err != nil {
		return nil, fmt.Errorf("looking for interface %s in the namespace: %w", ifname, err)
	}
	return l.Attrs().HardwareAddr, nil
}

// linkAt is enough of a link for requests that name it by index.
func linkAt(index int) netlink.Link {
	return &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: index}}
}

func (c *config) up(l netlink.Link) error { return c.h.LinkSetUp(l) }

func (c *config) warnf(format string, a ...any) {
	c.warnings = append(c.warnings, fmt.Sprintf(format, a...))
}

// prepare does what is done with and without --config-net, while the tap is still down.
func (c *config) prepare(n *hostinfo.Network, o *conf.Options) error {
	l, err := c.h.LinkByName(c.name)
	if err != nil {
		return fmt.Errorf("looking for interface %s in the namespace: %w", c.name, err)
	}
	c.mac = l.Attrs().HardwareAddr
	c.link = linkAt(l.Attrs().Index)
	if o.NsMAC != nil {
		if err := c.h.LinkSetHardwareAddr(c.link, o.NsMAC); err != nil {
			return fmt.Errorf("--ns-mac-addr %s: setting it on %s: %w", o.NsMAC, c.name, err)
		}
		c.mac = o.NsMAC
	}
	if err := c.h.LinkSetTxQLen(c.link, txQueueLen); err != nil {
		c.warnf("setting the queue length of %s: %v", c.name, err)
	}
	if o.ConfigNet || !o.Joins() {
		calmTCP()
	}
	if !n.V6.Enabled {
		c.disableIPv6()
	}
	return nil
}

// calmTCP takes congestion control away from the namespace, as far as that goes: what its
// connections send ends with us, over a link that loses nothing and with windows that we set
// (package tcp), and the network beyond has the congestion control of the host's sockets. The
// kernel always has reno, which does nothing where nothing is lost. A new namespace may have
// bbr from the host, which paces to the round trips of a link that has hardly any: measured,
// two thirds of the speed of a stream, for half as much CPU again. Where sysctls
// are read-only, that is how it stays.
func calmTCP() {
	_ = os.WriteFile("/proc/sys/net/ipv4/tcp_congestion_control", []byte("reno"), 0) // of IPv6 too
}

// txQueueLen is the length of the tap's queue, in packets. The kernel's default of 1000 is
// overrun by a TCP window of some megabytes in segments of 1448 bytes; 8192 of them hold
// 11 MiB, and the ring costs 64 KiB of kernel memory. In a user namespace only netlink can
// set it.
const txQueueLen = 8192

func (c *config) configure(n *hostinfo.Network) error {
	if n.AnnounceMTU {
		if err := c.h.LinkSetMTU(c.link, n.MTU); err != nil {
			return fmt.Errorf("--mtu %d: setting it on %s: %w", n.MTU, c.name, err)
		}
	}
	ipv6 := n.V6.Enabled && c.prepareIPv6(n)
	if err := c.up(c.link); err != nil {
		return fmt.Errorf("setting %s up: %w", c.name, err)
	}
	if n.V4.Enabled {
		c.addresses(&n.V4, 0)
		c.routes(&n.V4)
	}
	if ipv6 {
		c.linkLocal()
		c.addresses(&n.V6, unix.IFA_F_NODAD)
		c.routes(&n.V6)
	}
	return nil
}
