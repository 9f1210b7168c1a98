package logx

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// LevelTrace is below debug: one line for each packet.
const LevelTrace = slog.LevelDebug - 4

// Config says how lines look and which ones are written.
type Config struct {
	Name  string    // of the program, in front of warnings and errors
	Debug bool      // --debug: debug lines too, and a time in front of every line
	Trace bool      // --trace: all of that and trace lines
	Quiet bool      // --quiet: warnings and errors only; Debug and Trace win over it
	Start time.Time // origin of the times; the same one in every stage of the process

	// Head appends what stands at the beginning of a line, instead of the time and the
	// name; nil for those.
	Head func(b []byte, t time.Time, l slog.Level) []byte
}

// Level is the lowest level that c lets through.
func (c Config) Level() slog.Level {
	switch {
	case c.Trace:
		return LevelTrace
	case c.Debug:
		return slog.LevelDebug
	case c.Quiet:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// New makes a logger that prints lines to w as c says. A line is written in one call of
// w.Write, and errors of w are dropped: a message that nobody can read is no reason to
// stop. Pass Stderr for standard error.
func New(w io.Writer, c Config) *slog.Logger {
	return slog.New(&handler{out: &output{w: w}, c: c, level: c.Level()})
}

// handler prints a record as one line:
//
//	[SECONDS: ][NAME: ]message[ key=value]...
//
// The time is there with --debug and --trace, the name on warnings and errors.
type handler struct {
	out   *output
	c     Config
	level slog.Level
	attrs string // of With, printed already, each with a space in front
	group string // of WithGroup, "a.b."
}

// output is shared by a handler and all that were derived from it.
type output struct {
	mu  sync.Mutex
	w   io.Writer
	buf []byte
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

// Handle implements slog.Handler.
func (h *handler) Handle(_ context.Context, r slog.Record) error {
	h.out.mu.Lock()
	defer h.out.mu.Unlock()

	b := h.c.head(h.out.buf[:0], r.Time, r.Level)
	b = append(b, strings.TrimRight(r.Message, "\n")...)
	b = append(b, h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		b = appendAttr(b, h.group, a)
		return true
	})
	b = append(b, '\n')
	h.out.buf = b
	_, _ = h.out.w.Write(b) // nowhere to report it
	return nil
}

func (c *Config) head(b []byte, t time.Time, l slog.Level) []byte {
	if c.Head != nil {
		return c.Head(b, t, l)
	}
	if c.Debug || c.Trace {
		b = strconv.AppendFloat(b, t.Sub(c.Start).Seconds(), 'f', 4, 64)
		b = append(b, ": "...)
	}
	if l >= slog.LevelWarn {
		b = append(b, c.Name...)
		b = append(b, ": "...)
	}
	return b
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(as []slog.Attr) slog.Handler {
	d := *h
	b := []byte(h.attrs)
	for _, a := range as {
		b = appendAttr(b, h.group, a)
	}
	d.attrs = string(b)
	return &d
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	d := *h
	if name != "" {
		d.group += name + "."
	}
	return &d
}

func appendAttr(b []byte, group string, a slog.Attr) []byte {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, m := range v.Group() {
			b = appendAttr(b, group, m)
		}
		return b
	}
	if a.Equal(slog.Attr{}) {
		return b
	}
	b = append(b, ' ')
	b = append(b, group...)
	b = append(b, a.Key...)
	b = append(b, '=')
	s := v.String()
	if s == "" || slices.ContainsFunc([]byte(s), func(c byte) bool { return c <= ' ' || c == '"' || c == 0x7f }) {
		return strconv.AppendQuote(b, s)
	}
	return append(b, s...)
}

// Stderr is standard error as a writer that nothing kills: os.Stderr ends the process
// with SIGPIPE when a pipe behind it is closed, and this does not.
var Stderr io.Writer = fdWriter(2)

// Stdout is standard output in the same manner. The error is unix.EPIPE where os.Stdout
// would end the process.
var Stdout io.Writer = fdWriter(1)

type fdWriter int

func (w fdWriter) Write(b []byte) (int, error) {
	for n := 0; n < len(b); {
		m, err := unix.Write(int(w), b[n:])
		switch err {
		case nil:
			n += m
		case unix.EINTR:
		default:
			return n, err
		}
	}
	return len(b), nil
}
