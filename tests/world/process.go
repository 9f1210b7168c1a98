package world

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// serial makes names under Scratch unique.
var serial atomic.Int32

// Unique appends a number to a name that no other call appends.
func Unique(name string) string { return name + strconv.Itoa(int(serial.Add(1))) }

// ScratchDir makes a directory that any user can write to, for the time of one test.
func ScratchDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(Scratch, Unique(""))
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// AsUser makes cmd run in H without any privilege there: as nobody if the tests are run by
// root; otherwise as another ID in one more user namespace, which has no say over H.
func AsUser(cmd *exec.Cmd) {
	cmd.Dir = "/"
	// Root's own folders, which a user cannot search, would make "not found" a "permission denied".
	cmd.Env = append(os.Environ(), "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	if AsRoot {
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

// Process is a program that runs until the end of a test at the most.
type Process struct {
	Cmd   *exec.Cmd
	Ended chan struct{} // closed at its end
	t     *testing.T
	Name  string
	log   string
}

// StartProcess starts cmd in a namespace, its output in a file that a failed test prints.
func StartProcess(t *testing.T, n *NS, cmd *exec.Cmd, logPath string) *Process {
	t.Helper()
	log, err := os.Create(logPath)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := n.Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	p := &Process{Cmd: cmd, Ended: make(chan struct{}), t: t, Name: filepath.Base(cmd.Path), log: logPath}
	go func() {
		cmd.Wait() // its status is read from ProcessState
		close(p.Ended)
	}()
	t.Cleanup(func() {
		if !p.Terminate(unix.SIGTERM, 3*time.Second) {
			t.Errorf("%s did not end in 3 s after SIGTERM", p.Name)
			p.Terminate(unix.SIGKILL, time.Minute)
		}
		if t.Failed() {
			t.Logf("%s (%v) printed:\n%s", strings.Join(cmd.Args, " "), cmd.ProcessState, Tail(p.Log(), 60))
		}
	})
	return p
}

// Tail returns the last n lines of a text.
func Tail(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if more := len(lines) - n; more > 0 {
		lines = append([]string{fmt.Sprintf("... %d lines", more)}, lines[more:]...)
	}
	return strings.Join(lines, "\n")
}

// PID is the process's ID, in the PID namespace of the tests.
func (p *Process) PID() int { return p.Cmd.Process.Pid }

// Log returns what the process has printed.
func (p *Process) Log() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Terminate sends a signal and waits for the end. It reports false if that took longer than
// timeout.
func (p *Process) Terminate(sig syscall.Signal, timeout time.Duration) bool {
	if err := p.Cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("signalling %s: %v", p.Name, err)
	}
	return p.WaitEnd(timeout)
}

// WaitEnd reports whether the process has ended, or does within timeout.
func (p *Process) WaitEnd(timeout time.Duration) bool {
	select {
	case <-p.Ended:
		return true
	case <-time.After(timeout):
		return false
	}
}

// Eventually retries until check passes; after timeout its last error fails the test.
func Eventually(t *testing.T, timeout time.Duration, check func() error) {
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

// Needs skips the test if a program is not installed.
func Needs(t *testing.T, tools ...string) {
	t.Helper()
	if why := MissingTool(tools...); why != "" {
		t.Skip(why)
	}
}
