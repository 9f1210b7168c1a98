package main

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"passt/cmd/internal/manpage"
)

func TestDocuments(t *testing.T) {
	for _, tt := range []struct {
		name   string
		args   []string
		code   int
		stdout string // beginning
		stderr string // part
	}{
		{"manual page", []string{"passt", "man", "pasta"}, 0, `.\" Made by "passt man"`, ""},
		{"no such manual page", []string{"passt", "man", "pesto"}, 1, "", `invalid argument "pesto"`},
		{"completions for bash", []string{"passt", "completion", "bash"}, 0, "# bash completion V2 for passt ", ""},
		{"completions of pasta for bash", []string{"passt", "completion", "bash", "pasta"}, 0, "# bash completion V2 for pasta ", ""},
		{"completions for zsh", []string{"passt", "completion", "zsh", "pasta"}, 0, "#compdef pasta\n", ""},
		{"completions for fish", []string{"passt", "completion", "fish", "pasta"}, 0, "# fish completion for pasta ", ""},
		{"completions for another shell", []string{"passt", "completion", "tcsh"}, 1, "", "bash, zsh and fish"},
		{"completions of another program", []string{"passt", "completion", "bash", "pesto"}, 1, "", "of passt and of pasta"},
		{"option of pasta", []string{"pasta", "__complete", "--config-n"}, 0, "--config-net\tSet up the interface", ":0"},
		{"option of pasta without words about it", []string{"pasta", "__completeNoDesc", "--config-n"}, 0, "--config-net\n", ":0"},
		{"option of passt", []string{"passt", "__complete", "--one"}, 0, "--one-off\tQuit when", ":0"},
		{"option of passt run", []string{"passt", "__complete", "run", "--one"}, 0, "--one-off\tQuit when", ":0"},
		{"option of passt run --pasta", []string{"passt", "__complete", "run", "--pasta", "--config-n"}, 0, "--config-net\t", ":0"},
		{"--pasta itself", []string{"passt", "__complete", "run", "--pas"}, 0, "--pasta\t", ":0"},
		{"value that is a file", []string{"pasta", "__complete", "--pcap", ""}, 0, ":0\n", ""},
		{"value that is none", []string{"pasta", "__complete", "--mtu", ""}, 0, ":4\n", ""},
		{"value of a short option", []string{"pasta", "__complete", "-m", ""}, 0, ":4\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			p := &program{stdout: &stdout, stderr: &stderr}
			if code := p.main(tt.args); code != tt.code {
				t.Errorf("got status %d, want %d", code, tt.code)
			}
			if s := stdout.String(); !strings.HasPrefix(s, tt.stdout) {
				t.Errorf("standard output: %.200q, want %q at its beginning", s, tt.stdout)
			}
			if s := stderr.String() + stdout.String(); !strings.Contains(s, tt.stderr) {
				t.Errorf("standard error: %q, want %q in it", s, tt.stderr)
			}
		})
	}
}

var update = flag.Bool("update", false, "write the golden files")

// TestManualPagesOfCommands compares the pages of subcommands with golden files, and asks
// mandoc, where there is one, whether they are well-formed.
func TestManualPagesOfCommands(t *testing.T) {
	for _, name := range manpage.Pages() {
		if !strings.Contains(name, "-") {
			continue // the pages of the programs are tested in manpage
		}
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			p := &program{stdout: &stdout, stderr: &stderr}
			if code := p.main([]string{"passt", "man", name}); code != 0 {
				t.Fatalf("status %d: %s", code, &stderr)
			}
			// The second line has the date and version of the build.
			lines := strings.SplitAfterN(stdout.String(), "\n", 3)
			lines[1] = `.TH "` + strings.ToUpper(name) + `" "1" "2000-01-01" "passt VERSION" "User Commands"` + "\n"
			got := strings.Join(lines, "")
			golden := filepath.Join("testdata", name+".1")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("the page is not that of %s; run go test with -update and read the difference", golden)
			}
			mandoc, err := exec.LookPath("mandoc")
			if err != nil {
				t.Skip("no mandoc to ask whether it is well-formed")
			}
			cmd := exec.Command(mandoc, "-Tlint", "-Wwarning")
			cmd.Stdin = strings.NewReader(got)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
