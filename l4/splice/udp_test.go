package splice

import (
	"net"
	"syscall"
	"testing"
	"time"

	"passt/l3/inet"
	"passt/l4/sock"
	"passt/l4/wheel"
	"passt/link/sys"
	"passt/nat"
)

// here is a Provider whose namespace is the test's.
type here struct{}

func (here) Take(stream, v4 bool) (int, syscall.Errno) { return sock.New(stream, v4) }

// udpRig is a UDP with one port, real sockets, and a server that it leads to.
type udpRig struct {
	t      *testing.T
	udp    *UDP
	epoll  *sys.Epoll
	wheel  *wheel.Wheel
	now    int64
	server *net.UDPConn
	client net.Conn
	fd     int
	errors []inet.Endpoint
}

func loopback(port int) inet.Endpoint {
	return inet.Endpoint{Addr: inet.V4([]byte{127, 0, 0, 1}), Port: uint16(port)}
}

func newUDPRig(t *testing.T) *udpRig {
	r := &udpRig{t: t, now: second, wheel: wheel.New(second)}
	var err error
	if r.epoll, err = sys.NewEpoll(8); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.epoll.Close)
	if r.server, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.server.Close() })
	r.udp = NewUDP(UDPConfig{
		Sockets: SystemUDP{UDP: sock.NewUDP(), Guest: here{}}, Poller: sock.Epoll{Epoll: r.epoll}, Wheel: r.wheel,
		Rules: nat.New(nat.Config{}), Observed: &nat.Observed{}, MaxFlows: 2,
		Unreachable: func(client, to inet.Endpoint) { r.errors = append(r.errors, client, to) },
	})
	t.Cleanup(r.udp.Close)
	probe, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	at := loopback(probe.LocalAddr().(*net.UDPAddr).Port)
	probe.Close()
	fd, e := sock.ListenUDP(&sock.Bound{At: at})
	if e != 0 {
		t.Fatal(e)
	}
	r.fd = fd
	r.udp.AddPort(Port{FD: fd, Out: true, Bound: at, To: loopback(r.server.LocalAddr().(*net.UDPAddr).Port)})
	r.client = r.dial(at)
	return r
}

func (r *udpRig) dial(at inet.Endpoint) net.Conn {
	c, err := net.Dial("udp4", at.String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	return c
}

// turn handles one batch of events.
func (r *udpRig) turn() {
	r.t.Helper()
	var ev [8]sys.Event
	n, e := r.epoll.Wait(ev[:])
	if e != 0 {
		r.t.Fatal(e)
	}
	for _, v := range ev[:n] {
		switch ref := sock.Ref(v.Ref); ref.Kind() {
		case sock.KindSplicePort:
			r.udp.PortEvent(ref, v.Events, r.now)
		case sock.KindSpliceUDP:
			r.udp.Event(ref, r.now)
		}
	}
}

func (r *udpRig) read(c interface {
	Read([]byte) (int, error)
	SetReadDeadline(time.Time) error
}) string {
	r.t.Helper()
	b := make([]byte, 70000)
	c.SetReadDeadline(time.Now().Add(2 * time.Second))
	n, err := c.Read(b)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b[:n])
}

func TestUDPBothWays(t *testing.T) {
	r := newUDPRig(t)
	for _, size := range []int{0, 1, 1472, 65507} {
		want := string(pattern(size))
		if _, err := r.client.Write([]byte(want)); err != nil {
			t.Fatal(err)
		}
		r.turn()
		b := make([]byte, 70000)
		n, from, err := r.server.ReadFromUDP(b)
		if err != nil || string(b[:n]) != want {
			t.Fatalf("%d bytes: server got %d, %v", size, n, err)
		}
		if _, err := r.server.WriteToUDP(b[:n], from); err != nil {
			t.Fatal(err)
		}
		r.turn()
		if got := r.read(r.client); got != want {
			t.Fatalf("%d bytes: client got %d", size, len(got))
		}
	}
	if r.udp.Len() != 1 || r.udp.Stats.ToTarget != 4 || r.udp.Stats.ToClient != 4 {
		t.Errorf("%d flows, %+v", r.udp.Len(), r.udp.Stats)
	}
}

func TestUDPBatch(t *testing.T) {
	r := newUDPRig(t)
	for i := range 40 {
		if _, err := r.client.Write([]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	r.turn()
	r.turn()
	for i := range 40 {
		if got := r.read(r.server); got != string([]byte{byte(i)}) {
			t.Fatalf("datagram %d is %q", i, got)
		}
	}
}

func TestUDPRefused(t *testing.T) {
	r := newUDPRig(t)
	r.server.Close()
	r.client.Write([]byte("x"))
	r.turn()
	if r.udp.Len() > 0 {
		r.turn() // the error of what was sent
	}
	client := r.client.LocalAddr().(*net.UDPAddr)
	if len(r.errors) != 2 || r.errors[0] != loopback(client.Port) || r.udp.Len() != 0 {
		t.Errorf("told %v, %d flows left", r.errors, r.udp.Len())
	}
}

// TestUDPRemote wants datagrams of the network to be dropped: what came to a forwarded port in the
// guest's namespace is from there, whatever the address.
func TestUDPRemote(t *testing.T) {
	other := inet.Endpoint{Addr: inet.V4([]byte{192, 0, 2, 1}), Port: 40000}
	for _, tt := range []struct {
		name string
		out  bool
		from inet.Endpoint
		want int
	}{{"local", false, loopback(40000), 1}, {"remote", false, other, 0}, {"of the namespace", true, other, 1}} {
		t.Run(tt.name, func(t *testing.T) {
			r := newUDPRig(t)
			p := r.udp.ports[0]
			p.Out = tt.out
			r.udp.Datagrams(&p, []sock.Datagram{{From: tt.from, Len: 1, Over: []byte("x")}}, r.now)
			if n, dropped := r.udp.Len(), r.udp.Stats.Dropped; n != tt.want || dropped != uint64(1-tt.want) {
				t.Errorf("%d flows, %d datagrams dropped; want %d, %d", n, dropped, tt.want, 1-tt.want)
			}
		})
	}
}

// deaf is a Poller that can watch nothing.
type deaf struct{ sock.Epoll }

func (deaf) Add(int, sock.Ref, uint32) bool { return false }

// TestUDPUnwatched wants the socket of a port that can't be watched to stay the caller's.
func TestUDPUnwatched(t *testing.T) {
	r := newUDPRig(t)
	r.udp.cfg.Poller = deaf{}
	fd, e := sock.Dup(r.fd)
	if e != 0 {
		t.Fatal(e)
	}
	if r.udp.AddPort(Port{FD: fd}) || len(r.udp.free) != 1 {
		t.Errorf("added, or its place not free: %d", len(r.udp.free))
	}
	r.udp.RemovePort(fd)
	if again, e := sock.Dup(fd); e != 0 {
		t.Errorf("closed: %v", e)
	} else {
		sock.Close(again)
		sock.Close(fd)
	}
}

func TestUDPLife(t *testing.T) {
	r := newUDPRig(t)
	at := r.client.RemoteAddr().(*net.UDPAddr)
	for range 3 {
		r.dial(loopback(at.Port)).Write([]byte("x"))
		r.turn()
	}
	if r.udp.Len() != 2 || r.udp.Stats.Evicted != 1 {
		t.Errorf("%d flows, %+v", r.udp.Len(), r.udp.Stats)
	}
	r.udp.Timer(r.now + idle[unanswered] - 1)
	if r.udp.Len() != 2 {
		t.Errorf("%d flows before their time is over", r.udp.Len())
	}
	r.udp.Timer(r.now + idle[unanswered])
	if r.udp.Len() != 0 {
		t.Errorf("%d flows after it", r.udp.Len())
	}
	r.client.Write([]byte("x"))
	r.turn()
	r.udp.RemovePort(r.fd)
	if r.udp.Len() != 0 {
		t.Error("a flow of a port that is not there any more")
	}
}
