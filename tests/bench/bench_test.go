package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"passt/tests/bench/load"
)

// program makes an empty file that stands for a program.
func program(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestParseTool(t *testing.T) {
	both, one := t.TempDir(), t.TempDir()
	pasta, passt := program(t, both, "pasta"), program(t, both, "passt")
	fast, slirp, other := program(t, one, "pasta.avx2"), program(t, one, "slirp4netns"), program(t, one, "other")
	for _, tt := range []struct {
		name, arg string
		want      tool
		err       string
	}{
		{"pasta finds passt", "a=" + pasta, tool{name: "a", kind: isPasst, pasta: pasta, passt: passt}, ""},
		{"passt finds pasta", "a=" + passt, tool{name: "a", kind: isPasst, pasta: pasta, passt: passt}, ""},
		{"pasta without passt", "a=" + fast, tool{name: "a", kind: isPasst, pasta: fast}, ""},
		{"slirp4netns", "s=" + slirp, tool{name: "s", kind: isSlirp, slirp: slirp}, ""},
		{"direct", "none=direct", tool{name: "none"}, ""},
		{"named after the program", pasta, tool{name: "pasta", kind: isPasst, pasta: pasta, passt: passt}, ""},
		{"direct alone", "direct", tool{name: "direct"}, ""},
		{"no path", "a=", tool{}, "NAME=PATH"},
		{"no name", "=" + pasta, tool{}, "NAME=PATH"},
		{"no such file", "a=/nowhere/pasta", tool{}, "no such file"},
		{"another program", "a=" + other, tool{}, "must be called"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseTool(tt.arg)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v, want an error with %q", err, tt.err)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("got %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}

func TestParse(t *testing.T) {
	c, err := parse(strings.Fields("--rounds 2 --secs 0.5 --rows vm-*,out --json f --args -4 direct"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range c.rows {
		names = append(names, r.name)
	}
	if got, want := strings.Join(names, " "), "out vm-out vm-in vm-rr vm-out-1500 vm-in-1500"; got != want {
		t.Errorf("rows %q, want %q", got, want)
	}
	if c.rounds != 2 || c.time != 500*time.Millisecond || c.json != "f" || len(c.extra) != 1 || len(c.tools) != 1 {
		t.Errorf("got %+v", c)
	}
	for _, bad := range []string{"--rounds 0 direct", "--secs 0 direct", "--rows nothing direct", "--rows [ direct", "direct direct"} {
		if _, err := parse(strings.Fields(bad)); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

func TestRows(t *testing.T) {
	seen := make(map[string]bool)
	for _, r := range allRows {
		if seen[r.name] {
			t.Errorf("two rows are called %s", r.name)
		}
		seen[r.name] = true
		measured := false
		for _, s := range setups {
			measured = measured || s == r.setup
		}
		if !measured || len(figuresOf(r.mode)) == 0 {
			t.Errorf("%s is never measured", r.name)
		}
	}
}

func TestParseStat(t *testing.T) {
	const rest = " S 17 5 5 0 -1 4194560 9 0 0 0 250 125 3 4 20 0 1 0 100 1 1"
	for _, tt := range []struct {
		name, in string
		want     stat
		err      bool
	}{
		{"plain", "42 (passt)" + rest, stat{42, 17, "passt", 3.75}, false},
		{"parentheses and blanks in the name", "42 (a) (b c)" + rest, stat{42, 17, "a) (b c", 3.75}, false},
		{"cut off", "42 (passt) S 17", stat{}, true},
		{"no name", "42 passt S 17", stat{}, true},
		{"no number", "42 (passt) S x 5 5 0 -1 4194560 9 0 0 0 250 125 3", stat{}, true},
		{"empty", "", stat{}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseStat([]byte(tt.in))
			if (err != nil) != tt.err || err == nil && got != tt.want {
				t.Errorf("got %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}

func TestParsePSS(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     float64
		err      bool
	}{
		{"among others", "00400000-7ff [rollup]\nRss:   9000 kB\nPss:                2048 kB\nPss_Anon:  1 kB\n", 2, false},
		{"none", "Rss:   9000 kB\n", 0, true},
		{"no number", "Pss: many kB\n", 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parsePSS([]byte(tt.in))
			if (err != nil) != tt.err || err == nil && got != tt.want {
				t.Errorf("got %v, %v, want %v", got, err, tt.want)
			}
		})
	}
}

func TestTranslator(t *testing.T) {
	all := processes{
		1: {pid: 1, parent: 0, comm: "init"}, 10: {pid: 10, parent: 1, comm: "pasta"},
		11: {pid: 11, parent: 10, comm: "pasta"}, 12: {pid: 12, parent: 11, comm: holder}, 20: {pid: 20, parent: 1, comm: "other"},
	}
	if got := all.tree(10); len(got) != 3 {
		t.Errorf("tree: got %v", got)
	}
	if got := all.translator(10); len(got) != 2 {
		t.Errorf("translator: got %v", got)
	}
	if got := all.tree(99); got != nil {
		t.Errorf("tree of nothing: got %v", got)
	}
}

func TestReadProcesses(t *testing.T) {
	me := os.Getpid()
	if s := readProcesses()[me]; s.pid != me || s.parent != os.Getppid() {
		t.Errorf("got %+v", s)
	}
	if mib, err := memoryOf(me); err != nil || mib <= 0 {
		t.Errorf("memory: got %v, %v", mib, err)
	}
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   []float64
		want float64
	}{
		{"none", nil, 0}, {"one", []float64{3}, 3}, {"odd", []float64{9, 1, 2}, 2}, {"even", []float64{4, 1, 2, 9}, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := median(tt.in); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// of makes samples of one figure, one for each round; a negative value is a failure.
func of(values ...float64) (all []sample) {
	for i, v := range values {
		s := sample{Row: "out", Round: i + 1, Figures: map[string]float64{rate: v}}
		if v < 0 {
			s = sample{Row: "out", Round: i + 1, Failure: "stalled"}
		}
		all = append(all, s)
	}
	return all
}

func TestSummarize(t *testing.T) {
	for _, tt := range []struct {
		name     string
		of, base []sample
		want     cell
		text     string
	}{
		{"ratios are by round", of(10, 40, 30), of(10, 20, 10), cell{value: 30, ratio: 2, rounds: 3}, "30.0 x2.00  "},
		{"a round fails", of(10, -1, 30), of(10, 20, 10), cell{value: 20, ratio: 2, rounds: 2, failed: 1}, "20.0 x2.00 !"},
		{"the base fails", of(10), of(-1), cell{value: 10, rounds: 1}, "10.0        "},
		{"all rounds fail", of(-1, -1), of(1, 1), cell{failed: 2}, "failed !"},
		{"nothing was measured", nil, of(1), cell{}, "-"},
		{"there is no such thing", []sample{{Missing: true}}, of(1), cell{}, "-"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := summarize(rate, tt.of, tt.base)
			if got != tt.want || got.String() != tt.text {
				t.Errorf("got %+v %q, want %+v %q", got, got, tt.want, tt.text)
			}
		})
	}
}

func TestFigures(t *testing.T) {
	near := func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }
	f := figures(load.Datagrams, load.Result{Seconds: 2, Bytes: 1e9, Sent: 4e9}, 0.5)
	if !near(f[rate], 4) || !near(f[lost], 75) || !near(f[cpuPerGB], 0.5) {
		t.Errorf("udpstream: got %v", f)
	}
	f = figures(load.Echo, load.Result{Seconds: 2, Count: 1000, P50: 7, P99: 9}, -1)
	if _, ok := f[cpuEach]; ok || f[half] != 7 || f[tail] != 9 || f[perSecond] != 500 {
		t.Errorf("rr without a translator: got %v", f)
	}
}

func TestTable(t *testing.T) {
	c := config{rounds: 1, time: time.Second, tools: []tool{{name: "a"}, {name: "b"}}, rows: []row{{name: "out", mode: load.Stream}}}
	var b strings.Builder
	writeTable(&b, c, []sample{
		{Row: "out", Tool: "a", Round: 1, Figures: map[string]float64{rate: 10, cpuPerGB: 0.5}},
		{Row: "out", Tool: "b", Round: 1, Failure: "stalled"},
	})
	want := `rounds: 1, each of 1s; medians, and those of the ratios to a

row  figure               a         b
out  Gbit/s    10.0 x1.00    failed !
     CPU s/GB  0.50 x1.00    failed !

! out, b: stalled (round 1)
`
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
}

func TestLastLine(t *testing.T) {
	for in, want := range map[string]string{"a\nb\n\n": "b", "": "it said nothing", " \n": "it said nothing", "x": "x"} {
		if got := lastLine(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
