package guest

import (
	"errors"
	"fmt"
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

// scratchDir makes a directory that passt, as a user, can write to.
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

// process is a passt or a QEMU that runs until the end of the test.
type process struct {
	t       *testing.T
	name    string
	cmd     *exec.Cmd
	logPath string
	ended   chan struct{}
}

// startProcess starts cmd, its output in a file that a failed test prints.
func startProcess(t *testing.T, cmd *exec.Cmd, logPath string) *process {
	t.Helper()
	log, err := os.Create(logPath)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, name: filepath.Base(cmd.Path), cmd: cmd, logPath: logPath, ended: make(chan struct{})}
	go func() {
		cmd.Wait() // its status is read from ProcessState
		close(p.ended)
	}()
	t.Cleanup(func() {
		if !p.terminate(unix.SIGTERM, 3*time.Second) {
			t.Errorf("%s did not end in 3 s after SIGTERM", p.name)
			p.terminate(unix.SIGKILL, time.Minute)
		}
		if t.Failed() {
			t.Logf("%s (%v) printed:\n%s", strings.Join(cmd.Args, " "), cmd.ProcessState, tail(p.log(), 60))
		}
	})
	return p
}

// tail returns the last n lines of a text.
func tail(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func (p *process) log() string {
	b, err := os.ReadFile(p.logPath)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// terminate sends a signal and waits for the end. It reports false if that took longer than
// timeout.
func (p *process) terminate(sig syscall.Signal, timeout time.Duration) bool {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("signalling %s: %v", p.name, err)
	}
	return p.waitEnd(timeout)
}

func (p *process) waitEnd(timeout time.Duration) bool {
	select {
	case <-p.ended:
		return true
	case <-time.After(timeout):
		return false
	}
}

// instance is a running passt.
type instance struct {
	*process
	socket string // the path to connect guests to
}

// startPasst runs "passt -f ARGS" on a socket of its own and waits for the socket.
func startPasst(t *testing.T, args ...string) *instance {
	t.Helper()
	dir := scratchDir(t)
	in := &instance{socket: dir + "/socket"}
	in.process = startProcess(t, passtCmd(nil, append([]string{"--socket", in.socket}, args...)...), dir+"/log")
	eventually(t, 5*time.Second, func() error {
		if in.waitEnd(0) {
			t.Fatal("passt ended")
		}
		_, err := os.Stat(in.socket)
		return err
	})
	return in
}

// passtCmd is the command to run passt in the foreground, with a descriptor 3 if one is given.
func passtCmd(three *os.File, args ...string) *exec.Cmd {
	full := []string{"-f"}
	for _, opt := range []string{"-t", "-u"} {
		if !slices.Contains(args, opt) {
			full = append(full, opt, "none")
		}
	}
	cmd := exec.Command(passtPath, append(full, args...)...)
	asUser(cmd)
	if three != nil {
		cmd.ExtraFiles = []*os.File{three}
	}
	return cmd
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
			t.Fatal(fmt.Errorf("still after %v: %w", timeout, err))
		}
		time.Sleep(20 * time.Millisecond)
	}
}
