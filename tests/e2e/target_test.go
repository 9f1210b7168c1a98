package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/tests/world"
)

// Namespaces that exist before pasta does, as a container engine makes them, and pasta in the
// background for them.

// target is a network namespace that pasta is to join.
type target struct {
	ns    *world.NS
	pid   int    // of a process in it; 0 if there is none
	owner int    // of a process of the user who made it, outside of its user namespace
	path  string // that it was bound to; empty if it was not
	held  *holder
}

// newTarget makes a network namespace in a user namespace of its own as a user would, with
// a process in it that ends with the test, or at the end of hold.
func newTarget(t *testing.T) *target {
	t.Helper()
	needsPasta(t)
	world.Needs(t, "unshare", "nsenter")
	dir := world.ScratchDir(t)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dir + "/hold", Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Chmod(dir+"/hold", 0o777); err != nil {
		t.Fatal(err)
	}
	// The shell stays outside, for asOwner.
	cmd := exec.Command("sh", "-c", `unshare -rUn "$@"; true`, "sh", command)
	world.AsUser(cmd)
	cmd.Env = append(cmd.Env, stageVar+"=hold", holdVar+"="+dir+"/hold")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	g := &target{owner: cmd.Process.Pid}
	if g.held, err = acceptHolder(l, 5*time.Second); err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		t.Fatalf("the namespace was not made: %v", err)
	}
	g.pid = g.held.pid
	t.Cleanup(func() {
		g.held.conn.Close()
		cmd.Wait() // it ends with the command
		g.ns.Close()
	})
	if g.ns, err = world.NSOf("N", g.pid); err != nil {
		t.Fatal(err)
	}
	return g
}

// newNamed makes a network namespace of root's, bound under /run/netns as ip(8) does.
func newNamed(t *testing.T) *target {
	t.Helper()
	needsPasta(t)
	name := world.Unique("named")
	n, err := world.NewNS(name)
	if err != nil {
		t.Fatal(err)
	}
	g := &target{ns: n, path: "/run/netns/" + name}
	t.Cleanup(func() {
		g.unbind()
		n.Close()
	})
	return g
}

// bind binds the namespace to a path of a folder of its own, as container engines do.
func (g *target) bind(t *testing.T) string {
	t.Helper()
	g.path = world.ScratchDir(t) + "/netns"
	if err := os.WriteFile(g.path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(fmt.Sprintf("/proc/%d/ns/net", g.pid), g.path, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.unbind)
	return g.path
}

// unbind removes the path. A second time does nothing.
func (g *target) unbind() {
	unix.Unmount(g.path, unix.MNT_DETACH) // fails if it was done before
	os.Remove(g.path)
}

// kill ends the process in the namespace.
func (g *target) kill() { unix.Kill(g.pid, unix.SIGKILL) }

// proc is a namespace file of the process.
func (g *target) proc(kind string) string { return fmt.Sprintf("/proc/%d/ns/%s", g.pid, kind) }

// somebody is who starts pasta.
type somebody struct {
	name string
	as   func(*exec.Cmd)
	by   []string // a command that executes what follows
}

// plain leaves everything as the tests have it: root, or as good as root for H.
func plain(cmd *exec.Cmd) { cmd.Dir = "/" }

var root = somebody{name: "root", as: plain}

// user is the one who made the namespace, outside of it.
func (g *target) user() somebody {
	if world.AsRoot {
		return somebody{name: "the user", as: world.AsUser}
	}
	return somebody{"the user", plain, []string{"nsenter", "-U", "--preserve-credentials", "-t", strconv.Itoa(g.owner)}}
}

// inside is root of the namespace's user namespace, which rootless container engines are.
func (g *target) inside() somebody {
	s := somebody{name: "root inside", as: plain}
	if world.AsRoot {
		s.as = world.AsUser
	}
	s.by = []string{"nsenter", "-U", "--preserve-credentials", "-t", strconv.Itoa(g.pid)}
	return s
}

// start runs pasta in the foreground, with exactly these arguments.
func (who somebody) start(t *testing.T, args ...string) *world.Process {
	t.Helper()
	argv := slices.Concat(who.by, []string{world.Binary}, args)
	cmd := exec.Command(argv[0], argv[1:]...)
	who.as(cmd)
	return world.StartProcess(t, world.Host, cmd, world.ScratchDir(t)+"/log")
}

// daemon is a pasta in the background.
type daemon struct {
	t    *testing.T
	pid  int
	said result
}

// startDaemon runs pasta until it has gone to the background, with a file for the process ID.
func startDaemon(t *testing.T, who somebody, args ...string) *daemon {
	t.Helper()
	d := &daemon{t: t}
	pidFile := world.ScratchDir(t) + "/pid"
	argv := slices.Concat(who.by, []string{world.Binary, "--pid", pidFile}, args)
	d.said = runCommand(t, world.Host, 10*time.Second, who.as, argv...)
	if d.said.code != 0 {
		t.Fatalf("%s: exit status %d\n%s", strings.Join(argv, " "), d.said.code, d.said.stderr)
	}
	// No waiting: whoever started it may rely on everything from now on.
	b, err := os.ReadFile(pidFile)
	if err == nil {
		d.pid, err = strconv.Atoi(strings.TrimSpace(string(b)))
	}
	if err != nil {
		t.Fatalf("the process ID is not there: %v", err)
	}
	t.Cleanup(func() {
		if d.alive() {
			unix.Kill(d.pid, unix.SIGKILL)
		}
		if !d.ends(2 * time.Second) {
			t.Error("pasta is still there")
		}
	})
	if !d.alive() {
		t.Fatalf("process %d of the file is no pasta\n%s", d.pid, d.said.stderr)
	}
	return d
}

// alive says whether the process is there, and is pasta.
func (d *daemon) alive() bool {
	// The link cannot be followed, the process having changed its root.
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", d.pid))
	return err == nil && isPasta(exe)
}

// isPasta says whether exe, as /proc/PID/exe has it, is the binary under test, which may
// have been started by a link of another name.
func isPasta(exe string) bool {
	file, err := filepath.EvalSymlinks(world.Binary)
	return err == nil && filepath.Base(exe) == filepath.Base(file)
}

// ends waits for the end of the process. While any of its threads is there, so is what it has
// open.
func (d *daemon) ends(timeout time.Duration) bool {
	for end := time.Now().Add(timeout); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", d.pid)); err != nil {
			return true // the tests' init has collected it
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// isConfigured fails unless the namespace has what --config-net gives, now.
func isConfigured(t *testing.T, n *world.NS, ifname string) {
	t.Helper()
	l := links(t, n)
	if up := l[ifname].Flags; !slices.Contains(up, "UP") || !slices.Contains(up, "LOWER_UP") {
		t.Errorf("%s has flags %v, want UP and LOWER_UP", ifname, up)
	}
	if lo := l["lo"].Flags; !slices.Contains(lo, "UP") {
		t.Errorf("lo has flags %v, want UP", lo)
	}
	want := []string{world.HostV4 + "/24", world.HostV6 + "/64"}
	if got := addressList(t, n, ifname); !slices.Equal(got, want) {
		t.Errorf("addresses %v, want %v", got, want)
	}
	for family, want := range map[string]string{"-4": world.GateV4, "-6": world.GateV6} {
		if got := defaultRoute(t, n, family); got != want {
			t.Errorf("default route %s via %q, want %s", family, got, want)
		}
	}
}

// carries fails unless traffic passes in both directions and past the tap, with the port
// forwarded.
func carries(t *testing.T, n *world.NS, port int) {
	t.Helper()
	for _, network := range []string{"tcp", "udp"} {
		world.Exchange(t, world.Peer, n, network, world.HostV4, port, 10000)
		world.Exchange(t, world.Peer, n, network, world.HostV6, port, 10000)
		world.Exchange(t, world.Host, n, network, "127.0.0.1", port, 10000)
		world.Exchange(t, n, world.Peer, network, world.PeerV4, port, 10000)
	}
}
