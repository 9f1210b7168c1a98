package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/tests/world"
)

func TestExitStatus(t *testing.T) {
	for _, tc := range []struct {
		name    string
		command []string
		want    int
	}{
		{"success", []string{"true"}, 0},
		{"failure", []string{"sh", "-c", "exit 3"}, 3},
		{"highest", []string{"sh", "-c", "exit 255"}, 255},
		{"not found", []string{"/nonexistent/command"}, 127},
		{"not in the path", []string{"no-such-command-anywhere"}, 127},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := runPasta(t, 10*time.Second, withDefaults(append([]string{"--config-net", "--"}, tc.command...))...)
			if r.code != tc.want {
				t.Errorf("exit status %d, want %d; printed:\n%s", r.code, tc.want, r.stderr)
			}
		})
	}
}

func TestCommandIsKilled(t *testing.T) {
	// From outside: inside, the command may be the first process of a PID namespace, which takes no signal that it does
	// not handle.
	needsPasta(t)
	in := start(t, "--config-net")
	if err := unix.Kill(in.holder.pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if !in.WaitEnd(2 * time.Second) {
		t.Fatal("pasta goes on 2 s after its command was killed")
	}
	if got := in.Cmd.ProcessState.ExitCode(); got != 128+9 {
		t.Errorf("exit status %d (%v), want %d", got, in.Cmd.ProcessState, 128+9)
	}
}

func TestStandardStreams(t *testing.T) {
	r := runPasta(t, 10*time.Second, withDefaults([]string{"--config-net", "-q", "--", "sh", "-c", "echo to-out; echo to-err >&2"})...)
	if r.stdout != "to-out\n" || r.stderr != "to-err\n" {
		t.Errorf("the command's output came as %q and %q", r.stdout, r.stderr)
	}
}

func TestCommandEnds(t *testing.T) {
	needsPasta(t)
	in := start(t, "--config-net", "-t", "7001")
	if err := in.holder.exit(42); err != nil {
		t.Fatal(err)
	}
	if !in.WaitEnd(2 * time.Second) {
		t.Fatal("pasta goes on 2 s after its command ended")
	}
	if got := in.Cmd.ProcessState.ExitCode(); got != 42 {
		t.Errorf("exit status %d, want the command's 42", got)
	}
	portsAreFree(t, 7001)
	noProcessLeft(t)
}

func TestSignals(t *testing.T) {
	needsPasta(t)
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGQUIT} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			in := start(t, "--config-net", "-t", "7001", "-u", "7001")
			begin := time.Now()
			if !in.Terminate(sig, 2*time.Second) {
				t.Fatalf("pasta goes on 2 s after %v", sig)
			}
			portsAreFree(t, 7001)
			if d := time.Since(begin); d > time.Second {
				t.Errorf("took %v", d)
			}
			if got := in.Cmd.ProcessState.ExitCode(); sig == unix.SIGTERM && got != 0 {
				t.Errorf("exit status %d, want 0 (%v)", got, in.Cmd.ProcessState)
			}
			noProcessLeft(t)
		})
	}
}

func TestKilledLeavesNothing(t *testing.T) {
	needsPasta(t)
	in := start(t, "--config-net", "-t", "7001")
	if !in.Terminate(unix.SIGKILL, 2*time.Second) {
		t.Fatal("pasta survives SIGKILL")
	}
	world.Eventually(t, time.Second, func() error { return pastaProcesses() })
	portsAreFree(t, 7001)
}

func TestPIDFile(t *testing.T) {
	needsPasta(t)
	dir := world.ScratchDir(t)
	in := start(t, "--config-net", "-P", dir+"/pid")
	var pid int
	world.Eventually(t, 2*time.Second, func() error {
		b, err := os.ReadFile(dir + "/pid")
		if err != nil {
			return err
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(b)))
		return err
	})
	// In the foreground the process keeps its PID.
	if pid != in.PID() {
		t.Errorf("the file says %d, the process is %d", pid, in.PID())
	}
}

func TestTwoAtOnce(t *testing.T) {
	a, b := start(t, "--config-net"), start(t, "--config-net")
	for _, in := range []*instance{a, b} {
		world.Exchange(t, in.ns, world.Peer, "tcp", world.PeerV4, 7100, 1000)
	}
}

// portsAreFree fails unless TCP and UDP ports of H can be bound by somebody else now.
func portsAreFree(t *testing.T, port int) {
	t.Helper()
	addr := fmt.Sprintf(":%d", port)
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Errorf("port still in use: %v", err)
	} else {
		l.Close()
	}
	p, err := net.ListenPacket("udp", addr)
	if err != nil {
		t.Errorf("port still in use: %v", err)
	} else {
		p.Close()
	}
}

// noProcessLeft fails if a process of pasta's, or the command that it ran, is there.
func noProcessLeft(t *testing.T) {
	t.Helper()
	// The kernel needs a moment for a PID namespace's end.
	end := time.Now().Add(500 * time.Millisecond)
	for {
		err := pastaProcesses()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Error(err)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// pastaProcesses returns an error that names what runs of the binary under test and of the
// command that the tests give to it.
func pastaProcesses() error {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(world.Binary)
	if err != nil {
		return err
	}
	for _, d := range dirs {
		exe, err := os.Readlink(d + "/exe")
		if err != nil {
			continue // ended, or a zombie
		}
		if exe == real || exe == real+".avx2" || exe == command {
			cmdline, _ := os.ReadFile(d + "/cmdline")
			return fmt.Errorf("process %s is left: %s", filepath.Base(d), strings.ReplaceAll(string(cmdline), "\x00", " "))
		}
	}
	return nil
}
