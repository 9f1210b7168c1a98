package userns

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// asChild is argv[0] of the test binary when it is the process that Start started.
const asChild = "userns test: child"

func TestMain(m *testing.M) {
	if os.Args[0] == asChild {
		describe(os.NewFile(uintptr(fdArg()), "report"))
		os.Exit(7)
	}
	os.Exit(m.Run())
}

func fdArg() (fd int) {
	_, _ = fmt.Sscan(os.Args[1], &fd)
	return fd
}

// describe writes where this process is and what it may do.
func describe(w io.Writer) {
	user, _ := os.Readlink("/proc/self/ns/user")
	pid, _ := os.Readlink("/proc/self/ns/pid")
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	_ = unix.Capget(&h, &d[0])
	groups, _ := os.Getgroups()
	fmt.Fprintf(w, "user=%s pid=%s init=%v uid=%d admin=%v groups=%d env=%s",
		user, pid, os.Getpid() == 1, os.Getuid(), d[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0, len(groups), os.Getenv("USERNS_TEST"))
}

// namespace starts a process in a user namespace of its own, in which this user is uid, and
// opens that namespace.
func namespace(t *testing.T, uid int) (fd int, name string) {
	t.Helper()
	cmd := exec.Command("sleep", "100")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: os.Getgid(), Size: 1}},
	}
	if err := cmd.Start(); err != nil {
		t.Skip("needs user namespaces:", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	path := fmt.Sprintf("/proc/%d/ns/user", cmd.Process.Pid)
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	name, err = os.Readlink(path)
	if err != nil {
		t.Fatal(err)
	}
	return fd, name
}

// start runs the child with attr and returns its description and exit status.
func start(t *testing.T, attr Attr) (string, int, error) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	fd, err := unix.FcntlInt(w.Fd(), unix.F_DUPFD, 3)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	pid, err := Start("/proc/self/exe", []string{asChild, fmt.Sprint(fd)}, attr)
	unix.Close(fd)
	if err != nil {
		return "", 0, err
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	var ws unix.WaitStatus
	if _, err := unix.Wait4(pid, &ws, 0, nil); err != nil {
		t.Fatal("wait:", err)
	}
	return string(out), ws.ExitStatus(), nil
}

func TestStart(t *testing.T) {
	t.Setenv("USERNS_TEST", "kept")
	root := os.Getuid() == 0
	tests := []struct {
		name string
		uid  int // of this user in the namespace
		attr Attr
		want []string
		root bool // needs to be root
	}{
		{"join", 0, Attr{}, []string{"init=false", "uid=0 ", "admin=true", "env=kept"}, false},
		{"capabilities without root", 1234, Attr{}, []string{"uid=1234 ", "admin=true"}, false},
		{"new PID namespace", 0, Attr{Unshare: unix.CLONE_NEWPID | unix.CLONE_NEWNS}, []string{"init=true", "admin=true"}, false},
		{"new PID namespace without root", 1234, Attr{Unshare: unix.CLONE_NEWPID}, []string{"init=true", "uid=1234 ", "admin=true"}, false},
		{"other user", 0, Attr{SetIDs: true, UID: 65534, GID: 65534}, []string{"uid=65534 ", "admin=true", "groups=0"}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.root && !root {
				t.Skip("needs root")
			}
			fd, name := namespace(t, tt.uid)
			tt.attr.UserNS = fd
			for range 20 {
				got, status, err := start(t, tt.attr)
				if err != nil {
					t.Fatal(err)
				}
				if status != 7 {
					t.Errorf("exit status: got %d, want 7", status)
				}
				for _, w := range append(tt.want, "user="+name) {
					if !strings.Contains(got+" ", w) {
						t.Fatalf("got %q, want %q in it", got, w)
					}
				}
			}
		})
	}
}

func TestStartFails(t *testing.T) {
	fd, _ := namespace(t, 0)
	own, err := unix.Open("/proc/self/ns/user", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(own)
	tests := []struct {
		name string
		path string
		attr Attr
		join bool
		want error
	}{
		{"our own namespace", "/proc/self/exe", Attr{UserNS: own}, true, unix.EINVAL},
		{"no namespace", "/proc/self/exe", Attr{UserNS: 0}, true, unix.EINVAL},
		{"no file", "/no/such/file", Attr{UserNS: fd}, false, unix.ENOENT},
		{"no file, second child", "/no/such/file", Attr{UserNS: fd, Unshare: unix.CLONE_NEWPID}, false, unix.ENOENT},
		{"wrong flags", "/proc/self/exe", Attr{UserNS: fd, Unshare: 1}, false, unix.EINVAL},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Start(tt.path, []string{asChild, "2"}, tt.attr)
			if !errors.Is(err, tt.want) || errors.Is(err, ErrJoin) != tt.join {
				t.Errorf("got %v, want %v, from joining: %v", err, tt.want, tt.join)
			}
			if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); pid > 0 {
				t.Errorf("left a child: %d, %v", pid, err)
			}
		})
	}
}
