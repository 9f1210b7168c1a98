package stage

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/cmd/internal/conf"
)

// guest starts a process in user and network namespaces of its own. It must be reaped by
// whoever kills it.
func guest(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "100")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   unix.SIGKILL,
	}
	runtime.LockOSThread() // Pdeathsig is about the thread
	if err := cmd.Start(); err != nil {
		t.Skip("needs user namespaces:", err)
	}
	t.Cleanup(func() { end(cmd) })
	return cmd
}

func end(cmd *exec.Cmd) {
	if cmd.ProcessState == nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// interfaces are those of the namespace of pid.
func interfaces(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", pid))
	var names []string
	for line := range strings.Lines(string(b)) {
		if name, _, ok := strings.Cut(line, ":"); ok {
			names = append(names, strings.TrimSpace(name))
		}
	}
	return strings.Join(names, " ")
}

// background runs r, which must go to the background, and returns the number of the process
// there, from the pid file.
func background(t *testing.T, r *run, pidFile string) int {
	t.Helper()
	if got := r.finish(t); got != 0 { // which waits for standard error to be closed as well
		t.Fatalf("exit status %d: %s", got, r.errs.String())
	}
	b, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSuffix(string(b), "\n"))
	if err != nil {
		t.Fatalf("pid file: %q", b)
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	t.Cleanup(func() { _ = unix.Kill(pid, unix.SIGKILL) })
	if err != nil || !strings.HasPrefix(string(cmdline), argSupervisor) {
		t.Fatalf("process %d of the pid file: %.100q, %v", pid, cmdline, err)
	}
	return pid
}

// child is the only child of the process pid.
func child(t *testing.T, pid int) int {
	t.Helper()
	var all []string
	for range 100 { // the namespace stage may just be ending
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
		all = nil
		for _, f := range threads {
			b, _ := os.ReadFile(f)
			all = append(all, strings.Fields(string(b))...)
		}
		if len(all) == 1 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if len(all) != 1 {
		t.Fatalf("process %d has the children %v, want one", pid, all)
	}
	n, err := strconv.Atoi(all[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// goneWithin says whether the process ends within d; nobody may have reaped it.
func goneWithin(pid int, d time.Duration) bool {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Millisecond) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(b), ") Z ") {
			return true
		}
	}
	return false
}

// promptly is how long an end may take: 50 ms, and some for a machine that is busy testing.
const promptly = 250 * time.Millisecond

func TestJoin(t *testing.T) {
	for _, tt := range []struct {
		name string
		root bool // needs root
		set  func(o *conf.Options, pid int, dir string)
		end  func(target *exec.Cmd, dir string)
	}{
		{"PID", false, func(o *conf.Options, pid int, _ string) { o.PID = pid }, nil},
		{"paths of a process", false, func(o *conf.Options, pid int, _ string) {
			o.UserNS, o.NetNS = fmt.Sprintf("/proc/%d/ns/user", pid), fmt.Sprintf("/proc/%d/ns/net", pid)
		}, nil},
		{"path of a file", false, func(o *conf.Options, pid int, dir string) {
			o.UserNS, o.NetNS = fmt.Sprintf("/proc/%d/ns/user", pid), filepath.Join(dir, "ns")
		}, func(_ *exec.Cmd, dir string) { _ = os.Remove(filepath.Join(dir, "ns")) }},
		{"PID, network only", true, func(o *conf.Options, pid int, _ string) { o.PID, o.NetNSOnly = pid, true }, nil},
		{"path, network only", true, func(o *conf.Options, pid int, _ string) {
			o.NetNS, o.NetNSOnly = fmt.Sprintf("/proc/%d/ns/net", pid), true
		}, nil},
		{"PID, as nobody", true, func(o *conf.Options, pid int, _ string) { o.PID, o.RunAs = pid, "65534:65534" }, nil},
		{"network only, as nobody", true, func(o *conf.Options, pid int, _ string) {
			o.PID, o.NetNSOnly, o.RunAs = pid, true, "65534:65534"
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.root && os.Getuid() != 0 {
				t.Skip("needs root")
			}
			target, dir := guest(t), t.TempDir()
			pid, pidFile := target.Process.Pid, filepath.Join(dir, "pid")
			if err := os.Symlink(fmt.Sprintf("/proc/%d/ns/net", pid), filepath.Join(dir, "ns")); err != nil {
				t.Fatal(err)
			}
			o := conf.Options{PidFile: pidFile}
			tt.set(&o, pid, dir)
			d := background(t, pasta(t, o), pidFile)
			if got, want := interfaces(pid), "lo stub0"; got != want {
				t.Errorf("interfaces: got %q, want %q", got, want)
			}
			checkBackground(t, d, strings.HasPrefix(o.RunAs, "65534"))
			if tt.end != nil {
				tt.end(target, dir)
			} else {
				end(target)
			}
			if !goneWithin(d, promptly) {
				t.Error("still there after the end of the namespace")
			}
		})
	}
}

// checkBackground looks at the processes in the background from outside; pid is the start stage's.
func checkBackground(t *testing.T, pid int, nobody bool) {
	t.Helper()
	translator := child(t, pid)
	uid := os.Getuid()
	if nobody {
		uid = 65534
	}
	caps := "0000000000000000"
	if os.Getuid() == 0 {
		caps = "0000000000000400" // to bind low ports
	}
	user := fmt.Sprintf("\nUid:\t%d\t%d\t%d\t%d\n", uid, uid, uid, uid)
	for _, p := range []struct {
		pid  int
		want []string // in its status
	}{
		{pid, []string{user, fmt.Sprintf("\nNSsid:\t%d\n", pid), "\nNoNewPrivs:\t1\n", "\nCapPrm:\t" + caps + "\n"}},
		{translator, []string{
			user,
			fmt.Sprintf("\nNSpid:\t%d\t1\n", translator), // a PID namespace of its own
			fmt.Sprintf("\nNSsid:\t%d\t1\n", translator), // and a session
			"\nNoNewPrivs:\t1\n",
			"\nCapEff:\t0000000000000400\n",
		}},
	} {
		// The first process goes when all is ready, and this one gives up what it does not need then.
		var b []byte
		var lacks string
		for range 100 {
			var err error
			if b, err = os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid)); err != nil {
				t.Fatal(err)
			}
			lacks = ""
			for _, w := range p.want {
				if !strings.Contains(string(b), w) {
					lacks = w
				}
			}
			if lacks == "" {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		if lacks != "" {
			t.Errorf("status of process %d: no %q in\n%s", p.pid, lacks, b)
		}
	}
}

func TestNoNetNSQuit(t *testing.T) {
	target, pidFile := guest(t), filepath.Join(t.TempDir(), "pid")
	d := background(t, pasta(t, conf.Options{PID: target.Process.Pid, NoNetNSQuit: true, PidFile: pidFile}), pidFile)
	end(target)
	if goneWithin(d, 100*time.Millisecond) {
		t.Fatal("it did not stay")
	}
	_ = unix.Kill(d, unix.SIGTERM)
	if !goneWithin(d, promptly) {
		t.Error("still there after SIGTERM")
	}
}

func TestBackgroundStops(t *testing.T) {
	for _, tt := range []struct {
		sig    unix.Signal
		fqdn   string
		within time.Duration
	}{
		{unix.SIGTERM, "", promptly}, {unix.SIGINT, "", promptly}, {unix.SIGHUP, "", promptly}, {unix.SIGQUIT, "", promptly},
		{unix.SIGTERM, hangStop, 3 * time.Second},
	} {
		t.Run(tt.sig.String()+tt.fqdn, func(t *testing.T) {
			target, pidFile := guest(t), filepath.Join(t.TempDir(), "pid")
			d := background(t, pasta(t, conf.Options{PID: target.Process.Pid, PidFile: pidFile, FQDN: tt.fqdn}), pidFile)
			_ = unix.Kill(d, tt.sig)
			if !goneWithin(d, tt.within) {
				t.Error("still there")
			}
			// The first thread may be gone before the last one has let go of the tap.
			got := interfaces(target.Process.Pid)
			for end := time.Now().Add(time.Second); got != "lo" && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
				got = interfaces(target.Process.Pid)
			}
			if got != "lo" {
				t.Errorf("interfaces left behind: %q", got)
			}
		})
	}
}

// TestNotReady: the first process exits with 0 only if all is ready.
func TestNotReady(t *testing.T) {
	for _, tt := range []struct {
		name, fqdn string
		pid        int // instead of the guest's
		want       string
	}{
		{"no network", failResolve, 0, "pasta: stub says no\n"},
		{"no configuration", failConfigure, 0, "pasta: stub says no\n"},
		{"no engine", failNew, 0, "pasta: stub says no\n"},
		{"translator crashes", crashNew, 0, "pasta: the translator process ended unexpectedly (exit status 9)\n"},
		{"namespace crashes", crashNs, 0, "pasta: the namespace process ended unexpectedly\n"},
		{"no process", "", 1<<31 - 1, "pasta: there is no process 2147483647\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			o := conf.Options{PID: guest(t).Process.Pid, FQDN: tt.fqdn, PidFile: filepath.Join(dir, "pid")}
			if tt.pid != 0 {
				o.PID = tt.pid
			}
			r := pasta(t, o)
			if got := r.finish(t); got != 1 {
				t.Errorf("exit status: got %d, want 1", got)
			}
			if got := r.errs.String(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if _, err := os.Stat(o.PidFile); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the pid file is there: %v", err)
			}
		})
	}
}

func TestStoppedBeforeReady(t *testing.T) {
	r := pasta(t, conf.Options{PID: guest(t).Process.Pid, FQDN: hangNew})
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	_ = r.Process.Signal(unix.SIGTERM)
	if got := r.finish(t); got != 1 || !strings.Contains(r.errs.String(), "before all was ready") {
		t.Errorf("exit status %d: %s", got, r.errs.String())
	}
}

func TestJoinForeground(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(r *run, target *exec.Cmd)
	}{
		{"SIGTERM", func(r *run, _ *exec.Cmd) { _ = r.Process.Signal(unix.SIGTERM) }},
		{"SIGINT", func(r *run, _ *exec.Cmd) { _ = r.Process.Signal(unix.SIGINT) }},
		{"namespace ends", func(_ *run, target *exec.Cmd) { end(target) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			target, pidFile := guest(t), filepath.Join(t.TempDir(), "pid")
			r := pasta(t, conf.Options{Foreground: true, PID: target.Process.Pid, PidFile: pidFile})
			if err := r.Start(); err != nil {
				t.Fatal(err)
			}
			want := strconv.Itoa(r.Process.Pid) + "\n"
			for range 500 {
				if b, _ := os.ReadFile(pidFile); string(b) == want {
					break
				}
				time.Sleep(5 * time.Millisecond)
			}
			if b, _ := os.ReadFile(pidFile); string(b) != want {
				t.Errorf("pid file: got %q, want %q", b, want)
			}
			tt.end(r, target)
			if got := r.finish(t); got != 0 {
				t.Errorf("exit status %d: %s", got, r.errs.String())
			}
		})
	}
}

// TestLogFile: what goes to standard error before goes to the file all the time.
func TestLogFile(t *testing.T) {
	dir := t.TempDir()
	pidFile, logFile := filepath.Join(dir, "pid"), filepath.Join(dir, "log")
	target := guest(t)
	d := background(t, pasta(t, conf.Options{
		PID: target.Process.Pid, FQDN: warn, PidFile: pidFile, LogFile: logFile, LogSize: 4096, Debug: true,
	}), pidFile)
	end(target)
	goneWithin(d, promptly)
	b, err := os.ReadFile(logFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"warning: host warning\n", "warning: namespace warning\n", "sandbox closed\n", "in the background\n", "the namespace is gone\n"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %q in the log file:\n%s", want, b)
		}
	}
}

func TestLookUp(t *testing.T) {
	for _, tt := range []struct {
		runas    string
		uid, gid int
		ok       bool
	}{
		{"0", 0, 0, true},
		{"root", 0, 0, true},
		{"root:12345", 0, 12345, true},
		{"54321", 54321, 54321, true}, // without an entry
		{"54321:12345", 54321, 12345, true},
		{"54321:root", 54321, 0, true},
		{"-1", 0, 0, false},
		{"root:-4294966296", 0, 0, false},
		{"4294967295", 0, 0, false},
		{"no-such-user", 0, 0, false},
		{"root:no-such-group", 0, 0, false},
	} {
		uid, gid, err := lookUp(tt.runas)
		if uid != tt.uid || gid != tt.gid || (err == nil) != tt.ok {
			t.Errorf("%s: got %d, %d, %v, want %d, %d", tt.runas, uid, gid, err, tt.uid, tt.gid)
		}
	}
}
