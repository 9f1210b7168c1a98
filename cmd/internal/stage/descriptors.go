package stage

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// letGo closes what the command alone should hold, now that it has its own copies:
// standard input and output, which become /dev/null, and the descriptors beyond 2 that
// the user passed. Otherwise the other end of a pipe that the command closes would see no
// end of file. All descriptors of this program are closed on exec; that is how the
// user's are told apart. Standard error stays, for our messages.
func letGo() error {
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open /dev/null: %w", err)
	}
	defer unix.Close(null)
	for _, fd := range []int{0, 1} {
		if err := unix.Dup3(null, fd, 0); err != nil {
			return fmt.Errorf("redirect descriptor %d: %w", fd, err)
		}
	}
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("list open descriptors: %w", err)
	}
	for _, n := range names {
		fd, err := strconv.Atoi(n.Name())
		if err != nil || fd <= 2 {
			continue
		}
		if fl, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && fl&unix.FD_CLOEXEC == 0 {
			unix.Close(fd)
		}
	}
	return nil
}
