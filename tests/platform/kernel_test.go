package platform

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// insideVar is set in the process that inNamespace has started.
const insideVar = "PLATFORM_INSIDE"

// inNamespace runs the rest of the test in a user and network namespace of its own, as an
// unprivileged user gets them, by starting the test binary again for just this test. It
// returns true inside; the caller outside returns at once.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideVar) == t.Name() {
		return true
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), insideVar+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	switch {
	case cmd.ProcessState == nil:
		t.Skipf("no user namespaces here: %v", err)
	case err != nil:
		t.Errorf("inside: %v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("inside:\n%s", out)
	}
	return false
}

// loUp brings lo up in the current network namespace.
func loUp(t *testing.T) {
	t.Helper()
	fd := socket(t, unix.AF_INET, unix.SOCK_DGRAM, 0)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	req.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req); err != nil {
		t.Fatal(err)
	}
}

// setSysctl writes a network parameter of the current network namespace.
func setSysctl(t *testing.T, name, value string) {
	t.Helper()
	path := filepath.Join("/proc/sys", strings.ReplaceAll(name, ".", "/"))
	if err := os.WriteFile(path, []byte(value), 0); err != nil {
		t.Fatal(err)
	}
}

// socket opens a socket that is closed at the end of the test.
func socket(t *testing.T, family, kind, proto int) int {
	t.Helper()
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		t.Fatalf("socket: %v", err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// tcpPair returns both ends of a TCP connection over the loopback interface, both
// non-blocking.
func tcpPair(t *testing.T) (a, b int) {
	t.Helper()
	l := socket(t, unix.AF_INET, unix.SOCK_STREAM, 0)
	if err := unix.Bind(l, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(l, 1); err != nil {
		t.Fatal(err)
	}
	addr, err := unix.Getsockname(l)
	if err != nil {
		t.Fatal(err)
	}
	a = socket(t, unix.AF_INET, unix.SOCK_STREAM, 0)
	if err := unix.Connect(a, addr); err != nil {
		t.Fatal(err)
	}
	b, _, err = unix.Accept4(l, unix.SOCK_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(b) })
	for _, fd := range []int{a, b} {
		if err := unix.SetNonblock(fd, true); err != nil {
			t.Fatal(err)
		}
	}
	return a, b
}

// udpPair returns two UDP sockets over the loopback interface, a connected to b.
func udpPair(t *testing.T) (a, b int) {
	t.Helper()
	b = socket(t, unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err := unix.Bind(b, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	addr, err := unix.Getsockname(b)
	if err != nil {
		t.Fatal(err)
	}
	a = socket(t, unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err := unix.Connect(a, addr); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// waitReadable waits up to a second for something to read.
func waitReadable(t *testing.T, fd int) {
	t.Helper()
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(p, 1000)
		if err == unix.EINTR {
			continue
		}
		if n != 1 {
			t.Fatalf("nothing to read: %d, %v", n, err)
		}
		return
	}
}
