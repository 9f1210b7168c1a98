package e2e

import (
	"net"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/tests/world"
)

// The system's log: what a pasta in the background has to say goes to /dev/log, for which
// a socket stands in here, in a mount namespace with a /dev of its own.

// withDevLog is who, but with the socket at path as /dev/log.
func (who somebody) withDevLog(t *testing.T, path string) somebody {
	t.Helper()
	world.Needs(t, "unshare", "mount")
	// What is needed of /dev, on a file system of its own: nothing may be left in the machine's.
	const script = `set -e
mkdir -p "$1.dev/net"
mount -t tmpfs tmpfs "$1.dev"
mkdir "$1.dev/net"
for f in null zero urandom random tty net/tun; do : >"$1.dev/$f"; mount --bind "/dev/$f" "$1.dev/$f"; done
: >"$1.dev/log"
mount --bind "$1" "$1.dev/log"
ln -s /proc/self/fd "$1.dev/fd"
mount --move "$1.dev" /dev
shift
exec "$@"`
	by := []string{"unshare", "--mount", "sh", "-c", script, "sh", path}
	as := plain
	if world.AsRoot && who.name != root.name {
		world.Needs(t, "setpriv")
		by = append(by, "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
	}
	return somebody{name: who.name, as: as, by: append(by, who.by...)}
}

// syslogLine is a line as syslog(3) has it: priority, time, program and process.
var syslogLine = regexp.MustCompile(`^<(\d+)>[A-Z][a-z][a-z] [ \d]\d \d\d:\d\d:\d\d pasta\[(\d+)\]: (.+)$`)

// listenSyslog makes the socket, and returns a function that returns the next line.
func listenSyslog(t *testing.T, path string) (next func(timeout time.Duration) (string, error)) {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	return func(timeout time.Duration) (string, error) {
		b := make([]byte, 1<<16)
		c.SetReadDeadline(time.Now().Add(timeout))
		n, err := c.Read(b)
		return string(b[:n]), err
	}
}

func TestSyslog(t *testing.T) {
	needsPasta(t)
	path := world.ScratchDir(t) + "/log"
	next := listenSyslog(t, path)
	g := newTarget(t)
	// Of what passes only its number is told, with --stats: --debug is for those who look at standard error.
	d := startDaemon(t, g.user().withDevLog(t, path), "--config-net", "--stats", "1", "-t", "7975", "-u", "none", "-T", "none", "-U", "none",
		"--netns", g.proc("net"), "--userns", g.proc("user"))
	world.Exchange(t, world.Peer, g.ns, "tcp", world.HostV4, 7975, 1000)
	line, err := next(5 * time.Second)
	if err != nil {
		t.Fatalf("nothing in the system's log: %v", err)
	}
	m := syslogLine.FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("%q is no line of syslog's", line)
	}
	if m[1] != "30" {
		t.Errorf("priority %s of %q, want 30: facility daemon, severity info", m[1], line)
	}
	if pid, err := strconv.Atoi(m[2]); err != nil || unix.Kill(pid, 0) != nil {
		t.Errorf("process %s of %q is not there", m[2], line)
	}
	// All that follows is left unread: a daemon that does not keep up holds nothing up.
	for range 300 {
		c, err := world.Peer.Dial("tcp", world.Endpoint(world.HostV4, 7975), 5*time.Second)
		if err == nil {
			c.SetReadDeadline(time.Now().Add(5 * time.Second))
			c.Read(make([]byte, 1)) // until it is refused: the server below is for somebody else
			c.Close()
		}
	}
	world.Exchange(t, world.Peer, g.ns, "tcp", world.HostV4, 7975, 100000)
	if !d.alive() {
		t.Error("pasta ended")
	}
	unix.Kill(d.pid, unix.SIGTERM)
	if !d.ends(2 * time.Second) {
		t.Error("pasta goes on")
	}
}

// TestNoSyslog lists what keeps pasta from the system's log.
func TestNoSyslog(t *testing.T) {
	needsPasta(t)
	for _, tc := range []struct {
		name string
		args func(dir string) []string
	}{
		{"foreground", func(string) []string { return []string{"-f"} }},
		{"log file", func(dir string) []string { return []string{"--log-file", dir + "/pasta.log"} }},
		{"debug", func(string) []string { return []string{"--debug"} }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := world.ScratchDir(t)
			next := listenSyslog(t, dir+"/log")
			g := newTarget(t)
			who := g.user().withDevLog(t, dir+"/log")
			args := append(tc.args(dir), "--config-net", "--stats", "1", "-t", "none", "-u", "none", "-T", "none", "-U", "none",
				"--netns", g.proc("net"), "--userns", g.proc("user"))
			if tc.name == "foreground" {
				who.start(t, args...)
			} else {
				startDaemon(t, who, args...)
			}
			if line, err := next(1500 * time.Millisecond); err == nil { // the numbers would come after a second
				t.Errorf("the system's log has %q", line)
			}
		})
	}
}
