package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// serial makes names under scratch unique.
var serial atomic.Int32

// scratchDir makes a directory that pasta, as a user, can write to.
func scratchDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(scratch, strconv.Itoa(int(serial.Add(1))))
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// asUser makes cmd run in H without any privilege there: as nobody if the tests are run by
// root; otherwise as another ID in one more user namespace, which has no say over H.
func asUser(cmd *exec.Cmd) {
	cmd.Dir = "/"
	// Root's own folders, which a user cannot search, would make "not found" a "permission denied".
	cmd.Env = append(os.Environ(), "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	if asRoot {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		return
	}
	one := []syscall.SysProcIDMap{{ContainerID: 1000, HostID: 0, Size: 1}}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: one,
		GidMappings: one,
		Credential:  &syscall.Credential{Uid: 1000, Gid: 1000, NoSetGroups: true},
	}
}

// withDefaults adds to a command line the port options that every test wants unless it
// names them: none.
func withDefaults(args []string) []string {
	var out []string
	for _, opt := range []string{"-t", "-u", "-T", "-U"} {
		if !slices.Contains(args, opt) {
			out = append(out, opt, "none")
		}
	}
	return append(out, args...)
}

// result is how a run of pasta ended.
type result struct {
	code           int // exit status, -1 if killed by a signal
	stdout, stderr string
	took           time.Duration
}

// runPasta runs pasta to its end in H, with exactly these arguments.
func runPasta(t *testing.T, timeout time.Duration, args ...string) result {
	t.Helper()
	if direct {
		t.Skip("there is no pasta to run")
	}
	return runPastaIn(t, host, timeout, args...)
}

// runPastaIn is runPasta with another namespace as the host.
func runPastaIn(t *testing.T, n *netns, timeout time.Duration, args ...string) result {
	t.Helper()
	return runCommand(t, n, timeout, asUser, append([]string{pastaPath}, args...)...)
}

// runCommand runs a command line that starts pasta in n, as somebody, to its end and to the
// end of its output.
func runCommand(t *testing.T, n *netns, timeout time.Duration, as func(*exec.Cmd), argv ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	as(cmd)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = time.Second
	begin := time.Now()
	err := n.do(cmd.Run)
	r := result{stdout: stdout.String(), stderr: stderr.String(), took: time.Since(begin)}
	if ctx.Err() != nil {
		t.Fatalf("%s did not end in %v\n%s", strings.Join(argv, " "), timeout, r.stderr)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", strings.Join(argv, " "), err)
	}
	r.code = cmd.ProcessState.ExitCode()
	return r
}

// instance is a running pasta with a namespace that stays until the end of the test.
type instance struct {
	t       *testing.T
	ns      *netns // N
	holder  *holder
	ifname  string // of the tap
	logPath string
	process *os.Process
	ended   chan struct{}
	state   *os.ProcessState // once ended is closed
}

// needsPasta skips a test that means nothing without a pasta in between.
func needsPasta(t *testing.T) {
	t.Helper()
	if direct {
		t.Skip("there is no pasta to look at")
	}
}

// start runs "pasta -f ARGS -- hold" and waits until the namespace is there and, with
// --config-net, its addresses are usable.
func start(t *testing.T, args ...string) *instance {
	t.Helper()
	return startBy(t, nil, args...)
}

// startBy is start by way of another program, which executes what follows its own arguments.
func startBy(t *testing.T, by []string, args ...string) *instance {
	t.Helper()
	if direct {
		return &instance{t: t, ns: host, ifname: "eth0"}
	}
	dir := scratchDir(t)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dir + "/hold", Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Chmod(dir+"/hold", 0o777); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(dir + "/log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	full := append([]string{"-f"}, withDefaults(args)...)
	full = append(full, "--", scratch+"/command")
	argv := slices.Concat(by, []string{pastaPath}, full)
	cmd := exec.Command(argv[0], argv[1:]...)
	asUser(cmd)
	cmd.Env = append(cmd.Env, stageVar+"=hold", holdVar+"="+dir+"/hold")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in := &instance{t: t, ifname: "eth0", logPath: log.Name(), process: cmd.Process, ended: make(chan struct{})}
	if i := slices.Index(args, "-I"); i >= 0 {
		in.ifname = args[i+1]
	}
	go func() {
		cmd.Wait() // its status is read from ProcessState
		in.state = cmd.ProcessState
		close(in.ended)
	}()
	t.Cleanup(func() { in.cleanUp(strings.Join(full, " ")) })
	go func() { // no use in waiting for the command of a pasta that gave up
		<-in.ended
		l.Close()
	}()
	if in.holder, err = acceptHolder(l, 10*time.Second); err != nil {
		t.Fatalf("pasta %s did not start its command: %v", strings.Join(full, " "), err)
	}
	if in.ns, err = netnsOf("N", in.holder.pid); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(args, "--config-net") {
		in.waitUsable()
	}
	return in
}

// waitUsable waits until no global address is tentative any more.
func (in *instance) waitUsable() {
	in.t.Helper()
	eventually(in.t, 5*time.Second, func() error {
		addrs, err := addresses(in.ns, in.ifname)
		if err != nil {
			return err
		}
		for _, a := range addrs {
			if a.Tentative {
				return fmt.Errorf("%s is still tentative", a.Local)
			}
		}
		return nil
	})
}

// log returns what pasta and its command printed.
func (in *instance) log() string {
	b, err := os.ReadFile(in.logPath)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// terminate sends a signal and waits for the end of pasta. It reports false if that took
// longer than timeout.
func (in *instance) terminate(sig syscall.Signal, timeout time.Duration) bool {
	if err := in.process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		in.t.Errorf("signalling pasta: %v", err)
	}
	return in.waitEnd(timeout)
}

func (in *instance) waitEnd(timeout time.Duration) bool {
	select {
	case <-in.ended:
		return true
	case <-time.After(timeout):
		return false
	}
}

// cleanUp ends pasta and its command, and prints the log of a failed test.
func (in *instance) cleanUp(cmdline string) {
	if !in.terminate(unix.SIGTERM, 3*time.Second) {
		in.t.Errorf("pasta did not end in 3 s after SIGTERM")
		in.process.Kill()
		<-in.ended
	}
	if in.holder != nil {
		in.holder.conn.Close() // ends the command, wherever it is
	}
	if in.ns != nil {
		in.ns.f.Close()
	}
	if in.t.Failed() {
		lines := strings.Split(strings.TrimSpace(in.log()), "\n")
		if n := len(lines); n > 60 {
			lines = append([]string{fmt.Sprintf("... %d lines", n-60)}, lines[n-60:]...)
		}
		in.t.Logf("pasta %s (%v) printed:\n%s", cmdline, in.state, strings.Join(lines, "\n"))
	}
}

// eventually retries until check passes; after timeout its last error fails the test.
func eventually(t *testing.T, timeout time.Duration, check func() error) {
	t.Helper()
	end := time.Now().Add(timeout)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("still after %v: %v", timeout, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// needs skips the test if a tool is not installed.
func needs(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
}
