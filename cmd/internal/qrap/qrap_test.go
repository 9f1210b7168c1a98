package qrap

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		line string
		path string
		fd   int
		argv string
		ok   bool
	}{
		{"5 qemu -net socket,fd=5", "", 5, "qemu -net socket,fd=5", true},
		{"--socket /a 0 qemu", "/a", 0, "qemu", true},
		{"-s /a 7 qemu", "/a", 7, "qemu", true},
		{"", "", 0, "", false},
		{"5", "", 0, "", false},
		{"x qemu", "", 0, "", false},
		{"-1 qemu", "", 0, "", false},
		{"--socket /a 5", "", 0, "", false},
	} {
		path, fd, argv, err := parse(strings.Fields(tt.line))
		if err != nil {
			if tt.ok {
				t.Errorf("%q: %v", tt.line, err)
			}
			continue
		}
		if !tt.ok || path != tt.path || fd != tt.fd || !slices.Equal(argv, strings.Fields(tt.argv)) {
			t.Errorf("%q: %q %d %q", tt.line, path, fd, argv)
		}
	}
}

func TestTry(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if _, err := try(path); !errors.Is(err, unix.ENOENT) {
		t.Errorf("nothing there: %v", err)
	}
	l, _ := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	defer unix.Close(l)
	if err := errors.Join(unix.Bind(l, &unix.SockaddrUnix{Name: path}), unix.Listen(l, 5)); err != nil {
		t.Fatal(err)
	}
	fd, err := try(path)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	c, _, _ := unix.Accept(l)
	unix.Close(c)
	go func() {
		if c, _, err := unix.Accept(l); err == nil {
			unix.Close(c)
		}
	}()
	if _, err := try(path); !errors.Is(err, errTaken) {
		t.Errorf("a server with another guest: %v", err)
	}
}
