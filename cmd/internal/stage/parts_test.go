package stage

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/cmd/internal/conf"
	"passt/cmd/internal/hostinfo"
)

func TestConfigTravels(t *testing.T) {
	c := &config{
		Options: conf.Options{
			Addr: [2]netip.Prefix{netip.PrefixFrom(netip.MustParseAddr("192.0.2.1"), -1), netip.MustParsePrefix("2001:db8::1/64")},
			MTU:  1500, Mask: -1,
		},
		Network: hostinfo.Network{IfName: "eth0", MTU: 65520},
		Command: command{Name: "sh", Path: "/bin/sh", Args: []string{"sh", "-c", "a\xffb"}},
		Words:   []string{"\xe9"},
		Start:   time.Unix(5, 7).UTC(),
		Pcap:    -1,
	}
	fd, err := c.seal()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := unix.Pwrite(fd, []byte("x"), 0); err != unix.EPERM {
		t.Errorf("write to the sealed file: got %v, want EPERM", err)
	}
	got, err := unseal(fd)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Options, c.Options) || !reflect.DeepEqual(got.Network, c.Network) || !reflect.DeepEqual(got.Command, c.Command) || !reflect.DeepEqual(got.Words, c.Words) || !got.Start.Equal(c.Start) {
		t.Errorf("got %+v, want %+v", got, c)
	}
}

func TestUnsealRefuses(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := unix.MemfdCreate("open", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(m)
	for name, fd := range map[string]int{"file": int(f.Fd()), "unsealed": m, "closed": 9999} {
		if _, err := unseal(fd); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestInternalNames: the name of a later stage alone does nothing.
func TestInternalNames(t *testing.T) {
	for _, name := range []string{argTranslator, argNamespace} {
		for _, args := range [][]string{nil, {"0", "1"}, {"x", "y"}, {"-1", "-1"}} {
			c := exec.Command("/proc/self/exe")
			c.Args = append([]string{name}, args...)
			out, err := c.CombinedOutput()
			if err == nil || !strings.HasPrefix(string(out), "pasta: this name is for internal use: ") {
				t.Errorf("%q %q: %v, %q", name, args, err, out)
			}
		}
	}
}

func TestFindCommand(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, mode os.FileMode) {
		t.Helper()
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	write("a/data", 0o644)
	write("b/data", 0o755)
	write("b/prog", 0o755)
	write("c/only", 0o644)
	write("here", 0o755)
	write("d/sub/x", 0o755)
	tests := []struct {
		name, path, word string
		want             string
		code             int
	}{
		{"second directory", "a:b", "prog", "b/prog", 0},
		{"not executable, another one is", "a:b", "data", "b/data", 0},
		{"not executable anywhere", "c:b", "only", "", 126},
		{"nowhere", "a:b", "none", "", 127},
		{"empty directory is the current one", ":b", "here", "./here", 0},
		{"slash skips PATH", "a:b", "./b/prog", "./b/prog", 0},
		{"file as a directory", "here:b", "prog", "b/prog", 0},
		{"a directory is no command", "d:b", "sub", "", 126},
		{"path through a file", "", "here/x", "", 127},
	}
	t.Chdir(dir)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("PATH", tt.path)
			c, err := findCommand([]string{tt.word, "arg"})
			if tt.code != 0 {
				if err == nil || statusOf(err) != tt.code {
					t.Errorf("got %q, %v; want status %d", c.Path, err, tt.code)
				}
				return
			}
			if err != nil || c.Path != tt.want || len(c.Args) != 2 {
				t.Errorf("got %+v, %v; want %s", c, err, tt.want)
			}
		})
	}
}

func TestExplainNamespaces(t *testing.T) {
	tests := []struct {
		name    string
		err     error
		sysctls map[string]string
		want    string
	}{
		{"sysctl of Debian", unix.EPERM, map[string]string{"kernel.unprivileged_userns_clone": "0"}, "sysctl -w kernel.unprivileged_userns_clone=1"},
		{"AppArmor", unix.EACCES, map[string]string{"kernel.apparmor_restrict_unprivileged_userns": "1"}, "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"},
		{"none allowed", unix.ENOSPC, map[string]string{"user.max_user_namespaces": "0"}, "sysctl -w user.max_user_namespaces=15000"},
		{"all used up", unix.ENOSPC, map[string]string{"user.max_user_namespaces": "100"}, "user.max_*_namespaces"},
		{"container", unix.EPERM, nil, "container"},
		{"kernel", unix.EINVAL, nil, "CONFIG_USER_NS"},
		{"something else", unix.ENOMEM, nil, "cannot allocate memory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := explainNamespaces(fmt.Errorf("fork: %w", tt.err), func(n string) string { return tt.sysctls[n] })
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, want %q in it", err, tt.want)
			}
		})
	}
}

func TestCaught(t *testing.T) {
	tests := []struct {
		name, status string
		want         bool
	}{
		{"handler", "Name:\tx\nSigCgt:\t0000000000004002\nX:\n", true},
		{"none", "Name:\tx\nSigCgt:\t0000000000000000\nX:\n", false},
		{"another", "Name:\tx\nSigCgt:\t0000000000000002", false},
		{"no such line", "Name:\tx\n", true},
		{"nonsense", "\nSigCgt:\tzz\n", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := caught([]byte(tt.status), unix.SIGTERM); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// TestUnprivileged runs the program as a user with no privileges, if the tests run as root.
func TestUnprivileged(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the other tests are unprivileged already")
	}
	if st, err := os.Stat("/dev/net/tun"); err != nil || st.Mode().Perm()&0o006 != 0o006 {
		t.Skip("/dev/net/tun is not open to everybody")
	}
	r := pasta(t, conf.Options{RunAs: "65534"}, "sh", "-c", "id -u; grep -c stub0 /proc/net/dev; exit 6")
	b, err := os.ReadFile(r.Path)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/tmp", "stage") // t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r.Path = filepath.Join(dir, "pasta")
	if err := os.WriteFile(r.Path, b, 0o755); err != nil {
		t.Fatal(err)
	}
	r.Dir = "/"
	r.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if got := r.finish(t); got != 6 {
		t.Errorf("exit status: got %d, want 6; stderr: %s", got, r.errs.String())
	}
	if got, want := r.out.String(), "0\n1\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestHostSocket has two instances make a socket at one path, of which somebody has removed the first.
func TestHostSocket(t *testing.T) {
	t.Chdir(t.TempDir())
	first, fd1, err := listenAt("socket")
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd1)
	if err := os.Remove("socket"); err != nil {
		t.Fatal(err)
	}
	second, fd2, err := listenAt("socket")
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd2)
	first.remove()
	if _, err := os.Lstat("socket"); err != nil {
		t.Errorf("the first one has removed the second: %v", err)
	}
	path := second.path
	if !filepath.IsAbs(path) {
		t.Errorf("%s is not to be found from another folder", path)
	}
	second.remove()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

// TestNonsense has a translator say what makes no sense, and not end.
func TestNonsense(t *testing.T) {
	ours, theirs, err := pair()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ours)
	defer unix.Close(theirs)
	pid, err := syscall.ForkExec("/bin/sleep", []string{"sleep", "100"}, &syscall.ProcAttr{})
	if err != nil {
		t.Skip("no sleep to be a translator:", err)
	}
	if err := unix.Sendmsg(theirs, []byte("{"), nil, nil, 0); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := newStarter(newConfig(&conf.Options{}), -1).supervise(pid, ours)
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil {
			t.Error("no error")
		}
	case <-time.After(10 * time.Second):
		_ = unix.Kill(pid, unix.SIGKILL)
		t.Error("still waiting for it")
	}
}
