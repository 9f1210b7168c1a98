package stage

import (
	"golang.org/x/sys/unix"

	"passt/cmd/internal/sandbox"
)

// reveal makes the files of this process in /proc its user's, so that a namespace can be given
// an ID map. They are not if the program file has capabilities; and still no other
// process of the user can look into this one, which has more than they have (ptrace(2)).
func reveal() {
	if d, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err == nil && d != 1 {
		_ = unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0) // what needs it says so
	}
}

// confine takes from the start stage what it does not need once all is ready. It has the host's files
// to look at, and nothing of the guest's reaches it, so there is no more to it than that.
func (s *starter) confine() error {
	if id := s.c.RunAs; id.Change {
		if err := sandbox.SetUser(id.UID, id.GID); err != nil {
			return err
		}
	}
	return sandbox.Settle(s.kept())
}

// kept are the capabilities that stay, of those that there are.
func (s *starter) kept() []int {
	caps := []int{unix.CAP_NET_BIND_SERVICE} // for ports that are added later
	if s.c.Options.ConfigNet && s.c.Options.Joins() && !initialUserNS() {
		// To enter the network namespace again, if it belongs to the user namespace that we
		// are in, and to configure it. On the host, they are worth nothing.
		caps = append(caps, unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN)
	}
	return caps
}
