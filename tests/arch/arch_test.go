package arch

import (
	"slices"
	"strings"
	"testing"
)

func TestArchitecture(t *testing.T) {
	files := load(t)
	if len(files) < 3 {
		t.Fatalf("found only %d source files", len(files))
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, f := range files {
				if what := r.check(f); what != "" {
					t.Errorf("%v %s", f, what)
				}
			}
		})
	}
	t.Run("packages are documented", func(t *testing.T) {
		for _, dir := range undocumented(files) {
			t.Errorf("%s has no package comment in doc.go", dir)
		}
	})
}

func TestPackageNamesEqualFolders(t *testing.T) {
	for _, f := range load(t) {
		if strings.HasSuffix(f.name, "_test.go") || f.pkg == "main" {
			continue
		}
		if want := f.dir[strings.LastIndexByte(f.dir, '/')+1:]; f.pkg != want {
			t.Errorf("%v is of package %s, want %s", f, f.pkg, want)
		}
	}
}

// TestRules proves that each rule fires, and only then.
func TestRules(t *testing.T) {
	for _, tc := range []struct {
		name string
		file string // folder and name
		src  string
		want string // beginning of the rule's name, "" if none is broken
	}{
		{"cmd imports anything", "cmd/passt/run.go", `package main; import ("passt/l4/tcp"; "passt/nat"; "github.com/spf13/cobra")`, ""},
		{"l4 imports downwards", "l4/tcp/conn.go", `package tcp; import ("passt/l3/inet"; "passt/link"; "passt/nat"; "passt/l4/flow")`, ""},
		{"l3 imports l4", "l3/ip.go", `package l3; import "passt/l4/flow"`, "imports go from"},
		{"link imports l2", "link/tap/tap.go", `package tap; import "passt/l2"`, "imports go from"},
		{"link/sys imports link", "link/sys/iovec.go", `package sys; import "passt/link"`, "imports go from"},
		{"a layer's test imports upwards", "l2/ether_test.go", `package l2; import "passt/l4/tcp"`, "imports go from"},
		{"l4 imports cmd", "l4/fwd/x.go", `package fwd; import "passt/cmd/passt"`, "imports go from"},
		{"nat imports itself and inet", "nat/rules.go", `package nat; import ("passt/nat/portspec"; "passt/l3/inet"; "net/netip")`, ""},
		{"nat imports l3", "nat/rules.go", `package nat; import "passt/l3/ndp"`, "nat is a leaf"},
		{"l3 asks nat", "l3/ip.go", `package l3; import "passt/nat"`, "only l4 and cmd"},
		{"tcp imports udp", "l4/tcp/x.go", `package tcp; import "passt/l4/udp"`, "tcp, udp and icmp"},
		{"a layer imports netlink", "l4/fwd/x.go", `package fwd; import "github.com/vishvananda/netlink"`, "no layer imports what"},
		{"a layer imports cobra", "link/tap/x.go", `package tap; import "github.com/spf13/cobra"`, "no layer imports what"},
		{"vsock elsewhere", "link/stream/x.go", `package stream; import "github.com/mdlayher/vsock"`, "vsock only"},
		{"filters made at run time", "cmd/internal/sandbox/x.go", `package sandbox; import "github.com/elastic/go-seccomp-bpf"`, "what makes filters"},
		{"the policy in the product", "cmd/internal/stage/x.go", `package stage; import "passt/cmd/internal/sandbox/policy"`, "what makes filters"},
		{"filters made ahead", "cmd/internal/sandbox/policy/x.go", `package policy; import ("github.com/elastic/go-seccomp-bpf"; "golang.org/x/net/bpf")`, ""},
		{"x/sys in sock", "l4/sock/x.go", `package sock; import "golang.org/x/sys/unix"`, ""},
		{"x/sys in tcp", "l4/tcp/x.go", `package tcp; import "golang.org/x/sys/unix"`, "x/sys only"},
		{"x/sys in a test", "l4/tcp/x_test.go", `package tcp; import "golang.org/x/sys/unix"`, ""},
		{"unsafe in tap", "link/tap/x.go", `package tap; import "unsafe"`, "unsafe only"},
		{"unsafe in sys", "link/sys/x.go", `package sys; import "unsafe"`, ""},
		{"raw call", "link/tap/x.go", `package tap; import "golang.org/x/sys/unix"; var _, _, _ = unix.RawSyscall(0, 0, 0, 0)`, "raw system calls"},
		{"raw call by another name", "cmd/internal/netns/x.go", `package netns; import s "syscall"; var _, _, _ = s.Syscall6(0, 0, 0, 0, 0, 0, 0)`, "raw system calls"},
		{"named call", "link/tap/x.go", `package tap; import "golang.org/x/sys/unix"; var _ = unix.Getpid()`, ""},
		{"clock", "l4/tcp/x.go", `package tcp; import "time"; var start = time.Now()`, "no layer takes the time"},
		{"duration", "l4/tcp/x.go", `package tcp; import "time"; const d = time.Second`, ""},
		{"clock in cmd", "cmd/internal/engine/x.go", `package engine; import "time"; var start = time.Now()`, ""},
		{"clock in a test suite", "link/linktest/x.go", `package linktest; import "time"; var start = time.Now()`, ""},
		{"random", "l4/tcp/x.go", `package tcp; import "math/rand/v2"`, "no layer draws"},
		{"tests in the product", "l2/x.go", `package l2; import "passt/tests/checker"`, "the product does not"},
		{"long file", "l2/x.go", "package l2\n" + strings.Repeat("//\n", 600), "files stay"},
		{"util", "l2/util/x.go", `package util`, "names say"},
		{"file named common", "l2/common.go", `package l2`, "names say"},
		{"package comment elsewhere", "l2/ether.go", "// Package l2 is.\npackage l2", "package comments"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			i := strings.LastIndexByte(tc.file, '/')
			f, err := parse(tc.file[:i], tc.file[i+1:], []byte(tc.src))
			if err != nil {
				t.Fatal(err)
			}
			var broken []string
			for _, r := range rules {
				if r.check(f) != "" {
					broken = append(broken, r.name)
				}
			}
			if tc.want == "" && broken != nil {
				t.Errorf("breaks %q", broken)
			}
			if tc.want != "" && (len(broken) != 1 || !strings.HasPrefix(broken[0], tc.want)) {
				t.Errorf("breaks %q, want %q only", broken, tc.want)
			}
		})
	}
}

func TestUndocumented(t *testing.T) {
	files := []*file{
		{dir: "a", name: "doc.go", doc: true}, {dir: "a", name: "x.go"},
		{dir: "b", name: "x.go"}, {dir: "b", name: "x_test.go", doc: false},
	}
	if got := undocumented(files); !slices.Equal(got, []string{"b"}) {
		t.Errorf("got %v, want [b]", got)
	}
}
