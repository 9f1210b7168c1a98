package tap

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// nsVar is set in the process that runs in namespaces of its own.
const nsVar = "TAP_TEST_NAMESPACE"

// TestMain runs the tests once more inside, in new user and network namespaces where taps
// may be made by any user. If there can be no namespaces, the tests that need one skip.
func TestMain(m *testing.M) {
	if os.Getenv(nsVar) != "" || !canUnshare() {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), nsVar+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = namespaces()
	if err := cmd.Run(); err != nil {
		if cmd.ProcessState == nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
}

func namespaces() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   unix.SIGKILL,
	}
}

func canUnshare() bool {
	cmd := exec.Command("/proc/self/exe", "-test.run=^$")
	cmd.Env = append(os.Environ(), nsVar+"=1")
	cmd.SysProcAttr = namespaces()
	return cmd.Run() == nil
}

// needNamespace skips a test that makes a tap where none can be made.
func needNamespace(t testing.TB) {
	t.Helper()
	if os.Getenv(nsVar) == "" {
		t.Skip("no user namespaces here")
	}
	if err := unix.Access(device, unix.R_OK|unix.W_OK); err != nil {
		t.Skipf("%s: %v", device, err)
	}
}
