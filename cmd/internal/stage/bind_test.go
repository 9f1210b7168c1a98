package stage

import (
	"net/netip"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"passt/l3/inet"
	"passt/l4/sock"
)

func TestBindLow(t *testing.T) {
	name := func(addr string, port uint16) []byte {
		var a sock.Addr
		return a.Put(&inet.Endpoint{Addr: inet.FromNetip(netip.MustParseAddr(addr)), Port: port}, 0)
	}
	socket := func(domain, typ, proto int) []int {
		fd, err := unix.Socket(domain, typ|unix.SOCK_CLOEXEC, proto)
		if err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		return []int{fd}
	}
	tcp := func() []int { return socket(unix.AF_INET, unix.SOCK_STREAM, 0) }
	udp6 := func() []int { return socket(unix.AF_INET6, unix.SOCK_DGRAM, 0) }
	// The test has ports that anybody may bind; the limit is what the rule goes by.
	const low, from = 47113, 50000
	for _, tc := range []struct {
		name string
		fds  []int
		at   []byte
		may  bool
		want syscall.Errno
	}{
		{"TCP", tcp(), name("127.0.0.1", low), true, 0},
		{"UDP over IPv6", udp6(), name("::1", low), true, 0},
		{"no right to", tcp(), name("127.0.0.1", low+1), false, unix.EACCES},
		{"a port that anybody may bind", tcp(), name("127.0.0.1", from), true, unix.EACCES},
		{"no port", tcp(), name("127.0.0.1", 0), true, unix.EACCES},
		{"no socket", nil, name("127.0.0.1", low+1), true, unix.EACCES},
		{"two sockets", append(tcp(), tcp()...), name("127.0.0.1", low+1), true, unix.EACCES},
		{"not a socket", func() []int {
			var p [2]int
			if err := unix.Pipe(p[:]); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { closeAll(p[:]) })
			return p[:1]
		}(), name("127.0.0.1", low+1), true, unix.EINVAL},
		{"a UNIX socket", socket(unix.AF_UNIX, unix.SOCK_STREAM, 0), name("127.0.0.1", low+1), true, unix.EINVAL},
		{"an address of another version", tcp(), name("::1", low+1), true, unix.EINVAL},
		{"an address too short", tcp(), name("127.0.0.1", low+1)[:8], true, unix.EINVAL},
		{"an address of another family", tcp(), append([]byte{byte(unix.AF_UNIX), 0}, name("127.0.0.1", low+1)[2:]...), true, unix.EINVAL},
		{"in use", tcp(), name("127.0.0.1", low), true, unix.EADDRINUSE},
	} {
		if e := bindLow(tc.fds, tc.at, tc.may, from); e != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, e, tc.want)
		}
	}
}

// TestBinder: requests of several goroutines, and the end of who answers.
func TestBinder(t *testing.T) {
	ours, theirs, err := pair()
	if err != nil {
		t.Fatal(err)
	}
	b := binder{sock: ours, answers: make(chan syscall.Errno, 1), ended: make(chan struct{})}
	b.answer(unix.EPERM) // of a request that there was none of; it is taken by the first
	if e := <-b.answers; e != unix.EPERM {
		t.Fatal(e)
	}
	go func() { // the start stage, which answers with the first byte of the name
		for {
			m, fds, err := recv(theirs)
			if err != nil {
				return
			}
			closeAll(fds)
			_ = send(theirs, message{Kind: kindBound, Code: int(m.Name[0])})
		}
	}()
	go func() { // the translator's listen
		defer close(b.ended)
		for {
			m, _, err := recv(ours)
			if err != nil {
				return
			}
			b.answer(syscall.Errno(m.Code))
		}
	}()
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if e := b.request(0, []byte{byte(i)}); e != syscall.Errno(i) {
				t.Errorf("got %d, want %d", e, i)
			}
		})
	}
	wg.Wait()
	unix.Shutdown(theirs, unix.SHUT_RDWR)
	<-b.ended
	if e := b.request(0, []byte{1}); e != unix.EACCES {
		t.Errorf("got %v after the end", e)
	}
	closeAll([]int{ours, theirs})
}
