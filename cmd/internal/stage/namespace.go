package stage

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// enter is the namespace stage. It returns an exit status only if it could not become the
// command, or if there is none.
func enter(c *config, parent int) int {
	into := become
	if c.Options.Joins() {
		into = visit
	}
	if err := into(c, parent); err != nil {
		code := statusOf(err)
		_ = send(parent, failed(code, err)) // if nobody is there, nobody wants to know
		return code
	}
	return 0
}

// become sets up the namespaces that this process is the first one in, hands the tap and the
// network namespace to parent and, when told to, turns into the command.
func become(c *config, parent int) error {
	m := message{Kind: kindConfigured, PID: hostPID()}
	if err := mountProc(); err != nil {
		m.Warnings = append(m.Warnings, err.Error())
	}
	if err := allowPing(); err != nil {
		m.Warnings = append(m.Warnings, err.Error())
	}
	netns, err := unix.Open("/proc/self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the network namespace: %w", err)
	}
	fds, err := furnish(c, &m)
	if err != nil {
		return err
	}
	if len(fds) > 0 {
		// An interface that isn't persistent goes when its last descriptor is closed, and the
		// end of the translator takes tens of milliseconds for it. This one goes with its
		// network namespace, in the background.
		if err := unix.IoctlSetInt(fds[0], unix.TUNSETPERSIST, 1); err != nil {
			return fmt.Errorf("keep the tap for as long as its namespace: %w", err)
		}
	}
	if err := handOver(parent, m, append(fds, netns)); err != nil {
		return err
	}
	if m, _, err = recv(parent); err != nil || m.Kind != kindGo {
		return nil // the translator is gone, or going
	}
	return c.Command.exec()
}

// furnish makes the tap, unless there is to be none, in the network namespace of this
// thread, configures both, and returns the tap's queues.
func furnish(c *config, m *message) (fds []int, err error) {
	if !c.Options.SpliceOnly {
		if fds, m.Features, m.IfName, err = steps.createTap(c.Network.IfName, 1); err != nil {
			return nil, err
		}
		m.Taps = len(fds)
	}
	warnings, err := steps.configure(&c.Network, m.IfName, &c.Options)
	if err != nil {
		return nil, err
	}
	m.Warnings = append(m.Warnings, warnings...)
	if m.IfName != "" {
		m.MAC, err = steps.mac(m.IfName)
	}
	return fds, err
}

// handOver sends m and fds to parent, and closes fds.
func handOver(parent int, m message, fds []int) error {
	if err := send(parent, m, fds...); err != nil {
		return fmt.Errorf("hand over the namespace: %w", err)
	}
	for _, fd := range fds {
		unix.Close(fd)
	}
	return nil
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
