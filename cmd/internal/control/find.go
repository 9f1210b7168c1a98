package control

// Where instances are found: in the folder that the user's runtime directory has for them or,
// where there is none, root's in /run and others' below /tmp. A socket that a dead process left
// is removed by whoever comes across it.

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"passt/link/stream"
)

const suffix = ".sock"

// Folders are where the instances of this user may be, the preferred one first. One below /tmp
// can be taken by anybody, so it is the last.
func Folders() (out []string) {
	uid := os.Geteuid()
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) && ours(dir, uid) == nil {
		out = append(out, filepath.Join(dir, "passt"))
	}
	b, _ := os.ReadFile("/proc/self/uid_map") // without it, the number is that of our user namespace
	user := outside(string(b), uid)
	if user == 0 {
		out = append(out, "/run/passt")
	}
	return append(out, fmt.Sprintf("/tmp/passt-%d", user))
}

// outside is the user uid as the parent of our user namespace knows it, by the map of that
// (user_namespaces(7)): root of a container is not root, and all that a user starts, in
// containers and out of them, is in one place.
func outside(uidMap string, uid int) int {
	for line := range strings.Lines(uidMap) {
		var in, out, n int
		if _, err := fmt.Sscan(line, &in, &out, &n); err == nil && uid >= in && uid-in < n {
			return out + uid - in
		}
	}
	return uid
}

// ours says what keeps dir from being a folder of the user uid.
func ours(dir string, uid int) error {
	var st unix.Stat_t
	switch err := unix.Lstat(dir, &st); {
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT != unix.S_IFDIR, int(st.Uid) != uid:
		return fmt.Errorf("%s is no folder of this user", dir)
	}
	return nil
}

// Path is where the instance with the process number pid is to be found in dir.
func Path(dir string, pid int) string { return filepath.Join(dir, strconv.Itoa(pid)+suffix) }

// Listen makes the socket of an instance with the process number pid in the first folder where
// that can be done, and removes those of dead ones there.
func Listen(pid int) (path string, fd int, err error) {
	for _, dir := range Folders() {
		if path, fd, err = listenIn(dir, pid); err == nil {
			break
		}
	}
	return path, fd, err
}

func listenIn(dir string, pid int) (path string, fd int, err error) {
	if err := unix.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", -1, fmt.Errorf("make the folder %s: %w", dir, err)
	}
	if err := ours(dir, os.Geteuid()); err != nil {
		return "", -1, err
	}
	for _, p := range pids(dir) {
		// A number that is not in use here may be in another PID namespace.
		if unix.Kill(p, 0) == unix.ESRCH {
			alive(Path(dir, p))
		}
	}
	path = Path(dir, pid)
	fd, err = stream.Listen(path)
	return path, fd, err
}

// pids are the numbers that sockets in dir are named after.
func pids(dir string) (out []int) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), suffix)
		if pid, err := strconv.Atoi(name); ok && err == nil && pid > 0 {
			out = append(out, pid)
		}
	}
	return out
}

// alive says whether somebody serves path, and removes it if not.
func alive(path string) bool {
	err := stream.Probe(path)
	if err == syscall.ECONNREFUSED {
		_ = unix.Unlink(path) // it may be gone by now
	}
	return err == nil
}

// Found is a running instance.
type Found struct {
	Path string // of its control socket
	Identity
}

// running lists the user's instances, or the one with the process number pid if that is not 0. All
// are asked at once, so that one that is stuck costs a second and is listed by its number.
func running(pid int) (out []Found) {
	for _, dir := range Folders() {
		if ours(dir, os.Geteuid()) != nil {
			continue
		}
		for _, p := range pids(dir) {
			if path := Path(dir, p); (pid == 0 || p == pid) && alive(path) {
				out = append(out, Found{Path: path, Identity: Identity{PID: p}})
			}
		}
	}
	var asked sync.WaitGroup
	for i := range out {
		asked.Go(out[i].ask)
	}
	asked.Wait()
	return slices.DeleteFunc(out, func(f Found) bool { return f.Mode == "" && !alive(f.Path) })
}

// ask has the instance say what it is.
func (f *Found) ask() {
	r, err := call(f.Path, &Request{Cmd: CmdList}, lookPatience)
	if err != nil || r.Instance == nil {
		return // stuck, busy, or just ending
	}
	pid := f.PID
	f.Identity = *r.Instance
	f.PID = pid
}

// Which says which instance is meant; the zero Which, the only one.
type Which struct {
	PID    int    // of the process
	Socket string // the control socket, or what --socket or --conf-path names
	Name   string // of the namespace, of the guest's socket, or of the command
}

// Find finds the instance that w means.
func Find(w Which) (Found, error) {
	all := running(w.PID)
	var hits []Found
	for _, f := range all {
		if w.matches(&f) {
			hits = append(hits, f)
		}
	}
	switch {
	case len(hits) == 1:
		return hits[0], nil
	case len(hits) > 1:
		return Found{}, fmt.Errorf("more than one instance is meant; choose by --pid:\n%s", lines(hits))
	case w.Socket != "":
		return Found{Path: w.Socket}, nil // of another user, perhaps
	case len(all) == 0 && w.PID != 0:
		return Found{}, fmt.Errorf("no instance of this user has the process number %d", w.PID)
	case len(all) == 0:
		return Found{}, errors.New("no instance of this user is running")
	}
	return Found{}, fmt.Errorf("no such instance is running; there are:\n%s", lines(all))
}

func (w *Which) matches(f *Found) bool {
	switch {
	case w.PID != 0 && w.PID != f.PID:
		return false
	case w.Socket != "" && !same(w.Socket, f.Path) && !same(w.Socket, f.Identity.Socket) && !same(w.Socket, f.Conf):
		return false
	}
	return w.Name == "" || w.Name == filepath.Base(f.NetNS) || w.Name == f.Command ||
		w.Name == strings.TrimSuffix(filepath.Base(f.Identity.Socket), filepath.Ext(f.Identity.Socket)) ||
		w.Name == filepath.Base(f.Identity.Socket)
}

// same says whether two paths name one file.
func same(a, b string) bool {
	if b == "" {
		return false
	}
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

// lines describes instances, one on a line.
func lines(fs []Found) string {
	var b strings.Builder
	for i, f := range fs {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "  --pid %d  %s", f.PID, cmp.Or(f.Mode, "does not answer"))
		for _, s := range []string{f.Identity.Socket, f.NetNS, f.Command} {
			if s != "" {
				b.WriteString("  " + s)
			}
		}
	}
	return b.String()
}
