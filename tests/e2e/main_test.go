package e2e

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The test binary plays several parts, one after the other:
//
//	outside: as started by "go test"; makes the namespaces, waits
//	init:    first process of the PID namespace; mounts, then reaps until the tests are over
//	world:   builds the topology and runs the tests
//	hold:    the COMMAND given to pasta, keeping the namespace open (hold_test.go)
const stageVar = "E2E_STAGE"

// scratch is where everything that a test writes goes: a tmpfs that vanishes at the end.
const scratch = "/run/e2e"

// pastaPath is the binary under test, at a path that any user may execute.
var pastaPath string

// direct is true with PASTA=direct: H stands in for N, with no pasta in between. What fails
// then is wrong with the test. It leaves out all that is not traffic.
var direct = os.Getenv("PASTA") == "direct"

// asRoot is true if the tests were started by the real root, and pasta is run as nobody.
var asRoot = os.Getenv("E2E_ROOT") == "1"

func TestMain(m *testing.M) {
	switch os.Getenv(stageVar) {
	case "hold":
		hold()
	case "init":
		if os.Getpid() != 1 {
			fmt.Fprintln(os.Stderr, "e2e: the init stage is not the first process of its namespace")
			os.Exit(1)
		}
		os.Exit(reap())
	case "world":
		os.Unsetenv(stageVar)
		pastaPath = os.Getenv("PASTA")
		if err := buildWorld(); err != nil {
			fmt.Fprintln(os.Stderr, "e2e: cannot build the topology:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	default:
		os.Exit(outside())
	}
}

// outside starts the init stage in its namespaces and returns its exit status.
func outside() int {
	if os.Getenv("E2E") == "" && os.Getenv("PASTA") == "" {
		fmt.Println("e2e: not run; set E2E=1 for bin/pasta, or PASTA=PATH for another binary")
		return 0
	}
	path := os.Getenv("PASTA")
	if path == "" {
		path = "../../bin/pasta"
	}
	var err error
	if !direct {
		if path, err = filepath.Abs(path); err == nil {
			_, err = os.Stat(path)
		}
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "e2e: no binary to test: %v (run \"make build\" first, or set PASTA)\n", err)
		return 1
	}
	attr := &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC,
		Pdeathsig:  unix.SIGKILL,
	}
	os.Setenv(stageVar, "init")
	os.Setenv("PASTA", path)
	os.Unsetenv("E2E_ROOT")
	if os.Getuid() == 0 {
		os.Setenv("E2E_ROOT", "1")
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
		fmt.Fprintf(os.Stderr, "e2e: cannot make namespaces: %v\n", err)
		return 1
	}
	st, err := p.Wait()
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	return st.ExitCode()
}

// reap is the init stage: it prepares the mounts, starts the tests and collects every
// orphan until they are over. Its own end kills what is left.
func reap() int {
	path, err := prepareMounts(os.Getenv("PASTA"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e: cannot prepare the mount namespace:", err)
		return 1
	}
	// Set, not appended: of two entries of one name the first would count, and this stage start itself for ever.
	os.Setenv(stageVar, "world")
	os.Setenv("PASTA", path)
	os.Setenv("TMPDIR", scratch)
	os.Setenv("HOME", scratch) // tools look for their settings there
	pid, err := syscall.ForkExec("/proc/self/exe", os.Args, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	for {
		var ws syscall.WaitStatus
		got, err := syscall.Wait4(-1, &ws, 0, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return 1
		}
		if got == pid && ws.Exited() {
			return ws.ExitStatus()
		}
		if got == pid {
			return 1
		}
	}
}

// prepareMounts hides what tests and the tools they start would write to, opens
// /dev/net/tun to users, and sets the resolver configuration. It returns a path at which
// the binary can be executed by any user.
func prepareMounts(pasta string) (string, error) {
	resolv, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if err != nil {
		return "", err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return "", fmt.Errorf("making / private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return "", fmt.Errorf("mounting /proc: %w", err)
	}
	for _, d := range []string{"/run", "/var/lib/dhcp", "/var/lib/dhcpcd"} {
		if _, err := os.Stat(d); err != nil {
			continue
		}
		if err := unix.Mount("tmpfs", d, "tmpfs", 0, "mode=755"); err != nil {
			return "", fmt.Errorf("mounting a tmpfs on %s: %w", d, err)
		}
	}
	for _, d := range []string{scratch, "/run/netns"} {
		if err := os.Mkdir(d, 0o777); err != nil {
			return "", err
		}
		if err := os.Chmod(d, 0o777); err != nil { // whatever the umask
			return "", err
		}
	}
	if err := prepareResolver(resolv); err != nil {
		return "", err
	}
	if err := prepareTun(); err != nil {
		return "", err
	}
	if err := copyFile("/proc/self/exe", scratch+"/command"); err != nil {
		return "", err
	}
	if direct {
		return "direct", nil
	}
	return reachable(pasta)
}

// prepareResolver puts the tests' resolver configuration in place of the file that
// /etc/resolv.conf stands for, which may have been in the hidden /run.
func prepareResolver(target string) error {
	text := "nameserver " + peerV4 + "\nnameserver " + peerV6 + "\nsearch " + strings.Join(searchList, " ") + "\n"
	if err := os.WriteFile(scratch+"/resolv.conf", []byte(text), 0o644); err != nil {
		return err
	}
	if _, err := os.Stat(target); err != nil {
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(target, nil, 0o644); err != nil {
			return err
		}
	}
	if err := unix.Mount(scratch+"/resolv.conf", target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("binding over %s: %w", target, err)
	}
	return nil
}

// prepareTun makes /dev/net/tun usable by users, as distributions ship it, in this mount
// namespace only.
func prepareTun() error {
	if fi, err := os.Stat("/dev/net/tun"); err != nil {
		return fmt.Errorf("%w: load the tun module", err)
	} else if fi.Mode().Perm()&0o006 == 0o006 {
		return nil
	}
	if !asRoot {
		return errors.New("/dev/net/tun is not open to users: chmod 666 /dev/net/tun")
	}
	node := scratch + "/tun"
	if err := unix.Mknod(node, unix.S_IFCHR|0o666, int(unix.Mkdev(10, 200))); err != nil {
		return fmt.Errorf("making a tun node: %w", err)
	}
	if err := os.Chmod(node, 0o666); err != nil {
		return err
	}
	return unix.Mount(node, "/dev/net/tun", "", unix.MS_BIND, "")
}

// reachable returns path if every user can get there, or a copy under scratch.
func reachable(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	open := true
	for _, p := range []string{path, real} {
		for d := p; d != "/"; d = filepath.Dir(d) {
			fi, err := os.Stat(d)
			if err != nil {
				return "", err
			}
			open = open && fi.Mode().Perm()&0o001 != 0
		}
	}
	if open && !strings.HasPrefix(real, "/run/") {
		return path, nil
	}
	to := scratch + "/bin/pasta"
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return "", err
	}
	return to, copyFile(real, to)
}

// copyFile copies an executable.
func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(dst, src); err != nil {
		dst.Close()
		return err
	}
	if err := dst.Chmod(0o755); err != nil {
		dst.Close()
		return err
	}
	return dst.Close()
}
