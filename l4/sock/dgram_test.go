package sock

import (
	"bytes"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"passt/l3/inet"
	"passt/link/sys"
)

func endpoint(s string) inet.Endpoint {
	a := netip.MustParseAddrPort(s)
	return inet.Endpoint{Addr: inet.FromNetip(a.Addr()), Port: a.Port()}
}

// open makes a socket of u and says what its port is.
func open(t *testing.T, u *UDP, wide, gro bool) (fd int, port uint16) {
	t.Helper()
	fd, e := u.Open(wide, 0, gro)
	if e != 0 {
		t.Skip(e)
	}
	t.Cleanup(func() { u.Close(fd) })
	var a Addr
	if _, e := sys.Getsockname(fd, a[:]); e != 0 {
		t.Fatal(e)
	}
	return fd, a.Endpoint().Port
}

// receive waits for messages and returns what came in one call.
func receive(t *testing.T, u *UDP, fd int, d []Datagram) []Datagram {
	t.Helper()
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if n, err := unix.Poll(p, 1000); n != 1 {
		t.Fatalf("nothing came: %v", err)
	}
	n, e := u.Recv(fd, d)
	if e != 0 {
		t.Fatal(e)
	}
	return d[:n]
}

func TestUDPTrains(t *testing.T) {
	for _, c := range []struct {
		name string
		wide bool
		gro  bool
		to   string
	}{
		{"IPv4", false, false, "127.0.0.1:0"}, {"IPv4, GRO", false, true, "127.0.0.1:0"},
		{"IPv6", true, false, "[::1]:0"}, {"IPv6, GRO", true, true, "[::1]:0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := NewUDP()
			from, port := open(t, u, c.wide, false)
			to, toPort := open(t, u, c.wide, c.gro)
			d := Dest{To: endpoint(c.to), TTL: 9, TOS: 4, Wide: c.wide}
			d.To.Port = toPort
			parts := [][]byte{bytes.Repeat([]byte("a"), 1000), bytes.Repeat([]byte("b"), 1000), []byte("end")}
			if n, e := u.Send(from, &d, parts, 1000); n != 1 || e != 0 {
				t.Fatalf("sent %d, %v", n, e)
			}
			in := make([]Datagram, 4)
			for i := range in {
				// Pieces of all three kinds.
				in[i] = Datagram{Body: [][]byte{make([]byte, 10), make([]byte, 500)}, Over: make([]byte, 3000)}
			}
			got := receive(t, u, to, in)
			want := []struct{ n, seg int }{{1000, 0}, {1000, 0}, {3, 0}}
			if c.gro {
				want = []struct{ n, seg int }{{2003, 1000}}
			}
			if len(got) != len(want) {
				t.Fatalf("%d messages, want %d", len(got), len(want))
			}
			var all []byte
			for i, w := range want {
				g := &got[i]
				if g.Len != w.n || g.Seg != w.seg || g.From.Port != port {
					t.Errorf("message %d: got %d bytes, segments of %d, from %v", i, g.Len, g.Seg, g.From)
				}
				all = append(all, append(append(append([]byte{}, g.Body[0]...), g.Body[1]...), g.Over...)[:g.Len]...)
			}
			if !bytes.Equal(all, bytes.Join(parts, nil)) {
				t.Error("payload differs")
			}
		})
	}
}

func TestUDPSource(t *testing.T) {
	// A wildcard socket sends from the address that it is told, and says what it was sent to.
	for _, c := range []struct {
		name     string
		wide     bool
		src, dst string
	}{
		{"IPv4", false, "127.0.0.7:0", "127.0.0.9:0"},
		{"IPv6", true, "[::1]:0", "[::1]:0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := NewUDP()
			from, _ := open(t, u, c.wide, false)
			to, port := open(t, u, c.wide, false)
			u.Adopt(to, c.wide, false)
			d := Dest{To: endpoint(c.dst), Src: endpoint(c.src).Addr, Wide: c.wide}
			d.To.Port = port
			if n, e := u.Send(from, &d, [][]byte{{1}, {2}}, 0); n != 2 || e != 0 {
				t.Fatalf("sent %d, %v", n, e)
			}
			in := make([]Datagram, 4)
			for i := range in {
				in[i].Body = [][]byte{make([]byte, 10)}
			}
			for _, g := range receive(t, u, to, in) {
				if g.From.Addr != d.Src || g.Local != d.To.Addr {
					t.Errorf("from %v to %v", g.From.Addr, g.Local)
				}
			}
		})
	}
}

func TestUDPPort(t *testing.T) {
	u := NewUDP()
	_, port := open(t, u, false, false)
	fd, e := u.Open(false, port, false)
	if e != 0 {
		t.Fatalf("a taken port is no reason to fail: %v", e)
	}
	u.Close(fd)
}

func TestOuterID(t *testing.T) {
	for _, c := range []struct {
		name, m  string
		in, want int
	}{
		{"initial namespace", "         0          0 4294967295\n", 1000, 1000},
		{"root is a user", "         0       1000          1\n", 0, 1000},
		{"second line", "0 1000 1\n1 100000 65536\n", 5, 100004},
		{"unmapped", "0 1000 1\n", 65534, 65534},
		{"empty", "", 3, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := outerID(c.m, c.in); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

func FuzzControl(f *testing.F) {
	var b [64]byte
	f.Add(b[:putCmsgInt(b[:], unix.SOL_UDP, unix.UDP_GRO, 5)])
	f.Fuzz(func(_ *testing.T, b []byte) {
		d := Datagram{Len: 10}
		d.control(b)
		var q QueuedError
		q.extended(b)
	})
}
