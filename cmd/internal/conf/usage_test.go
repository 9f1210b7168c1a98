package conf

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

func TestUsage(t *testing.T) {
	for _, mode := range []Mode{ModePasst, ModePasta} {
		t.Run(mode.String(), func(t *testing.T) {
			var b bytes.Buffer
			if err := Usage(&b, mode, mode.String()); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", mode.String()+".help")
			if *update {
				if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(b.Bytes(), want) {
				t.Errorf("the help is not that of %s; run go test with -update and read the difference", golden)
			}
			for line := range strings.Lines(b.String()) {
				if n := len(strings.TrimSuffix(line, "\n")); n > helpWidth || strings.HasSuffix(line, " \n") {
					t.Errorf("line of %d columns, or blanks at its end: %q", n, line)
				}
			}
		})
	}
}

func TestUsageHasEveryOption(t *testing.T) {
	for _, mode := range []Mode{ModePasst, ModePasta} {
		var b bytes.Buffer
		if err := Usage(&b, mode, "x"); err != nil {
			t.Fatal(err)
		}
		for i := range table {
			o := &table[i]
			if has := strings.Contains(b.String(), " --"+o.long+" ") || strings.Contains(b.String(), " --"+o.long+",") ||
				strings.Contains(b.String(), " --"+o.long+"\n"); o.modes.has(mode) && !has {
				t.Errorf("%s: no --%s", mode, o.long)
			}
		}
	}
}

func TestManualIsAboutOptions(t *testing.T) {
	for name := range manual {
		if !slices.ContainsFunc(table, func(o option) bool { return o.long == name }) {
			t.Errorf("the manual has a text about %q, which is no option", name)
		}
	}
}

// TestDocument holds what other documents are made from to the table.
func TestDocument(t *testing.T) {
	for _, mode := range []Mode{ModePasst, ModePasta} {
		n := 0
		for _, s := range Document(mode) {
			n += len(s.Options)
			for _, d := range s.Options {
				if d.Help == "" || len(d.Long) == 0 {
					t.Errorf("%s: an option without a name or help: %+v", mode, d)
				}
			}
		}
		for i := range table {
			if table[i].modes.has(mode) {
				n--
			}
		}
		if n != 0 {
			t.Errorf("%s: %d options more than in the table", mode, n)
		}
	}
}
