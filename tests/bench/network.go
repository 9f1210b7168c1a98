package main

import (
	"fmt"
	"net"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Addresses of the host and the peer, for documentation (RFC 5737, RFC 3849). The gateway's,
// by which a translator means the host's loopback, is another one of the peer.
const (
	host4, host6 = "203.0.113.2", "2001:db8:b::2"
	gate4, gate6 = "203.0.113.1", "2001:db8:b::1"
	peer4, peer6 = "203.0.113.9", "2001:db8:b::9"
	bits4, bits6 = 24, 64
)

// Ports that the load is served at.
const (
	outerPort = "7100" // at the peer and on the host
	innerPort = "7200" // in N and G, forwarded from the host
)

// network is a network namespace.
type network struct{ ns netns.NsHandle }

// do calls f on a thread in the namespace.
func (n network) do(f func() error) error {
	return onThread(func() error {
		if err := netns.Set(n.ns); err != nil {
			return fmt.Errorf("enter the namespace: %w", err)
		}
		return f()
	})
}

// onThread calls f on a thread that ends afterwards, since it is in the wrong namespace.
func onThread(f func() error) error {
	err := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err <- f()
	}()
	return <-err
}

// openNetwork opens the namespace of a process.
func openNetwork(pid int) (network, error) {
	ns, err := netns.GetFromPid(pid)
	return network{ns}, err
}

func (n network) close() { n.ns.Close() }

// settings are those of each namespace that is made here: ping for everybody, and enough
// ports for a connection for each message.
var settings = map[string]string{
	"ping_group_range":    "0 2147483647",
	"ip_local_port_range": "10000 65000",
	"tcp_tw_reuse":        "1",
}

// newNetwork makes a namespace with nothing but its loopback interface.
func newNetwork() (n network, err error) {
	err = onThread(func() (err error) {
		if n.ns, err = netns.New(); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		for name, value := range settings {
			if err := os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0); err != nil {
				return err
			}
		}
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(lo)
	})
	return n, err
}

// world is the host and the peer.
type world struct{ host, peer network }

// newWorld makes them.
func newWorld() (w world, err error) {
	if w.host, err = newNetwork(); err != nil {
		return w, err
	}
	if w.peer, err = newNetwork(); err != nil {
		return w, err
	}
	err = w.host.do(func() error {
		return netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "eth0", PeerNamespace: netlink.NsFd(w.peer.ns),
		})
	})
	if err != nil {
		return w, fmt.Errorf("make a veth pair: %w", err)
	}
	if err := w.host.configure([]string{host4, host6}, []string{gate4, gate6}); err != nil {
		return w, fmt.Errorf("configure the host: %w", err)
	}
	// A UDP server that is bound to no address answers from the first one.
	if err := w.peer.configure([]string{peer4, peer6, gate4, gate6}, nil); err != nil {
		return w, fmt.Errorf("configure the peer: %w", err)
	}
	return w, nil
}

// configure sets addresses of eth0, and default routes.
func (n network) configure(addrs, gateways []string) error {
	return n.do(func() error {
		l, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		for _, a := range addrs {
			addr := &netlink.Addr{IPNet: prefix(a)}
			if addr.IP.To4() == nil {
				addr.Flags = unix.IFA_F_NODAD
			}
			if err := netlink.AddrAdd(l, addr); err != nil {
				return fmt.Errorf("address %s: %w", a, err)
			}
		}
		if err := netlink.LinkSetUp(l); err != nil {
			return err
		}
		for _, g := range gateways {
			if err := netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Gw: net.ParseIP(g)}); err != nil {
				return fmt.Errorf("route by %s: %w", g, err)
			}
		}
		return nil
	})
}

// prefix is an address with the length of this network's prefix.
func prefix(addr string) *net.IPNet {
	ip := net.ParseIP(addr)
	if ip.To4() != nil {
		return &net.IPNet{IP: ip, Mask: net.CIDRMask(bits4, 32)}
	}
	return &net.IPNet{IP: ip, Mask: net.CIDRMask(bits6, 128)}
}
