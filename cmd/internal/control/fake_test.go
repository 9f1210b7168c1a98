package control

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"passt/l3"
	"passt/l3/inet"
	"passt/l4/fwd"
	"passt/link/stream"
	"passt/nat/portspec"
)

// fake is an instance that binds nothing; ports below 1024 can't be had.
type fake struct {
	mu      sync.Mutex
	rules   []fwd.Forward
	applied int
	can     Abilities
}

func (f *fake) Apply(rules []fwd.Forward) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range rules {
		if r.Rule.First < 1024 && !r.Rule.Weak {
			return nil, errors.New("port " + r.Rule.String() + ": permission denied")
		}
	}
	f.rules = rules
	f.applied++
	return nil, nil
}

func (f *fake) EachForward(visit func(fwd.Forward, []fwd.Listener)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.rules {
		var ls []fwd.Listener
		for p := r.Rule.First; !r.Rule.Weak && p <= r.Rule.Last; p++ {
			ls = append(ls, fwd.Listener{Bound: inet.Endpoint{Port: p}})
		}
		visit(r, ls)
	}
}

func (f *fake) Can() Abilities { return f.can }

func (f *fake) Flows() []Flow {
	return []Flow{{Protocol: "tcp", Guest: "192.0.2.2:1000", Remote: "192.0.2.9:80", Host: "192.0.2.9:80", State: "established", Age: 1.5}}
}

func (f *fake) Counters() []Counter { return []Counter{{"tcp.retransmits", 7}} }

// list is the rules, one a word.
func (f *fake) list() string {
	var out []string
	f.EachForward(func(r fwd.Forward, _ []fwd.Listener) { out = append(out, word(&r)) })
	return strings.Join(out, " ")
}

// word is f in short: t and u for ports into the guest, T and U for those out of it.
func word(f *fwd.Forward) string {
	letters := "tu"
	if f.Dir == fwd.Out {
		letters = "TU"
	}
	i := 0
	if f.Proto == l3.ProtoUDP {
		i = 1
	}
	s := letters[i:i+1] + shown(f)
	if f.Optional {
		s += "?"
	}
	return s
}

// forwards reads what word writes.
func forwards(t *testing.T, words string) (out []fwd.Forward) {
	t.Helper()
	for w := range strings.FieldsSeq(words) {
		f := fwd.Forward{Proto: l3.ProtoTCP}
		if strings.ContainsRune("TU", rune(w[0])) {
			f.Dir = fwd.Out
		}
		if strings.ContainsRune("uU", rune(w[0])) {
			f.Proto = l3.ProtoUDP
		}
		w, f.Optional = strings.CutSuffix(w[1:], "?")
		s, err := portspec.Parse(w)
		if err != nil || len(s.Rules) != 1 {
			t.Fatalf("%q: %v", w, err)
		}
		f.Rule = s.Rules[0]
		f.Rule.Weak = f.Rule.Weak || f.Optional
		out = append(out, f)
	}
	return out
}

// world is an instance with both of its sockets served.
type world struct {
	*fake
	own, conf string
	log       *logged
}

// logged is a log that may be read while it is written.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newWorld(t *testing.T, rules string) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{
		fake: &fake{rules: forwards(t, rules), can: Abilities{V4: true, V6: true, TCP: true, UDP: true, Auto: true, Out: true}},
		own:  filepath.Join(dir, "own"), conf: filepath.Join(dir, "conf"), log: &logged{},
	}
	s := NewServer(w.fake, Identity{Mode: "pasta", Conf: w.conf, Command: "sleep"}, slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	for path, serve := range map[string]func(int) error{w.own: s.Serve, w.conf: s.ServeConf} {
		fd, err := stream.Listen(path)
		if err == nil {
			err = serve(fd)
		}
		if err != nil {
			t.Fatal(err)
		}
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", path, st.Mode(), err)
		}
	}
	return w
}

// dial connects to path.
func dial(t *testing.T, path string) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// ended says whether the server has closed c after anything that it said.
func ended(c net.Conn) bool {
	_, err := io.Copy(io.Discard, c)
	return err == nil || errors.Is(err, io.EOF) || strings.Contains(err.Error(), "reset")
}
