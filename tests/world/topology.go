package world

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
	HostV4, HostV6 = "198.51.100.2", "2001:db8:9::2"   // H, on eth0; the guest's own by default
	GateV4, GateV6 = "198.51.100.1", "2001:db8:9::1"   // P, as H's default gateway
	PeerV4, PeerV6 = "198.51.100.9", "2001:db8:9::9"   // P, as a peer
	GoneV4, GoneV6 = "198.51.100.77", "2001:db8:9::77" // nobody, on the same link
	FarV4, FarV6   = "203.0.113.9", "2001:db8:f::9"    // F, 25 ms from P each way
	HoleV4, HoleV6 = "192.0.2.200", "2001:db8:dead::1" // P drops what goes there
)

// SearchList is the domain search list of H's resolver configuration.
var SearchList = []string{"corp.example", "lab.example"}

// H, P and F as described in doc.go.
var Host, Peer, Far *NS

// build makes the namespaces and what connects them.
func build() error {
	var err error
	if Host, err = NSOf("host", os.Getpid()); err != nil {
		return err
	}
	if Peer, err = NewNS("peer"); err != nil {
		return err
	}
	if Far, err = NewNS("far"); err != nil {
		return err
	}
	for _, n := range []*NS{Host, Peer, Far} {
		// Nobody else can have these addresses: no second of waiting for that.
		if err := Sysctl(n, "net.ipv6.conf.default.accept_dad", "0"); err != nil {
			return err
		}
	}
	if err := Batch(Host,
		"link set lo up",
		"link add eth0 type veth peer name eth0 netns peer",
		"addr add "+HostV4+"/24 dev eth0",
		"addr add "+HostV6+"/64 dev eth0 nodad",
	); err != nil {
		return err
	}
	// The gateway's address means the host itself to the guest, so the peer has one of its own. It is the one that a
	// wildcard socket answers from: the first of an IPv4 subnet's, the last of an IPv6 subnet's.
	if err := Batch(Peer,
		"addr add "+PeerV4+"/24 dev eth0",
		"addr add "+GateV4+"/24 dev eth0",
		"addr add "+GateV6+"/64 dev eth0 nodad",
		"addr add "+PeerV6+"/64 dev eth0 nodad",
		"link set eth0 up",
		"route add blackhole 192.0.2.0/24",
		"route add blackhole 2001:db8:dead::/48",
	); err != nil {
		return err
	}
	if err := Batch(Host,
		"link set eth0 up",
		"route add default via "+GateV4+" dev eth0",
		"route add default via "+GateV6+" dev eth0",
	); err != nil {
		return err
	}
	pings := "0 2147483647"
	if !AsRoot {
		pings = "0 0" // the only group that is mapped
	}
	if err := Sysctl(Host, "net.ipv4.ping_group_range", pings); err != nil {
		return err
	}
	for k, v := range map[string]string{
		"net.ipv4.ip_forward":          "1",
		"net.ipv6.conf.all.forwarding": "1",
		"net.ipv4.icmp_ratelimit":      "0",
		"net.ipv6.icmp.ratelimit":      "0",
	} {
		if err := Sysctl(Peer, k, v); err != nil {
			return err
		}
	}
	return connectFar(25 * time.Millisecond)
}

// Batch runs ip(8) commands in a namespace.
func Batch(n *NS, lines ...string) error {
	return n.Do(func() error {
		for _, l := range lines {
			args := strings.Fields(l)
			if strings.Contains(l, ":") {
				args = append([]string{"-6"}, args...)
			}
			var stderr bytes.Buffer
			cmd := exec.Command("ip", args...)
			cmd.Stderr = &stderr
			if err := cmd.Run(); err != nil {
				return fmt.Errorf("ip %s in %s: %w: %s", l, n.Name, err, strings.TrimSpace(stderr.String()))
			}
		}
		return nil
	})
}

// ChangeHost runs ip(8) commands in H for the time of one test: do now, undo at its end.
func ChangeHost(t *testing.T, do, undo []string) {
	t.Helper()
	if err := Batch(Host, do...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Batch(Host, undo...); err != nil {
			t.Error(err)
		}
	})
}

// Sysctl writes a network parameter of a namespace.
func Sysctl(n *NS, name, value string) error {
	return n.Do(func() error {
		return os.WriteFile("/proc/sys/"+strings.ReplaceAll(name, ".", "/"), []byte(value), 0)
	})
}
