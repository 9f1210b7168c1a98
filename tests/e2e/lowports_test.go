package e2e

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/tests/world"
)

// Ports below 1024 of the host, for those who may bind them.

// withCapability makes a copy of pasta that has the capability to bind low ports, as
// setcap(8) gives it, and removes it when the test is over.
func withCapability(t *testing.T) string {
	t.Helper()
	if !world.AsRoot {
		t.Skip("only root can give a file capabilities")
	}
	path := world.ScratchDir(t) + "/pasta"
	if err := world.CopyFile(world.Binary, path); err != nil {
		t.Fatal(err)
	}
	// struct vfs_cap_data, of revision 2, with the effective bit (capabilities(7)).
	b := binary.LittleEndian.AppendUint32(nil, 0x02000001)
	b = binary.LittleEndian.AppendUint32(b, 1<<unix.CAP_NET_BIND_SERVICE)
	b = append(b, make([]byte, 12)...)
	if err := unix.Setxattr(path, "security.capability", b, 0); err != nil {
		t.Skip("no capabilities of files here:", err)
	}
	return path
}

// lowPorts are options with ports that only the privileged may bind, and the same ports.
var lowPorts = []string{"-t", "80:8080", "-u", "127.0.0.1/81:8081", "-t", "443:8443"}

func TestPrivilegedPorts(t *testing.T) {
	needsPasta(t)
	if !world.AsRoot {
		t.Skip("the world of these tests is not root's")
	}
	for _, tc := range []struct {
		name string
		run  func(t *testing.T, env string) *world.NS // starts pasta with lowPorts
	}{
		{"root, in the background", func(t *testing.T, env string) *world.NS {
			g := newNamed(t)
			as := somebody{name: "root", as: func(cmd *exec.Cmd) { plain(cmd); cmd.Env = append(os.Environ(), env) }}
			startDaemon(t, as, slices.Concat([]string{"--config-net", "-T", "none", "-U", "none"}, lowPorts, []string{"--netns", g.path})...)
			return g.ns
		}},
		{"root, a namespace of a user", func(t *testing.T, env string) *world.NS {
			g := newTarget(t)
			as := somebody{name: "root", as: func(cmd *exec.Cmd) { plain(cmd); cmd.Env = append(os.Environ(), env) }}
			startDaemon(t, as, slices.Concat([]string{"--config-net", "-T", "none", "-U", "none"}, lowPorts, []string{strconv.Itoa(g.pid)})...)
			return g.ns
		}},
		{"root, --runas", func(t *testing.T, env string) *world.NS {
			g := newTarget(t)
			as := somebody{name: "root", as: func(cmd *exec.Cmd) { plain(cmd); cmd.Env = append(os.Environ(), env) }}
			startDaemon(t, as, slices.Concat([]string{"--runas", "12345", "--config-net", "-T", "none", "-U", "none"}, lowPorts, []string{strconv.Itoa(g.pid)})...)
			return g.ns
		}},
		{"capability, in the background", func(t *testing.T, env string) *world.NS {
			g := newTarget(t)
			swap(t, withCapability(t))
			as := somebody{name: "the user", as: func(cmd *exec.Cmd) { world.AsUser(cmd); cmd.Env = append(cmd.Env, env) }}
			startDaemon(t, as, slices.Concat([]string{"--config-net", "-T", "none", "-U", "none"}, lowPorts, []string{strconv.Itoa(g.pid)})...)
			return g.ns
		}},
		{"capability, in the foreground", func(t *testing.T, env string) *world.NS {
			swap(t, withCapability(t))
			return startBy(t, []string{"env", env}, slices.Concat([]string{"--config-net"}, lowPorts)...).ns
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := world.ScratchDir(t)
			n := tc.run(t, "XDG_RUNTIME_DIR="+dir)
			occupy(t, n, "tcp", world.Endpoint("", 8080), "eighty")
			occupy(t, n, "udp", world.Endpoint("", 8081), "eighty-one")
			for _, c := range []struct {
				from          *world.NS
				network, addr string
				want          string
			}{
				{world.Peer, "tcp", world.Endpoint(world.HostV4, 80), "eighty"}, {world.Peer, "tcp", world.Endpoint(world.HostV6, 80), "eighty"},
				{world.Host, "tcp", "127.0.0.1:80", "eighty"}, {world.Host, "udp", "127.0.0.1:81", "eighty-one"},
			} {
				greets(t, c.from, c.network, c.addr, c.want)
			}
			addLowPort(t, n)
		})
	}
}

// swap makes path the binary under test until the end of the test.
func swap(t *testing.T, path string) {
	before := world.Binary
	world.Binary = path
	t.Cleanup(func() { world.Binary = before })
}

// addLowPort adds a port to the running pasta, as one of its sockets for that, whoever it
// belongs to.
func addLowPort(t *testing.T, n *world.NS) {
	t.Helper()
	passt := world.ScratchDir(t) + "/passt"
	if err := world.CopyFile(world.Binary, passt); err != nil {
		t.Fatal(err)
	}
	var socket string
	for _, p := range processes(t) {
		for _, dir := range []string{"/run/passt", "/tmp/passt-0", "/tmp/passt-65534"} {
			if s := fmt.Sprintf("%s/%d.sock", dir, p); exists(s) {
				socket = s
			}
		}
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p))
		if err != nil {
			continue
		}
		for v := range strings.SplitSeq(string(env), "\x00") {
			if dir, ok := strings.CutPrefix(v, "XDG_RUNTIME_DIR="); ok && exists(fmt.Sprintf("%s/passt/%d.sock", dir, p)) {
				socket = fmt.Sprintf("%s/passt/%d.sock", dir, p)
			}
		}
	}
	if socket == "" {
		t.Fatal("no control socket")
	}
	occupy(t, n, "tcp", world.Endpoint("", 8082), "added")
	out, err := exec.Command(passt, "ports", "add", "--socket", socket, "-t", "82:8082").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	greets(t, world.Peer, "tcp", world.Endpoint(world.HostV4, 82), "added")
	if out, err := exec.Command(passt, "ports", "delete", "--socket", socket, "-t", "80:8080").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	world.Eventually(t, time.Second, func() error { return bindable(world.Host, "tcp", ":80") })
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// TestPrivilegedPortInUse: the reason of the process that binds is the one that is said.
func TestPrivilegedPortInUse(t *testing.T) {
	needsPasta(t)
	swap(t, withCapability(t))
	occupy(t, world.Host, "tcp", world.Endpoint("", 80), "other")
	r := runPasta(t, 5*time.Second, append(withDefaults([]string{"--config-net", "-t", "80"}), "true")...)
	if r.code != 1 || !strings.Contains(r.stderr, "in use") {
		t.Errorf("exit status %d: %s", r.code, r.stderr)
	}
}
