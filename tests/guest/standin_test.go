package guest

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"passt/tests/world"
)

// Stand-ins for virtual machines: namespaces, connected by whatever can connect one.

// usableTime is how long a stand-in may take to have its addresses on a busy machine.
const usableTime = 20 * time.Second

// newStandin makes the namespace of a stand-in.
func newStandin(t *testing.T) *world.NS {
	t.Helper()
	n, err := world.NewNS(world.Unique("guest"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	if err := world.Sysctl(n, "net.ipv6.conf.default.accept_dad", "0"); err != nil {
		t.Fatal(err)
	}
	return n
}

// runInside starts "passt guest --config-net ARGS" in the namespace of a stand-in.
func runInside(t *testing.T, n *world.NS, args ...string) *world.Process {
	t.Helper()
	if err := exec.Command(world.Binary, "guest", "--help").Run(); err != nil {
		t.Skip(`the binary has no subcommand "guest"`)
	}
	cmd := exec.Command(world.Binary, append([]string{"guest", "--config-net", "--ifname", "eth0", "--debug"}, args...)...)
	return world.StartProcess(t, n, cmd, world.ScratchDir(t)+"/log")
}

// giveAddresses sets up eth0 of a stand-in that has no "passt guest", IPv6 apart, which the
// kernel does by router advertisements.
func giveAddresses(t *testing.T, n *world.NS) {
	t.Helper()
	if err := world.Batch(n,
		"link set eth0 mtu 65520 up",
		"addr add "+world.HostV4+"/24 dev eth0",
		"route add default via "+world.GateV4+" dev eth0",
	); err != nil {
		t.Fatal(err)
	}
}

// waitUsable waits for the addresses and routes of a stand-in.
func waitUsable(t *testing.T, n *world.NS) {
	t.Helper()
	world.Eventually(t, usableTime, func() error {
		out := ""
		for _, what := range []string{"-o addr show dev eth0", "-4 route", "-6 route"} {
			s, err := n.Run(5*time.Second, append([]string{"ip"}, strings.Fields(what)...)...)
			if err != nil {
				return err
			}
			out += s
		}
		for _, want := range []string{world.HostV4 + "/24", "inet6 2001:db8:9:", "default via " + world.GateV4, "default via fe80:"} {
			if !strings.Contains(out, want) {
				return fmt.Errorf("no %q in:\n%s", want, out)
			}
		}
		if strings.Contains(out, "tentative") {
			return fmt.Errorf("tentative:\n%s", out)
		}
		// Without duplicate address detection, which would take a second, passt learns of the guest's own IPv6 address
		// only now.
		_, err := n.Run(5*time.Second, "ping", "-c", "1", "-W", "2", world.PeerV6)
		return err
	})
}

// standinPort is forwarded to a stand-in that checkTraffic is to look at, by TCP and UDP.
const standinPort = 7050

var forwardStandin = []string{"-t", fmt.Sprint(standinPort), "-u", fmt.Sprint(standinPort)}

// checkTraffic pings from a stand-in, and has size bytes pass each way, by both protocols and
// IP versions and ways of connecting.
func checkTraffic(t *testing.T, n *world.NS, size int) {
	t.Helper()
	for _, addr := range []string{world.PeerV4, world.PeerV6} {
		if _, err := n.Run(20*time.Second, "ping", "-c", "2", "-i", "0.2", "-W", "5", addr); err != nil {
			t.Error(err)
		}
	}
	for _, network := range []string{"tcp", "udp"} {
		world.Exchange(t, n, world.Peer, network, world.PeerV4, 7060, size)
		world.Exchange(t, n, world.Peer, network, world.PeerV6, 7060, size)
		world.Exchange(t, world.Peer, n, network, world.HostV4, standinPort, size)
		world.Exchange(t, world.Peer, n, network, world.HostV6, standinPort, size)
		world.Exchange(t, world.Host, n, network, "127.0.0.1", standinPort, size)
	}
}

// runInsideOn is runInside on a connected stream socket, by way of a relay: "passt guest"
// connects by itself. The relay closes f at the end.
func runInsideOn(t *testing.T, n *world.NS, f *os.File) *world.Process {
	t.Helper()
	path := world.ScratchDir(t) + "/relay"
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	host, err := net.FileConn(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { host.Close() })
	p := runInside(t, n, "--socket", path)
	guest, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for _, way := range [][2]net.Conn{{guest, host}, {host, guest}} {
		go func() {
			io.Copy(way[1], way[0])
			guest.Close()
			host.Close()
		}()
	}
	return p
}
