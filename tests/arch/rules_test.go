package arch

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// under reports whether a folder is one of these or within one.
func under(dir string, parents ...string) bool {
	dir = strings.TrimPrefix(dir, "./")
	return slices.ContainsFunc(parents, func(p string) bool { return dir == p || strings.HasPrefix(dir, p+"/") })
}

// layers from the lowest up. A package may import those of its own layer and of lower ones.
var layers = []string{"link/sys", "link", "l2", "l3", "l4", "cmd"}

// layer returns the index of a folder's layer, -1 if it is in none.
func layer(dir string) int {
	for i, l := range layers {
		if under(dir, l) {
			return i
		}
	}
	return -1
}

// A rule returns what is wrong with a file, "" for nothing.
type rule struct {
	name  string
	check func(f *file) string
}

// eachImport makes a rule's check from one on a single import.
func eachImport(bad func(f *file, imp string) bool) func(*file) string {
	return func(f *file) string {
		for _, imp := range f.imports {
			if bad(f, imp) {
				return "imports " + strings.TrimPrefix(imp, "./")
			}
		}
		return ""
	}
}

// eachUse makes a rule's check from one on a single use of an imported name.
func eachUse(bad func(f *file, use string) bool) func(*file) string {
	return func(f *file) string {
		for _, use := range f.uses {
			if bad(f, use) {
				return "uses " + use
			}
		}
		return ""
	}
}

// rawCalls are the functions that take a system call's number.
var rawCalls = []string{"Syscall", "Syscall6", "Syscall9", "RawSyscall", "RawSyscall6", "SyscallNoError", "RawSyscallNoError"}

// clocks are the functions by which a layer would take the time on its own.
var clocks = []string{"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.AfterFunc", "time.Tick", "time.NewTimer", "time.NewTicker"}

// emptyNames say nothing about what is inside.
var emptyNames = []string{"util", "utils", "common", "misc", "helper", "helpers", "shared", "base"}

var rules = []rule{
	{"imports go from higher layers to lower ones", eachImport(func(f *file, imp string) bool {
		from, to := layer(f.dir), layer(imp)
		return from >= 0 && to > from
	})},
	{"nat is a leaf: it imports only itself and l3/inet", eachImport(func(f *file, imp string) bool {
		return under(f.dir, "nat") && strings.HasPrefix(imp, "./") && !under(imp, "nat", "l3/inet")
	})},
	{"only l4 and cmd ask nat", eachImport(func(f *file, imp string) bool {
		return under(imp, "nat") && !under(f.dir, "nat", "l4", "cmd", "tests")
	})},
	{"tcp, udp and icmp do not import each other", eachImport(func(f *file, imp string) bool {
		for _, p := range []string{"l4/tcp", "l4/udp", "l4/icmp"} {
			if under(f.dir, p) && under(imp, "l4/tcp", "l4/udp", "l4/icmp") && !under(imp, p) {
				return true
			}
		}
		return false
	})},
	{"no layer imports what is for the command line or for configuring the kernel", eachImport(func(f *file, imp string) bool {
		return !under(f.dir, "cmd", "tests") && !f.test() && under(imp, "github.com/spf13/cobra", "github.com/spf13/pflag",
			"github.com/vishvananda/netlink", "github.com/vishvananda/netns")
	})},
	{"vsock only in link/vsock", eachImport(func(f *file, imp string) bool {
		return under(imp, "github.com/mdlayher/vsock") && !under(f.dir, "link/vsock")
	})},
	// Its programs are made ahead: at run time they would cost each process its memory.
	{"what makes filters is for cmd/internal/sandbox/policy, which is for its tests", eachImport(func(f *file, imp string) bool {
		return !under(f.dir, "cmd/internal/sandbox/policy") &&
			under(imp, "github.com/elastic/go-seccomp-bpf", "golang.org/x/net/bpf", "cmd/internal/sandbox/policy")
	})},
	{"x/sys only in link, l4/sock, l4/splice and cmd/internal", eachImport(func(f *file, imp string) bool {
		return under(imp, "golang.org/x/sys") && !f.test() && !under(f.dir, "link", "l4/sock", "l4/splice", "cmd/internal")
	})},
	// cmd/internal/userns has to fork by itself, with one thread and no stack to grow.
	{"unsafe only in link/sys and cmd/internal/userns", eachImport(func(f *file, imp string) bool {
		return imp == "unsafe" && !f.test() && !under(f.dir, "link/sys", "cmd/internal/userns")
	})},
	{"raw system calls only in link/sys and cmd/internal/userns", eachUse(func(f *file, use string) bool {
		name := path.Ext(use)
		pkg := strings.TrimSuffix(use, name)
		return (pkg == "syscall" || pkg == "golang.org/x/sys/unix") && slices.Contains(rawCalls, name[1:]) && !f.test() && !under(f.dir, "link/sys", "cmd/internal/userns")
	})},
	{"no layer takes the time: it is passed in", eachUse(func(f *file, use string) bool {
		return slices.Contains(clocks, use) && !f.test() && under(f.dir, "link", "l2", "l3", "l4", "nat")
	})},
	{"no layer draws random numbers: they are passed in", eachImport(func(f *file, imp string) bool {
		return under(imp, "math/rand", "crypto/rand") && !f.test() && under(f.dir, "link", "l2", "l3", "l4", "nat")
	})},
	{"the product does not import its tests", eachImport(func(f *file, imp string) bool {
		return under(imp, "tests") && strings.HasPrefix(imp, "./") && !f.test()
	})},
	{"files stay under 600 lines", func(f *file) string {
		if f.lines > 600 {
			return fmt.Sprintf("has %d lines", f.lines)
		}
		return ""
	}},
	{"names say something", func(f *file) string {
		for _, n := range append(strings.Split(f.dir, "/"), f.pkg, strings.TrimSuffix(strings.TrimSuffix(f.name, ".go"), "_test")) {
			if slices.Contains(emptyNames, n) {
				return "is named " + n
			}
		}
		return ""
	}},
	{"package comments are in doc.go, or beside main", func(f *file) string {
		if f.doc && f.name != "doc.go" && f.name != "main.go" && !strings.HasSuffix(f.name, "_test.go") {
			return "has a package comment"
		}
		return ""
	}},
}

// undocumented returns the folders that have a package and no package comment.
func undocumented(files []*file) []string {
	has := make(map[string]bool)
	for _, f := range files {
		if !strings.HasSuffix(f.name, "_test.go") || f.doc {
			has[f.dir] = has[f.dir] || f.doc
		}
	}
	var out []string
	for dir, doc := range has {
		if !doc {
			out = append(out, dir)
		}
	}
	slices.Sort(out)
	return out
}
