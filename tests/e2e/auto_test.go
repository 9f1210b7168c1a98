package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/tests/world"
)

// Ports that are followed, taken all together, or many: auto, all, long ranges.

// followed is how long a port that is bound on the other side may stay unnoticed.
const followed = 1500 * time.Millisecond

// autoWay is one direction and protocol of auto.
type autoWay struct {
	opt, network   string
	client, server *world.NS
	addr           string    // for a client
	owner          *world.NS // where pasta binds
}

// autoWays lists them for an instance.
func autoWays(in *instance) []autoWay {
	return []autoWay{
		{"-t", "tcp", world.Peer, in.ns, world.HostV4, world.Host},
		{"-u", "udp", world.Peer, in.ns, world.HostV4, world.Host},
		{"-T", "tcp", in.ns, world.Host, "127.0.0.1", in.ns},
		{"-U", "udp", in.ns, world.Host, "127.0.0.1", in.ns},
	}
}

// occupy binds a port of n and answers what comes there with text, until it is closed
// or the test ends.
func occupy(t *testing.T, n *world.NS, network, addr, text string) io.Closer {
	t.Helper()
	if network == "udp" {
		p, err := n.ListenPacket("udp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		go func() {
			b := make([]byte, 100)
			for {
				_, from, err := p.ReadFrom(b)
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err == nil {
					p.WriteTo([]byte(text), from)
				}
			}
		}()
		return p
	}
	l, err := n.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	world.Serve(t, l, func(c *net.TCPConn) { answerEach(c, []byte(text)) })
	return l
}

// bindable says whether a port of n can be bound by somebody else now.
func bindable(n *world.NS, network, addr string) error {
	if network == "udp" {
		p, err := n.ListenPacket("udp", addr)
		if err == nil {
			p.Close()
		}
		return err
	}
	l, err := n.Listen(addr)
	if err == nil {
		l.Close()
	}
	return err
}

// answers returns nil once a client gets want, "closed" included.
func answers(n *world.NS, network, addr, want string) func() error {
	return func() error {
		if got := banner(n, network, addr, 300*time.Millisecond); got != want {
			return fmt.Errorf("%s from %s gets %q, want %q", addr, n.Name, got, want)
		}
		return nil
	}
}

func TestAutoFollows(t *testing.T) {
	needsPasta(t)
	in := start(t, "--config-net", "-t", "auto", "-u", "auto", "-T", "auto", "-U", "auto")
	const port = 8100
	for i, w := range autoWays(in) {
		t.Run(w.opt, func(t *testing.T) {
			at, ask := world.Endpoint("", port+i), world.Endpoint(w.addr, port+i)
			for range 2 { // bound again, followed again
				server := occupy(t, w.server, w.network, at, "here")
				world.Eventually(t, followed, answers(w.client, w.network, ask, "here"))
				server.Close()
				begin := time.Now()
				world.Eventually(t, followed, func() error { return bindable(w.owner, w.network, ask) })
				t.Logf("released %v after the end of the server", time.Since(begin).Round(10*time.Millisecond))
			}
		})
	}
}

func TestAutoAtStart(t *testing.T) {
	// What the host has bound before pasta starts is there when the command is.
	needsPasta(t)
	occupy(t, world.Host, "tcp", world.Endpoint("127.0.0.1", 8110), "early")
	r := runPasta(t, 10*time.Second, "--config-net", "-t", "none", "-u", "none", "-T", "auto", "-U", "none", "--",
		"sh", "-c", "grep -c 0100007F:1FAE /proc/net/tcp")
	if r.code != 0 || strings.TrimSpace(r.stdout) != "1" {
		t.Errorf("exit status %d, %q sockets of the port are in the namespace, want 1\n%s", r.code, r.stdout, r.stderr)
	}
}

func TestAutoIsTheDefault(t *testing.T) {
	needsPasta(t)
	// The harness adds "none" for each of these that it does not see.
	in := start(t, "--config-net", "-t", "auto", "-u", "none", "-T", "none", "-U", "none")
	occupy(t, in.ns, "tcp", world.Endpoint("", 8111), "here")
	world.Eventually(t, followed, answers(world.Peer, "tcp", world.Endpoint(world.HostV4, 8111), "here"))
	occupy(t, world.Host, "tcp", world.Endpoint("127.0.0.1", 8112), "here")
	r := runPasta(t, 10*time.Second, "--config-net", "--", "sh", "-c", "grep -c 0100007F:1FB0 /proc/net/tcp")
	if strings.TrimSpace(r.stdout) != "1" {
		t.Errorf("without -T the host's port is not there: %q %s", r.stdout, r.stderr)
	}
}

func TestAutoIgnoresItsOwn(t *testing.T) {
	needsPasta(t)
	in := start(t, "--config-net", "-t", "auto", "-u", "auto", "-T", "auto", "-U", "auto")
	for _, network := range []string{"tcp", "udp"} {
		// The host's port is bound in the namespace; that must not come back as a port of the namespace.
		server := occupy(t, world.Host, network, world.Endpoint("127.0.0.1", 8120), "host")
		world.Eventually(t, followed, answers(in.ns, network, world.Endpoint("127.0.0.1", 8120), "host"))
		time.Sleep(followed)
		for _, ask := range []struct {
			n    *world.NS
			addr string
		}{{world.Peer, world.HostV4}, {world.Peer, world.HostV6}} {
			if got := banner(ask.n, network, world.Endpoint(ask.addr, 8120), time.Second); got != "closed" {
				t.Errorf("%s: the host's port is offered on %s: %s", network, ask.addr, got)
			}
		}
		server.Close()
		world.Eventually(t, followed, func() error { return bindable(in.ns, network, world.Endpoint("127.0.0.1", 8120)) })
		if err := bindable(world.Host, network, world.Endpoint("", 8120)); err != nil {
			t.Errorf("%s: pasta took the host's port itself: %v", network, err)
		}
		// And the other way round.
		inside := occupy(t, in.ns, network, world.Endpoint(world.HostV4, 8121), "inside")
		world.Eventually(t, followed, answers(world.Peer, network, world.Endpoint(world.HostV4, 8121), "inside"))
		time.Sleep(followed)
		if got := banner(in.ns, network, world.Endpoint("127.0.0.1", 8121), time.Second); got != "closed" {
			t.Errorf("%s: the namespace's port comes back to its loopback: %s", network, got)
		}
		inside.Close()
		world.Eventually(t, followed, func() error { return bindable(world.Host, network, world.Endpoint("", 8121)) })
	}
}

func TestAutoIgnoresClients(t *testing.T) {
	// A UDP client's socket inside, and the one on the host that its datagrams leave by, are no services to offer inside.
	needsPasta(t)
	in := start(t, "--config-net", "-t", "auto", "-u", "auto", "-T", "auto", "-U", "auto")
	world.ServeUDP(t, world.Peer, world.Endpoint("", 8130))
	var local []int
	for i := range 20 {
		// Ports of the kind that "auto" looks at, unlike those that the system picks.
		c, err := in.ns.DialWith("udp", world.Endpoint(world.PeerV4, 8130), time.Second, func(fd int) error {
			return unix.Bind(fd, &unix.SockaddrInet4{Port: 20000 + i})
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Write([]byte("x"))
		local = append(local, c.LocalAddr().(*net.UDPAddr).Port)
	}
	time.Sleep(followed)
	for _, port := range local {
		if err := bindable(in.ns, "udp", world.Endpoint("127.0.0.1", port)); err != nil {
			t.Errorf("a client's port comes back: %v", err)
		}
	}
}

func TestAutoWithExclusions(t *testing.T) {
	needsPasta(t)
	in := start(t, "--config-net", "-t", "auto,~8000-8010", "-u", "auto,~8000-8010", "-T", "auto,~8000-8010", "-U", "auto,~8000-8010")
	for i, w := range autoWays(in) {
		t.Run(w.opt, func(t *testing.T) {
			excluded, included := 8000+i, 8020+i
			occupy(t, w.server, w.network, world.Endpoint("", excluded), "excluded")
			occupy(t, w.server, w.network, world.Endpoint("", included), "included")
			world.Eventually(t, followed, answers(w.client, w.network, world.Endpoint(w.addr, included), "included"))
			if got := banner(w.client, w.network, world.Endpoint(w.addr, excluded), time.Second); got != "closed" {
				t.Errorf("the excluded port: %s", got)
			}
		})
	}
}

func TestAutoWithAddressAndPorts(t *testing.T) {
	needsPasta(t)
	for _, tc := range []struct {
		name string
		spec string
		want map[string]string
	}{
		{"address", "127.0.0.1/auto", map[string]string{"local 127.0.0.1:8140": "here", world.HostV4 + ":8140": "closed"}},
		{"IPv6 address", "::1/auto", map[string]string{"local [::1]:8140": "here", "local 127.0.0.1:8140": "closed"}},
		{"interface", "%eth0/auto", map[string]string{world.HostV4 + ":8140": "here", "local 127.0.0.1:8140": "closed"}},
		{"behind a port", "8141,auto", map[string]string{world.HostV4 + ":8140": "here", world.HostV4 + ":8141": "listed"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := start(t, "--config-net", "-t", tc.spec)
			occupy(t, in.ns, "tcp", world.Endpoint("", 8140), "here")
			occupy(t, in.ns, "tcp", world.Endpoint("", 8141), "listed")
			time.Sleep(followed)
			for where, want := range tc.want {
				from, addr := world.Peer, where
				if local, ok := strings.CutPrefix(where, "local "); ok {
					from, addr = world.Host, local
				}
				if got := banner(from, "tcp", addr, time.Second); got != want {
					t.Errorf("%s: %s, want %s", where, got, want)
				}
			}
		})
	}
}

func TestAll(t *testing.T) {
	needsPasta(t)
	occupy(t, world.Host, "tcp", world.Endpoint("", 8152), "host") // is left to whoever has it
	// Not all of 28,000 ports: a socket for each is more than the usual limit here and there.
	for _, spec := range []string{"all,~8000-8010,~12000-65535", "~8000-8010,~12000-65535"} {
		t.Run(spec, func(t *testing.T) {
			begin := time.Now()
			in := start(t, "--config-net", "-t", spec)
			t.Logf("started in %v", time.Since(begin).Round(10*time.Millisecond))
			for _, port := range []int{8150, 8005} {
				occupy(t, in.ns, "tcp", world.Endpoint("", port), "inside")
			}
			for port, want := range map[int]string{8150: "inside", 8005: "closed", 8152: "host"} {
				if got := banner(world.Peer, "tcp", world.Endpoint(world.HostV4, port), time.Second); got != want {
					t.Errorf("port %d: %s, want %s", port, got, want)
				}
			}
		})
	}
}

// residentMemory is the resident set of pasta's processes in bytes.
func residentMemory(t *testing.T, in *instance) int {
	t.Helper()
	total := 0
	for _, pid := range append([]int{in.PID()}, descendants(in.PID())...) {
		if pid == in.holder.pid {
			continue
		}
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if err != nil {
			continue
		}
		var size, resident int
		fmt.Sscan(string(b), &size, &resident)
		total += resident * os.Getpagesize()
	}
	return total
}

func TestThousandsOfPorts(t *testing.T) {
	needsPasta(t)
	begin := time.Now()
	in := start(t, "--config-net")
	plainStart, plainMemory := time.Since(begin), residentMemory(t, in)
	const ports = "10000-14999"
	begin = time.Now()
	in = start(t, "--config-net", "-t", ports, "-u", ports)
	took, memory := time.Since(begin), residentMemory(t, in)
	t.Logf("started in %v, without ports in %v; %d KiB, without %d", took, plainStart, memory>>10, plainMemory>>10)
	if took > plainStart+time.Second {
		t.Errorf("start took %v, without ports %v: want at most a second more", took, plainStart)
	}
	if memory > plainMemory+16<<20 {
		t.Errorf("%d KiB are resident, without ports %d: want a few MiB more", memory>>10, plainMemory>>10)
	}
	for _, network := range []string{"tcp", "udp"} {
		for _, port := range []int{10000, 12345, 14999} {
			occupy(t, in.ns, network, world.Endpoint("", port), "here")
			if got := banner(world.Peer, network, world.Endpoint(world.HostV4, port), time.Second); got != "here" {
				t.Errorf("%s port %d: %s", network, port, got)
			}
		}
	}
	begin = time.Now()
	if !in.Terminate(unix.SIGTERM, 3*time.Second) {
		t.Fatal("pasta goes on")
	}
	if d := time.Since(begin); d > time.Second {
		t.Errorf("the end took %v", d)
	}
	for _, port := range []int{10000, 12345, 14999} {
		portsAreFree(t, port)
	}
}

func TestFreeBind(t *testing.T) {
	needsPasta(t)
	const absent = "192.0.2.99"
	for _, opt := range []string{"-t", "-u"} {
		r := runPasta(t, 5*time.Second, "--config-net", opt, absent+"/8160", "--", "true")
		if r.code != 1 || !strings.Contains(r.stderr, absent) {
			t.Errorf("%s with an address that is not there: exit status %d, printed %q", opt, r.code, r.stderr)
		}
	}
	in := start(t, "--config-net", "--freebind", "-t", absent+"/8160", "-u", absent+"/8160")
	world.ChangeHost(t, []string{"addr add " + absent + "/32 dev eth0"}, []string{"addr del " + absent + "/32 dev eth0"})
	if err := world.Batch(world.Peer, "route add "+absent+"/32 via "+world.HostV4); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { world.Batch(world.Peer, "route del "+absent+"/32 via "+world.HostV4) }) // the next test has no use for it, nor trouble with it
	for _, network := range []string{"tcp", "udp"} {
		occupy(t, in.ns, network, world.Endpoint("", 8160), "here")
		if got := banner(world.Peer, network, world.Endpoint(absent, 8160), time.Second); got != "here" {
			t.Errorf("%s: %s", network, got)
		}
	}
}

func TestLowPorts(t *testing.T) {
	needsPasta(t)
	for _, opt := range []string{"-t", "-u"} {
		r := runPasta(t, 5*time.Second, "--config-net", opt, "80-81", "--", "true")
		if r.code != 1 || !strings.Contains(r.stderr, "ip_unprivileged_port_start=80") || !strings.Contains(r.stderr, "80-81") {
			t.Errorf("%s 80-81: exit status %d, printed %q, want 1 and the advice", opt, r.code, r.stderr)
		}
	}
	t.Run("allowed", func(t *testing.T) {
		if err := world.Sysctl(world.Host, "net.ipv4.ip_unprivileged_port_start", "80"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { world.Sysctl(world.Host, "net.ipv4.ip_unprivileged_port_start", "1024") })
		in := start(t, "--config-net", "-t", "80")
		occupy(t, in.ns, "tcp", world.Endpoint("", 80), "here")
		if got := banner(world.Peer, "tcp", world.Endpoint(world.HostV4, 80), time.Second); got != "here" {
			t.Errorf("%s", got)
		}
	})
	t.Run("of the namespace", func(t *testing.T) {
		// In there, pasta may bind them.
		in := start(t, "--config-net", "-T", "80", "-U", "80")
		for _, network := range []string{"tcp", "udp"} {
			occupy(t, world.Host, network, world.Endpoint("", 80), "here")
			if got := banner(in.ns, network, world.Endpoint("127.0.0.1", 80), time.Second); got != "here" {
				t.Errorf("%s: %s", network, got)
			}
		}
	})
	t.Run("of the namespace, followed", func(t *testing.T) {
		in := start(t, "--config-net", "-T", "auto")
		time.Sleep(500 * time.Millisecond)
		occupy(t, world.Host, "tcp", world.Endpoint("", 81), "here")
		world.Eventually(t, followed, answers(in.ns, "tcp", world.Endpoint("127.0.0.1", 81), "here"))
	})
}

func TestAutoWhileBusy(t *testing.T) {
	// A transfer at full speed does not keep new ports from being noticed.
	needsPasta(t)
	in := start(t, "--config-net", "-t", "auto", "-T", "8170")
	world.ServeOn(t, world.Host, world.Endpoint("", 8170), func(c *net.TCPConn) { io.Copy(io.Discard, c) })
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	c := world.DialTCP(t, in.ns, world.Endpoint("127.0.0.1", 8170))
	go func() {
		b := make([]byte, 1<<16)
		for ctx.Err() == nil {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	}()
	occupy(t, in.ns, "tcp", world.Endpoint("", 8171), "here")
	world.Eventually(t, followed, answers(world.Peer, "tcp", world.Endpoint(world.HostV4, 8171), "here"))
}
