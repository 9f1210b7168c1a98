package fwd

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/l3/inet"
	"passt/l4/sock"
)

// refs is a Poller that knows what was added.
type refs map[int]sock.Ref

func (r refs) Add(fd int, ref sock.Ref, _ uint32) bool { r[fd] = ref; return true }
func (r refs) Mod(int, sock.Ref, uint32) bool          { return true }
func (r refs) Del(fd int)                              { delete(r, fd) }

// upper is an Accepter that keeps what it gets.
type upper struct {
	fds []int
	to  inet.Endpoint
}

func (u *upper) Accept(fd int, _ inet.Endpoint, _ inet.Addr, to inet.Endpoint, _ int64) {
	u.fds = append(u.fds, fd)
	u.to = to
}

// door is Ports with one socket on the loopback address.
type door struct {
	*Ports
	t    *testing.T
	refs refs
	fd   int
	addr string
}

func newDoor(t *testing.T, d Direction, up Uppers) *door {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.(*net.TCPListener).File() // a duplicate, which closing l does not end
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	f.Close()
	l.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	r := refs{}
	p := &door{Ports: NewPorts(sock.NewTCP(sock.Outbound{}, sock.Outbound{}), up, r), t: t, refs: r, fd: fd, addr: l.Addr().String()}
	p.Add(&Listener{FD: fd, Dir: d, To: inet.Endpoint{Port: 80}})
	t.Cleanup(p.Close)
	return p
}

// knock connects to the socket, and has it accept.
func (p *door) knock() net.Conn {
	p.t.Helper()
	c, err := net.Dial("tcp", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { c.Close() })
	p.Event(p.refs[p.fd], 1)
	return c
}

func TestAccept(t *testing.T) {
	system, err := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name         string
		dir          Direction
		local, guest bool
		want         string
		calm         bool
	}{
		{"over the link", In, false, true, "guest", true},
		{"past the link", In, true, true, "local", false},
		{"no link", In, true, false, "local", false},
		{"out", Out, true, true, "out", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all := map[string]*upper{"guest": {}, "local": {}, "out": {}}
			up := Uppers{Out: all["out"]}
			if tt.local {
				up.Local = all["local"]
			}
			if tt.guest {
				up.Guest = all["guest"]
			}
			p := newDoor(t, tt.dir, up)
			p.knock()
			for name, u := range all {
				if (name == tt.want) != (len(u.fds) == 1) {
					t.Errorf("%s: %d connections", name, len(u.fds))
				}
			}
			u := all[tt.want]
			if len(u.fds) != 1 || u.to.Port != 80 {
				t.Fatalf("connections %v to port %d", u.fds, u.to.Port)
			}
			defer sock.Close(u.fds[0])
			want := string(system[:len(system)-1])
			if tt.calm {
				want = "reno"
			}
			if got, err := unix.GetsockoptString(u.fds[0], unix.IPPROTO_TCP, unix.TCP_CONGESTION); err != nil || got != want {
				t.Errorf("congestion control %q, %v; want %q", got, err, want)
			}
		})
	}
}

// TestAcceptRemote has a peer knock that is not on loopback.
func TestAcceptRemote(t *testing.T) {
	remote := inet.Endpoint{Addr: inet.V4([]byte{192, 0, 2, 1}), Port: 40000}
	guest, local := &upper{}, &upper{}
	f := Ports{up: Uppers{Guest: guest, Local: local}}
	if u := f.upper(In, &remote); u != guest {
		t.Errorf("with a link, %v takes it, want the guest's", u)
	}
	f.up.Guest = nil
	if u := f.upper(In, &remote); u != nil {
		t.Errorf("without a link, %v takes it, want nobody", u)
	}
}

// TestAcceptNobody wants a connection to be reset that nobody takes.
func TestAcceptNobody(t *testing.T) {
	p := newDoor(t, In, Uppers{})
	c := p.knock()
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client reads: %v; want a reset", err)
	}
	if p.Stats.Refused != 1 {
		t.Errorf("%d refused, want one", p.Stats.Refused)
	}
}

// deaf is a Poller that can watch no more.
type deaf struct{ refs }

func (deaf) Add(int, sock.Ref, uint32) bool { return false }

// TestAddUnwatched wants a socket that can't be watched to stay the caller's.
func TestAddUnwatched(t *testing.T) {
	p := newDoor(t, In, Uppers{})
	fd, e := sock.Dup(p.fd)
	if e != 0 {
		t.Fatal(e)
	}
	defer sock.Close(fd)
	p.poll = deaf{p.refs}
	if p.Add(&Listener{FD: fd}) {
		t.Error("added")
	}
	p.Remove([]Listener{{FD: fd}})
	if len(p.free) != 1 {
		t.Errorf("%d free places, want that of the one that was not added", len(p.free))
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
		t.Errorf("closed: %v", err)
	}
}

// TestAcceptStale has an event of a socket that is closed, and whose number has another one.
func TestAcceptStale(t *testing.T) {
	u := &upper{}
	p := newDoor(t, In, Uppers{Guest: u})
	old := p.refs[p.fd]
	p.Remove([]Listener{{FD: p.fd}})
	if len(p.refs) != 0 {
		t.Errorf("still watched: %v", p.refs)
	}
	p.Event(old, 1)
	q, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	f, err := q.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	fd, e := sock.Dup(int(f.Fd()))
	f.Close()
	if e != 0 {
		t.Fatal(e)
	}
	p.Add(&Listener{FD: fd})
	c, err := net.Dial("tcp", q.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p.Event(old, 1)
	if len(u.fds) != 0 {
		t.Error("an event of a closed socket accepted a connection of another one")
	}
}

// TestAcceptWithoutDescriptors wants a connection to be reset that there is no descriptor for.
func TestAcceptWithoutDescriptors(t *testing.T) {
	u := &upper{}
	p := newDoor(t, In, Uppers{Guest: u})
	c, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	withoutDescriptors(t, func() { p.Event(p.refs[p.fd], 1) })
	if len(u.fds) != 0 || p.Stats.Failed != 1 || p.spare < 0 {
		t.Errorf("accepted %v, %d failed, spare %d", u.fds, p.Stats.Failed, p.spare)
	}
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("the client reads: %v; want a reset", err)
	}
	p.knock()
	if len(u.fds) != 1 {
		t.Fatalf("then %d connections were accepted, want one", len(u.fds))
	}
	sock.Close(u.fds[0])
}

// TestAcceptSpareLost has somebody else get the spare descriptor. The first one that is free again
// must replace it: with that as a connection, there would be nothing to refuse the next one with.
func TestAcceptSpareLost(t *testing.T) {
	u := &upper{}
	p := newDoor(t, In, Uppers{Guest: u})
	lost := p.spare
	p.spare = -1
	c, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	withoutDescriptors(t, func() {
		p.Event(p.refs[p.fd], 1)
		if len(u.fds) != 0 || p.Stats.Failed != 0 || p.spare >= 0 {
			t.Errorf("without any: accepted %v, %d failed, spare %d", u.fds, p.Stats.Failed, p.spare)
		}
		sock.Close(lost)
		p.Event(p.refs[p.fd], 1)
	})
	if len(u.fds) != 0 || p.Stats.Failed != 1 || p.spare < 0 {
		t.Errorf("with one: accepted %v, %d failed, spare %d", u.fds, p.Stats.Failed, p.spare)
	}
}

// withoutDescriptors calls f while this process may have no more descriptors than it has.
func withoutDescriptors(t *testing.T, f func()) {
	t.Helper()
	var had syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &had); err != nil {
		t.Fatal(err)
	}
	least, e := sock.Spare() // has the lowest number that is free; the limit is one of numbers
	if e != 0 {
		t.Fatal(e)
	}
	sock.Close(least)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: uint64(least), Max: had.Max}); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &had)
	f()
}
