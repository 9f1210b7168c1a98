package stage

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// identity is the user and group that the program runs as, by their numbers in the user
// namespace of the start stage.
type identity struct {
	UID, GID int
	Change   bool // they are not those that we were started with
}

// overflowID is the user and group nobody where no file says otherwise.
const overflowID = 65534

// identify finds out whom to run as, from the value of --runas, or "". By default that is
// nobody if we are root, other than in a container's user namespace, where root is somebody
// else already.
func identify(runas string) (id identity, err error) {
	id = identity{UID: os.Geteuid(), GID: os.Getegid()}
	own := id
	switch {
	case runas != "":
		if id.UID, id.GID, err = lookUp(runas); err != nil {
			return own, fmt.Errorf("--runas %s: %w", runas, err)
		}
	case own.UID == 0 && initialUserNS() && canChange():
		id.UID, id.GID = nobody()
	}
	if id == own {
		return own, nil
	}
	if !canChange() {
		return own, fmt.Errorf("--runas %s: this needs privileges (root, or CAP_SETUID and CAP_SETGID)", runas)
	}
	id.Change = true
	return id, nil
}

// initialUserNS says whether the user IDs here are those of the system.
func initialUserNS() bool {
	b, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && strings.Join(strings.Fields(string(b)), " ") == "0 0 4294967295"
}

// canChange says whether this process may change its user and group to any.
func canChange() bool {
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	const need = 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID
	return unix.Capget(&h, &d[0]) == nil && d[0].Effective&need == need
}

func nobody() (uid, gid int) {
	if uid, gid, err := lookUp("nobody"); err == nil {
		return uid, gid
	}
	return overflowID, overflowID
}

// lookUp reads UID, UID:GID, LOGIN or LOGIN:GROUP. Names are those of /etc/passwd and
// /etc/group.
func lookUp(s string) (uid, gid int, err error) {
	name, group, hasGroup := strings.Cut(s, ":")
	var u *user.User
	if _, err = number(name); err == nil {
		if u, err = user.LookupId(name); err != nil {
			u = &user.User{Uid: name, Gid: name} // a number needs no entry
		}
	} else if u, err = user.Lookup(name); err != nil {
		return 0, 0, errors.New("there is no such user in /etc/passwd")
	}
	if hasGroup {
		u.Gid = group
		if _, err := number(group); err != nil {
			g, err := user.LookupGroup(group)
			if err != nil {
				return 0, 0, errors.New("there is no such group in /etc/group")
			}
			u.Gid = g.Gid
		}
	}
	if uid, err = number(u.Uid); err != nil {
		return 0, 0, err
	}
	gid, err = number(u.Gid)
	return uid, gid, err
}

// number reads a user or group ID. All ones is none: it means "no change" to setresuid(2).
func number(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err == nil && n == 1<<32-1 {
		err = strconv.ErrRange
	}
	return int(n), err
}
