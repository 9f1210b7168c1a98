package guest

import (
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/tests/world"
)

// TestNetwork is one guest with its network, as the host's; the later parts build on the
// addresses that the earlier ones bring.
func TestNetwork(t *testing.T) {
	pcap := world.ScratchDir(t) + "/pcap"
	in := startPasst(t, "-t", fmt.Sprintf("%d-%d,7100:%d", guestPort, guestPort+holdOffset, guestPort+whoOffset),
		"-u", fmt.Sprint(guestPort), "--hostname", "vm1", "--pcap", pcap)
	v := boot(t, streamTo(in.socket), nil)
	t.Run("lease", func(t *testing.T) { testLeases(t, v) })
	t.Run("IPv6", func(t *testing.T) { testIPv6(t, v) })
	if t.Failed() {
		t.Fatal("what follows needs the addresses")
	}
	t.Run("ping", func(t *testing.T) {
		for _, addr := range []string{world.PeerV4, world.PeerV6, world.GateV4, world.GateV6} {
			if out := v.sh(t, 15*time.Second, "ping -c 2 -W 5 "+addr); !strings.Contains(out, "2 packets received") {
				t.Errorf("%s: %s", addr, out)
			}
		}
	})
	t.Run("out", func(t *testing.T) { testOut(t, v) })
	t.Run("forwarded", testForwarded)
	t.Run("source", func(t *testing.T) { testSource(t, v) })
	t.Run("iperf3", func(t *testing.T) { testIperf(t, v) })
	t.Run("capture", func(t *testing.T) {
		world.Needs(t, "tshark")
		if !in.Terminate(unix.SIGTERM, 3*time.Second) {
			t.Fatal("passt does not end")
		}
		out, err := exec.Command("tshark", "-r", pcap, "-Y", "tcp.port == 7010 and tcp.flags.syn == 1", "-T", "fields", "-e", "frame.number").CombinedOutput()
		if err != nil {
			t.Fatalf("tshark: %v: %s", err, out)
		}
		// Two exchanges by TCP with the peer, a SYN each way.
		if n := strings.Count(string(out), "\n"); n < 4 {
			t.Errorf("%d packets with SYN in the capture, want 4: %s", n, out)
		}
	})
}

func testLeases(t *testing.T, v *vm) {
	want := map[string]string{
		"new_ip_address": world.HostV4, "new_subnet_mask": "255.255.255.0", "new_routers": world.GateV4, "new_interface_mtu": "65520",
		"new_domain_name_servers": world.PeerV4, "new_domain_search": strings.Join(world.SearchList, " "), "new_host_name": "vm1",
	}
	for _, client := range []struct {
		name, command string
		names         map[string]string
	}{
		{"dhclient", runDhclient, nil},
		{"udhcpc", runUdhcpc, map[string]string{
			"new_ip_address": "ip", "new_subnet_mask": "subnet", "new_routers": "router", "new_interface_mtu": "mtu",
			"new_domain_name_servers": "dns", "new_domain_search": "search", "new_host_name": "hostname",
		}},
	} {
		t.Run(client.name, func(t *testing.T) {
			if client.name != "udhcpc" { // a part of busybox
				world.Needs(t, client.name)
			}
			checkLease(t, lease(t, v, client.command, client.names), want)
			if out := v.sh(t, 5*time.Second, "cat /sys/class/net/eth0/mtu"); strings.TrimSpace(out) != "65520" {
				t.Errorf("the interface's MTU is %s, want 65520", strings.TrimSpace(out))
			}
		})
	}
}

func checkLease(t *testing.T, got, want map[string]string) {
	t.Helper()
	for k, want := range want {
		if strings.TrimSuffix(strings.ReplaceAll(got[k], ". ", " "), ".") != want {
			t.Errorf("%s is %q, want %q", k, got[k], want)
		}
	}
}

func testIPv6(t *testing.T, v *vm) {
	waitIPv6(t, v)
	t.Run("SLAAC", func(t *testing.T) {
		// An address of the host's prefix, made from the hardware address.
		out := v.sh(t, 5*time.Second, "ip -6 addr show dev eth0 scope global")
		if !strings.Contains(out, "2001:db8:9:0:5054:ff:fe12:3456/64") {
			t.Errorf("no address by SLAAC: %s", out)
		}
	})
	t.Run("DHCPv6", func(t *testing.T) {
		world.Needs(t, "dhclient")
		checkLease(t, lease(t, v, runDhclient6, nil), map[string]string{
			"new_ip6_address": world.HostV6, "new_dhcp6_name_servers": world.PeerV6, "new_dhcp6_domain_search": strings.Join(world.SearchList, " "),
		})
		waitIPv6(t, v) // an address that passt answers for would be a duplicate
		if out := v.sh(t, 5*time.Second, "ip -6 addr show dev eth0 scope global"); !strings.Contains(out, world.HostV6+"/128") || strings.Contains(out, "dadfailed") {
			t.Errorf("the leased address is not in use: %s", out)
		}
	})
}

// testOut is the guest as a client, of the peer and, by the gateway's address, of the host.
func testOut(t *testing.T, v *vm) {
	for _, tc := range []struct {
		name string
		addr string
		port int
	}{
		{"peer v4", world.PeerV4, peerPort},
		{"peer v6", world.PeerV6, peerPort},
		{"gateway-mapped v4", world.GateV4, hostPort},
		{"gateway-mapped v6", world.GateV6, hostPort},
	} {
		for _, network := range []string{"tcp", "udp"} {
			t.Run(network+" "+tc.name, func(t *testing.T) {
				v.sh(t, transferTime, fmt.Sprintf("tool %s %s %d %d", network, tc.addr, tc.port, size(network)))
			})
		}
	}
}

// size is how much to transfer: 10 MB each way, or one datagram that just fits the MTU.
func size(network string) int {
	if network == "udp" {
		return 65472
	}
	return 10 << 20
}

// testForwarded is the peer and the host itself as clients of the guest.
func testForwarded(t *testing.T) {
	for _, tc := range []struct {
		name string
		from *world.NS
		addr string
	}{
		{"peer v4", world.Peer, world.HostV4},
		{"peer v6", world.Peer, world.HostV6},
		{"loopback v4", world.Host, "127.0.0.1"},
		{"loopback v6", world.Host, "::1"},
	} {
		for _, network := range []string{"tcp", "udp"} {
			t.Run(network+" "+tc.name, func(t *testing.T) {
				c, err := tc.from.Dial(network, world.Endpoint(tc.addr, guestPort), 5*time.Second)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if err := ask(c, network, size(network)); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// testSource looks at what address the other side sees.
func testSource(t *testing.T, v *vm) {
	for _, tc := range []struct {
		name string
		from *world.NS
		addr string
		port int
		want string
	}{
		{"peer v4 to a mapped port", world.Peer, world.HostV4, 7100, world.PeerV4},
		{"peer v6 to a mapped port", world.Peer, world.HostV6, 7100, world.PeerV6},
		{"loopback v4 is the gateway", world.Host, "127.0.0.1", guestPort + whoOffset, world.GateV4},
		{"loopback v6 is the gateway", world.Host, "::1", guestPort + whoOffset, world.GateV6},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := tc.from.Dial("tcp", world.Endpoint(tc.addr, tc.port), 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(10 * time.Second))
			if got, err := io.ReadAll(c); err != nil || string(got) != tc.want {
				t.Errorf("the guest sees %q (%v), want %s", got, err, tc.want)
			}
		})
	}
	for _, tc := range []struct{ name, addr, want string }{
		{"guest v4 is the host", world.PeerV4, world.HostV4},
		{"guest v6 is the host", world.PeerV6, world.HostV6},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := v.sh(t, 15*time.Second, fmt.Sprintf("tool who %s %d", tc.addr, peerPort+whoOffset)); got != tc.want {
				t.Errorf("the peer sees %q, want %s", got, tc.want)
			}
		})
	}
}

// testIperf has a program that is not ours measure both directions, for a second each.
func testIperf(t *testing.T, v *vm) {
	world.Needs(t, "iperf3")
	go world.Peer.Run(30*time.Second, "iperf3", "-s", "-p", "7030", "-1")
	for _, addr := range []string{world.PeerV4, world.PeerV6} {
		world.Eventually(t, 10*time.Second, func() error { // until the server is there
			out, err := v.try(20*time.Second, "iperf3 -c "+addr+" -p 7030 -t 1 --bidir -f m")
			if err == nil {
				t.Log(world.Tail(out, 5))
				go world.Peer.Run(30*time.Second, "iperf3", "-s", "-p", "7030", "-1")
			}
			return err
		})
	}
}
