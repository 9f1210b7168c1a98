package stage

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// sysctls by which systems forbid user namespaces, with the value that does.
var sysctls = []struct{ name, value, mend string }{
	{"user.max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=15000"},
	{"kernel.unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"},
	{"kernel.apparmor_restrict_unprivileged_userns", "1", "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"},
}

// explainNamespaces adds to err, which came of making namespaces, what the system is
// missing and the command that mends it, if that can be told. read returns the value of a
// sysctl; see readSysctl.
func explainNamespaces(err error, read func(string) string) error {
	denied := errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES)
	full := errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EUSERS)
	for _, s := range sysctls {
		if (denied || full) && read(s.name) == s.value {
			return fmt.Errorf("%w: user namespaces are switched off by %s=%s; as root: %s", err, s.name, s.value, s.mend)
		}
	}
	switch {
	case full:
		return fmt.Errorf("%w: too many namespaces, or nested too deeply; see the sysctls user.max_*_namespaces", err)
	case denied:
		return fmt.Errorf("%w: user namespaces are not allowed here (inside a chroot or a container?)", err)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("%w: this needs a kernel with CONFIG_USER_NS, CONFIG_NET_NS and CONFIG_PID_NS", err)
	}
	return err
}

// readSysctl returns the value of the sysctl called name, or "" if there is none.
func readSysctl(name string) string {
	b, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(name, ".", "/"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
