package e2e

import (
	"errors"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/tests/world"
)

// atOnce is how long a refusal may take. Nobody waits that long for a timeout.
const atOnce = 500 * time.Millisecond

// serveAll echoes TCP and UDP on a port of all of n's addresses.
func serveAll(t *testing.T, n *world.NS, port int, addrs ...string) {
	t.Helper()
	world.ServeOn(t, n, world.Endpoint("", port), func(c *net.TCPConn) { world.AnswerExchange(c) })
	for _, addr := range addrs {
		world.ServeUDP(t, n, world.Endpoint(addr, port))
	}
}

// reach sends something to an echo server and waits for the answer.
func reach(n *world.NS, network, addr string, port int) error {
	c, err := n.Dial(network, world.Endpoint(addr, port), 2*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Second))
	if network == "tcp" {
		return world.AskExchange(c, 1000)
	}
	if _, err = c.Write([]byte("question")); err == nil {
		_, err = c.Read(make([]byte, 16))
	}
	return err
}

// prohibited is the error that a program gets from the kernel for a flow that was refused
// (ICMP codes in ip(7); Linux has it as no route for IPv4, and as no permission for IPv6).
func prohibited(network, addr string) error {
	switch {
	case network == "tcp":
		return unix.ECONNREFUSED
	case strings.Contains(addr, ":"):
		return unix.EACCES
	}
	return unix.EHOSTUNREACH
}

// counter reads one from passt stats.
func counter(t *testing.T, in *instance, name string) int {
	t.Helper()
	passt := world.ScratchDir(t) + "/passt"
	if err := os.Symlink(world.Binary, passt); err != nil {
		t.Fatal(err)
	}
	r := runCommand(t, world.Host, 5*time.Second, world.AsUser, passt, "stats", "--pid", strconv.Itoa(in.PID()))
	for line := range strings.Lines(r.stdout) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == name {
			n, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s in %s%s", name, r.stdout, r.stderr)
	return 0
}

func TestOutboundAllow(t *testing.T) {
	needsPasta(t)
	serveAll(t, world.Peer, 7800, world.PeerV4, world.PeerV6)
	serveAll(t, world.Peer, 7801, world.PeerV4, world.PeerV6)
	serveAll(t, world.Far, 7800, world.FarV4, world.FarV6)
	serveAll(t, world.Host, 7800, "127.0.0.1", "::1")
	serveDNS(t, world.PeerV4)
	const lo4, lo6, dns4 = "198.51.100.200", "2001:db8:9::200", "198.51.100.201"
	ports := start(t, "--config-net", "--outbound-allow", world.PeerV4+":7800", "--outbound-allow", "["+world.PeerV6+"]:7800-7800")
	nets := start(t, "--config-net", "--outbound-allow", world.FarV4+"/24,"+world.FarV6+"/48")
	none := start(t, "--config-net", "--outbound-allow", "none", "--dns-forward", dns4, "--map-host-loopback", lo4, "--map-host-loopback", lo6)
	for _, tc := range []struct {
		name string
		in   *instance
		addr string
		port int
		ok   bool
	}{
		{"address and port v4", ports, world.PeerV4, 7800, true},
		{"address and port v6", ports, world.PeerV6, 7800, true},
		{"another port v4", ports, world.PeerV4, 7801, false},
		{"another port v6", ports, world.PeerV6, 7801, false},
		{"another address v4", ports, world.FarV4, 7800, false},
		{"another address v6", ports, world.FarV6, 7800, false},
		{"an address that swallows all v4", ports, world.HoleV4, 7800, false},
		{"an address that swallows all v6", ports, world.HoleV6, 7800, false},
		{"the gateway v4", ports, world.GateV4, 7800, false},
		{"the gateway v6", ports, world.GateV6, 7800, false},
		{"network v4", nets, world.FarV4, 7800, true},
		{"network v6", nets, world.FarV6, 7800, true},
		{"beside the network v4", nets, world.PeerV4, 7800, false},
		{"beside the network v6", nets, world.PeerV6, 7800, false},
		{"none v4", none, world.PeerV4, 7800, false},
		{"none v6", none, world.PeerV6, 7800, false},
		{"--map-host-loopback v4", none, lo4, 7800, true},
		{"--map-host-loopback v6", none, lo6, 7800, true},
		{"--dns-forward, another port", none, dns4, 7800, false},
	} {
		for _, network := range []string{"tcp", "udp"} {
			t.Run(network+" "+tc.name, func(t *testing.T) {
				begin := time.Now()
				err := reach(tc.in.ns, network, tc.addr, tc.port)
				if tc.ok {
					if err != nil {
						t.Error(err)
					}
					return
				}
				if want := prohibited(network, tc.addr); !errors.Is(err, want) {
					t.Errorf("%v, want %v", err, want)
				}
				if d := time.Since(begin); d > atOnce {
					t.Errorf("refused after %v", d)
				}
			})
		}
	}
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network+" --dns-forward", func(t *testing.T) {
			got, err := resolve(none.ns, network, dns4)
			if slices.Sort(got); err != nil || !slices.Equal(got, []string{"192.0.2.1", "2001:db8::1"}) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
	t.Run("counters", func(t *testing.T) {
		for _, network := range []string{"tcp", "udp"} {
			before := counter(t, none, network+".denied")
			reach(none.ns, network, world.PeerV4, 7800)
			if n := counter(t, none, network+".denied") - before; n != 1 {
				t.Errorf("%s: denied %d more, want 1", network, n)
			}
		}
	})
}

func TestOutboundAllowPing(t *testing.T) {
	needsPasta(t)
	world.Needs(t, "ping")
	in := start(t, "--config-net", "--outbound-allow", world.PeerV4+","+world.PeerV6+","+world.FarV4+":1-65535,["+world.FarV6+"]:1-65535")
	for _, tc := range []struct {
		addr, refusal string // no refusal: answered
	}{
		{world.PeerV4, ""},
		{world.PeerV6, ""},
		{world.FarV4, "Packet filtered"}, // ports have nothing to do with it
		{world.FarV6, "Administratively prohibited"},
		{world.HoleV4, "Packet filtered"},
		{world.HoleV6, "Administratively prohibited"},
	} {
		t.Run(tc.addr, func(t *testing.T) {
			begin := time.Now()
			out, err := in.ns.Run(10*time.Second, "ping", "-n", "-c", "1", "-W", "3", tc.addr)
			if tc.refusal == "" {
				if err != nil {
					t.Errorf("%v\n%s", err, out)
				}
				return
			}
			if err == nil || !strings.Contains(out, tc.refusal) || time.Since(begin) > time.Second {
				t.Errorf("%v after %v, want %q\n%s", err, time.Since(begin), tc.refusal, out)
			}
		})
	}
}

// TestOutboundAllowInbound forwards ports to a guest that may begin nothing.
func TestOutboundAllowInbound(t *testing.T) {
	needsPasta(t)
	in := start(t, "--config-net", "--outbound-allow", "none", "-t", "7810", "-u", "7810", "-T", "7811", "-U", "7811")
	world.Exchange(t, world.Peer, in.ns, "tcp", world.HostV4, 7810, 1<<20)
	world.Exchange(t, world.Peer, in.ns, "tcp", world.HostV6, 7810, 1<<20)
	world.ExchangeUDP(t, world.Peer, in.ns, world.HostV4, 7810, 100_000)
	world.ExchangeUDP(t, world.Peer, in.ns, world.HostV6, 7810, 100_000)
	world.Exchange(t, in.ns, world.Host, "tcp", "127.0.0.1", 7811, 1<<20)
	world.ExchangeUDP(t, in.ns, world.Host, "127.0.0.1", 7811, 100_000)
}
