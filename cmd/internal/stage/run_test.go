package stage

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/cmd/internal/conf"
)

func TestExitStatus(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("exit 9\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	notExec := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(notExec, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	badInterp := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(badInterp, []byte("#!/nonexistent\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		fqdn  string
		words []string
		want  int
		errs  string // what standard error begins with; "" for none at all
	}{
		{"true", "", []string{"true"}, 0, ""},
		{"status", "", []string{"sh", "-c", "exit 42"}, 42, ""},
		{"highest status", "", []string{"sh", "-c", "exit 255"}, 255, ""},
		// The first process of a PID namespace can only be killed from outside.
		{"signal", "", []string{"sh", "-c", "ulimit -c 0; ulimit -t 1; while :; do :; done"}, 128 + 9, ""},
		{"not found", "", []string{"no-such-command"}, 127, "pasta: can't execute no-such-command: no such file or directory\n"},
		{"path not found", "", []string{"/no/such/command"}, 127, "pasta: can't execute /no/such/command: no such file or directory\n"},
		{"empty name", "", []string{""}, 127, "pasta: can't execute : no such file or directory\n"},
		{"not executable", "", []string{notExec}, 126, "pasta: can't execute " + notExec + ": permission denied\n"},
		{"directory", "", []string{"/tmp"}, 126, "pasta: can't execute /tmp: permission denied\n"},
		{"script without interpreter", "", []string{plain}, 9, ""},
		{"interpreter missing", "", []string{badInterp}, 127, "pasta: can't execute " + badInterp + ": no such file or directory\n"},
		{"no network", failResolve, []string{"true"}, 1, "pasta: stub says no\n"},
		{"no configuration", failConfigure, []string{"true"}, 1, "pasta: stub says no\n"},
		{"no engine", failNew, []string{"true"}, 1, "pasta: stub says no\n"},
		{"engine fails", failRun, []string{"sleep", "100"}, 1, "pasta: stub says no\n"},
		{"translator crashes", crashNew, []string{"true"}, 1, "pasta: the translator process ended unexpectedly (exit status 9)\n"},
		{"namespace crashes", crashNs, []string{"true"}, 1, "pasta: the namespace process ended unexpectedly (exit status 9)\n"},
		{"warnings", warn, []string{"true"}, 0, "pasta: host warning\npasta: namespace warning\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := pasta(t, conf.Options{FQDN: tt.fqdn}, tt.words...)
			if got := r.finish(t); got != tt.want {
				t.Errorf("exit status: got %d, want %d", got, tt.want)
			}
			if got := r.errs.String(); got != tt.errs {
				t.Errorf("standard error: got %q, want %q", got, tt.errs)
			}
		})
	}
}

// TestCommand is about what the command finds around it.
func TestCommand(t *testing.T) {
	tests := []struct {
		name   string
		script string
		want   string
	}{
		{"root", "id -u; id -g", "0\n0\n"},
		{"first process", "echo $$; ls -d /proc/[0-9]*", "1\n/proc/1\n"},
		// Signals from 32 on are left out: some of them may be ignored where the tests are started.
		{"default signals", "cat /proc/self/status | while read k v; do case $k in SigBlk:|SigIgn:|SigCgt:) echo $k$((0x$v & 0x7fffffff));; esac; done", "SigBlk:0\nSigIgn:0\nSigCgt:0\n"},
		{"open files limit", "ulimit -Sn", "123\n"},
		{"descriptors", "ls -l /proc/self/fd | grep -E 'memfd|socket:|net/tun|anon_inode|stub'; cat <&5", "from outside\n"},
		{"environment", "printenv ODD; printenv -0 | tr '\\0' '\\n' | grep -ciE 'pasta: |stage='; true", "a=b  c\n0\n"},
		{"working directory", "pwd; test . -ef \"$WHERE\" && echo same", "@\nsame\n"},
		{"standard input", "cat", "typed\n"},
		{"ping allowed", "cat /proc/sys/net/ipv4/ping_group_range", "0\t0\n"},
		{"tap", "cut -d: -f1 -s /proc/net/dev | tr -d ' ' | sort", "lo\nstub0\n"},
		{"no stray mounts", "grep -c ' /proc ' /proc/self/mounts", "2\n"},
		{"new privileges", "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t0\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "five")
			if err := os.WriteFile(file, []byte("from outside\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			r := pasta(t, conf.Options{}, "sh", "-c", tt.script)
			// A shell in between sets what exec.Cmd can't.
			r.Args = append([]string{"sh", "-c", `ulimit -Sn 123; exec 5<"$WHERE/five"; exec "$@"`, "sh", r.Path}, r.Args[1:]...)
			r.Path = "/bin/sh"
			r.Dir = dir
			r.Env = append(r.Env, "ODD=a=b  c", "WHERE="+dir, "PWD="+dir)
			r.Stdin = strings.NewReader("typed\n")
			if got := r.finish(t); got != 0 {
				t.Errorf("exit status %d", got)
			}
			if got, want := r.out.String(), strings.ReplaceAll(tt.want, "@", dir); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if r.errs.Len() > 0 {
				t.Errorf("standard error: %s", r.errs.String())
			}
		})
	}
}

func TestShell(t *testing.T) {
	tests := []struct{ name, shell, want string }{
		{"user's", "/bin/bash", "-bash\n"},
		{"default", "", "-sh\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := pasta(t, conf.Options{})
			r.Env = append(r.Env, "SHELL="+tt.shell)
			r.Stdin = strings.NewReader("echo $0; exit 3\n")
			if got := r.finish(t); got != 3 {
				t.Errorf("exit status: got %d, want 3; stderr: %s", got, r.errs.String())
			}
			if got := r.out.String(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestIgnoredHangup: what nohup has done stays done.
func TestIgnoredHangup(t *testing.T) {
	r := pasta(t, conf.Options{}, "sh", "-c", "echo up; grep SigIgn /proc/self/status; sleep 0.3; echo done")
	r.Args = append([]string{"sh", "-c", `trap "" HUP; exec "$@"`, "sh", r.Path}, r.Args[1:]...)
	r.Path = "/bin/sh"
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(150 * time.Millisecond)
	_ = r.Process.Signal(unix.SIGHUP)
	if got := r.finish(t); got != 0 {
		t.Errorf("exit status %d", got)
	}
	// What else is ignored depends on where the tests run.
	if got := r.out.String(); !regexp.MustCompile(`^up\nSigIgn:\t[0-9a-f]{15}[13579bdf]\ndone\n$`).MatchString(got) {
		t.Errorf("got %q", got)
	}
}

// TestClosedDescriptors: a caller that closes standard descriptors kills nothing.
func TestClosedDescriptors(t *testing.T) {
	tests := []struct {
		name, redirect string
		fqdn           string
		words          []string
		want           int
	}{
		{"all closed", "<&- >&- 2>&-", warn, []string{"sh", "-c", "exit 5"}, 5},
		{"error closed, failure", "2>&-", failNew, []string{"true"}, 1},
		{"error is a broken pipe", "2>&1 >/dev/null | true", warn, []string{"sh", "-c", "exit 5"}, 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := pasta(t, conf.Options{FQDN: tt.fqdn}, tt.words...)
			script := `"$@" ` + tt.redirect
			if strings.Contains(tt.redirect, "|") {
				script = `exec 3>&1; { sleep 0.1; "$@"; echo $? >&3; } ` + tt.redirect
			} else {
				script += "; echo $?"
			}
			r.Args = append([]string{"sh", "-c", script, "sh", r.Path}, r.Args[1:]...)
			r.Path = "/bin/sh"
			r.finish(t)
			if got, want := r.out.String(), strconv.Itoa(tt.want)+"\n"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	pcap, pid := filepath.Join(dir, "pcap"), filepath.Join(dir, "pid")
	t.Run("failure leaves none", func(t *testing.T) {
		r := pasta(t, conf.Options{FQDN: failNew, Pcap: pcap, PidFile: pid}, "true")
		if got := r.finish(t); got != 1 {
			t.Errorf("exit status: got %d, want 1", got)
		}
		if l, _ := os.ReadDir(dir); len(l) > 0 {
			t.Errorf("files left: %v", l)
		}
	})
	t.Run("written", func(t *testing.T) {
		r := pasta(t, conf.Options{FQDN: touchPcap, Pcap: pcap, PidFile: pid}, "cat", pid) // it is there from the start
		if got := r.finish(t); got != 0 {
			t.Errorf("exit status %d: %s", got, r.errs.String())
		}
		if got, want := r.out.String(), strconv.Itoa(r.Process.Pid)+"\n"; got != want {
			t.Errorf("pid file: got %q, want %q", got, want)
		}
		if b, err := os.ReadFile(pcap); err != nil || string(b) != "frame" {
			t.Errorf("capture: %q, %v", b, err)
		}
	})
	t.Run("failure changes none", func(t *testing.T) {
		// They are those of another instance, perhaps.
		for _, path := range []string{pcap, pid} {
			if err := os.WriteFile(path, []byte("theirs"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := pasta(t, conf.Options{FQDN: failNew, Pcap: pcap, PidFile: pid}, "true").finish(t); got != 1 {
			t.Errorf("exit status: got %d, want 1", got)
		}
		for _, path := range []string{pcap, pid} {
			if b, err := os.ReadFile(path); err != nil || string(b) != "theirs" {
				t.Errorf("%s: %q, %v", path, b, err)
			}
		}
	})
	t.Run("full", func(t *testing.T) {
		r := pasta(t, conf.Options{PidFile: "/dev/full"}, "true")
		if got := r.finish(t); got != 1 {
			t.Errorf("exit status: got %d, want 1", got)
		}
		if got, want := r.errs.String(), "pasta: --pid /dev/full: no space left on device\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
	t.Run("impossible", func(t *testing.T) {
		r := pasta(t, conf.Options{PidFile: "/no/such/dir/pid"}, "true")
		if got := r.finish(t); got != 1 {
			t.Errorf("exit status: got %d, want 1", got)
		}
		want := "pasta: --pid /no/such/dir/pid: can't open the file for writing: no such file or directory\n"
		if got := r.errs.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestSandbox(t *testing.T) {
	r := pasta(t, conf.Options{FQDN: readRoot}, "sleep", "100")
	if got := r.finish(t); got != 1 {
		t.Errorf("exit status: got %d, want 1", got)
	}
	want := "pasta: files=0,<nil> write=open /x: read-only file system caps=[1024 0] nnp=1 bits=0xef dumpable=0\n"
	if got := r.errs.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFilter(t *testing.T) {
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("no filter for this architecture")
	}
	r := pasta(t, conf.Options{FQDN: writeRoot}, "sleep", "100")
	if got := r.finish(t); got != 1 {
		t.Errorf("exit status: got %d, want 1", got)
	}
	got := r.errs.String()
	if strings.Contains(got, "any system call stays possible") {
		t.Skip("no filter here:", got)
	}
	if want := "pasta: the translator process ended unexpectedly (signal: bad system call)\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
