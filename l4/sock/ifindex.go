package sock

import "golang.org/x/sys/unix"

// IfIndex is the index of the interface called name in the calling thread's network namespace,
// 0 if there is none (SIOCGIFINDEX, netdevice(7)). It works in the sandbox, where there are no
// netlink sockets to list interfaces with.
func IfIndex(name string) uint32 {
	r, err := unix.NewIfreq(name)
	if err != nil {
		return 0
	}
	fd, e := New(false, true)
	if e != 0 {
		return 0
	}
	defer Close(fd)
	if unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, r) != nil {
		return 0
	}
	return r.Uint32()
}
