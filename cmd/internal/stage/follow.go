package stage

// The host's network while the guest runs. The start stage notices a change, finds out what
// the guest gets now, and says so to the translator. A namespace that was configured by us
// at the start (--config-net) is configured anew by a process that is there for this
// moment only: it joins the user namespace that owns the network namespace, which whoever
// created that may do, and gets all it needs by that.

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"passt/cmd/internal/hostinfo"
	"passt/cmd/internal/hostwatch"
	"passt/cmd/internal/netns"
	"passt/cmd/internal/userns"
)

func watchHost(log *slog.Logger) *hostwatch.Watch {
	w, err := hostwatch.Open(hostinfo.ResolvPath)
	if err != nil {
		log.Debug("changes of the host's network will not be noticed", "error", err)
		return nil
	}
	return w
}

// follower is what follows the host's network.
type follower struct {
	s      *starter
	sock   int // to the translator
	netns  int // the namespace to keep configured; -1 if there is none
	now    *hostinfo.Network
	warned bool // that the namespace can't be configured
}

// follow follows the host's network from now on, for the namespace of fds, if there is one,
// whose interface is called ifname.
func (s *starter) follow(sock int, ifname string, fds []int) {
	f := &follower{s: s, sock: sock, netns: -1, now: &s.c.Network}
	f.now.IfName = ifname
	if len(fds) > 0 && ifname != "" {
		f.netns = fds[0]
	}
	if s.watch != nil {
		go s.watch.Follow(f.look)
	}
}

// stopFollowing ends what follow began, if it did. The kernel takes its time for that, so it
// happens beside the end of the translator.
func (s *starter) stopFollowing() {
	if s.watch != nil {
		go s.watch.Close()
	}
}

// look finds out whether the guest gets something else now.
func (f *follower) look() {
	defer debug.FreeOSMemory()
	next, err := steps.again(f.now, &f.s.c.Options)
	if err != nil || next.Equal(f.now) {
		return // an interface of the options may come back
	}
	before := f.now
	f.now = next
	_ = send(f.sock, message{Kind: kindNetwork, Network: next.Outline(), Text: "the host's network has changed: " + next.String()})
	if f.netns < 0 {
		return
	}
	warnings, err := f.configure(before)
	if err != nil && !f.warned {
		f.warned = true
		warnings = append(warnings, fmt.Sprintf("the namespace keeps its addresses and routes: %v", err))
	}
	if len(warnings) > 0 {
		_ = send(f.sock, message{Kind: kindNote, Warnings: warnings})
	}
}

// configure makes the namespace, which has what before says, have what there is now.
func (f *follower) configure(before *hostinfo.Network) ([]string, error) {
	start, err := intoOwner(f.netns)
	if err != nil {
		return nil, err
	}
	ours, theirs, err := pair()
	if err != nil {
		return nil, err
	}
	defer unix.Close(ours)
	c := newConfig(&f.s.c.Options)
	c.Network, c.Before, c.Target.FD, c.Words = *f.now, before, f.netns, nil
	pid, err := launch(argUpdate, &c, theirs, start)
	unix.Close(theirs)
	if err != nil {
		return nil, err
	}
	m, _, err := recv(ours)
	ws := wait(pid)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the process to configure it ended unexpectedly (%s)", describeStatus(ws))
	case m.Kind == kindFailed:
		return nil, errors.New(m.Text)
	}
	return m.Warnings, nil
}

// intoOwner is the spawner of a process in the user namespace that owns the network
// namespace netns.
func intoOwner(fd int) (spawner, error) {
	owner, err := unix.IoctlRetInt(fd, unix.NS_GET_USERNS)
	if err != nil {
		return nil, fmt.Errorf("find the user namespace that owns it: %w", err)
	}
	unix.CloseOnExec(owner)
	var a, b unix.Stat_t
	if unix.Fstat(owner, &a) == nil && unix.Stat("/proc/self/ns/user", &b) == nil && a.Dev == b.Dev && a.Ino == b.Ino {
		unix.Close(owner)
		return forked(nil), nil
	}
	join := joined(userns.Attr{UserNS: owner})
	return func(argv []string) (int, error) {
		defer unix.Close(owner)
		return join(argv)
	}, nil
}

// update is the stage that configures a namespace anew. It returns the exit status.
func update(c *config, peer int) int {
	runtime.LockOSThread()
	err := netns.Join(c.Target.FD)
	var warnings []string
	if err == nil {
		warnings, err = steps.update(c.Before, &c.Network, c.Network.IfName, &c.Options)
	}
	if err != nil {
		_ = send(peer, failed(exitFailure, err)) // if nobody is there, nobody wants to know
		return exitFailure
	}
	if err := send(peer, message{Kind: kindConfigured, Warnings: warnings}); err != nil {
		return exitFailure
	}
	return 0
}
