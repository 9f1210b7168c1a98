package e2e

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/tests/world"
)

// pasta for namespaces that exist: how they are named, who may do it, when it is ready, and
// when it ends.

// How long pasta may stay, and keep its ports, after its namespace is gone: usually, and at
// most on a busy machine.
const (
	goesUsually = 50 * time.Millisecond
	goesWithin  = 500 * time.Millisecond
)

// existing is one way to name a namespace that exists.
type existing struct {
	name   string
	make   func(t *testing.T) *target
	who    func(g *target) somebody
	naming func(t *testing.T, g *target) []string
	end    func(g *target)
}

func existingWays() []existing {
	user := (*target).user
	asRootUser := func(*target) somebody { return root }
	pid := func(_ *testing.T, g *target) []string { return []string{strconv.Itoa(g.pid)} }
	proc := func(_ *testing.T, g *target) []string {
		return []string{"--userns", g.proc("user"), "--netns", g.proc("net")}
	}
	bound := func(t *testing.T, g *target) []string { return []string{"--netns", g.bind(t)} }
	return []existing{
		{"PID, by the user", newTarget, user, pid, (*target).kill},
		{"PID, by root", newTarget, asRootUser, pid, (*target).kill},
		{"files in /proc, by the user", newTarget, user, proc, (*target).kill},
		{"files in /proc, by root", newTarget, asRootUser, proc, (*target).kill},
		{"file in /proc, by root inside", newTarget, (*target).inside,
			func(_ *testing.T, g *target) []string { return []string{"--netns", g.proc("net")} }, (*target).kill},
		{"bound path and user namespace, by the user", newTarget, user,
			func(t *testing.T, g *target) []string { return append(bound(t, g), "--userns", g.proc("user")) }, (*target).unbind},
		{"bound path, by root inside", newTarget, (*target).inside, bound, (*target).unbind},
		{"bound path, by root", newTarget, asRootUser, bound, (*target).unbind},
		{"bound path, --netns-only, by root inside", newTarget, (*target).inside,
			func(t *testing.T, g *target) []string { return append(bound(t, g), "--netns-only") }, (*target).unbind},
		{"name, by root", newNamed, asRootUser,
			func(_ *testing.T, g *target) []string {
				return []string{"--netns", strings.TrimPrefix(g.path, "/run/netns/")}
			}, (*target).unbind},
		{"path of a name, by root", newNamed, asRootUser,
			func(_ *testing.T, g *target) []string { return []string{"--netns", g.path} }, (*target).unbind},
	}
}

func TestExisting(t *testing.T) {
	const port = 7900
	var all []time.Duration
	for _, w := range existingWays() {
		t.Run(w.name, func(t *testing.T) {
			g := w.make(t)
			args := slices.Concat([]string{"--config-net"}, withDefaults([]string{"-t", fmt.Sprint(port), "-u", fmt.Sprint(port)}), w.naming(t, g))
			d := startDaemon(t, w.who(g), args...)
			for _, network := range []string{"tcp", "udp"} {
				if bindable(world.Host, network, world.Endpoint("", port)) == nil {
					t.Errorf("ready, and %s port %d is not bound", network, port)
				}
			}
			isConfigured(t, g.ns, "eth0")
			carries(t, g.ns, port)
			if world.AsRoot && w.who(g).name == "root" {
				if uid := ownerOf(t, d.pid); uid != 65534 {
					t.Errorf("started by root, it runs as user %d, want nobody", uid)
				}
			}
			begin := time.Now()
			w.end(g)
			if !d.ends(2 * time.Second) {
				t.Fatal("pasta goes on 2 s after the end of the namespace")
			}
			took := time.Since(begin)
			all = append(all, took)
			if took > goesWithin {
				t.Errorf("pasta went %v after the namespace, want %v at most", took, goesWithin)
			}
			portsAreFree(t, port)
			noPastaLeft(t)
		})
	}
	slices.Sort(all)
	if len(all) > 5 && all[len(all)/2] > goesUsually {
		t.Errorf("pasta goes after its namespaces by %v, half of the times by more than %v", all, goesUsually)
	}
}

// ownerOf returns the effective user ID of a process.
func ownerOf(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "\nUid:")
	uid, err := strconv.Atoi(strings.Fields(rest)[1])
	if err != nil {
		t.Fatal(err)
	}
	return uid
}

// noPastaLeft fails if a process of pasta's is there, besides commands that hold a namespace.
func noPastaLeft(t *testing.T) {
	t.Helper()
	world.Eventually(t, 500*time.Millisecond, func() error {
		if err := pastaProcesses(); err != nil && !strings.HasSuffix(strings.TrimSpace(err.Error()), command) {
			return err
		}
		return nil
	})
}

func TestExistingFreesPortsFirst(t *testing.T) {
	// Whoever deletes a namespace may give its ports to the next one right away.
	const port = 7910
	for range 5 {
		g := newTarget(t)
		path := g.bind(t)
		startDaemon(t, g.inside(), "--config-net", "-t", fmt.Sprint(port), "-u", fmt.Sprint(port), "-T", "none", "-U", "none", "--netns", path)
		g.unbind()
		world.Eventually(t, goesWithin, func() error { return bindable(world.Host, "tcp", world.Endpoint("", port)) })
	}
}

func TestExistingForeground(t *testing.T) {
	const port = 7920
	for _, tc := range []struct {
		name string
		end  func(g *target, p *os.Process)
	}{
		{"the process is gone", func(g *target, _ *os.Process) { g.kill() }},
		{"SIGTERM", func(_ *target, p *os.Process) { p.Signal(unix.SIGTERM) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newTarget(t)
			p := g.user().start(t, slices.Concat([]string{"-f", "--config-net"}, withDefaults([]string{"-t", fmt.Sprint(port)}), []string{strconv.Itoa(g.pid)})...)
			// The test must not bind the port itself to see whether pasta has, which would be in pasta's way.
			occupy(t, g.ns, "tcp", world.Endpoint("", port), "inside")
			world.Eventually(t, 5*time.Second, answers(world.Peer, "tcp", world.Endpoint(world.HostV4, port), "inside"))
			begin := time.Now()
			tc.end(g, p.Cmd.Process)
			if !p.WaitEnd(2 * time.Second) {
				t.Fatal("pasta goes on")
			}
			if code := p.Cmd.ProcessState.ExitCode(); code != 0 {
				t.Errorf("exit status %d, want 0", code)
			}
			if d := time.Since(begin); d > goesWithin {
				t.Errorf("the end took %v", d)
			}
			portsAreFree(t, port)
			noPastaLeft(t)
		})
	}
}

func TestNoNetnsQuit(t *testing.T) {
	const port = 7930
	for _, w := range existingWays()[:6] {
		t.Run(w.name, func(t *testing.T) {
			g := w.make(t)
			d := startDaemon(t, w.who(g), slices.Concat([]string{"--no-netns-quit", "--config-net"},
				withDefaults([]string{"-t", fmt.Sprint(port), "-u", fmt.Sprint(port)}), w.naming(t, g))...)
			w.end(g)
			time.Sleep(500 * time.Millisecond)
			if !d.alive() {
				t.Fatal("pasta has gone with the namespace")
			}
			carries(t, g.ns, port) // which the test still holds open
			unix.Kill(d.pid, unix.SIGTERM)
			if !d.ends(time.Second) {
				t.Fatal("pasta goes on after SIGTERM")
			}
			portsAreFree(t, port)
		})
	}
}

func TestBackgroundSignals(t *testing.T) {
	const port = 7940
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGKILL} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			g := newTarget(t)
			d := startDaemon(t, g.user(), append(withDefaults([]string{"--config-net", "-t", fmt.Sprint(port)}), strconv.Itoa(g.pid))...)
			begin := time.Now()
			unix.Kill(d.pid, sig)
			if !d.ends(time.Second) {
				t.Fatal("pasta goes on")
			}
			t.Logf("took %v", time.Since(begin))
			if sig == unix.SIGKILL { // the others end at once, but not before
				world.Eventually(t, time.Second, func() error { return bindable(world.Host, "tcp", world.Endpoint("", port)) })
			}
			portsAreFree(t, port)
			noPastaLeft(t)
		})
	}
}

func TestBackgroundLetsGo(t *testing.T) {
	// It belongs to no terminal and no session of the caller's, and works with all streams closed from the start.
	g := newTarget(t)
	d := startDaemon(t, g.user(), append(withDefaults([]string{"--config-net"}), strconv.Itoa(g.pid))...)
	if d.said.stdout != "" {
		t.Errorf("it printed to standard output: %q", d.said.stdout)
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+2:]))
	if sid, _ := strconv.Atoi(f[3]); sid == unix.Getpid() || sid == g.owner {
		t.Errorf("its session is the caller's, %d", sid)
	}
	if tty := f[4]; tty != "0" {
		t.Errorf("its terminal is %s, want none", tty)
	}
	t.Run("closed streams", func(t *testing.T) {
		g := newTarget(t)
		who := g.user()
		who.by = append(who.by, "sh", "-c", `exec "$@" <&- >&- 2>&-`, "sh")
		startDaemon(t, who, append(withDefaults([]string{"--config-net", "-t", "7950", "-u", "7950"}), strconv.Itoa(g.pid))...)
		isConfigured(t, g.ns, "eth0")
		carries(t, g.ns, 7950)
	})
}

func TestBackgroundFailures(t *testing.T) {
	// Whatever fails is said by the first process, with exit status 1, and leaves nothing.
	const port = 7960
	g := newTarget(t)
	pid := strconv.Itoa(g.pid)
	startDaemon(t, g.user(), append(withDefaults([]string{"--config-net", "-t", fmt.Sprint(port), "-u", fmt.Sprint(port)}), pid)...)
	other := newTarget(t)
	otherPID := strconv.Itoa(other.pid)
	dir := world.ScratchDir(t)
	for _, tc := range []struct {
		name string
		who  somebody
		args []string
		want []string // in the message
	}{
		{"TCP port in use by another pasta", other.user(), []string{"-t", fmt.Sprint(port), otherPID}, []string{fmt.Sprint(port), "in use"}},
		{"UDP port in use by another pasta", other.user(), []string{"-u", fmt.Sprint(port), otherPID}, []string{fmt.Sprint(port), "in use"}},
		{"same namespace, same interface", g.user(), []string{pid}, []string{"eth0"}},
		{"no such process", g.user(), []string{"999999"}, []string{"999999"}},
		{"no such path", g.user(), []string{"--netns", dir + "/absent"}, []string{dir + "/absent"}},
		{"no such name", g.user(), []string{"--netns", "absent"}, []string{"absent"}},
		{"no namespace", g.user(), []string{"--netns", "/etc/passwd"}, []string{"/etc/passwd"}},
		{"a user namespace for a network namespace", g.user(), []string{"--netns", g.proc("user")}, []string{g.proc("user")}},
		{"no user namespace", g.user(), []string{"--netns", g.proc("net"), "--userns", g.proc("net")}, []string{g.proc("net")}},
		{"process of somebody else", g.user(), []string{strconv.Itoa(os.Getpid())}, []string{}},
		{"pid file that cannot be made", other.user(), []string{"-P", dir + "/no/pid", otherPID}, []string{dir + "/no/pid"}},
		{"log file that cannot be made", other.user(), []string{"-l", dir + "/no/log", otherPID}, []string{dir + "/no/log"}},
		{"both PID and path", other.user(), []string{"--netns", other.proc("net"), otherPID}, []string{"--netns"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			argv := slices.Concat(tc.who.by, []string{world.Binary, "-q", "--config-net"}, withDefaults(tc.args))
			r := runCommand(t, world.Host, 10*time.Second, tc.who.as, argv...)
			if r.code != 1 {
				t.Errorf("exit status %d, want 1", r.code)
			}
			for _, w := range tc.want {
				if !strings.Contains(r.stderr, w) {
					t.Errorf("the message lacks %q", w)
				}
			}
			if n := strings.Count(r.stderr, "\n"); n != 1 {
				t.Errorf("%d lines of message, want 1", n)
			}
			if l := links(t, other.ns); len(l) > 1 {
				t.Errorf("an interface is left behind: %v", l)
			}
			if t.Failed() {
				t.Log(r.stderr)
			}
		})
	}
}
