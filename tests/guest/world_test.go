package guest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// The topology. Every address is of a block set aside for documentation.
const (
	hostV4, hostV6 = "198.51.100.2", "2001:db8:9::2" // H, on eth0; the guest's own by default
	gateV4, gateV6 = "198.51.100.1", "2001:db8:9::1" // P, as H's default gateway
	peerV4, peerV6 = "198.51.100.9", "2001:db8:9::9" // P, as a peer
)

// searchList is the domain search list of H's resolver configuration.
var searchList = []string{"corp.example", "lab.example"}

// H and P as described in doc.go.
var host, peer *netns

// buildWorld makes the namespaces, what connects them, and the servers in P and H that guests
// connect to.
func buildWorld() error {
	var err error
	if host, err = netnsOf("host", os.Getpid()); err != nil {
		return err
	}
	if peer, err = newNetns("peer"); err != nil {
		return err
	}
	for _, n := range []*netns{host, peer} {
		// Nobody else can have these addresses: no second of waiting for that.
		if err := sysctl(n, "net.ipv6.conf.default.accept_dad", "0"); err != nil {
			return err
		}
	}
	if err := batch(host,
		"link set lo up",
		"link add eth0 type veth peer name eth0 netns peer",
		"addr add "+hostV4+"/24 dev eth0",
		"addr add "+hostV6+"/64 dev eth0 nodad",
	); err != nil {
		return err
	}
	// The gateway's address means the host itself to the guest, so the peer has one of its own. It is the one that a
	// wildcard socket answers from: the first of an IPv4 subnet's, the last of an IPv6 subnet's.
	if err := batch(peer,
		"addr add "+peerV4+"/24 dev eth0",
		"addr add "+gateV4+"/24 dev eth0",
		"addr add "+gateV6+"/64 dev eth0 nodad",
		"addr add "+peerV6+"/64 dev eth0 nodad",
		"link set eth0 up",
	); err != nil {
		return err
	}
	if err := batch(host,
		"link set eth0 up",
		"route add default via "+gateV4+" dev eth0",
		"route add default via "+gateV6+" dev eth0",
	); err != nil {
		return err
	}
	pings := "0 2147483647"
	if !asRoot {
		pings = "0 0" // the only group that is mapped
	}
	if err := sysctl(host, "net.ipv4.ping_group_range", pings); err != nil {
		return err
	}
	if err := serveAll(peer.listen, peer.listenPacket, peerPort); err != nil {
		return err
	}
	return serveAll(host.listen, host.listenPacket, hostPort)
}

// batch runs ip(8) commands in a namespace.
func batch(n *netns, lines ...string) error {
	return n.do(func() error {
		for _, l := range lines {
			args := strings.Fields(l)
			if strings.Contains(l, ":") {
				args = append([]string{"-6"}, args...)
			}
			var stderr bytes.Buffer
			cmd := exec.Command("ip", args...)
			cmd.Stderr = &stderr
			if err := cmd.Run(); err != nil {
				return fmt.Errorf("ip %s in %s: %w: %s", l, n.name, err, strings.TrimSpace(stderr.String()))
			}
		}
		return nil
	})
}

// sysctl writes a network parameter of a namespace.
func sysctl(n *netns, name, value string) error {
	return n.do(func() error {
		return os.WriteFile("/proc/sys/"+strings.ReplaceAll(name, ".", "/"), []byte(value), 0)
	})
}
