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

// bannerPorts are the ports inside the namespace that answer with their number.
var bannerPorts = []int{8001, 8002, 8003, 8004, 8005, 8006, 8007, 8101, 8102, 8103, 8104, 8105}

// serveBanners has every banner port answer with its number, to each byte that comes by TCP
// and to each datagram.
func serveBanners(t *testing.T, n *world.NS) {
	t.Helper()
	for _, port := range bannerPorts {
		text := []byte(strconv.Itoa(port))
		world.ServeOn(t, n, world.Endpoint("", port), func(c *net.TCPConn) { answerEach(c, text) })
		u, err := n.ListenPacket("udp", world.Endpoint("", port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { u.Close() })
		go func() {
			buf := make([]byte, 100)
			for {
				_, from, err := u.ReadFrom(buf)
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err == nil {
					u.WriteTo(text, from)
				}
			}
		}()
	}
}

// answerEach writes text for each byte read.
func answerEach(c *net.TCPConn, text []byte) {
	b := make([]byte, 1)
	for {
		if _, err := c.Read(b); err != nil {
			return
		}
		c.Write(text)
	}
}

// banner asks addr from a namespace, and returns the port inside that answered, or "closed".
// One that should be closed is not waited for as long.
func banner(n *world.NS, network, addr string, patience time.Duration) string {
	c, err := n.Dial(network, addr, patience)
	if errors.Is(err, unix.ECONNREFUSED) {
		return "closed"
	}
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	buf := make([]byte, 100)
	for range 3 {
		if _, err := c.Write([]byte("?")); err != nil && network == "tcp" {
			return err.Error() // a reset that came before shows here, and only once
		}
		c.SetReadDeadline(time.Now().Add(patience / 3))
		n, err := c.Read(buf)
		switch {
		case err == nil:
			return string(buf[:n])
		case errors.Is(err, unix.ECONNREFUSED):
			return "closed"
		case network == "tcp":
			return err.Error()
		}
	}
	return "no answer"
}

func TestPortForwarding(t *testing.T) {
	needsPasta(t)
	// What to expect at "address:port" of H, asked from P, or from H itself if the name begins with "local ".
	for _, tc := range []struct {
		name string
		spec []string
		want map[string]string
	}{
		{"single", []string{"8001"}, map[string]string{
			world.HostV4 + ":8001": "8001", "[" + world.HostV6 + "]:8001": "8001", world.HostV4 + ":8002": "closed", "[" + world.HostV6 + "]:8002": "closed",
			"local 127.0.0.1:8001": "8001", "local [::1]:8001": "8001",
		}},
		{"list", []string{"8001,8003"}, map[string]string{
			world.HostV4 + ":8001": "8001", world.HostV4 + ":8003": "8003", world.HostV4 + ":8002": "closed",
		}},
		{"option twice", []string{"8001", "8003"}, map[string]string{
			world.HostV4 + ":8001": "8001", world.HostV4 + ":8003": "8003", world.HostV4 + ":8002": "closed",
		}},
		{"range", []string{"8001-8003"}, map[string]string{
			world.HostV4 + ":8001": "8001", world.HostV4 + ":8002": "8002", world.HostV4 + ":8003": "8003", world.HostV4 + ":8004": "closed",
		}},
		{"mapped", []string{"8001:8101"}, map[string]string{
			world.HostV4 + ":8001": "8101", "[" + world.HostV6 + "]:8001": "8101", world.HostV4 + ":8101": "closed",
		}},
		{"mapped range", []string{"8001-8003:8101-8103"}, map[string]string{
			world.HostV4 + ":8001": "8101", world.HostV4 + ":8002": "8102", world.HostV4 + ":8003": "8103",
			"[" + world.HostV6 + "]:8003": "8103", world.HostV4 + ":8004": "closed",
		}},
		{"mapped range, list", []string{"8001-8002:8104-8105,8005:8101,8007"}, map[string]string{
			world.HostV4 + ":8001": "8104", world.HostV4 + ":8002": "8105", world.HostV4 + ":8005": "8101", world.HostV4 + ":8007": "8007",
		}},
		{"bound to an IPv4 address", []string{world.HostV4 + "/8001"}, map[string]string{
			world.HostV4 + ":8001": "8001", "[" + world.HostV6 + "]:8001": "closed", "local 127.0.0.1:8001": "closed",
		}},
		{"bound to an IPv6 address", []string{world.HostV6 + "/8001"}, map[string]string{
			"[" + world.HostV6 + "]:8001": "8001", world.HostV4 + ":8001": "closed", "local [::1]:8001": "closed",
		}},
		{"bound to the loopback address", []string{"127.0.0.1/8001:8101"}, map[string]string{
			world.HostV4 + ":8001": "closed", "local 127.0.0.1:8001": "8101",
		}},
		{"bound to an address, range with exclusion", []string{world.HostV4 + "/8001-8007,~8003-8004"}, map[string]string{
			world.HostV4 + ":8001": "8001", world.HostV4 + ":8002": "8002", world.HostV4 + ":8003": "closed", world.HostV4 + ":8004": "closed",
			world.HostV4 + ":8005": "8005", world.HostV4 + ":8007": "8007", "[" + world.HostV6 + "]:8001": "closed",
		}},
		{"bound to an interface", []string{"%eth0/8001"}, map[string]string{
			world.HostV4 + ":8001": "8001", "[" + world.HostV6 + "]:8001": "8001", "local 127.0.0.1:8001": "closed",
		}},
		{"bound to an address and an interface", []string{world.HostV4 + "%eth0/8001"}, map[string]string{
			world.HostV4 + ":8001": "8001", "[" + world.HostV6 + "]:8001": "closed", "local 127.0.0.1:8001": "closed",
		}},
		{"exclusion", []string{"8001-8007,~8003"}, map[string]string{
			world.HostV4 + ":8002": "8002", world.HostV4 + ":8003": "closed", world.HostV4 + ":8004": "8004",
		}},
		{"none", []string{"none"}, map[string]string{world.HostV4 + ":8001": "closed"}},
	} {
		for _, proto := range []struct{ network, opt string }{{"tcp", "-t"}, {"udp", "-u"}} {
			t.Run(proto.network+" "+tc.name, func(t *testing.T) {
				args := []string{"--config-net"}
				for _, s := range tc.spec {
					args = append(args, proto.opt, s)
				}
				in := start(t, args...)
				serveBanners(t, in.ns)
				for where, want := range tc.want {
					from := world.Peer
					addr, local := strings.CutPrefix(where, "local ")
					if local {
						from = world.Host
					}
					if got := banner(from, proto.network, addr, 1500*time.Millisecond); got != want {
						t.Errorf("%s: %s, want %s", where, got, want)
					}
				}
			})
		}
	}
}

func TestAddressInUse(t *testing.T) {
	needsPasta(t)
	for _, proto := range []struct{ network, opt string }{{"tcp", "-t"}, {"udp", "-u"}} {
		t.Run(proto.network, func(t *testing.T) {
			if proto.network == "tcp" {
				l, err := world.Host.Listen(world.Endpoint("", 8010))
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
			} else {
				c, err := world.Host.ListenPacket("udp", world.Endpoint("", 8010))
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
			}
			r := runPasta(t, 5*time.Second, "--config-net", proto.opt, "8010", "--", "sh", "-c", "echo RAN")
			if r.code != 1 || r.stdout != "" {
				t.Errorf("exit status %d, printed %q, want 1 and nothing", r.code, r.stdout)
			}
			for _, want := range []string{"8010", "in use"} {
				if !strings.Contains(r.stderr, want) {
					t.Errorf("the message lacks %q:\n%s", want, r.stderr)
				}
			}
			if err := pastaProcesses(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPortOfOneVersionOnly(t *testing.T) {
	// A port that a program of the host has for one IP version is forwarded for the other, with a warning; but a second
	// instance is refused.
	needsPasta(t)
	passt := world.ScratchDir(t) + "/passt"
	if err := os.Symlink(world.Binary, passt); err != nil {
		t.Fatal(err)
	}
	for _, proto := range []struct{ network, opt, warning string }{
		{"tcp", "-t", "TCP port 8010 is forwarded for IPv6 only"},
		{"udp", "-u", "UDP port 8010 is forwarded for IPv6 only"},
	} {
		t.Run(proto.network, func(t *testing.T) {
			occupy(t, world.Host, proto.network, world.Endpoint(world.HostV4, 8010), "other")
			args := append(withDefaults([]string{proto.opt, "8010"}), "--", "true")
			if r := runPasta(t, 5*time.Second, append([]string{"-q"}, args...)...); r.code != 0 || !strings.Contains(r.stderr, proto.warning) {
				t.Errorf("exit status %d, want 0 and %q:\n%s", r.code, proto.warning, r.stderr)
			}
			in := start(t, "--config-net")
			r := runCommand(t, world.Host, 5*time.Second, world.AsUser, passt, "ports", "add", "--pid", strconv.Itoa(in.PID()), proto.opt, "8010")
			if r.code != 0 || !strings.Contains(r.stderr, proto.warning) {
				t.Errorf("passt ports: exit status %d, want 0 and %q:\n%s", r.code, proto.warning, r.stderr)
			}
			occupy(t, in.ns, proto.network, world.Endpoint("", 8010), "here")
			greets(t, world.Peer, proto.network, world.Endpoint(world.HostV6, 8010), "here")
			greets(t, world.Peer, proto.network, world.Endpoint(world.HostV4, 8010), "other")
			if r := runPasta(t, 5*time.Second, args...); r.code != 1 || !strings.Contains(r.stderr, "in use") {
				t.Errorf("a second instance: exit status %d, want 1:\n%s", r.code, r.stderr)
			}
		})
	}
}

func TestRestartAtOnce(t *testing.T) {
	// The next instance gets the same ports, with connections of the last one barely over.
	needsPasta(t)
	for range 5 {
		in := start(t, "--config-net", "-t", "8001-8007", "-u", "8001-8007")
		world.Exchange(t, world.Peer, in.ns, "tcp", world.HostV4, 8001, 1000)
		if !in.Terminate(unix.SIGTERM, 2*time.Second) {
			t.Fatal("pasta does not end")
		}
	}
}

func TestLowPortIsRefusedClearly(t *testing.T) {
	needsPasta(t)
	r := runPasta(t, 5*time.Second, "--config-net", "-t", "22", "--", "true")
	if r.code != 1 {
		t.Errorf("exit status %d, want 1", r.code)
	}
	for _, want := range []string{"22", "ip_unprivileged_port_start"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("the message lacks %q:\n%s", want, r.stderr)
		}
	}
}

func TestForwardedSource(t *testing.T) {
	// A server inside sees a remote client's own address; a client on the host's loopback appears as the gateway.
	needsPasta(t)
	in := start(t, "--config-net", "--no-splice", "-t", "8001")
	world.ServeOn(t, in.ns, world.Endpoint("", 8001), func(c *net.TCPConn) {
		answerEach(c, []byte(c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap().String()))
	})
	for _, tc := range []struct {
		name string
		from *world.NS
		to   string
		want []string
	}{
		{"remote v4", world.Peer, world.HostV4, []string{world.PeerV4}},
		{"remote v6", world.Peer, world.HostV6, []string{world.PeerV6}},
		{"loopback v4", world.Host, "127.0.0.1", []string{world.GateV4}},
		{"loopback v6", world.Host, "::1", []string{world.GateV6}},
		{"the host's own address v4", world.Host, world.HostV4, []string{world.GateV4}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := banner(tc.from, "tcp", world.Endpoint(tc.to, 8001), time.Second); !slices.Contains(tc.want, got) {
				t.Errorf("the server sees %s, want %s", got, tc.want)
			}
		})
	}
}
