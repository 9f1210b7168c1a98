package stage

// A network namespace that exists: the start stage opens it and the user namespace to join
// first, and starts both later stages in that user namespace, side by side. They are
// connected by a socket, as they are when the translator starts the namespace stage. The
// namespace stage joins the network namespace, makes the tap and is done.

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"passt/cmd/internal/conf"
	"passt/cmd/internal/netns"
	"passt/cmd/internal/userns"
)

// netnsPath is the path of the network namespace that o names.
func netnsPath(o *conf.Options) string {
	if o.PID != 0 {
		return fmt.Sprintf("/proc/%d/ns/net", o.PID)
	}
	return o.NetNS
}

// openTarget opens the namespaces that the options name.
func (s *starter) openTarget() (err error) {
	o := &s.c.Options
	if s.userNS, err = openUserNS(o); err != nil {
		return err
	}
	t, warning, err := netns.OpenTarget(netnsPath(o), !o.NoNetNSQuit)
	switch {
	case errors.Is(err, unix.EACCES) && s.userNS >= 0:
		return nil // the namespace stage may have the right to do it, once it has joined the user namespace
	case err != nil:
		return explainTarget(err, o)
	case warning != "":
		s.log.Warn(warning)
	}
	s.c.Target = t
	return nil
}

// openUserNS opens the user namespace that is to be joined before the network namespace; -1
// if there is none.
func openUserNS(o *conf.Options) (int, error) {
	path := o.UserNS
	if path == "" && o.PID != 0 && !o.NetNSOnly {
		path = fmt.Sprintf("/proc/%d/ns/user", o.PID)
	}
	if path == "" {
		return -1, nil
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, explainTarget(fmt.Errorf("open user namespace %s: %w", path, err), o)
	}
	if kind, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE); err != nil || kind != unix.CLONE_NEWUSER {
		unix.Close(fd)
		return -1, fmt.Errorf("%s is no user namespace", path)
	}
	var a, b unix.Stat_t
	if unix.Fstat(fd, &a) == nil && unix.Stat("/proc/self/ns/user", &b) == nil && a.Dev == b.Dev && a.Ino == b.Ino {
		unix.Close(fd)
		return -1, nil // the kernel refuses to join the one that we are in
	}
	return fd, nil
}

// explainTarget adds to err, of opening a namespace, what is wrong with the PID.
func explainTarget(err error, o *conf.Options) error {
	switch {
	case o.PID == 0:
		return err
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESRCH):
		return fmt.Errorf("there is no process %d", o.PID)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: process %d belongs to somebody else", err, o.PID)
	}
	return err
}

// launchInTarget starts the namespace stage, and returns the translator's socket to it.
func (s *starter) launchInTarget() (sock int, err error) {
	sock, theirs, err := pair()
	if err != nil {
		return -1, err
	}
	defer unix.Close(theirs)
	d := s.c
	d.Target.Watch = netns.NoTarget.Watch
	start := forked(nil)
	if s.userNS >= 0 {
		start = joined(userns.Attr{UserNS: s.userNS})
	}
	pid, err := launch(argNamespace, &d, theirs, start)
	if err != nil {
		unix.Close(sock)
		return -1, explainJoin(err)
	}
	go wait(pid) // the translator hears of its end
	return sock, nil
}

// inTarget is the spawner of the translator.
func (s *starter) inTarget() spawner {
	const flags = unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWPID
	id := s.c.RunAs
	if s.userNS >= 0 {
		return joined(userns.Attr{UserNS: s.userNS, Unshare: flags, SetIDs: id.Change, UID: id.UID, GID: id.GID})
	}
	return forked(&syscall.SysProcAttr{Cloneflags: flags})
}

// explainJoin adds to err, of starting a stage for a namespace that exists, what to do.
func explainJoin(err error) error {
	switch {
	case errors.Is(err, userns.ErrJoin) && errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: it belongs to another user; start as that user, or as root", err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: to join a network namespace, this needs to be root (CAP_SYS_ADMIN) in the user namespace "+
			"that owns it; give that with --userns, or by the PID of a process in it", err)
	}
	return explainNamespaces(err, readSysctl)
}

// visit is the namespace stage for a namespace that exists. It hands to peer, the translator,
// the tap and the namespace.
func visit(c *config, peer int) error {
	runtime.LockOSThread()
	m := message{Kind: kindConfigured}
	t := c.Target
	var watch []int
	if t.FD < 0 {
		var warning string
		var err error
		if t, warning, err = netns.OpenTarget(netnsPath(&c.Options), !c.Options.NoNetNSQuit); err != nil {
			return explainTarget(err, &c.Options)
		}
		if warning != "" {
			m.Warnings = append(m.Warnings, warning)
		}
		m.Watch = &t.Watch
		watch = t.Watch.Present()
	}
	if err := netns.Join(t.FD); err != nil {
		return err
	}
	fds, err := furnish(c, &m)
	if err != nil {
		return err
	}
	return handOver(peer, m, append(append(fds, t.FD), watch...))
}
