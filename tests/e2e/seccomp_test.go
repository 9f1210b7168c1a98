package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"passt/tests/world"
)

// modeFilter is what /proc/PID/status says in its line Seccomp of a thread with a filter.
const modeFilter = "2"

// isFiltered checks that one of the processes of pasta's, of which pid is the first, runs with
// a filter of system calls, on all its threads.
func isFiltered(pid int) error {
	var seen []string
	for _, p := range append([]int{pid}, descendants(pid)...) {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", p))
		if err != nil {
			return err
		}
		with, all := 0, 0
		for _, task := range tasks {
			b, err := os.ReadFile(task)
			if err != nil {
				continue // that thread has ended
			}
			all++
			if _, rest, _ := strings.Cut(string(b), "\nSeccomp:"); rest != "" && strings.Fields(rest)[0] == modeFilter {
				with++
			}
		}
		if with > 0 && with == all {
			return nil
		}
		seen = append(seen, fmt.Sprintf("process %d: %d of %d threads", p, with, all))
	}
	return errors.New("no process has a filter: " + strings.Join(seen, ", "))
}

// needsFilters skips a test where the kernel has no filters.
func needsFilters(t *testing.T) {
	t.Helper()
	needsPasta(t)
	if _, err := os.Stat("/proc/sys/kernel/seccomp/actions_avail"); err != nil {
		t.Skip("the kernel has no filters of system calls")
	}
}

func TestFilter(t *testing.T) {
	needsFilters(t)
	in := start(t, "--config-net", "-t", "7960")
	world.Eventually(t, time.Second, func() error { return isFiltered(in.PID()) })
	// More threads come with more to do.
	world.Exchange(t, in.ns, world.Peer, "tcp", world.PeerV4, 7961, 1<<20)
	world.Exchange(t, in.ns, world.Peer, "udp", world.PeerV6, 7961, 10000)
	world.Exchange(t, world.Host, in.ns, "tcp", "127.0.0.1", 7960, 1<<20)
	if err := isFiltered(in.PID()); err != nil {
		t.Error(err)
	}
}

// TestFilterOfControl has ports changed behind the filter: of any address, of a link-local one,
// whose interface has to be found, and of the namespace.
func TestFilterOfControl(t *testing.T) {
	needsFilters(t)
	in := start(t, "--config-net", "-t", "7970")
	ask := asker(t, in)
	local := linkLocal(t, world.Host, "eth0") + "%eth0"
	ask("ports", "add", "-t", "7971", "-u", "7972", "-t", local+"/7973", "-T", "7974")
	for network, ports := range map[string][]int{"tcp": {7970, 7971}, "udp": {7972}} {
		for _, port := range ports {
			if bindable(world.Host, network, world.Endpoint("", port)) == nil {
				t.Errorf("%s port %d is not bound", network, port)
			}
		}
	}
	if bindable(world.Host, "tcp", net.JoinHostPort(local, "7973")) == nil {
		t.Errorf("port 7973 of %s is not bound", local)
	}
	if bindable(in.ns, "tcp", world.Endpoint("127.0.0.1", 7974)) == nil {
		t.Error("port 7974 of the namespace is not bound")
	}
	world.Exchange(t, world.Peer, in.ns, "tcp", world.HostV4, 7971, 1<<20)
	ask("ports", "delete", "-t", "7971")
	if err := bindable(world.Host, "tcp", world.Endpoint("", 7971)); err != nil {
		t.Errorf("port 7971 after its removal: %v", err)
	}
	ask("flows")
	if out := ask("stats"); !strings.Contains(out, "tcp.") {
		t.Errorf("the counters are %q", out)
	}
	if err := isFiltered(in.PID()); err != nil {
		t.Error(err)
	}
}

// linkLocal is the link-local address of an interface in n.
func linkLocal(t *testing.T, n *world.NS, ifname string) string {
	t.Helper()
	var addrs []net.Addr
	err := n.Do(func() error {
		i, err := net.InterfaceByName(ifname)
		if err == nil {
			addrs, err = i.Addrs()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().IsLinkLocalUnicast() {
			return p.Addr().String()
		}
	}
	t.Fatalf("%s has no link-local address: %v", ifname, addrs)
	return ""
}

func TestFilterOfExisting(t *testing.T) {
	needsFilters(t)
	for _, w := range existingWays() {
		t.Run(w.name, func(t *testing.T) {
			g := w.make(t)
			d := startDaemon(t, w.who(g), append([]string{"--config-net"}, withDefaults(w.naming(t, g))...)...)
			if err := isFiltered(d.pid); err != nil {
				t.Error(err)
			}
			w.end(g)
			if !d.ends(2 * time.Second) {
				t.Error("pasta goes on 2 s after the end of the namespace")
			}
		})
	}
}

func TestFilterOfPasst(t *testing.T) {
	needsFilters(t)
	dir := world.ScratchDir(t)
	socket := dir + "/socket"
	cmd := exec.Command(world.Binary, "-f", "-s", socket)
	cmd.Args[0] = "passt"
	world.AsUser(cmd)
	p := world.StartProcess(t, world.Host, cmd, dir+"/log")
	var c net.Conn
	world.Eventually(t, 5*time.Second, func() (err error) {
		c, err = net.Dial("unix", socket)
		return err
	})
	defer c.Close()
	world.Eventually(t, 5*time.Second, func() error { return isFiltered(p.PID()) })
}
