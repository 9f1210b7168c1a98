package guest

// The interface in the guest: made ready always, and configured with --config-net, IPv4 by
// DHCP and IPv6 by the kernel, from router advertisements.

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// txQueueLen is the queue of the interface, in packets: what waits while the host is slow. A
// tap drops what does not fit, silently, so there is room for a window of TCP in the
// segments of a small MTU.
const txQueueLen = 8192

// network is the interface and what happens to it while a connection lasts.
type network struct {
	c    *Config
	name string
	stop context.CancelFunc // ends the DHCP client; nil if none runs
	done chan struct{}      // closed once it has ended
	has  netip.Prefix       // the address of the last lease
}

// prepare sets what does not depend on the host.
func (n *network) prepare() error {
	l, err := netlink.LinkByName(n.name)
	if err != nil {
		return fmt.Errorf("look up interface %s: %w", n.name, err)
	}
	mtu := n.c.MTU
	if mtu == 0 {
		mtu = DefaultMTU
	}
	if err := netlink.LinkSetMTU(l, mtu); err != nil {
		return fmt.Errorf("set the MTU of %s to %d: %w", n.name, mtu, err)
	}
	if err := netlink.LinkSetTxQLen(l, txQueueLen); err != nil {
		n.c.Log.Debug("set the queue length", "error", err)
	}
	if !n.c.ConfigNet {
		return nil
	}
	// Addresses by router advertisements, even where the guest forwards packets itself. What
	// a kernel without IPv6 does not have is not missed.
	for _, s := range [][2]string{{"disable_ipv6", "0"}, {"accept_ra", "2"}, {"autoconf", "1"}} {
		_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+n.name+"/"+s[0], []byte(s[1]), 0)
	}
	return nil
}

// connected brings the interface up and starts the DHCP client.
func (n *network) connected() {
	ctx, cancel := context.WithCancel(context.Background())
	n.stop, n.done = cancel, make(chan struct{})
	go func() {
		defer close(n.done)
		if err := n.configure(ctx); err != nil && ctx.Err() == nil {
			n.c.Log.Error("configure the interface", "name", n.name, "error", err)
		}
	}()
}

// disconnected ends the DHCP client. What it has configured stays.
func (n *network) disconnected() {
	if n.stop != nil {
		n.stop()
		<-n.done
		n.stop = nil
	}
}

// Times of the DHCP client.
const (
	askEvery  = 2 * time.Second
	askTimes  = 3
	askPause  = 10 * time.Second // between two series of requests
	leastHalf = 30 * time.Second // between two requests for the same lease
)

// configure keeps a lease until ctx ends.
func (n *network) configure(ctx context.Context) error {
	l, err := netlink.LinkByName(n.name)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(l); err != nil {
		return fmt.Errorf("bring it up: %w", err)
	}
	// The kernel asks for router advertisements when an interface comes up, at an interval of seconds. It may have asked
	// a host that was not there, or another one.
	if err := solicit(l.Attrs().Index); err != nil {
		n.c.Log.Debug("no router solicitation; the kernel sends its own", "error", err)
	}
	first := true
	for ctx.Err() == nil {
		pause := askPause
		ack, err := n.ask(ctx)
		switch {
		case err != nil:
			n.c.Log.Debug("no lease", "error", err)
		default:
			if err := n.apply(l, ack); err != nil {
				return err
			}
			if first {
				n.c.Log.Info("got a lease", "address", ack.YourIPAddr, "router", ack.Router(), "DNS", ack.DNS())
				first = false
			}
			pause = max(ack.IPAddressLeaseTime(time.Hour)/2, leastHalf)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return nil
}

// solicit sends a router solicitation (RFC 4861, section 4.1). The answer is the kernel's to
// read. While the interface has no usable link-local address, it fails.
func solicit(ifindex int) error {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255); err != nil {
		return err
	}
	to := &unix.SockaddrInet6{Addr: netip.IPv6LinkLocalAllRouters().As16(), ZoneId: uint32(ifindex)}
	const kind = 133 // of the message; the kernel adds the checksum
	return unix.Sendto(fd, []byte{kind, 0, 0, 0, 0, 0, 0, 0}, 0, to)
}

// ask asks for a lease.
func (n *network) ask(ctx context.Context) (*dhcpv4.DHCPv4, error) {
	client, err := nclient4.New(n.name, nclient4.WithTimeout(askEvery), nclient4.WithRetry(askTimes))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	lease, err := client.Request(ctx, dhcpv4.WithRequestedOptions(
		dhcpv4.OptionSubnetMask, dhcpv4.OptionRouter, dhcpv4.OptionDomainNameServer, dhcpv4.OptionInterfaceMTU,
		dhcpv4.OptionClasslessStaticRoute, dhcpv4.OptionDNSDomainSearchList))
	if err != nil {
		return nil, err
	}
	return lease.ACK, nil
}

// apply configures the interface as ack says.
func (n *network) apply(l netlink.Link, ack *dhcpv4.DHCPv4) error {
	s, err := decide(ack)
	if err != nil {
		return err
	}
	if s.mtu > 0 && n.c.MTU == 0 {
		if err := netlink.LinkSetMTU(l, s.mtu); err != nil {
			n.c.Log.Warn("set the MTU", "error", err)
		}
	}
	if n.has.IsValid() && n.has != s.addr { // the host has moved
		if err := netlink.AddrDel(l, &netlink.Addr{IPNet: ipNet(n.has)}); err != nil {
			n.c.Log.Debug("remove the former address", "address", n.has, "error", err)
		}
	}
	if err := netlink.AddrReplace(l, &netlink.Addr{IPNet: ipNet(s.addr)}); err != nil {
		return fmt.Errorf("set the address %s: %w", s.addr, err)
	}
	n.has = s.addr
	for _, r := range s.routes {
		n.route(l, r)
	}
	return nil
}

// route sets a route. One that can't be set is left out.
func (n *network) route(l netlink.Link, r route) {
	nr := &netlink.Route{LinkIndex: l.Attrs().Index, Dst: ipNet(r.dst), Protocol: unix.RTPROT_DHCP}
	if r.via.IsValid() {
		nr.Gw = r.via.AsSlice()
	} else {
		nr.Scope = netlink.SCOPE_LINK
	}
	if err := netlink.RouteReplace(nr); err != nil {
		n.c.Log.Warn(strings.TrimSpace(fmt.Sprintf("set the route to %s: %v", r.dst, err)))
	}
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
