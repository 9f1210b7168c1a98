package sandbox

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/link/sys"
)

// The test binary plays a part that this variable names, behind the filter.
const partVar = "SANDBOX_PART"

// noFilter is the exit status that says that there can't be one.
const noFilter = 77

func TestMain(m *testing.M) {
	if name := os.Getenv(partVar); name != "" {
		os.Exit(play(name))
	}
	os.Exit(m.Run())
}

// before is what a part finds that was there before the filter.
type before struct {
	dir  string   // of the test, which may be written to
	pair [2]int   // connected UNIX sockets
	file *os.File // open for writing
}

func play(name string) int {
	var b before
	err := func() (err error) {
		b.dir = os.Getenv("TMPDIR")
		if b.pair, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		if b.file, err = os.Create(filepath.Join(b.dir, "file")); err != nil {
			return err
		}
		for range 4 {
			sleepingThread() // the filter is for those that there are, too
		}
		return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) // no core files
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "before the filter:", err)
		return 1
	}
	if err = sys.PrctlAll(unix.PR_SET_NO_NEW_PRIVS, 1); err == nil {
		err = Filter()
	}
	if err != nil {
		fmt.Fprint(os.Stderr, err)
		return noFilter
	}
	if err := parts[name](&b); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// sleepingThread starts a thread that stays.
func sleepingThread() {
	there := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		close(there)
		select {}
	}()
	<-there
}

// parts are what is played behind the filter, by the names of subtests.
var parts = make(map[string]func(*before) error)

// run plays the part name and returns its process at its end, and what it wrote.
func run(t *testing.T, name string) (*os.ProcessState, string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), partVar+"="+name, "TMPDIR="+t.TempDir())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	skipWithout(t, cmd.ProcessState, out.String())
	return cmd.ProcessState, out.String()
}

func skipWithout(t *testing.T, s *os.ProcessState, out string) {
	t.Helper()
	if s.ExitCode() == noFilter {
		t.Skipf("no filter here: %s", out)
	}
}

// call is a system call of which only the error matters.
func call(nr uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	if _, _, e := syscall.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5]); e != 0 {
		return e
	}
	return nil
}

// fatal are parts that must not live.
var fatal = map[string]func(*before) error{
	"execute": func(*before) error { return syscall.Exec("/proc/self/exe", []string{"x"}, nil) },
	"start a program": func(*before) error {
		_, err := syscall.ForkExec("/proc/self/exe", []string{"x"}, nil)
		return err
	},
	"write a file":          func(b *before) error { return os.WriteFile(filepath.Join(b.dir, "new"), []byte("x"), 0o600) },
	"change a file":         func(b *before) error { _, err := os.OpenFile(b.file.Name(), os.O_RDWR, 0); return err },
	"trace a process":       func(*before) error { return unix.PtraceAttach(os.Getppid()) },
	"read another's memory": func(*before) error { return call(unix.SYS_PROCESS_VM_READV, uintptr(os.Getppid())) },
	"mount":                 func(*before) error { return unix.Mount("none", "/", "tmpfs", 0, "") },
	"leave the root":        func(*before) error { return unix.Chroot("/") },
	"new user namespace":    func(*before) error { return unix.Unshare(unix.CLONE_NEWUSER) },
	"join a namespace":      func(b *before) error { return unix.Setns(b.pair[0], 0) },
	"executable memory": func(*before) error {
		_, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON)
		return err
	},
	"memory becomes executable": func(*before) error {
		m, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err == nil {
			err = unix.Mprotect(m, unix.PROT_READ|unix.PROT_EXEC)
		}
		return err
	},
	"a file in memory": func(*before) error { _, err := unix.MemfdCreate("x", 0); return err },
	"io_uring":         func(*before) error { return call(unix.SYS_IO_URING_SETUP, 1) },
	"bpf":              func(*before) error { return call(unix.SYS_BPF) },
	"user ID":          func(*before) error { return call(unix.SYS_SETUID, uintptr(os.Getuid())) },
	"another filter":   func(*before) error { return call(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL) },
}

func TestFatal(t *testing.T) {
	for name := range fatal {
		t.Run(name, func(t *testing.T) {
			state, out := run(t, name)
			if ws := state.Sys().(syscall.WaitStatus); !ws.Signaled() || ws.Signal() != unix.SIGSYS {
				t.Errorf("%v, want death by SIGSYS\n%s", state, out)
			}
		})
	}
}

// refused are parts that fail with an error.
var refused = map[string]struct {
	f    func(*before) error
	want error
}{
	"netlink": {func(*before) error { _, err := net.Interfaces(); return err }, unix.EPERM},
	"UNIX socket": {func(*before) error {
		_, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		return err
	}, unix.EPERM},
	"packets": {func(*before) error {
		_, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
		return err
	}, unix.EPERM},
	"filter of a socket": {func(b *before) error {
		return unix.SetsockoptInt(b.pair[0], unix.SOL_SOCKET, unix.SO_ATTACH_BPF, 0)
	}, unix.EPERM},
	"typing for the user": {func(*before) error { return unix.IoctlSetInt(0, unix.TIOCSTI, 0) }, unix.EPERM},
	"dumpable":            {func(*before) error { return unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0) }, unix.EPERM},
	"read a file":         {func(b *before) error { _, err := os.ReadFile(b.file.Name()); return err }, unix.ENOENT},
	"clone3":              {func(*before) error { return call(unix.SYS_CLONE3) }, unix.ENOSYS},
	"something newer":     {func(*before) error { return call(4000) }, unix.ENOSYS},
}

func TestRefused(t *testing.T) {
	for name := range refused {
		t.Run(name, func(t *testing.T) {
			if state, out := run(t, name); !state.Success() {
				t.Errorf("%v\n%s", state, out)
			}
		})
	}
}

// working are parts of what the runtime and we do.
var working = map[string]func(*before) error{
	"threads": func(*before) error {
		for range 16 {
			sleepingThread()
		}
		return nil
	},
	"memory": func(*before) error {
		var keep [][]byte
		for range 64 {
			b := make([]byte, 1<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			keep = append(keep, b)
		}
		runtime.KeepAlive(keep)
		keep = nil
		debug.FreeOSMemory()
		return nil
	},
	"time": func(*before) error {
		begin := time.Now()
		time.Sleep(5 * time.Millisecond)
		if time.Since(begin) < 5*time.Millisecond {
			return errors.New("no time has passed")
		}
		return nil
	},
	// Longer than the runtime lets a goroutine run on, and than it takes to look at the CPUs again.
	"preemption": func(*before) error {
		runtime.GOMAXPROCS(1)
		go func() {
			for n := uint64(1); n != 0; n++ {
			}
		}()
		for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end); {
			runtime.Gosched()
		}
		return nil
	},
	"random numbers": func(*before) error { _, err := rand.Read(make([]byte, 64)); return err },
	"signals": func(*before) error {
		c := make(chan os.Signal, 1)
		signal.Notify(c, unix.SIGTERM)
		if err := unix.Kill(os.Getpid(), unix.SIGTERM); err != nil {
			return err
		}
		<-c
		return nil
	},
	"open files": func(b *before) error {
		if _, err := unix.Pwrite(int(b.file.Fd()), []byte("abcdef"), 0); err != nil {
			return err
		}
		if err := unix.Ftruncate(int(b.file.Fd()), 3); err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Fstat(int(b.file.Fd()), &st); err != nil || st.Size != 3 {
			return fmt.Errorf("%w, %d bytes", err, st.Size)
		}
		return unix.Dup3(int(b.file.Fd()), 2, 0)
	},
	"poller of the runtime": func(b *before) error {
		f := os.NewFile(uintptr(b.pair[0]), "socket")
		c, err := net.FileConn(f)
		if err != nil {
			return err
		}
		if err := c.SetDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			return err
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("read from nobody: %w", err)
		}
		return c.Close()
	},
	"TCP": func(*before) error {
		l, e := sys.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if e != 0 {
			return e
		}
		sys.SetInt(l, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		if err := unix.Bind(l, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return err
		}
		if e := sys.Listen(l, 1); e != 0 {
			return e
		}
		at, err := unix.Getsockname(l)
		if err != nil {
			return err
		}
		c, e := sys.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if e != 0 {
			return e
		}
		if err := unix.Connect(c, at); err != nil && err != unix.EINPROGRESS {
			return err
		}
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(l), Events: unix.POLLIN}}, 1000); err != nil {
			return err
		}
		s, _, e := sys.Accept(l, make([]byte, unix.SizeofSockaddrInet4))
		if e != 0 {
			return e
		}
		if e := sys.SetInt(s, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); e != 0 {
			return e
		}
		if _, e := sys.Send(s, []byte("x"), 0); e != 0 {
			return e
		}
		if _, e := sys.OutQueue(s); e != 0 {
			return e
		}
		return nil
	},
	"pipes": func(*before) error {
		r, w, e := sys.Pipe()
		if e != 0 {
			return e
		}
		if _, e := sys.SetPipeSize(w, 1<<16); e != 0 {
			return e
		}
		if _, e := sys.Splice(r, w, 1); e != unix.EAGAIN && e != unix.EINVAL {
			return e
		}
		if _, e := sys.Dup(r); e != 0 {
			return e
		}
		return nil
	},
}

func TestWorking(t *testing.T) {
	for name := range working {
		t.Run(name, func(t *testing.T) {
			if state, out := run(t, name); !state.Success() {
				t.Errorf("%v\n%s", state, out)
			}
		})
	}
}

func TestPanic(t *testing.T) {
	state, out := run(t, "panic")
	if state.ExitCode() != 2 || !strings.Contains(out, "panic: for the test") || !strings.Contains(out, "goroutine 1") {
		t.Errorf("%v, want exit status 2 and a trace\n%s", state, out)
	}
}

// TestAllThreads looks at threads that were there before the filter, and at later ones.
func TestAllThreads(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), partVar+"=wait", "TMPDIR="+t.TempDir())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	status, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, s := range status {
		b, err := os.ReadFile(s)
		if err != nil {
			continue // that thread has ended
		}
		if n++; line != "" && !strings.Contains(string(b), "\nSeccomp:\t2\n") {
			t.Errorf("%s: no filter", s)
		}
	}
	in.Close()
	_ = cmd.Wait() // its state says it
	skipWithout(t, cmd.ProcessState, stderr.String())
	if line != "ready\n" || n < 20 {
		t.Errorf("%d threads, the part said %q: %v\n%s", n, line, cmd.ProcessState, stderr.String())
	}
}

func init() {
	for name, f := range fatal {
		parts[name] = f
	}
	for name, r := range refused {
		parts[name] = func(b *before) error {
			if err := r.f(b); !errors.Is(err, r.want) {
				return fmt.Errorf("%w, want %w", err, r.want)
			}
			return nil
		}
	}
	for name, f := range working {
		parts[name] = f
	}
	parts["panic"] = func(*before) error { panic("for the test") }
	parts["wait"] = func(b *before) error {
		if err := working["threads"](b); err != nil {
			return err
		}
		fmt.Println("ready")
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	}
}
