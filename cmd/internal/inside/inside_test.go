package inside

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"passt/cmd/internal/netns/nstest"
	"passt/l4/sock"
)

// another makes a network namespace and returns a descriptor of it.
func another(t *testing.T) int {
	fd := make(chan int)
	go func() {
		runtime.LockOSThread() // and the thread ends with the goroutine
		n := -1
		if err := unix.Unshare(unix.CLONE_NEWNET); err == nil {
			n, _ = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
		fd <- n
	}()
	n := <-fd
	if n < 0 {
		t.Fatal("no second network namespace")
	}
	return n
}

func TestThread(t *testing.T) {
	nstest.Run(t, func(t *testing.T) {
		ns := another(t)
		in, err := Open(ns)
		if err != nil {
			t.Fatal(err)
		}
		var want unix.Stat_t
		if err := unix.Fstat(ns, &want); err != nil {
			t.Fatal(err)
		}
		in.Do(func() {
			var got unix.Stat_t
			if err := unix.Stat("/proc/thread-self/ns/net", &got); err != nil || got.Ino != want.Ino {
				t.Errorf("the thread is in namespace %d, not %d: %v", got.Ino, want.Ino, err)
			}
		})
		// More than are ever ready, and each of the other namespace.
		for i := range 2 * many {
			for _, v4 := range []bool{true, false} {
				for _, stream := range []bool{true, false} {
					fd, e := in.Take(stream, v4)
					if e != 0 {
						t.Fatalf("socket %d: %v", i, e)
					}
					ino, err := unix.IoctlRetInt(fd, unix.SIOCGSKNS)
					if err != nil {
						t.Fatal(err)
					}
					var got unix.Stat_t
					if err := unix.Fstat(ino, &got); err != nil || got.Ino != want.Ino {
						t.Fatalf("socket %d is of namespace %d, not %d: %v", i, got.Ino, want.Ino, err)
					}
					unix.Close(ino)
					sock.Close(fd)
				}
			}
		}
	})
}

func TestOpenWrong(t *testing.T) {
	if _, err := Open(0); err == nil {
		t.Error("entered what is no namespace")
	}
}
