package stage

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// enter is the namespace stage. It returns an exit status only if it could not become the
// command.
func enter(c *config, parent int) int {
	if err := become(c, parent); err != nil {
		code := statusOf(err)
		_ = send(parent, failed(code, err)) // if nobody is there, nobody wants to know
		return code
	}
	return 0
}

// become sets up the namespaces that this process is the first one in, hands the tap to
// parent and, when told to, turns into the command.
func become(c *config, parent int) error {
	m := message{Kind: kindConfigured, PID: hostPID()}
	if err := mountProc(); err != nil {
		m.Warnings = append(m.Warnings, err.Error())
	}
	fds, features, name, err := steps.createTap(c.Network.IfName, 1)
	if err != nil {
		return err
	}
	m.Features, m.IfName = features, name
	// An interface that isn't persistent goes when its last descriptor is closed, and the
	// end of the translator takes tens of milliseconds for it. This one goes with its
	// network namespace, in the background.
	if err := unix.IoctlSetInt(fds[0], unix.TUNSETPERSIST, 1); err != nil {
		return fmt.Errorf("keep the tap for as long as its namespace: %w", err)
	}
	if err := allowPing(); err != nil {
		m.Warnings = append(m.Warnings, err.Error())
	}
	warnings, err := steps.configure(&c.Network, name, &c.Options)
	if err != nil {
		return err
	}
	m.Warnings = append(m.Warnings, warnings...)
	if m.MAC, err = steps.mac(name); err != nil {
		return err
	}
	if err := send(parent, m, fds...); err != nil {
		return fmt.Errorf("hand over the tap: %w", err)
	}
	for _, fd := range fds {
		unix.Close(fd)
	}
	if m, _, err = recv(parent); err != nil || m.Kind != kindGo {
		return nil // the translator is gone, or going
	}
	return c.Command.exec()
}

// hostPID is this process's number in the PID namespace of the /proc that we started
// with, or 0.
func hostPID() int {
	s, err := os.Readlink("/proc/self")
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}

// mountProc mounts a /proc that shows the command's PID namespace.
func mountProc() error {
	// Nothing of it may reach another mount namespace.
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("stop mount propagation: %w", err)
	}
	// A container that hides parts of /proc doesn't let us mount one that shows them.
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc for the namespace, so that processes in it see the host's numbers: %w", err)
	}
	return nil
}

// allowPing lets the one group that is mapped here use ping sockets.
func allowPing() error {
	const path = "/proc/sys/net/ipv4/ping_group_range"
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		_, err = unix.Write(fd, []byte("0 0"))
		unix.Close(fd)
	}
	if err != nil {
		return fmt.Errorf("allow ping sockets in the namespace: %s: %w", path, err)
	}
	return nil
}
