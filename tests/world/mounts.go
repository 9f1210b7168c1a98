package world

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// prepareMounts hides what tests and the tools they start would write to, opens
// /dev/net/tun to users, and sets the resolver configuration. It returns a path at which
// the binary can be executed by any user.
func prepareMounts(binary string) (string, error) {
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
	for _, d := range []string{Scratch, "/run/netns"} {
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
	if binary == "" {
		return "", nil
	}
	return reachable(binary)
}

// prepareResolver puts the tests' resolver configuration in place of the file that
// /etc/resolv.conf stands for, which may have been in the hidden /run.
func prepareResolver(target string) error {
	text := "nameserver " + PeerV4 + "\nnameserver " + PeerV6 + "\nsearch " + strings.Join(SearchList, " ") + "\n"
	if err := os.WriteFile(Scratch+"/resolv.conf", []byte(text), 0o644); err != nil {
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
	if err := unix.Mount(Scratch+"/resolv.conf", target, "", unix.MS_BIND, ""); err != nil {
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
	if !AsRoot {
		return errors.New("/dev/net/tun is not open to users: chmod 666 /dev/net/tun")
	}
	node := Scratch + "/tun"
	if err := unix.Mknod(node, unix.S_IFCHR|0o666, int(unix.Mkdev(10, 200))); err != nil {
		return fmt.Errorf("making a tun node: %w", err)
	}
	if err := os.Chmod(node, 0o666); err != nil {
		return err
	}
	return unix.Mount(node, "/dev/net/tun", "", unix.MS_BIND, "")
}

// reachable returns path if every user can get there, or a copy under Scratch.
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
	to := Scratch + "/bin/" + filepath.Base(path)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return "", err
	}
	return to, CopyFile(real, to)
}

// CopyFile copies an executable.
func CopyFile(from, to string) error {
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
