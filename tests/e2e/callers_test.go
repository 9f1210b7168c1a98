package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/tests/world"
)

// Programs that start pasta, played by the test: their very command lines, and what they rely
// on once the first process has exited.

// greets fails unless a client gets want, an address of a server or "closed".
func greets(t *testing.T, n *world.NS, network, addr, want string) {
	t.Helper()
	if got := banner(n, network, addr, time.Second); got != want {
		t.Errorf("%s to %s from %s: got %q, want %q", network, addr, n.Name, got, want)
	}
}

// greetsNot fails if a client gets text, the greeting of a server that it must not reach.
func greetsNot(t *testing.T, n *world.NS, network, addr, text string) {
	t.Helper()
	if got := banner(n, network, addr, time.Second); got == text {
		t.Errorf("%s to %s from %s: got %q, want nothing of the kind", network, addr, n.Name, got)
	}
}

// resolves fails unless the nameserver at addr answers in n.
func resolves(t *testing.T, n *world.NS, addr string) {
	t.Helper()
	for _, network := range []string{"udp", "tcp"} {
		got, err := resolve(n, network, addr)
		slices.Sort(got)
		if err != nil || !slices.Equal(got, []string{"192.0.2.1", "2001:db8::1"}) {
			t.Errorf("nameserver %s over %s: %v, %v", addr, network, got, err)
		}
	}
}

// leaves fails unless pasta goes with its namespace, which end ends, and frees its ports.
func (d *daemon) leaves(end func(), ports ...int) {
	d.t.Helper()
	begin := time.Now()
	end()
	if !d.ends(2 * time.Second) {
		d.t.Fatal("pasta goes on after the end of the namespace")
	}
	if took := time.Since(begin); took > goesWithin {
		d.t.Errorf("pasta went %v after the namespace", took)
	}
	for _, p := range ports {
		portsAreFree(d.t, p)
	}
}

// theDaemon finds the process of the one pasta that runs, which was started without a file
// for its ID: the one that has no other above it.
func theDaemon(t *testing.T, said result) *daemon {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	var found []*daemon
	for _, l := range links {
		d := &daemon{t: t, said: said}
		d.pid, _ = strconv.Atoi(filepath.Base(filepath.Dir(l)))
		if d.alive() && !(&daemon{pid: parentOf(d.pid)}).alive() {
			t.Cleanup(func() { unix.Kill(d.pid, unix.SIGKILL) })
			found = append(found, d)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d processes of pasta are there, want 1", len(found))
	}
	return found[0]
}

// parentOf returns the parent of a process, 0 if that can't be told.
func parentOf(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	n, err := strconv.Atoi(f[1])
	if err != nil {
		return 0
	}
	return n
}

func TestPodman(t *testing.T) {
	needsPasta(t)
	serveDNS(t, world.PeerV4)
	for _, tc := range []struct {
		name  string
		ports []string
		user  []string // options of the user's
	}{
		{"plain", nil, nil},
		{"ports", []string{"-t", "8080-8080:80-80", "-u", "127.0.0.1/8081-8081:81-81"}, nil},
		{"ports of addresses", []string{"-t", world.HostV4 + "/8080-8082:80-82", "-t", "::1/8080-8080:80-80"}, nil},
		{"user options", []string{"-t", "8080-8080:80-80"}, []string{"--ipv4-only", "-a", "10.0.2.0", "-n", "24", "-g", "10.0.2.2", "-m", "1500"}},
		{"loopback of the container", []string{"-t", "8080-8080:80-80"}, []string{"--host-lo-to-ns-lo"}},
	} {
		for _, old := range []bool{false, true} {
			for _, rootless := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s, old %v, rootless %v", tc.name, old, rootless), func(t *testing.T) {
					podman(t, tc.user, tc.ports, old, rootless)
				})
			}
		}
	}
}

// podman makes a namespace, runs pasta as Podman does, and checks what a container needs.
func podman(t *testing.T, user, ports []string, old, rootless bool) {
	g, who := newTarget(t), root
	if rootless {
		who = g.inside()
	}
	netnsPath := g.bind(t)
	args := slices.Concat([]string{"--config-net"}, user, ports, []string{"--dns-forward", "169.254.1.1"})
	for _, opt := range []string{"-t", "-u", "-T", "-U"} {
		if !slices.Contains(slices.Concat(user, ports), opt) {
			args = append(args, opt, "none")
		}
	}
	args = append(args, "--no-map-gw", "--quiet")
	var d *daemon
	if old {
		args = append(args, "--netns", netnsPath, "--map-guest-addr", "169.254.1.2")
		r := runCommand(t, world.Host, 10*time.Second, who.as, slices.Concat(who.by, []string{world.Binary}, args)...)
		if r.code != 0 {
			t.Fatalf("exit status %d: %s", r.code, r.stderr)
		}
		d = theDaemon(t, r)
	} else {
		// startDaemon has --pid in front.
		d = startDaemon(t, who, append(args, "--map-guest-addr", "169.254.1.2", "--netns", netnsPath)...)
	}
	if d.said.stdout+d.said.stderr != "" {
		t.Errorf("--quiet, and it printed %q and %q", d.said.stdout, d.said.stderr)
	}
	resolves(t, g.ns, "169.254.1.1")
	occupy(t, world.Host, "tcp", world.Endpoint(world.HostV4, 8085), "host")
	greets(t, g.ns, "tcp", world.Endpoint("169.254.1.2", 8085), "host")
	occupy(t, world.Host, "tcp", world.Endpoint("127.0.0.1", 8086), "loopback")
	greetsNot(t, g.ns, "tcp", world.Endpoint(defaultRoute(t, g.ns, "-4"), 8086), "loopback")
	world.Exchange(t, g.ns, world.Peer, "tcp", world.PeerV4, 8087, 100000)
	at := "" // where servers of the container listen
	if slices.Contains(user, "--host-lo-to-ns-lo") {
		at = "127.0.0.1"
	}
	published(t, g, ports, at)
	d.leaves(g.unbind, 8080, 8081)
}

// published checks the ports of podman's test.
func published(t *testing.T, g *target, ports []string, at string) {
	t.Helper()
	if len(ports) == 0 {
		return
	}
	occupy(t, g.ns, "tcp", world.Endpoint(at, 80), "web")
	occupy(t, g.ns, "udp", world.Endpoint(at, 81), "datagrams")
	if at == "" && slices.Contains(addressList(t, g.ns, "eth0"), world.HostV6+"/64") {
		greets(t, world.Host, "tcp", "[::1]:8080", "web")
	} else {
		greetsNot(t, world.Host, "tcp", "[::1]:8080", "web")
	}
	if !strings.Contains(ports[1], "/") {
		greets(t, world.Host, "tcp", "127.0.0.1:8080", "web")
	}
	if at == "" {
		greets(t, world.Peer, "tcp", world.HostV4+":8080", "web")
	}
	if slices.Contains(ports, "-u") {
		greets(t, world.Host, "udp", "127.0.0.1:8081", "datagrams")
		greets(t, world.Peer, "udp", world.HostV4+":8081", "closed")
	}
}

func TestRootlessKit(t *testing.T) {
	needsPasta(t)
	serveDNS(t, world.PeerV4)
	for _, probe := range [][]string{{"--version"}, {"--host-lo-to-ns-lo", "--version"}} {
		if r := runPasta(t, 5*time.Second, probe...); r.code != 0 || r.stdout == "" {
			t.Errorf("probe %v: exit status %d, %q", probe, r.code, r.stdout)
		}
	}
	for _, tc := range []struct {
		name    string
		options []string
		byPID   bool
	}{
		{"ports followed, by PID", []string{"--tcp-ports=auto", "--udp-ports=auto"}, true},
		{"ports followed, by files", []string{"--tcp-ports=auto", "--udp-ports=auto", "--host-lo-to-ns-lo"}, false},
		{"own port driver, by PID", []string{"--no-map-gw", "--ipv4-only", "--tcp-ports=none", "--udp-ports=none"}, true},
		{"own port driver, by files", []string{"--no-map-gw", "--tcp-ports=none", "--udp-ports=none"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newTarget(t)
			args := append([]string{"--stderr", "--ns-ifname=tap0", "--mtu=65520", "--config-net", "--address=10.0.2.100", "--netmask=24",
				"--gateway=10.0.2.2", "--dns-forward=10.0.2.3"}, tc.options...)
			if tc.byPID {
				args = append(args, strconv.Itoa(g.pid))
			} else {
				args = append(args, "--userns="+g.proc("user"), "--netns="+g.proc("net"))
			}
			who := g.user()
			r := runCommand(t, world.Host, 10*time.Second, who.as, slices.Concat(who.by, []string{world.Binary}, args)...)
			if r.code != 0 {
				t.Fatalf("exit status %d: %s", r.code, r.stderr)
			}
			d := theDaemon(t, r)
			rootlessKitNetwork(t, g, tc.options)
			d.leaves(g.kill, 8090)
		})
	}
}

// rootlessKitNetwork checks what RootlessKit's children rely on.
func rootlessKitNetwork(t *testing.T, g *target, options []string) {
	t.Helper()
	if l := links(t, g.ns)["tap0"]; l.MTU != 65520 || !slices.Contains(l.Flags, "UP") {
		t.Errorf("tap0: %v", l)
	}
	addrs := addressList(t, g.ns, "tap0")
	v6 := slices.Contains(addrs, world.HostV6+"/64")
	if !slices.Contains(addrs, "10.0.2.100/24") || v6 == slices.Contains(options, "--ipv4-only") {
		t.Errorf("addresses %v", addrs)
	}
	if gw := defaultRoute(t, g.ns, "-4"); gw != "10.0.2.2" {
		t.Errorf("default route via %q", gw)
	}
	resolves(t, g.ns, "10.0.2.3")
	world.Exchange(t, g.ns, world.Peer, "tcp", world.PeerV4, 8091, 100000)
	// The ports of -T and -U are not given, which means auto.
	occupy(t, world.Host, "tcp", world.Endpoint("127.0.0.1", 8092), "host")
	world.Eventually(t, followed, answers(g.ns, "tcp", world.Endpoint("127.0.0.1", 8092), "host"))
	if slices.Contains(options, "--no-map-gw") {
		greetsNot(t, g.ns, "tcp", world.Endpoint("10.0.2.2", 8092), "host")
	} else {
		greets(t, g.ns, "tcp", world.Endpoint("10.0.2.2", 8092), "host")
	}
	if !slices.Contains(options, "--tcp-ports=auto") {
		occupy(t, g.ns, "tcp", world.Endpoint("", 8090), "inside")
		time.Sleep(followed)
		greets(t, world.Peer, "tcp", world.Endpoint(world.HostV4, 8090), "closed")
		return
	}
	for _, network := range []string{"tcp", "udp"} {
		occupy(t, g.ns, network, world.Endpoint("", 8090), "inside")
		world.Eventually(t, followed, answers(world.Peer, network, world.Endpoint(world.HostV4, 8090), "inside"))
		greets(t, world.Host, network, world.Endpoint("127.0.0.1", 8090), "inside")
	}
	lo := occupy(t, g.ns, "tcp", world.Endpoint("127.0.0.1", 8093), "loopback")
	defer lo.Close()
	time.Sleep(followed)
	want := "closed"
	if slices.Contains(options, "--host-lo-to-ns-lo") {
		want = "loopback"
	}
	greets(t, world.Host, "tcp", world.Endpoint("127.0.0.1", 8093), want)
}

func TestSandbox(t *testing.T) {
	// In the foreground, killed by whoever started it.
	needsPasta(t)
	const mapped = "169.254.77.1"
	g := newTarget(t)
	p := g.user().start(t, "--foreground", "--quiet", "--config-net", "--no-map-gw", "--map-guest-addr", "none",
		"--map-host-loopback", mapped, "-t", "none", "-u", "none", "-T", "none", "-U", "none", "--no-netns-quit",
		"--netns", g.proc("net"), "--userns", g.proc("user"))
	occupy(t, world.Host, "tcp", world.Endpoint("127.0.0.1", 8095), "host")
	world.Eventually(t, 5*time.Second, answers(g.ns, "tcp", world.Endpoint(mapped, 8095), "host"))
	isConfigured(t, g.ns, "eth0")
	for _, addr := range []string{world.GateV4, "127.0.0.1"} {
		greetsNot(t, g.ns, "tcp", world.Endpoint(addr, 8095), "host")
	}
	world.Exchange(t, g.ns, world.Peer, "tcp", world.PeerV4, 8096, 100000)
	g.kill()
	if p.WaitEnd(300 * time.Millisecond) {
		t.Fatalf("it ended with the namespace: %v", p.Cmd.ProcessState)
	}
	if !p.Terminate(unix.SIGTERM, 2*time.Second) {
		t.Fatal("it goes on after SIGTERM")
	}
	if code := p.Cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit status %d, want 0", code)
	}
	if said := p.Log(); said != "" {
		t.Errorf("--quiet, and it printed %q", said)
	}
	noPastaLeft(t)
}

func TestCallersGuestAddress(t *testing.T) {
	// --map-guest-addr leads to the host's own address, which the guest has too, and not to its loopback.
	in := start(t, "--config-net", "--map-guest-addr", "169.254.1.2")
	for _, network := range []string{"tcp", "udp"} {
		serveEnds(t, world.Host, network, world.Endpoint(world.HostV4, 8097))
		got := banner(in.ns, network, world.Endpoint("169.254.1.2", 8097), time.Second)
		if at, from, _ := strings.Cut(got, " from "); at != world.HostV4 || net.ParseIP(from) == nil {
			t.Errorf("%s: the server sees %q, want a client at %s", network, got, world.HostV4)
		}
	}
	occupy(t, world.Host, "tcp", world.Endpoint("127.0.0.1", 8098), "loopback")
	greets(t, in.ns, "tcp", "169.254.1.2:8098", "closed")
}
