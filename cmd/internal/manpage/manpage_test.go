package manpage

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"passt/cmd/internal/conf"
)

var update = flag.Bool("update", false, "write the golden files")

// programs have pages that need no more than this package knows. Those of the subcommands
// are tested where these are: in cmd/passt.
var programs = []string{"passt", "pasta", "qrap"}

// written is the page called name.
func written(t *testing.T, name string) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, name, Build{Version: "VERSION", Date: "2000-01-01"}, nil); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	for _, name := range programs {
		t.Run(name, func(t *testing.T) {
			got := written(t, name)
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
		})
	}
}

func TestEveryOptionIsThere(t *testing.T) {
	for _, mode := range []conf.Mode{conf.ModePasst, conf.ModePasta} {
		got := written(t, mode.String())
		for _, s := range conf.Document(mode) {
			if !strings.Contains(got, `.SS "`+s.Title+`"`) {
				t.Errorf("%s: no part %q", mode, s.Title)
			}
			for _, d := range s.Options {
				tag := bold("--" + d.Long[0])
				if d.Short != 0 {
					tag = bold("-"+string(d.Short)) + ", " + tag
				}
				if !strings.Contains(got, ".TP\n"+tag) {
					t.Errorf("%s: no --%s", mode, d.Long[0])
				}
			}
		}
	}
}

func TestNoSuchPage(t *testing.T) {
	if err := Write(&bytes.Buffer{}, "pesto", Build{}, nil); err == nil || !strings.Contains(err.Error(), "passt, pasta, qrap") {
		t.Errorf("got %v, want an error that names the pages", err)
	}
}

func TestMarkWord(t *testing.T) {
	for _, tt := range []struct{ name, word, want string }{
		{"plain", "word.", "word."},
		{"long option", "--mtu,", `\fB\-\-mtu\fR,`},
		{"long option with a value", "--name=VALUE", `\fB\-\-name\fR=VALUE`},
		{"short option in parentheses", "(-t)", `(\fB\-t\fR)`},
		{"dash alone", "-", "-"},
		{"negative of a word", "non-root", "non-root"},
		{"page", "ip-netns(8).", `\fBip\-netns\fR(8).`},
		{"program", "pasta,", `\fBpasta\fR,`},
		{"longer than a program", "pastas", "pastas"},
		{"placeholder", "ADDR.", `\fIADDR\fR.`},
		{"no placeholder", "ADDRESS", "ADDRESS"},
		{"backslash", `a\b`, `a\eb`},
	} {
		if got := markWord(tt.word, []string{"ADDR"}); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestLinesThatLookLikeRequests(t *testing.T) {
	p := &page{}
	p.text(".hidden 'quoted'")
	p.example("'a'\n.b")
	want := ".PP\n\\&.hidden 'quoted'\n.PP\n.RS \"4\"\n.EX\n\\(aqa\\(aq\n\\&.b\n.EE\n.RE\n"
	if got := p.b.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestLint asks mandoc, where there is one, whether the pages are well-formed.
func TestLint(t *testing.T) {
	mandoc, err := exec.LookPath("mandoc")
	if err != nil {
		t.Skip("no mandoc")
	}
	for _, name := range programs {
		cmd := exec.Command(mandoc, "-Tlint", "-Wwarning")
		cmd.Stdin = strings.NewReader(written(t, name))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
