package world

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// The test binary plays several parts, one after the other:
//
//	outside: as started by "go test"; makes the namespaces, waits
//	init:    first process of the PID namespace; mounts, then reaps until the tests are over
//	world:   builds the topology and runs the tests
const (
	stageVar  = "WORLD_STAGE"
	binaryVar = "WORLD_BINARY"
	rootVar   = "WORLD_ROOT"
)

// Scratch is where everything that a test writes goes: a tmpfs that vanishes at the end.
const Scratch = "/run/tests"

// Binary is the binary under test, at a path that any user may execute; empty if there is
// none.
var Binary string

// AsRoot is true if the tests were started by the real root, and what is tested is run as
// nobody.
var AsRoot = os.Getenv(rootVar) == "1"

// Config is what a package of tests needs.
type Config struct {
	Name     string // of the package, for messages
	Variable string // of the environment, that names a binary to test; else E2E has to be set
	Default  string // the binary tested with E2E, relative to the package
	None     string // a value of Variable: there is no binary
}

// Enter returns in the process that is to run the tests, with the topology built, and
// ends all others.
func Enter(c Config) {
	var err error
	switch os.Getenv(stageVar) {
	case "":
		code := 1
		if code, err = c.outside(); err == nil {
			os.Exit(code)
		}
	case "init":
		code := 1
		if code, err = reap(); err == nil {
			os.Exit(code)
		}
	default:
		os.Unsetenv(stageVar)
		Binary = os.Getenv(binaryVar)
		if err = build(); err == nil {
			return
		}
		err = fmt.Errorf("cannot build the topology: %w", err)
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", c.Name, err)
	os.Exit(1)
}

// outside starts the init stage in its namespaces and returns its exit status.
func (c *Config) outside() (int, error) {
	path := os.Getenv(c.Variable)
	if os.Getenv("E2E") == "" && path == "" {
		fmt.Printf("%s: not run; set E2E=1 for %s, or %s=PATH for another binary\n", c.Name, filepath.Clean(c.Default), c.Variable)
		return 0, nil
	}
	os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin") // which a user's own may lack
	var err error
	switch {
	case c.None != "" && path == c.None:
		path = ""
	default:
		if path == "" {
			path = c.Default
		}
		if path, err = filepath.Abs(path); err == nil {
			_, err = os.Stat(path)
		}
		if err != nil {
			return 1, fmt.Errorf("no binary to test: %w (run \"make build\" first, or set %s)", err, c.Variable)
		}
	}
	attr := &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC,
		Pdeathsig:  unix.SIGKILL,
	}
	os.Setenv(stageVar, "init")
	os.Setenv(binaryVar, path)
	os.Unsetenv(rootVar)
	if os.Getuid() == 0 {
		os.Setenv(rootVar, "1")
	} else {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	// Pdeathsig is sent when the thread that forked ends, not the process.
	runtime.LockOSThread()
	p, err := os.StartProcess("/proc/self/exe", os.Args, &os.ProcAttr{
		Env: os.Environ(), Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}, Sys: attr,
	})
	if err != nil {
		return 1, fmt.Errorf("cannot make namespaces: %w", err)
	}
	st, err := p.Wait()
	if err != nil {
		return 1, err
	}
	return st.ExitCode(), nil
}

// reap is the init stage: it prepares the mounts, starts the tests and collects every
// orphan until they are over. Its own end kills what is left.
func reap() (int, error) {
	if os.Getpid() != 1 {
		return 1, errors.New("the init stage is not the first process of its namespace")
	}
	path, err := prepareMounts(os.Getenv(binaryVar))
	if err != nil {
		return 1, fmt.Errorf("cannot prepare the mount namespace: %w", err)
	}
	// Set, not appended: of two entries of one name the first would count, and this stage start itself for ever.
	os.Setenv(stageVar, "world")
	os.Setenv(binaryVar, path)
	os.Setenv("TMPDIR", Scratch)
	os.Setenv("HOME", Scratch) // tools look for their settings there
	pid, err := syscall.ForkExec("/proc/self/exe", os.Args, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
	if err != nil {
		return 1, err
	}
	for {
		var ws syscall.WaitStatus
		got, err := syscall.Wait4(-1, &ws, 0, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return 1, err
		}
		if got == pid && ws.Exited() {
			return ws.ExitStatus(), nil
		}
		if got == pid {
			return 1, fmt.Errorf("the tests were ended by %v", ws.Signal())
		}
	}
}

// MissingTool says which of these programs is not installed; empty if all are.
func MissingTool(tools ...string) string {
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			return tool + " is not installed"
		}
	}
	return ""
}
