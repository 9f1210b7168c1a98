package e2e

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"passt/tests/world"
)

// logLine is a line of a log file: date and time, then what happened.
var logLine = regexp.MustCompile(`^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\S+) \S`)

func TestLogFile(t *testing.T) {
	const limit = 20000
	g := newTarget(t)
	path := world.ScratchDir(t) + "/log"
	startDaemon(t, g.user(), "--config-net", "--log-file", path, "--log-size", fmt.Sprint(limit), "--trace",
		"-t", "7970", "-u", "7970", "-T", "none", "-U", "none", "--netns", g.proc("net"), "--userns", g.proc("user"))
	stop := make(chan struct{})
	largest := make(chan int64)
	go func() {
		var most int64
		for {
			if fi, err := os.Stat(path); err == nil {
				most = max(most, fi.Size())
			}
			select {
			case <-stop:
				largest <- most
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	for range 3 {
		carries(t, g.ns, 7970)
	}
	time.Sleep(50 * time.Millisecond)
	close(stop)
	most := <-largest
	if most > limit {
		t.Errorf("the file had %d bytes, more than %d", most, limit)
	}
	if most < limit/2 {
		t.Errorf("the file had %d bytes at most: the limit of %d was never tested", most, limit)
	}
	checkLog(t, path)
}

// checkLog fails unless the file consists of whole lines in order, with the newest ones.
func checkLog(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(string(b), "\n") {
		t.Error("the last line is not whole")
	}
	var last time.Time
	for line := range strings.Lines(string(b)) {
		m := logLine.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("not a whole line: %q", line)
		}
		at, err := time.Parse("2006-01-02T15:04:05.000Z07:00", m[1])
		if err != nil {
			t.Fatal(err)
		}
		if at.Before(last) {
			t.Fatalf("%q is older than the line before", line)
		}
		last = at
	}
	if age := time.Since(last); age > 2*time.Second {
		t.Errorf("the last line is %v old", age)
	}
}

func TestLogFileIsKept(t *testing.T) {
	// The next instance goes on where the last one ended.
	path := world.ScratchDir(t) + "/log"
	if err := os.WriteFile(path, []byte("2020-01-01T00:00:00.000Z an older line\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		in := start(t, "--config-net", "--log-file", path)
		world.Exchange(t, in.ns, world.Peer, "tcp", world.PeerV4, 7971, 1000)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(b), "2020-01-01T00:00:00.000Z an older line\n") {
		t.Errorf("the older line is gone:\n%s", b)
	}
	if n := strings.Count(string(b), "Outbound interface"); n != 2 {
		t.Errorf("%d starts are in the file, want 2:\n%s", n, b)
	}
}
