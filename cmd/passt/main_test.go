package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"passt/cmd/internal/conf"
	"passt/cmd/internal/stage"
)

func TestMain(m *testing.M) {
	if argv0 := os.Getenv("PASST_TEST_ARGV0"); argv0 != "" {
		os.Args[0] = argv0
		main()
	}
	stage.Dispatch()
	os.Exit(m.Run())
}

func TestProgram(t *testing.T) {
	for _, tt := range []struct {
		name   string
		line   string
		code   int
		ran    string // mode and command that were run; empty: nothing
		stdout string // beginning
		stderr string // part
	}{
		{"pasta", "/usr/bin/pasta -f true x", 42, "pasta [true x]", "", ""},
		{"pasta by a longer name", "./pasta.avx2 true", 42, "pasta [true]", "", ""},
		{"pasta has no subcommands", "pasta run", 42, "pasta [run]", "", ""},
		{"pasta version", "pasta --version", 0, "", "pasta 0.1.0-dev\n", ""},
		{"passt version", "passt --version", 0, "", "passt 0.1.0-dev\n", ""},
		{"probe", "pasta --host-lo-to-ns-lo --version", 0, "", "pasta 0.1.0-dev\n", ""},
		{"pasta help", "pasta --help", 0, "", "Usage: pasta [OPTION]...", ""},
		{"passt help", "passt -h", 0, "", "Usage: passt [OPTION]...", ""},
		{"unknown option", "pasta --nonsense", 1, "", "", "pasta: unrecognized option '--nonsense'; try 'pasta --help'\n"},
		{"run", "passt run --pasta -f true", 42, "pasta [true]", "", ""},
		{"run help", "passt run --pasta --help", 0, "", "Usage: passt run --pasta [OPTION]...", ""},
		{"run help of passt", "passt run --help", 0, "", "Usage: passt run [OPTION]...", ""},
		{"run, wrong", "passt run --pasta --mtu x", 1, "", "", `option '--mtu', value "x"`},
		{"subcommand version", "passt version", 0, "", "passt 0.1.0-dev\n", ""},
		{"subcommand help", "passt help", 0, "", "passt gives a virtual machine", ""},
		{"subcommand with an argument too many", "passt version x", 1, "", "", "passt: "},
		{"completion", "passt completion bash", 0, "", "# bash completion", ""},
		{"no subcommand", "passt nonsense", 1, "", "", `passt: "nonsense" is no option`},
		{"passt", "passt -f", 42, "passt []", "", ""},
		{"not supported yet", "passt -f --vhost-user", 1, "", "", "not supported yet"},
		{"ignored", "passt -t auto", 42, "passt []", "", "--tcp-ports auto is not supported yet; ignored"},
		{"without effect", "pasta --no-tcp -t 80 true", 42, "pasta [true]", "", "pasta: --tcp-ports 80 has no effect with --no-tcp\n"},
		{"control socket and statistics", "pasta -c x --stats 1 true", 42, "pasta [true]", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			ran := ""
			p := &program{stdout: &stdout, stderr: &stderr, run: func(o *conf.Options) int {
				ran = o.Mode.String() + " [" + strings.Join(o.Command, " ") + "]"
				return 42
			}}
			if code := p.main(strings.Fields(tt.line)); code != tt.code || ran != tt.ran {
				t.Errorf("got status %d and ran %q, want %d and %q", code, ran, tt.code, tt.ran)
			}
			if s := stdout.String(); !strings.HasPrefix(s, tt.stdout) || tt.stdout == "" && s != "" {
				t.Errorf("standard output: %q, want %q", s, tt.stdout)
			}
			if s := stderr.String(); !strings.Contains(s, tt.stderr) || tt.stderr == "" && s != "" {
				t.Errorf("standard error: %q, want %q", s, tt.stderr)
			}
		})
	}
}

func TestNoArguments(t *testing.T) {
	var stderr bytes.Buffer
	p := &program{stdout: &stderr, stderr: &stderr, run: func(*conf.Options) int { return 42 }}
	if code := p.main(nil); code != 42 {
		t.Errorf("got status %d, want 42: passt without options", code)
	}
}

// failing fails every write.
type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestOutputFails(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		code int
	}{
		{"reader gone", syscall.EPIPE, 0},
		{"disk full", syscall.ENOSPC, 1},
		{"unknown", errors.New("unknown"), 1},
	} {
		p := &program{stdout: failing{tt.err}, stderr: failing{syscall.EPIPE}}
		if code := p.main([]string{"pasta", "--help"}); code != tt.code {
			t.Errorf("%s: got status %d, want %d", tt.name, code, tt.code)
		}
	}
}

// TestOutputClosed runs the real main with nobody at the other end of its outputs.
func TestOutputClosed(t *testing.T) {
	for _, tt := range []struct {
		arg  string
		code int
	}{{"--help", 0}, {"--version", 0}, {"--nonsense", 1}} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		cmd := exec.Command(os.Args[0], tt.arg)
		cmd.Env = append(os.Environ(), "PASST_TEST_ARGV0=pasta")
		cmd.Stdout, cmd.Stderr = w, w
		err = cmd.Run()
		w.Close()
		if code := cmd.ProcessState.ExitCode(); code != tt.code {
			t.Errorf("%s: got status %d (%v), want %d", tt.arg, code, err, tt.code)
		}
	}
}
