package guest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/tests/world"
)

// The command lines by which programs start passt for their virtual machines, word for word.

// said is how a passt that goes to the background answered to whoever started it.
type said struct {
	code           int
	stdout, stderr string
}

// startByCaller runs a command line that ends once passt is in the background.
func startByCaller(t *testing.T, cmd *exec.Cmd, pidFile string) (said, int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = time.Second
	done := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
	defer done.Stop()
	err := world.Host.Do(cmd.Run)
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
	s := said{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
	if s.code != 0 {
		t.Fatalf("%v: exit status %d: %s", cmd.Args, s.code, s.stderr)
	}
	b, err := os.ReadFile(pidFile) // whoever started it may rely on it from now on
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Kill(pid, unix.SIGKILL) }) // it has ended if all is well
	return s, pid
}

// goneWithin waits for the end of a process that is not ours to wait for.
func goneWithin(t *testing.T, pid int, timeout time.Duration) {
	t.Helper()
	world.Eventually(t, timeout, func() error {
		if err := unix.Kill(pid, 0); !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("process %d is still there (%v)", pid, err)
		}
		return nil
	})
}

// TestLibkrun is krunvm, muvm and others with that library: one end of a pair of stream
// sockets goes to passt under any number, in the foreground.
func TestLibkrun(t *testing.T) {
	const fd = "7"
	for _, tc := range []struct {
		name  string
		args  []string
		quiet bool
		check func(t *testing.T, n *world.NS)
	}{
		{"no ports", []string{"-f", "--fd", fd}, false, func(t *testing.T, n *world.NS) {
			world.Exchange(t, n, world.Peer, "tcp", world.PeerV4, 7060, 1<<20)
			world.Exchange(t, n, world.Peer, "udp", world.PeerV6, 7060, 10000)
			refused(t, world.HostV4, standinPort)
		}},
		{"all ports", []string{"-t", "all", "-f", "--fd", fd}, false, func(t *testing.T, n *world.NS) {
			world.Exchange(t, n, world.Peer, "tcp", world.PeerV4, 7060, 1<<20)
			checkAllPorts(t, n)
		}},
		{"some ports", []string{"-q", "-f", "--fd", fd, "-t", world.HostV4 + "/7051-7052:7151-7152", "-t", "7053-7053:7153-7153", "-u", "127.0.0.1/7051-7051:7151-7151"}, true,
			func(t *testing.T, n *world.NS) {
				world.Exchange(t, n, world.Peer, "tcp", world.PeerV4, 7060, 1<<20)
				for port, guest := range map[int]int{7051: 7151, 7052: 7152, 7053: 7153} {
					answers(t, n, "tcp", world.Peer, world.HostV4, port, guest)
				}
				answers(t, n, "tcp", world.Host, "::1", 7053, 7153)
				answers(t, n, "udp", world.Host, "127.0.0.1", 7051, 7151)
				for _, port := range []int{7050, 7054, 7151} {
					refused(t, world.HostV4, port)
				}
				refused(t, world.HostV6, 7051)
			}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ours, theirs := socketPair(t, unix.SOCK_STREAM)
			cmd := exec.Command("sh", append([]string{"-c", `exec "$0" "$@" ` + fd + `<&3 3<&-`, world.Binary}, tc.args...)...)
			world.AsUser(cmd)
			cmd.ExtraFiles = []*os.File{ours}
			p := world.StartProcess(t, world.Host, cmd, world.ScratchDir(t)+"/log")
			ours.Close()
			n := newStandin(t)
			vm := runInsideOn(t, n, theirs)
			waitUsable(t, n)
			tc.check(t, n)
			if !vm.Terminate(unix.SIGTERM, 5*time.Second) { // the virtual machine ends
				t.Fatal("passt guest does not end")
			}
			endsWell(t, p)
			if log := p.Log(); tc.quiet && log != "" {
				t.Errorf("--quiet, and it printed %q", log)
			}
		})
	}
}

// refused has the peer find a port of H closed.
func refused(t *testing.T, addr string, port int) {
	t.Helper()
	c, err := world.Peer.Dial("tcp", world.Endpoint(addr, port), 5*time.Second)
	if err == nil {
		c.Close()
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("port %d: %v, want refused", port, err)
	}
}

// answers asks a port of H, and has a server on another one of the guest answer.
func answers(t *testing.T, n *world.NS, network string, from *world.NS, addr string, port, guest int) {
	t.Helper()
	if network == "udp" {
		s, err := n.ListenPacket("udp", world.Endpoint("", guest))
		if err != nil {
			t.Error(err)
			return
		}
		defer s.Close()
		go world.EchoUDP(s)
	} else {
		l, err := n.Listen(world.Endpoint("", guest))
		if err != nil {
			t.Error(err)
			return
		}
		defer l.Close()
		go func() {
			if c, err := l.AcceptTCP(); err == nil {
				io.Copy(c, c)
				c.Close()
			}
		}()
	}
	c, err := from.Dial(network, world.Endpoint(addr, port), 5*time.Second)
	if err != nil {
		t.Errorf("%s port %d of %s from %s: %v", network, port, addr, from.Name, err)
		return
	}
	defer c.Close()
	want := fmt.Sprintf("%s %d", network, port)
	got := make([]byte, 100)
	var size int
	for range 3 { // a datagram may be lost
		c.SetDeadline(time.Now().Add(3 * time.Second))
		c.Write([]byte(want))
		if size, err = c.Read(got); err == nil || network == "tcp" {
			break
		}
	}
	if string(got[:size]) != want {
		t.Errorf("%s port %d of %s from %s: got %q, %v", network, port, addr, from.Name, got[:size], err)
	}
}

// lastPort is the last of all ports that is sure to be forwarded, by TCP and by UDP: not all
// are, if descriptors are few.
func lastPort(t *testing.T) int {
	t.Helper()
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
	if l.Max >= 1<<18 {
		return 65535
	}
	t.Logf("there are %d descriptors only: only lower ports are looked at", l.Max)
	return 1024 + min(int(l.Max)*3/4/2/2-100, 32767-1024) // a half for UDP, and there two for each port
}

// checkAllPorts looks at some of all ports: those that are free and not for clients lead to
// the guest, by TCP and UDP; those that another program has stay its own.
func checkAllPorts(t *testing.T, n *world.NS) {
	t.Helper()
	r, last := rand.New(rand.NewPCG(1, 2)), lastPort(t)
	for range 40 {
		port := 1024 + r.IntN(min(last, 32767)-1024)
		if last == 65535 && r.IntN(4) == 0 {
			port = 61000 + r.IntN(65536-61000)
		}
		if slices.Contains([]int{hostPort, hostPort + 1, hostPort + 2}, port) {
			continue
		}
		answers(t, n, "tcp", world.Peer, world.HostV4, port, port)
		answers(t, n, "tcp", world.Peer, world.HostV6, port, port)
		answers(t, n, "udp", world.Peer, world.HostV4, port, port)
		answers(t, n, "udp", world.Peer, world.HostV6, port, port)
	}
	c, err := world.Peer.Dial("tcp", world.Endpoint(world.HostV4, hostPort+whoOffset), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if got, err := io.ReadAll(c); string(got) != world.PeerV4 {
		t.Errorf("the host's own server sees %q (%v), want %s", got, err, world.PeerV4)
	}
	refused(t, world.HostV4, 40000) // for clients
	refused(t, world.HostV4, 80)    // not for users
}

// TestAllPorts is "all" with what may stand in its way.
func TestAllPorts(t *testing.T) {
	t.Run("but some", func(t *testing.T) {
		socket := world.ScratchDir(t) + "/socket"
		startPasstAt(t, socket, "-t", "~2000-2010,~3777", "-u", "~2000-2010")
		n := newStandin(t)
		runInside(t, n, "--socket", socket)
		waitUsable(t, n)
		last := lastPort(t)
		for _, port := range []int{1024, 1999, 2011, min(last, 32767), last} {
			answers(t, n, "tcp", world.Peer, world.HostV4, port, port)
			answers(t, n, "udp", world.Peer, world.HostV6, port, port)
		}
		answers(t, n, "udp", world.Peer, world.HostV4, 3777, 3777)
		for _, port := range []int{2000, 2010, 3777} {
			refused(t, world.HostV4, port)
		}
	})
	t.Run("few descriptors", func(t *testing.T) {
		socket := world.ScratchDir(t) + "/socket"
		cmd := exec.Command("sh", "-c", `ulimit -n 1024 && exec "$0" "$@"`, world.Binary, "-f", "-t", "all", "-u", "all", "--socket", socket)
		world.AsUser(cmd)
		p := world.StartProcess(t, world.Host, cmd, world.ScratchDir(t)+"/log")
		n := newStandin(t)
		runInside(t, n, "--socket", socket)
		waitUsable(t, n)
		for _, port := range []int{1024, 1025, 1100} { // as far as it goes
			answers(t, n, "tcp", world.Peer, world.HostV4, port, port)
			answers(t, n, "udp", world.Peer, world.HostV6, port, port)
		}
		for _, network := range []string{"TCP", "UDP"} {
			if !strings.Contains(p.Log(), network+" port all: ports from ") {
				t.Errorf("no warning of what is left out of %s:\n%s", network, p.Log())
			}
		}
		// Connections still get the descriptors that they need.
		l, err := n.Listen(world.Endpoint("", 1024))
		if err != nil {
			t.Fatal(err)
		}
		world.Serve(t, l, func(c *net.TCPConn) { io.Copy(c, c) })
		for range 100 {
			c := world.DialTCP(t, world.Peer, world.Endpoint(world.HostV4, 1024))
			c.SetDeadline(time.Now().Add(10 * time.Second))
			c.Write([]byte("x"))
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
		world.Exchange(t, n, world.Peer, "tcp", world.PeerV4, 7060, 100000)
	})
}

// TestLibvirt is what libvirt runs for an interface of type "user" with the back end passt:
// without any capability, in the background, with a file for the process ID.
func TestLibvirt(t *testing.T) {
	world.Needs(t, "setpriv")
	dir := world.ScratchDir(t)
	socket, pidFile, logFile := dir+"/1-vm-net0.socket", dir+"/1-vm-net0-passt.pid", dir+"/passt.log"
	argv := []string{world.Binary, "--one-off", "--socket", socket, "--pid", pidFile, "--mtu", "1500", "--interface", "eth0", "--log-file", logFile,
		"--hostname", "vm1", "--fqdn", "vm1.corp.example", "--mac-addr", "9a:55:9a:55:9a:56",
		"--address", world.HostV4, "--netmask", "24", "--address", world.HostV6,
		"--tcp-ports", fmt.Sprintf("%d,7051:7151,7052-7053:7152-7153", standinPort), "--udp-ports", world.HostV4 + "/" + fmt.Sprint(standinPort),
		"--tcp-ports", "127.0.0.1/7054", "--udp-ports", "::1%lo/7054"}
	cmd := exec.Command("setpriv", append([]string{"--inh-caps=-all", "--bounding-set=-all", "--"}, argv...)...)
	world.AsUser(cmd)
	s, pid := startByCaller(t, cmd, pidFile)
	if s.stdout != "" {
		t.Errorf("it printed %q to standard output", s.stdout)
	}
	n := newStandin(t)
	vm := runInside(t, n, "--socket", socket) // libvirt's QEMU connects at once
	waitUsable(t, n)
	out, err := n.Run(5*time.Second, "ip", "link", "show", "dev", "eth0")
	if err != nil || !strings.Contains(out, "mtu 1500") {
		t.Errorf("the MTU is not 1500: %s%v", out, err)
	}
	if out, err = n.Run(5*time.Second, "ip", "neigh", "show", "dev", "eth0"); err != nil || !strings.Contains(out, "9a:55:9a:55:9a:56") {
		t.Errorf("the router's hardware address is not the given one: %s%v", out, err)
	}
	world.Exchange(t, n, world.Peer, "tcp", world.PeerV4, 7060, 1<<20)
	world.Exchange(t, n, world.Peer, "tcp", world.PeerV6, 7060, 1<<20)
	for port, guest := range map[int]int{standinPort: standinPort, 7051: 7151, 7052: 7152, 7053: 7153} {
		answers(t, n, "tcp", world.Peer, world.HostV6, port, guest)
	}
	answers(t, n, "udp", world.Peer, world.HostV4, standinPort, standinPort)
	answers(t, n, "tcp", world.Host, "127.0.0.1", 7054, 7054)
	answers(t, n, "udp", world.Host, "::1", 7054, 7054)
	refused(t, world.HostV4, 7054)
	if !vm.Terminate(unix.SIGTERM, 5*time.Second) {
		t.Fatal("passt guest does not end")
	}
	goneWithin(t, pid, 5*time.Second)
	if b, err := os.ReadFile(logFile); err != nil || len(b) == 0 {
		t.Errorf("nothing in the log file: %v", err)
	}
}

// TestQEMU is QEMU's own "-netdev passt": it passes one end of a pair of sockets, waits for
// the end of what it has started, and ends what the file names at its own end.
func TestQEMU(t *testing.T) {
	dir := world.ScratchDir(t)
	pidFile := dir + "/passt-pid"
	ours, theirs := socketPair(t, unix.SOCK_STREAM)
	cmd := exec.Command(world.Binary, "--quiet", "--mtu", "9000", "--address", world.HostV4, "--netmask", "255.255.255.0", "--gateway", world.GateV4,
		"--interface", "eth0", "--dns", "192.0.2.53", "--search", "a.example", "--no-dhcp-search", "--no-ra", "--no-map-gw",
		"--tcp-ports", fmt.Sprint(standinPort), "--udp-ports", fmt.Sprint(standinPort), "--pid", pidFile, "--fd", "3")
	world.AsUser(cmd)
	cmd.ExtraFiles = []*os.File{ours}
	s, pid := startByCaller(t, cmd, pidFile)
	ours.Close()
	if s.stdout != "" || s.stderr != "" {
		t.Errorf("--quiet, and it printed %q and %q", s.stdout, s.stderr)
	}
	n := newStandin(t)
	runInsideOn(t, n, theirs)
	world.Eventually(t, usableTime, func() error {
		out, err := n.Run(5*time.Second, "ip", "-o", "addr", "show", "dev", "eth0")
		if err == nil && !strings.Contains(out, world.HostV4+"/24") {
			err = errors.New(out)
		}
		return err
	})
	world.Exchange(t, n, world.Peer, "tcp", world.PeerV4, 7060, 1<<20)
	answers(t, n, "tcp", world.Peer, world.HostV4, standinPort, standinPort)
	answers(t, n, "udp", world.Peer, world.HostV4, standinPort, standinPort)
	if out, err := n.Run(5*time.Second, "ip", "-6", "route"); err != nil || strings.Contains(out, "default") {
		t.Errorf("--no-ra, and there is a default route: %s%v", out, err)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	goneWithin(t, pid, 5*time.Second)
}
