package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A kind of tool says how it is started.
type kind int

const (
	isDirect kind = iota
	isPasst       // pasta and passt
	isSlirp       // slirp4netns
)

// tool is one of those that are compared.
type tool struct {
	name         string
	kind         kind
	pasta, passt string // paths of the programs; empty: there is none
	slirp        string
}

// parseTool parses NAME=PATH, or PATH, whose last element is the name then.
func parseTool(arg string) (t tool, err error) {
	name, path, ok := strings.Cut(arg, "=")
	if !ok {
		path = arg
		name = filepath.Base(path)
	}
	if name == "" || path == "" {
		return t, fmt.Errorf("tool %q: NAME=PATH is wanted", arg)
	}
	t.name = name
	base := filepath.Base(path)
	if path == "direct" {
		return t, nil
	}
	if path, err = filepath.Abs(path); err != nil {
		return t, fmt.Errorf("tool %q: %w", arg, err)
	}
	if _, err := os.Stat(path); err != nil {
		return t, fmt.Errorf("tool %q: %w", arg, err)
	}
	dir := filepath.Dir(path)
	switch {
	case base == "slirp4netns":
		t.kind, t.slirp = isSlirp, path
	case strings.HasPrefix(base, "pasta"):
		t.kind, t.pasta, t.passt = isPasst, path, existing(dir, "passt"+strings.TrimPrefix(base, "pasta"))
	case strings.HasPrefix(base, "passt"):
		t.kind, t.passt, t.pasta = isPasst, path, existing(dir, "pasta"+strings.TrimPrefix(base, "passt"))
	default:
		return t, fmt.Errorf("tool %q: the program must be called pasta, passt or slirp4netns, or be the word direct", arg)
	}
	return t, nil
}

// existing is the path of a file in dir, empty if it isn't there.
func existing(dir, name string) string {
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// chooseTools parses args, or takes this build and what is installed if there are none.
func chooseTools(args []string) ([]tool, error) {
	if len(args) == 0 {
		args = installed("bin/pasta")
	}
	var tools []tool
	seen := make(map[string]bool)
	for _, a := range args {
		t, err := parseTool(a)
		if err != nil {
			return nil, err
		}
		if seen[t.name] {
			return nil, fmt.Errorf("tool %q: there are two of this name", t.name)
		}
		seen[t.name] = true
		tools = append(tools, t)
	}
	if len(tools) == 0 {
		return nil, errors.New("which tools?")
	}
	return tools, nil
}

// installed are the tools that there are, this build first.
func installed(build string) []string {
	args := []string{"ours=" + build}
	if path, err := exec.LookPath("pasta"); err == nil && !sameFile(path, build) {
		args = append(args, "installed="+path)
	}
	if path, err := exec.LookPath("slirp4netns"); err == nil {
		args = append(args, "slirp4netns="+path)
	}
	return append(args, "direct=direct")
}

// sameFile says whether two paths lead to one file.
func sameFile(a, b string) bool {
	sa, erra := os.Stat(a)
	sb, errb := os.Stat(b)
	return erra == nil && errb == nil && os.SameFile(sa, sb)
}
