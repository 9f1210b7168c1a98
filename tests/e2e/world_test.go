package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// The topology. Every address is of a block set aside for documentation.
const (
	hostV4, hostV6 = "198.51.100.2", "2001:db8:9::2" // H, on eth0; pasta's own by default
	gateV4, gateV6 = "198.51.100.1", "2001:db8:9::1" // P, as H's default gateway
	peerV4, peerV6 = "198.51.100.9", "2001:db8:9::9" // P, as a peer
	goneV4, goneV6 = "198.51.100.77", "2001:db8:9::77"
	farV4, farV6   = "203.0.113.9", "2001:db8:f::9"    // F, 25 ms from P each way
	holeV4, holeV6 = "192.0.2.200", "2001:db8:dead::1" // P drops what goes there
)

// searchList is the domain search list of H's resolver configuration.
var searchList = []string{"corp.example", "lab.example"}

// H, P and F as described in doc.go.
var host, peer, far *netns

// buildWorld makes the namespaces and what connects them.
func buildWorld() error {
	var err error
	if host, err = netnsOf("host", os.Getpid()); err != nil {
		return err
	}
	if peer, err = newNetns("peer"); err != nil {
		return err
	}
	if far, err = newNetns("far"); err != nil {
		return err
	}
	for _, n := range []*netns{host, peer, far} {
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
	// The gateway's address means the host itself to the namespace, so the peer has one of its own. It is the one that a
	// wildcard socket answers from: the first of an IPv4 subnet's, the last of an IPv6 subnet's.
	if err := batch(peer,
		"addr add "+peerV4+"/24 dev eth0",
		"addr add "+gateV4+"/24 dev eth0",
		"addr add "+gateV6+"/64 dev eth0 nodad",
		"addr add "+peerV6+"/64 dev eth0 nodad",
		"link set eth0 up",
		"route add blackhole 192.0.2.0/24",
		"route add blackhole 2001:db8:dead::/48",
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
	for k, v := range map[string]string{
		"net.ipv4.ip_forward":          "1",
		"net.ipv6.conf.all.forwarding": "1",
		"net.ipv4.icmp_ratelimit":      "0",
		"net.ipv6.icmp.ratelimit":      "0",
	} {
		if err := sysctl(peer, k, v); err != nil {
			return err
		}
	}
	return connectFar(25 * time.Millisecond)
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

// changeHost runs ip(8) commands in H for the time of one test: do now, undo at its end.
func changeHost(t *testing.T, do, undo []string) {
	t.Helper()
	if err := batch(host, do...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := batch(host, undo...); err != nil {
			t.Error(err)
		}
	})
}

// sysctl writes a network parameter of a namespace.
func sysctl(n *netns, name, value string) error {
	return n.do(func() error {
		return os.WriteFile("/proc/sys/"+strings.ReplaceAll(name, ".", "/"), []byte(value), 0)
	})
}
