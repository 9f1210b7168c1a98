package stage

import (
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/cmd/internal/conf"
	"passt/cmd/internal/control"
	"passt/l4/fwd"
)

// instance is an engine that can be controlled and does nothing.
type instance struct{}

func (instance) Run() error                                    { return nil }
func (instance) Stop()                                         {}
func (instance) Apply([]fwd.Forward) ([]string, error)         { return nil, nil }
func (instance) EachForward(func(fwd.Forward, []fwd.Listener)) {}
func (instance) Can() control.Abilities                        { return control.Abilities{} }
func (instance) Flows() []control.Flow                         { return nil }
func (instance) Counters() []control.Counter                   { return nil }

func TestControls(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", dir)
	o := &conf.Options{Mode: conf.ModePasta, PID: 1, NetNS: "/run/netns/blue", ConfPath: filepath.Join(dir, "conf")}
	s := &starter{c: newConfig(o), log: slog.New(slog.DiscardHandler)}
	real := steps.control
	steps.control = control.Listen
	defer func() { steps.control = real }()
	if err := s.openControls(); err != nil {
		t.Fatal(err)
	}
	s.c.Start = time.Unix(5, 0).UTC()
	if want := control.Path(filepath.Join(dir, "passt"), unix.Getpid()); s.controls.own.path != want {
		t.Errorf("path %s, want %s", s.controls.own.path, want)
	}
	tr := &translator{c: &s.c, log: s.log}
	if err := tr.serveControls(instance{}); err != nil {
		t.Fatal(err)
	}
	r, err := control.Call(s.controls.own.path, &control.Request{Cmd: control.CmdList})
	want := control.Identity{Mode: "pasta", Start: s.c.Start, Conf: o.ConfPath, NetNS: o.NetNS}
	if err != nil || r.Instance == nil || *r.Instance != want {
		t.Errorf("got %+v, %v, want %+v", r, err, want)
	}
	if _, err := os.Stat(o.ConfPath); err != nil {
		t.Error(err)
	}
	own := s.controls.own.path
	s.controls.remove()
	for _, p := range []string{own, o.ConfPath} {
		if _, err := os.Lstat(p); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", p, err)
		}
	}
}

// TestControlsFail has no place for either socket: only --conf-path is a reason not to start.
func TestControlsFail(t *testing.T) {
	long := "/tmp/" + strings.Repeat("x", 200)
	real := steps.control
	steps.control = func(pid int) (string, int, error) { return "", -1, unix.EROFS }
	defer func() { steps.control = real }()
	for _, tt := range []struct {
		name, path, want string
	}{
		{"our own", "", ""},
		{"conf-path", long + strconv.Itoa(unix.Getpid()), "--conf-path: socket /tmp/x"},
	} {
		s := &starter{c: newConfig(&conf.Options{ConfPath: tt.path}), log: slog.New(slog.DiscardHandler)}
		err := s.openControls()
		if (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
		if s.c.Control >= 0 || s.c.Conf >= 0 {
			t.Errorf("%s: descriptors %d and %d", tt.name, s.c.Control, s.c.Conf)
		}
	}
}
