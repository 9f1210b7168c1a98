package hostwatch

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestFile(t *testing.T) {
	type step struct {
		name string
		do   func(dir string) error
		want bool
	}
	write := func(names ...string) func(string) error {
		return func(dir string) error {
			for _, n := range names {
				if err := os.WriteFile(filepath.Join(dir, n), []byte("nameserver 192.0.2.1\n"), 0o644); err != nil {
					return err
				}
			}
			return nil
		}
	}
	replace := func(name string) func(string) error {
		return func(dir string) error {
			if err := write(name + ".new")(dir); err != nil {
				return err
			}
			return os.Rename(filepath.Join(dir, name+".new"), filepath.Join(dir, name))
		}
	}
	link := func(to, name string) func(string) error {
		return func(dir string) error {
			tmp := filepath.Join(dir, name+".new")
			if err := os.Symlink(to, tmp); err != nil {
				return err
			}
			return os.Rename(tmp, filepath.Join(dir, name))
		}
	}
	remove := func(name string) func(string) error {
		return func(dir string) error { return os.RemoveAll(filepath.Join(dir, name)) }
	}
	mkdir := func(name string) func(string) error {
		return func(dir string) error { return os.MkdirAll(filepath.Join(dir, name), 0o755) }
	}
	for _, tc := range []struct {
		name  string
		setUp []func(string) error
		steps []step
	}{
		{"a plain file", []func(string) error{write("resolv.conf")}, []step{
			{"written", write("resolv.conf"), true},
			{"replaced", replace("resolv.conf"), true},
			{"written again", write("resolv.conf"), true},
			{"another file", write("hosts"), false},
			{"removed", remove("resolv.conf"), true},
			{"another file again", write("hosts"), false},
			{"made", write("resolv.conf"), true},
		}},
		{"a link", []func(string) error{mkdir("run"), write("run/stub.conf"), link("run/stub.conf", "resolv.conf")}, []step{
			{"target replaced", replace("run/stub.conf"), true},
			{"target written", write("run/stub.conf"), true},
			{"beside the target", write("run/other.conf"), false},
			{"target removed", remove("run/stub.conf"), true},
			{"target made", write("run/stub.conf"), true},
			{"link replaced", link("run/other.conf", "resolv.conf"), true},
			{"old target written", write("run/stub.conf"), false},
			{"new target written", write("run/other.conf"), true},
			{"link becomes a file", replace("resolv.conf"), true},
			{"the target again", write("run/other.conf"), false},
		}},
		{"a link through a link", []func(string) error{mkdir("a"), mkdir("b"), link("../b/c", "a/b"), link("a/b", "resolv.conf")}, []step{
			{"last target made", write("b/c"), true},
			{"last target replaced", replace("b/c"), true},
			{"middle link replaced", link("../b/d", "a/b"), true},
			{"new target made", write("b/d"), true},
		}},
		{"a folder that is missing", []func(string) error{link("run/net/resolv.conf", "resolv.conf")}, []step{
			{"something else", mkdir("else"), false},
			{"the first folder", mkdir("run"), true},
			{"the second folder", mkdir("run/net"), true},
			{"the file", write("run/net/resolv.conf"), true},
			{"the folder goes", remove("run"), true},
			{"and comes, with everything", func(dir string) error {
				if err := mkdir("run/net")(dir); err != nil {
					return err
				}
				return write("run/net/resolv.conf")(dir)
			}, true},
		}},
		{"a link to itself", []func(string) error{link("resolv.conf", "resolv.conf")}, []step{
			{"replaced", replace("resolv.conf"), true},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, f := range tc.setUp {
				if err := f(dir); err != nil {
					t.Fatal(err)
				}
			}
			t.Parallel() // each waits for a second
			f := newFile(filepath.Join(dir, "resolv.conf"))
			events := make(chan struct{}, 100)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				f.follow(func() { events <- struct{}{} })
			}()
			select {
			case <-events:
			case <-time.After(3 * early):
				t.Fatal("what has changed before was not noticed")
			}
			f.mu.Lock()
			if f.in == nil {
				t.Skip("no inotify instance is left")
			}
			f.mu.Unlock()
			for _, s := range tc.steps {
				if err := s.do(dir); err != nil {
					t.Fatal(err)
				}
				if got := happened(events); got != s.want {
					t.Errorf("%s: noticed: %v, want %v", s.name, got, s.want)
				}
			}
			f.close()
			<-ended
		})
	}
}

// happened waits for the events of one step.
func happened(events <-chan struct{}) (yes bool) {
	for wait := 100 * time.Millisecond; ; wait = 20 * time.Millisecond {
		select {
		case <-events:
			yes = true
		case <-time.After(wait):
			return yes
		}
	}
}

func TestFileEndsEarly(t *testing.T) {
	f := newFile(filepath.Join(t.TempDir(), "x"))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.follow(func() {})
	}()
	f.close()
	f.close()
	select {
	case <-ended:
	case <-time.After(early / 2):
		t.Error("it goes on")
	}
	if f.open() != nil {
		t.Error("open after the end")
	}
}

func TestGlance(t *testing.T) {
	dir := t.TempDir()
	f := &file{path: filepath.Join(dir, "x")}
	none := f.look()
	if err := os.WriteFile(f.path, []byte("a"), 0o644); err != nil {
		t.Fatal(err)
	}
	one := f.look()
	if err := os.WriteFile(f.path, []byte("ab"), 0o644); err != nil {
		t.Fatal(err)
	}
	two := f.look()
	if same(none, one) || same(one, two) || same(one, none) || !same(none, none) || !same(two, f.look()) {
		t.Error("files that differ are the same, or the same ones differ")
	}
}
