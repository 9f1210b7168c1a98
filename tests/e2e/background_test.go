package e2e

import (
	"fmt"
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

// What stays in the background, and what is left at its end.

// processes lists the processes of pasta, the command that holds a namespace left out.
func processes(t *testing.T) (pids []int) {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		d := &daemon{}
		d.pid, _ = strconv.Atoi(filepath.Base(filepath.Dir(l)))
		if d.alive() {
			pids = append(pids, d.pid)
		}
	}
	return pids
}

// TestBackgroundConfined: neither process has any privilege, or can be looked into.
func TestBackgroundConfined(t *testing.T) {
	g := newTarget(t)
	d := startDaemon(t, g.user(), append(withDefaults([]string{"--config-net"}), strconv.Itoa(g.pid))...)
	pids := processes(t)
	if len(pids) != 2 || !slices.Contains(pids, d.pid) {
		t.Fatalf("processes %v, want two with %d of the pid file", pids, d.pid)
	}
	for _, pid := range pids {
		want := []string{"NoNewPrivs:\t1", "CapPrm:\t0000000000000000"}
		if pid != d.pid {
			want[1] = "CapPrm:\t0000000000000400" // of its own user namespace
		}
		world.Eventually(t, time.Second, func() error {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			if err != nil {
				return err
			}
			for _, w := range want {
				if !strings.Contains(string(b), w) {
					return fmt.Errorf("process %d: no %q in\n%s", pid, w, b)
				}
			}
			var st unix.Stat_t
			// The files of a process that is not dumpable are root's, or those of the root of its user namespace.
			if err := unix.Stat(fmt.Sprintf("/proc/%d/fd", pid), &st); err != nil || world.AsRoot && pid == d.pid && st.Uid != 0 {
				return fmt.Errorf("process %d can be looked into: %d, %v", pid, st.Uid, err)
			}
			return nil
		})
	}
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", d.pid))
	if err != nil || cwd != "/" {
		t.Errorf("working folder %q, %v", cwd, err)
	}
}

// TestBackgroundSockets: the sockets of a passt in the background go with it, whatever ends it.
func TestBackgroundSockets(t *testing.T) {
	needsPasta(t)
	passt := world.ScratchDir(t) + "/passt"
	if err := os.Symlink(world.Binary, passt); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		end   func(t *testing.T, pid int)
		stays bool // the sockets, since nobody is left to remove them
	}{
		{"SIGTERM", func(_ *testing.T, pid int) { unix.Kill(pid, unix.SIGTERM) }, false},
		{"SIGHUP", func(_ *testing.T, pid int) { unix.Kill(pid, unix.SIGHUP) }, false},
		{"SIGKILL", func(_ *testing.T, pid int) { unix.Kill(pid, unix.SIGKILL) }, true},
		{"the other process ends", func(t *testing.T, pid int) {
			for _, p := range processes(t) {
				if p != pid {
					unix.Kill(p, unix.SIGKILL)
				}
			}
		}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := world.ScratchDir(t)
			as := func(cmd *exec.Cmd) {
				world.AsUser(cmd)
				cmd.Env = append(cmd.Env, "XDG_RUNTIME_DIR="+dir)
				cmd.Dir = dir
			}
			if err := os.Chown(dir, 65534, 65534); world.AsRoot && err != nil {
				t.Fatal(err)
			}
			// A relative path: the process leaves the folder.
			r := runCommand(t, world.Host, 10*time.Second, as, passt, "--socket", "vm", "-c", dir+"/conf", "-P", dir+"/pid", "-t", "7980", "-q")
			if r.code != 0 {
				t.Fatalf("exit status %d: %s", r.code, r.stderr)
			}
			b, err := os.ReadFile(dir + "/pid")
			if err != nil {
				t.Fatal(err)
			}
			pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { unix.Kill(pid, unix.SIGKILL) })
			sockets := []string{dir + "/vm", dir + "/conf"}
			if world.AsRoot { // otherwise the user's folder belongs to another ID than the test's
				sockets = append(sockets, fmt.Sprintf("%s/passt/%d.sock", dir, pid))
			}
			for _, s := range sockets {
				if _, err := os.Lstat(s); err != nil {
					t.Error(err)
				}
			}
			tc.end(t, pid)
			d := &daemon{t: t, pid: pid}
			if !d.ends(2 * time.Second) {
				t.Fatal("passt goes on")
			}
			if tc.stays {
				world.Eventually(t, time.Second, func() error { return bindable(world.Host, "tcp", world.Endpoint("", 7980)) })
			}
			portsAreFree(t, 7980)
			for _, s := range sockets {
				if _, err := os.Lstat(s); os.IsNotExist(err) == tc.stays {
					t.Errorf("%s: %v", s, err)
				}
			}
			noPastaLeft(t)
		})
	}
}

// TestBackgroundFirstProcess: if the process that the user started is ended before all is
// ready, nothing goes on.
func TestBackgroundFirstProcess(t *testing.T) {
	for i := range 10 {
		g := newTarget(t)
		who := g.user()
		pidFile := world.ScratchDir(t) + "/pid"
		argv := slices.Concat(who.by, []string{world.Binary, "--config-net", "-P", pidFile}, withDefaults([]string{"-t", "7981"}), []string{strconv.Itoa(g.pid)})
		cmd := exec.Command(argv[0], argv[1:]...)
		who.as(cmd)
		if err := world.Host.Do(cmd.Start); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i) * 2 * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait() // it may have been ready
		world.Eventually(t, 2*time.Second, func() error {
			if b, err := os.ReadFile(pidFile); err == nil {
				if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && pid > 0 {
					unix.Kill(pid, unix.SIGTERM) // all was ready
				}
			}
			if p := processes(t); len(p) > 1 { // the namespace's own
				return fmt.Errorf("processes %v are left", p)
			}
			return nil
		})
	}
}
