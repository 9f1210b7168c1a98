package nstest

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// inside marks, in its environment, the copy of the test binary that runs one test in new
// namespaces.
const inside = "PASST_TEST_INSIDE_NAMESPACE"

// Run calls f in new user and network namespaces, as their root: it executes the test binary
// again for the test t alone. In the outer process f is not called. It skips the test where
// the system does not allow user namespaces. A test calls it once, as its first step.
func Run(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if os.Getenv(inside) == t.Name() {
		f(t)
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v") // skips show only with -v
	cmd.Env = append(os.Environ(), inside+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Skipf("no user or network namespaces for this user here: %v", err)
	}
	switch {
	case err != nil:
		t.Fatalf("in the namespace: %v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("in the namespace:\n%s", out)
	case testing.Verbose():
		t.Logf("in the namespace:\n%s", out)
	}
}

// IP runs ip(8), one command in each string, and skips the test if the program is missing.
func IP(t *testing.T, commands ...string) {
	t.Helper()
	for _, c := range commands {
		out, err := exec.Command("ip", strings.Fields(c)...).CombinedOutput()
		if _, ok := err.(*exec.Error); ok {
			t.Skipf("ip(8) is missing: %v", err)
		}
		if err != nil {
			t.Fatalf("ip %s: %v\n%s", c, err, out)
		}
	}
}
