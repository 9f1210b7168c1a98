package stage

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/cmd/internal/conf"
)

// startAndWait starts r, whose command creates the file up when it runs.
func startAndWait(t *testing.T, r *run, up string) {
	t.Helper()
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	for range 500 {
		if _, err := os.Stat(up); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("the command does not run; stderr: %s", r.errs.String())
}

// stageOf finds r's process of the stage that has arg as its argv[0].
func stageOf(t *testing.T, arg string) int {
	t.Helper()
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil || !strings.HasPrefix(string(b), arg+"\x00") {
			continue
		}
		env, _ := os.ReadFile(filepath.Dir(f) + "/environ")
		if strings.Contains(string(env), tag(t)+"\x00") {
			n, _ := strconv.Atoi(strings.Split(f, "/")[2])
			return n
		}
	}
	t.Fatalf("no process called %q", arg)
	return 0
}

func TestStop(t *testing.T) {
	const sleep = ": >$UP; exec sleep 100"
	const handler = `trap 'echo bye; exit 3' TERM; : >$UP; while :; do sleep 0.02; done`
	const ignorer = `trap "" TERM; sh -c 'while :; do sleep 0.1; done' & : >$UP; while :; do sleep 0.1; done`
	const stubborn = `trap "echo no" TERM; : >$UP; while :; do sleep 0.02; done`
	tests := []struct {
		name   string
		fqdn   string
		script string
		sig    unix.Signal
		within time.Duration
		out    string
	}{
		{"TERM", "", sleep, unix.SIGTERM, 150 * time.Millisecond, ""},
		{"INT", "", sleep, unix.SIGINT, 150 * time.Millisecond, ""},
		{"HUP", "", sleep, unix.SIGHUP, 150 * time.Millisecond, ""},
		{"QUIT", "", sleep, unix.SIGQUIT, 150 * time.Millisecond, ""},
		{"command handles TERM", "", handler, unix.SIGTERM, 300 * time.Millisecond, "bye\n"},
		{"command ignores TERM", "", ignorer, unix.SIGTERM, 300 * time.Millisecond, ""},
		{"command handles TERM and stays", "", stubborn, unix.SIGTERM, 500 * time.Millisecond, "no\n"},
		{"engine hangs", hangStop, sleep, unix.SIGTERM, 2 * time.Second, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			up := filepath.Join(t.TempDir(), "up")
			r := pasta(t, conf.Options{FQDN: tt.fqdn}, "sh", "-c", tt.script)
			r.Env = append(r.Env, "UP="+up)
			startAndWait(t, r, up)
			time.Sleep(50 * time.Millisecond)
			start := time.Now()
			_ = r.Process.Signal(tt.sig)
			if got := r.finish(t); got != 0 {
				t.Errorf("exit status: got %d, want 0; stderr: %s", got, r.errs.String())
			}
			if d := time.Since(start); d > tt.within {
				t.Errorf("took %v, want at most %v", d, tt.within)
			}
			if got := r.out.String(); got != tt.out {
				t.Errorf("output: got %q, want %q", got, tt.out)
			}
		})
	}
}

// TestStopEarly stops the program before the command runs.
func TestStopEarly(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	r := pasta(t, conf.Options{FQDN: hangNew, PidFile: pid}, "true")
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(150 * time.Millisecond)
	_ = r.Process.Signal(unix.SIGTERM)
	if got := r.finish(t); got != 0 {
		t.Errorf("exit status: got %d, want 0", got)
	}
	if _, err := os.Stat(pid); err == nil {
		t.Error("the pid file is left")
	}
}

// TestDeath kills one process and expects the others to end.
func TestDeath(t *testing.T) {
	tests := []struct {
		name string
		kill func(*testing.T, *run)
		want int // -1: killed itself
		errs string
	}{
		{"start stage", func(t *testing.T, r *run) { _ = r.Process.Kill() }, -1, ""},
		{"translator", func(t *testing.T, _ *run) { _ = unix.Kill(stageOf(t, argTranslator), unix.SIGKILL) }, 1,
			"pasta: the translator process ended unexpectedly (signal: killed)\n"},
		{"translator is asked to stop", func(t *testing.T, _ *run) { _ = unix.Kill(stageOf(t, argTranslator), unix.SIGTERM) }, 0, ""},
		{"command", func(t *testing.T, _ *run) { _ = unix.Kill(stageOf(t, "the-command"), unix.SIGKILL) }, 128 + 9, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			up := filepath.Join(t.TempDir(), "up")
			r := pasta(t, conf.Options{}, "bash", "-c", ": >$UP; (sleep 99)& exec -a the-command sleep 100")
			r.Env = append(r.Env, "UP="+up)
			startAndWait(t, r, up)
			time.Sleep(50 * time.Millisecond)
			tt.kill(t, r)
			if tt.want < 0 {
				_ = r.Wait()
				return // the clean-up looks for what is left
			}
			if got := r.finish(t); got != tt.want {
				t.Errorf("exit status: got %d, want %d", got, tt.want)
			}
			if got := r.errs.String(); got != tt.errs {
				t.Errorf("standard error: got %q, want %q", got, tt.errs)
			}
		})
	}
}

// TestHeldPipes: a pipe that the command closes is closed, though the program goes on.
func TestHeldPipes(t *testing.T) {
	r := pasta(t, conf.Options{}, "sh", "-c", "exec >&- 5>&-; sleep 0.5")
	r.Args = append([]string{"sh", "-c", `{ "$@" 2>/dev/null & } 5>&1 | cat; echo eof; wait`, "sh", r.Path}, r.Args[1:]...)
	r.Path = "/bin/sh"
	r.Stdout = nil
	out, err := r.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 16)
	n, _ := out.Read(b)
	if got, want := string(b[:n]), "eof\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if d := time.Since(start); d > 400*time.Millisecond {
		t.Errorf("the pipe was held for %v", d)
	}
	r.finish(t)
	if left := tagged(t); len(left) > 0 {
		t.Logf("waiting for %v", left)
		time.Sleep(500 * time.Millisecond)
	}
}

// TestTerminal types into a terminal that the program is in the foreground of.
// typed is something to type once the output has what to wait for, behind what was there before.
type typed struct{ after, text string }

func TestTerminal(t *testing.T) {
	if _, err := exec.LookPath("script"); err != nil {
		t.Skip(err)
	}
	const prompt = "prompt> "
	tests := []struct {
		name  string
		words []string
		input []typed
		then  string // what the shell outside does in the end
		want  string // in the output
		not   string
	}{
		{"interrupt ends a command", []string{"sh", "-c", "echo running; exec sleep 100"}, []typed{{"running", "\x03"}}, "", "status=0", ""},
		{"shell has job control", []string{"bash", "--norc", "-i"}, []typed{{prompt, "sleep 50 & jobs -l\n"}, {prompt, "kill %1; exit 7\n"}},
			"", "status=7", "no job control"},
		{"interrupt does not end a shell", []string{"bash", "--norc", "-i"}, []typed{
			{prompt, "(echo run''ning; exec sleep 50)\n"}, {"running", "\x03"}, {prompt, "echo al''ive\n"}, {"alive", "exit 4\n"},
		}, "", "status=4", "no job control"},
		{"shell alive after interrupt", []string{"bash", "--norc", "-i"}, []typed{{prompt, "\x03"}, {prompt, "echo al''ive\n"}, {"alive", "exit 4\n"}},
			"", "alive", "no job control"},
		{"terminal is given back", []string{"bash", "--norc", "-i"}, []typed{{prompt, "exit 4\n"}, {"status=4", "typed\n"}},
			"; read -t 10 x; echo read=$x", "read=typed", "no job control"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := pasta(t, conf.Options{}, tt.words...)
			r.Args[2] = strings.ReplaceAll(r.Args[2], `'`, "")
			inner := "export PS1='" + prompt + "'; " + r.Path + " " + asPasta + " '" + r.Args[2] + "'; echo status=$?" + tt.then
			r.Args = []string{"script", "-qec", inner, "/dev/null"}
			r.Path, _ = exec.LookPath("script")
			r.Env = append(r.Env, "SHELL=/bin/bash", "TERM=dumb")
			var out screen
			r.Stdout = &out
			in, err := r.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Start(); err != nil {
				t.Fatal(err)
			}
			for _, i := range tt.input {
				if !out.await(i.after) {
					_ = r.Process.Kill()
					break
				}
				_, _ = in.Write([]byte(i.text)) // if nobody is there, it shows below
			}
			r.finish(t)
			if got := out.String(); !strings.Contains(got, tt.want) || tt.not != "" && strings.Contains(got, tt.not) {
				t.Errorf("got %q, want %q in it, and not %q", got, tt.want, tt.not)
			}
		})
	}
}

// screen keeps what is written to it. Any goroutine may use it.
type screen struct {
	mu   sync.Mutex
	text strings.Builder
	seen int // bytes that await has passed
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// await waits until text comes behind what was awaited before, and says whether it did.
func (s *screen) await(text string) bool {
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if _, after, ok := strings.Cut(s.String()[s.seen:], text); ok {
			s.seen = len(s.String()) - len(after)
			return true
		}
	}
	return false
}
