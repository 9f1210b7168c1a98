package logx

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func openLog(t *testing.T, path string, limit int64) io.Writer {
	t.Helper()
	fd, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return NewFile(fd, limit)
}

// TestFileLimit: never larger than the limit, never a cut line, always the newest lines.
func TestFileLimit(t *testing.T) {
	for _, limit := range []int64{4096, 5000, 50_000} {
		for _, width := range []int{9, 120, 1500} {
			t.Run(fmt.Sprintf("limit %d, lines of %d", limit, width), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "log")
				f := openLog(t, path, limit)
				pad := strings.Repeat("x", width)
				last := int(3*limit)/width + 10
				for i := range last + 1 {
					line := fmt.Sprintf("%d %s\n", i, pad)
					if n, err := f.Write([]byte(line)); n != len(line) || err != nil {
						t.Fatal(n, err)
					}
					if i%197 != 0 && i != last {
						continue
					}
					b, err := os.ReadFile(path)
					if err != nil || int64(len(b)) > limit {
						t.Fatalf("%d bytes, %v", len(b), err)
					}
					lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
					for j, got := range lines {
						if want := fmt.Sprintf("%d %s", i-len(lines)+1+j, pad); got != want {
							t.Fatalf("line %d of %d: got %.40q, want %.40q", j, len(lines), got, want)
						}
					}
				}
				if b, _ := os.ReadFile(path); int64(len(b)) < limit/2-int64(width) {
					t.Errorf("kept only %d bytes of %d", len(b), limit)
				}
			})
		}
	}
}

func TestFileOddities(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before string
		lines  []string
		want   string
	}{
		{"appends", "old\n", []string{"new\n"}, "old\nnew\n"},
		{"too large at the start", strings.Repeat("0123456\n", 30) + "last\n", []string{"new\n"},
			strings.Repeat("0123456\n", 5) + "last\nnew\n"},
		{"no line end in it", strings.Repeat("x", 100), []string{"new\n"}, "new\n"},
		{"line of exactly the limit", "old\n", []string{strings.Repeat("y", 63) + "\n"}, strings.Repeat("y", 63) + "\n"},
		{"line longer than the limit", "old\n", []string{strings.Repeat("y", 99) + "\n", "z\n"}, "z\n"},
		{"ends exactly at the limit", strings.Repeat("a", 59) + "\n", []string{"new\n"}, strings.Repeat("a", 59) + "\nnew\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(path, []byte(tt.before), 0o600); err != nil {
				t.Fatal(err)
			}
			f := openLog(t, path, 64)
			for _, l := range tt.lines {
				if _, err := f.Write([]byte(l)); err != nil {
					t.Fatal(err)
				}
			}
			if got, _ := os.ReadFile(path); string(got) != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestOpenFileRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mkfifo(dir+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, dir + "/none/log", dir + "/fifo", "/dev/null"} {
		if _, err := OpenFile(path); err == nil {
			t.Errorf("%s: no error", path)
		}
	}
}

func TestFileHead(t *testing.T) {
	at := time.Date(2031, 2, 3, 4, 5, 6, 7e6, time.UTC)
	for _, tt := range []struct {
		level slog.Level
		want  string
	}{
		{slog.LevelInfo, "2031-02-03T04:05:06.007Z "},
		{slog.LevelWarn, "2031-02-03T04:05:06.007Z warning: "},
		{slog.LevelError, "2031-02-03T04:05:06.007Z error: "},
	} {
		if got := string(FileHead(nil, at, tt.level)); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestSyslog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	daemon, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer daemon.Close()
	fd, err := openSyslog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	log := New(NewSyslog(fd), Config{Debug: true, Head: SyslogHead("pasta", 12)})
	log.Info("hello", "a", 1)
	log.Warn("oh")
	log.Error("no")
	log.Debug("well")
	buf := make([]byte, 1000)
	for _, want := range []struct{ begin, end string }{
		{"<30>", " pasta[12]: hello a=1"}, {"<28>", " pasta[12]: oh"}, {"<27>", " pasta[12]: no"}, {"<31>", " pasta[12]: well"},
	} {
		_ = daemon.SetReadDeadline(time.Now().Add(time.Second))
		n, err := daemon.Read(buf)
		if got := buf[:n]; err != nil || !bytes.HasPrefix(got, []byte(want.begin)) || !bytes.HasSuffix(got, []byte(want.end)) ||
			n != len(want.begin)+len(time.Stamp)+len(want.end) {
			t.Errorf("got %q, %v, want %q and %q", got, err, want.begin, want.end)
		}
	}
	daemon.Close()
	for range 1000 {
		log.Info("nobody is there") // must neither block nor fail
	}
}

func TestNoSyslog(t *testing.T) {
	if _, err := openSyslog(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("no error")
	}
}
