package sandbox

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"passt/link/sys"
)

// secureBits are SECBIT_NOROOT, SECBIT_NO_SETUID_FIXUP and SECBIT_NO_CAP_AMBIENT_RAISE,
// and the bits that lock these and SECBIT_KEEP_CAPS (capabilities(7)).
const (
	noSetuidFixup = 1 << 2

	secureBits = 1<<0 | 1<<1 | noSetuidFixup | 1<<3 | 1<<5 | 1<<6 | 1<<7
)

// Config says how the sandbox is to be.
type Config struct {
	Keep           []int // capabilities (CAP_* numbers) that stay
	ChrootFallback bool  // use chroot(2) where the root file system allows no pivot_root(2)
}

// SetUser changes the user and group of the process and drops its other groups, without
// taking capabilities away: that is for Enter or Settle, one of which must follow.
func SetUser(uid, gid int) error {
	// It takes effect on any later change of the user ID.
	if err := sys.PrctlAll(unix.PR_SET_SECUREBITS, noSetuidFixup); err != nil {
		return fmt.Errorf("keep capabilities while changing the user: %w", err)
	}
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("drop supplementary groups: %w", err)
	}
	if err := syscall.Setresgid(gid, gid, gid); err != nil {
		return fmt.Errorf("change to group %d: %w", gid, err)
	}
	if err := syscall.Setresuid(uid, uid, uid); err != nil {
		return fmt.Errorf("change to user %d: %w", uid, err)
	}
	return nil
}

// Enter isolates the process, which must have its own user and mount namespaces with all
// capabilities in them, in an order in which each step still has the privileges that it
// needs:
//
//  1. the root file system becomes an empty tmpfs that cannot be written to;
//  2. files that it would still create are its owner's only, and the process is not
//     dumpable: no core file, and no ptrace but by those who have power over the user
//     namespace, as processes outside of it have of the user who made it;
//  3. no execve gives any privileges, neither by a file's bits nor by user ID 0;
//  4. of the capabilities, only c.Keep stays.
//
// The bounding set is left alone: all it limits is what an execve can give, which is
// nothing after step 3, and it takes one call for each of 41 capabilities on every thread,
// five milliseconds of start-up. After an error the process may be anywhere between, and
// must end.
func Enter(c Config) error {
	if err := emptyRoot(c.ChrootFallback); err != nil {
		return err
	}
	unix.Umask(0o077)
	if err := harden(); err != nil {
		return err
	}
	if err := sys.PrctlAll(unix.PR_SET_SECUREBITS, secureBits); err != nil {
		return fmt.Errorf("give up the privileges of user ID 0: %w", err)
	}
	if err := sys.SetCaps(set(c.Keep)); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	return nil
}

// Settle is for a process that stays outside of any sandbox, and has little to do: it becomes
// not dumpable, no execve gives it any privileges, and of its capabilities, only those of
// keep stay.
func Settle(keep []int) error {
	if err := harden(); err != nil {
		return err
	}
	have, err := permitted()
	if err != nil {
		return fmt.Errorf("look at the capabilities: %w", err)
	}
	if err := sys.SetCaps(have & set(keep)); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	return nil
}

// harden makes the process not dumpable, and has no execve give it privileges.
func harden() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("make the process not dumpable: %w", err)
	}
	if err := sys.PrctlAll(unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
		return fmt.Errorf("give up new privileges: %w", err)
	}
	return nil
}

// Has says whether this process has a capability, of those that count in its own user namespace.
func Has(c int) bool {
	have, err := permitted()
	return err == nil && have&(1<<c) != 0
}

func permitted() (uint64, error) {
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	err := unix.Capget(&h, &d[0])
	return uint64(d[0].Permitted) | uint64(d[1].Permitted)<<32, err
}

func set(caps []int) (s uint64) {
	for _, c := range caps {
		s |= 1 << c
	}
	return s
}

// emptyRoot makes an empty tmpfs without room for anything the root of the process's
// mount namespace, and detaches all that was mounted before.
//
// The first root file system of the system, in an initramfs, can't be moved. A chroot is
// weaker: it holds back only a process that can't call chroot again, as is the case once
// the capabilities are gone, and that has no directory open outside of it, as is ours.
func emptyRoot(chrootFallback bool) error {
	// Mounts that still propagate would keep the old root from being moved.
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("stop mount propagation: %w", err)
	}
	const flags = unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOSUID | unix.MS_RDONLY
	var dir string
	var err error
	for _, dir = range []string{"/tmp", "/proc", "/dev", "/sys"} { // one of them must exist
		if err = unix.Mount("", dir, "tmpfs", flags, "nr_inodes=2,nr_blocks=1,mode=0500"); err == nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("mount an empty file system: %w", err)
	}
	if err := unix.Chdir(dir); err != nil {
		return fmt.Errorf("enter the empty file system: %w", err)
	}
	// With both arguments the same, the old root ends up mounted over the new one.
	err = unix.PivotRoot(".", ".")
	if err == unix.EINVAL && chrootFallback {
		if err := unix.Chroot("."); err != nil {
			return fmt.Errorf("chroot into the empty file system: %w", err)
		}
		return nil
	}
	if err == unix.EINVAL {
		return fmt.Errorf("pivot_root into the empty file system: %w; on an initramfs, give --chroot-fallback", err)
	}
	if err != nil {
		return fmt.Errorf("pivot_root into the empty file system: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
		return fmt.Errorf("detach the old root file system: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return fmt.Errorf("enter the empty root: %w", err)
	}
	return nil
}
