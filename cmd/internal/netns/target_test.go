package netns

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/cmd/internal/netns/nstest"
)

// sleeper starts a process in a network namespace of its own.
func sleeper(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "100")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	runtime.LockOSThread() // Pdeathsig is about the thread
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

func TestOpenTarget(t *testing.T) {
	nstest.Run(t, func(t *testing.T) {
		pid := sleeper(t).Process.Pid
		dir := t.TempDir()
		plain := filepath.Join(dir, "plain")
		if err := os.WriteFile(plain, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			name, path string
			want       string // in the error; empty if there is none
		}{
			{"process", fmt.Sprintf("/proc/%d/ns/net", pid), ""},
			{"thread", fmt.Sprintf("/proc/%d/task/%d/ns/net", pid, pid), ""},
			{"our own", "/proc/self/ns/net", "that the program itself is in"},
			{"another kind", fmt.Sprintf("/proc/%d/ns/mnt", pid), "is no network namespace"},
			{"plain file", plain, "is no network namespace"},
			{"nothing", dir + "/none", "no such file"},
			{"no process", "/proc/2147483647/ns/net", "no such file"},
		} {
			got, warning, err := OpenTarget(tt.path, true)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: got error %v, want %q", tt.name, err, tt.want)
			}
			if err == nil && (got.FD < 0 || got.Watch.Process < 0 || warning != "") {
				t.Errorf("%s: got %+v, warning %q", tt.name, got, warning)
			}
			got.Close()
		}
	})
}

func TestJoin(t *testing.T) {
	nstest.Run(t, func(t *testing.T) {
		target, _, err := OpenTarget(fmt.Sprintf("/proc/%d/ns/net", sleeper(t).Process.Pid), false)
		if err != nil {
			t.Fatal(err)
		}
		defer target.Close()
		runtime.LockOSThread() // and never unlocked
		if err := Join(target.FD); err != nil {
			t.Fatal(err)
		}
		if !sameFile(target.FD, "/proc/thread-self/ns/net") {
			t.Error("the thread is not in the namespace")
		}
		if _, _, err := OpenTarget("/proc/thread-self/ns/net", false); !errors.Is(err, ErrOwn) {
			t.Errorf("got %v, want ErrOwn", err)
		}
	})
}

// waiting calls Wait and returns a channel for its result.
func waiting(w *Watch) <-chan error {
	c := make(chan error, 1)
	go func() { c <- w.Wait() }()
	return c
}

func TestWatch(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before func(dir string) // makes dir/ns
		other  func(dir string) // does not end it
		end    func(dir string) error
	}{
		{"file removed", nil, func(dir string) {
			_ = os.WriteFile(dir+"/other", nil, 0o600)
			_ = os.Remove(dir + "/other")
		}, func(dir string) error { return os.Remove(dir + "/ns") }},
		{"file renamed", nil, nil, func(dir string) error { return os.Rename(dir+"/ns", dir+"/away") }},
		{"directory renamed", nil, nil, func(dir string) error { return os.Rename(dir, dir+"x") }},
		{"directory removed", nil, nil, os.RemoveAll},
		{"target of a link removed", func(dir string) {
			_ = os.Mkdir(dir+"/sub", 0o700)
			_ = os.WriteFile(dir+"/sub/real", nil, 0o600)
			_ = os.Symlink("sub/real", dir+"/ns")
		}, nil, func(dir string) error { return os.Remove(dir + "/sub/real") }},
		{"link removed", func(dir string) {
			_ = os.WriteFile(dir+"/real", nil, 0o600)
			_ = os.Symlink("real", dir+"/ns")
		}, nil, func(dir string) error { return os.Remove(dir + "/ns") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if tt.before != nil {
				tt.before(dir)
			} else if err := os.WriteFile(dir+"/ns", nil, 0o600); err != nil {
				t.Fatal(err)
			}
			w, err := newWatch(dir + "/ns")
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(w.Inotify)
			ended := waiting(&w)
			if tt.other != nil {
				tt.other(dir)
			}
			select {
			case err := <-ended:
				t.Fatal("ended too early:", err)
			case <-time.After(20 * time.Millisecond):
			}
			if err := tt.end(dir); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-ended:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(time.Second):
				t.Error("the end was not noticed")
			}
		})
	}
}

func TestWatchProcess(t *testing.T) {
	cmd := exec.Command("sleep", "100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w, err := newWatch(fmt.Sprintf("/proc/%d/ns/net", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(w.Process)
	ended := waiting(&w)
	_ = cmd.Process.Kill()
	select {
	case err := <-ended: // while it is a zombie
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Second):
		t.Error("the end was not noticed")
	}
	_ = cmd.Wait()
}
