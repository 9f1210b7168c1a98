package logx

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestLines(t *testing.T) {
	start := time.Unix(100, 0)
	tests := []struct {
		name  string
		c     Config
		level slog.Level
		msg   string
		attrs []any
		want  string
	}{
		{"info is plain", Config{}, slog.LevelInfo, "hello", nil, "hello\n"},
		{"debug is off", Config{}, slog.LevelDebug, "hello", nil, ""},
		{"quiet hides info", Config{Quiet: true}, slog.LevelInfo, "hello", nil, ""},
		{"quiet shows warnings", Config{Quiet: true}, slog.LevelWarn, "odd", nil, "pasta: odd\n"},
		{"debug has a time", Config{Debug: true}, slog.LevelDebug, "hello", nil, "1.2500: hello\n"},
		{"debug error", Config{Debug: true}, slog.LevelError, "bad", nil, "1.2500: pasta: bad\n"},
		{"debug hides trace", Config{Debug: true}, LevelTrace, "packet", nil, ""},
		{"trace", Config{Trace: true, Quiet: true}, LevelTrace, "packet", nil, "1.2500: packet\n"},
		{"attributes", Config{}, slog.LevelInfo, "m", []any{"port", 80, "why", "no room", "e", ""}, "m port=80 why=\"no room\" e=\"\"\n"},
		{"group", Config{}, slog.LevelInfo, "m", []any{slog.Group("g", "a", 1)}, "m g.a=1\n"},
		{"trailing newline", Config{}, slog.LevelInfo, "m\n", nil, "m\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			tt.c.Name, tt.c.Start = "pasta", start
			h := New(&b, tt.c).Handler()
			r := slog.NewRecord(start.Add(1250*time.Millisecond), tt.level, tt.msg, 0)
			r.Add(tt.attrs...)
			if h.Enabled(context.Background(), tt.level) {
				if err := h.Handle(context.Background(), r); err != nil {
					t.Fatal(err)
				}
			}
			if got := b.String(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestDerived(t *testing.T) {
	var b bytes.Buffer
	New(&b, Config{}).With("a", 1).WithGroup("g").With("b", 2).Info("m", "c", 3)
	if got, want := b.String(), "m a=1 g.b=2 g.c=3\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestBrokenPipe would not survive a write that raises SIGPIPE.
func TestBrokenPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	if _, err := fdWriter(w.Fd()).Write([]byte("x")); !errors.Is(err, unix.EPIPE) {
		t.Errorf("got %v, want EPIPE", err)
	}
	New(fdWriter(w.Fd()), Config{}).Error("nobody reads this")
}

func TestLimit(t *testing.T) {
	type step struct {
		now        int64
		ok         bool
		suppressed uint64
	}
	tests := []struct {
		name  string
		l     Limit
		steps []step
	}{
		{"burst, then held back", Limit{Every: 100, Burst: 2}, []step{{0, true, 0}, {0, true, 0}, {0, false, 0}, {99, false, 0}, {100, true, 2}, {101, false, 0}}},
		{"credit is capped", Limit{Every: 100, Burst: 2}, []step{{0, true, 0}, {1e15, true, 0}, {1e15, true, 0}, {1e15, false, 0}}},
		{"clock starts anywhere", Limit{Every: 100, Burst: 1}, []step{{-1e9, true, 0}, {-1e9 + 50, false, 0}, {-1e9 + 100, true, 1}}},
		{"clock stands still", Limit{Every: 100, Burst: 1}, []step{{5, true, 0}, {5, false, 0}, {4, false, 0}}},
		{"no burst given", Limit{Every: 100}, []step{{0, true, 0}, {1, false, 0}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for i, s := range tt.steps {
				sup, ok := tt.l.Allow(s.now)
				if ok != s.ok || sup != s.suppressed {
					t.Errorf("step %d at %d: got %v, %d; want %v, %d", i, s.now, ok, sup, s.ok, s.suppressed)
				}
			}
		})
	}
}
