package guest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The test binary plays several parts:
//
//	outside: as started by "go test"; makes the namespaces, waits
//	world:   first process of the PID namespace; builds the topology and runs the tests
//	/init:   the first process of a guest (agent_test.go)
//	tool:    one end of a transfer, in a guest (traffic_test.go)
const stageVar = "GUEST_STAGE"

// scratch is where everything that a test writes goes: a tmpfs that vanishes at the end.
const scratch = "/run/guest"

var (
	passtPath string                           // the binary under test, at a path that any user may execute
	kernel    kernelFiles                      // what guests boot
	initramfs string                           // the guests' first file system
	asRoot    = os.Getenv("GUEST_ROOT") == "1" // the tests were started by the real root, passt is run as nobody
)

func TestMain(m *testing.M) {
	switch {
	case os.Args[0] == "/init":
		runAgent()
	case filepath.Base(os.Args[0]) == "tool":
		os.Exit(runTool(os.Args[1:]))
	case os.Getenv(stageVar) == "world":
		os.Unsetenv(stageVar)
		if err := setUp(); err != nil {
			fmt.Fprintln(os.Stderr, "guest:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	default:
		os.Exit(outside())
	}
}

// outside starts the world stage in its namespaces and returns its exit status.
func outside() int {
	path := os.Getenv("PASST")
	if os.Getenv("E2E") == "" && path == "" {
		fmt.Println("guest: not run; set E2E=1 for bin/passt, or PASST=PATH for another binary")
		return 0
	}
	if path == "" {
		path = "../../bin/passt"
	}
	path, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "guest: no binary to test: %v (run \"make build\" first, or set PASST)\n", err)
		return 1
	}
	dir := os.Getenv("GUEST_DIR")
	if dir == "" {
		dir = "../../out/guest"
	}
	if _, err := findKernel(dir); err != nil {
		fmt.Printf("guest: not run; %v\n", err)
		return 0
	}
	os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin") // which a user's own may lack
	for _, tool := range []string{"qemu-system-x86_64", "busybox"} {
		if _, err := exec.LookPath(tool); err != nil {
			fmt.Printf("guest: not run; %s is not installed\n", tool)
			return 0
		}
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		return 1
	}
	for name, value := range map[string]string{stageVar: "world", "PASST": path, "GUEST_DIR": dir} {
		os.Setenv(name, value)
	}
	attr := &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC,
		Pdeathsig:  unix.SIGKILL,
	}
	os.Unsetenv("GUEST_ROOT")
	if os.Getuid() == 0 {
		os.Setenv("GUEST_ROOT", "1")
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
		fmt.Fprintf(os.Stderr, "guest: cannot make namespaces: %v\n", err)
		return 1
	}
	st, err := p.Wait()
	if err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		return 1
	}
	return st.ExitCode()
}

// setUp is the world stage up to the tests: mounts, guest files, topology.
func setUp() error {
	if os.Getpid() != 1 {
		return errors.New("the world stage is not the first process of its namespace")
	}
	if err := prepareMounts(); err != nil {
		return fmt.Errorf("preparing the mount namespace: %w", err)
	}
	os.Setenv("TMPDIR", scratch)
	os.Setenv("HOME", scratch) // tools look for their settings there
	var err error
	if kernel, err = findKernel(os.Getenv("GUEST_DIR")); err != nil {
		return err
	}
	// Copies, since a user may not search the folders on the way to the originals.
	passtPath = scratch + "/bin/passt"
	if err := copyFile(os.Getenv("PASST"), passtPath); err != nil {
		return err
	}
	if err := os.Symlink("passt", scratch+"/bin/qrap"); err != nil {
		return err
	}
	initramfs = scratch + "/initramfs"
	if err := makeInitramfs(initramfs); err != nil {
		return fmt.Errorf("making the guests' initramfs: %w", err)
	}
	if err := buildWorld(); err != nil {
		return fmt.Errorf("building the topology: %w", err)
	}
	return nil
}

// prepareMounts hides what tests would write to, and sets the resolver configuration.
func prepareMounts() error {
	resolv, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making / private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mounting a tmpfs on /run: %w", err)
	}
	for _, d := range []string{scratch, scratch + "/bin", "/run/netns"} {
		if err := os.Mkdir(d, 0o777); err != nil {
			return err
		}
		if err := os.Chmod(d, 0o777); err != nil { // whatever the umask
			return err
		}
	}
	text := "nameserver " + peerV4 + "\nnameserver " + peerV6 + "\nsearch " + strings.Join(searchList, " ") + "\n"
	if err := os.WriteFile(scratch+"/resolv.conf", []byte(text), 0o644); err != nil {
		return err
	}
	if _, err := os.Stat(resolv); err != nil { // it was in the hidden /run
		if err := os.MkdirAll(filepath.Dir(resolv), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(resolv, nil, 0o644); err != nil {
			return err
		}
	}
	if err := unix.Mount(scratch+"/resolv.conf", resolv, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("binding over %s: %w", resolv, err)
	}
	return nil
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
