package fd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"passt/link"
	"passt/link/fault"
	"passt/link/linktest"
	"passt/link/stream"
	"passt/link/tap"
)

func pair(t testing.TB, typ int) [2]int {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, typ, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<20)
	}
	return fds
}

// peer is the other end of a socket.
type peer struct {
	fd     int
	stream *stream.Dev // the device, if it is framed
	buf    []byte
}

func (p *peer) Send(b []byte, _ link.Meta) error {
	if p.stream != nil {
		b = append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
	}
	return unix.Sendto(p.fd, b, unix.MSG_NOSIGNAL, nil)
}

func (p *peer) Recv() ([]byte, link.Meta, error) {
	for range 1000 {
		if p.stream != nil && len(p.buf) >= 4 {
			if n := 4 + int(binary.BigEndian.Uint32(p.buf)); len(p.buf) >= n {
				b := p.buf[4:n]
				p.buf = p.buf[n:]
				return b, link.Meta{}, nil
			}
		}
		if p.stream != nil && p.stream.Backlog() {
			p.stream.Send(nil)
		}
		b := make([]byte, 1<<17)
		n, _, err := unix.Recvfrom(p.fd, b, unix.MSG_DONTWAIT)
		switch {
		case err == unix.EAGAIN:
			unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}, 2)
		case err != nil:
			return nil, link.Meta{}, err
		case p.stream == nil:
			return b[:n], link.Meta{}, nil
		default:
			p.buf = append(p.buf, b[:n]...)
		}
	}
	return nil, link.Meta{}, os.ErrDeadlineExceeded
}

func (p *peer) MaxFrame() int { return link.MaxFrame }

func (p *peer) Close() error {
	if p.fd >= 0 {
		unix.Close(p.fd)
		p.fd = -1
	}
	return nil
}

func TestSockets(t *testing.T) {
	for name, typ := range map[string]int{"stream": unix.SOCK_STREAM, "seqpacket": unix.SOCK_SEQPACKET} {
		open := func(t *testing.T) (link.Device, linktest.Peer) {
			fds := pair(t, typ)
			d, err := Open(fds[0])
			if err != nil {
				t.Fatal(err)
			}
			p := &peer{fd: fds[1]}
			p.stream, _ = d.(*stream.Dev)
			return d, p
		}
		t.Run(name, func(t *testing.T) {
			linktest.Run(t, open)
			linktest.Allocs(t, open)
		})
		t.Run(name+" with faults", func(t *testing.T) {
			linktest.Run(t, func(t *testing.T) (link.Device, linktest.Peer) {
				d, p := open(t)
				return fault.New(d, fault.List(nil, nil)), p
			})
		})
	}
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	file, err := os.Create(filepath.Join(dir, "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, w, _ := os.Pipe()
	defer r.Close()
	defer w.Close()
	null, _ := os.Open("/dev/null")
	defer null.Close()
	socket := func(typ int) int {
		fd, err := unix.Socket(unix.AF_UNIX, typ|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	listening := socket(unix.SOCK_STREAM)
	unix.Bind(listening, &unix.SockaddrUnix{Name: filepath.Join(dir, "s")})
	unix.Listen(listening, 1)
	dgram := pair(t, unix.SOCK_DGRAM)
	for _, tt := range []struct {
		name string
		fd   int
		want string
	}{
		{"closed", 1 << 20, "descriptor 1048576 is not open"},
		{"file", int(file.Fd()), "is a regular file"},
		{"pipe", int(r.Fd()), "is a pipe"},
		{"/dev/null", int(null.Fd()), "a character device other than a tap"},
		{"listening", listening, "is a listening socket"},
		{"not connected", socket(unix.SOCK_STREAM), "not connected"},
		{"datagrams", dgram[0], "type stream or seqpacket"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := Check(tt.fd); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Check: %v; want %q", err, tt.want)
			}
			if _, err := Open(tt.fd); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Open: %v; want %q", err, tt.want)
			}
		})
	}
}

func TestTap(t *testing.T) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip(err)
	}
	if err := Check(fd); err == nil || !strings.Contains(err.Error(), "without an interface") {
		t.Errorf("no interface yet: %v", err)
	}
	for _, tt := range []struct {
		name    string
		flags   uint16
		offload bool
		refused string
	}{
		{"with headers", unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR, true, ""},
		{"without headers", unix.IFF_TAP | unix.IFF_NO_PI, false, ""},
		{"tun", unix.IFF_TUN | unix.IFF_NO_PI, false, "without Ethernet"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			ifr, _ := unix.NewIfreq("fdtest%d")
			ifr.SetUint16(tt.flags)
			if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
				unix.Close(fd)
				t.Skip(err) // no rights to make one here
			}
			d, err := Open(fd)
			if tt.refused != "" {
				unix.Close(fd)
				if err == nil || !strings.Contains(err.Error(), tt.refused) {
					t.Errorf("got %v, want %q", err, tt.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			if _, ok := d.(*tap.Dev); !ok || d.Caps().Offload&link.OffloadTSO4 != 0 != tt.offload {
				t.Errorf("%T with %+v", d, d.Caps())
			}
			if n, err := d.Recv(make([]link.Frame, 1)); n != 0 || err != nil {
				t.Errorf("Recv = %d, %v", n, err)
			}
		})
	}
	unix.Close(fd)
}

// TestSharedMode looks whether a socket that others may share keeps its blocking mode.
func TestSharedMode(t *testing.T) {
	fds := pair(t, unix.SOCK_STREAM)
	d, err := Open(fds[0])
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	defer unix.Close(fds[1])
	if fl, err := unix.FcntlInt(uintptr(fds[0]), unix.F_GETFL, 0); err != nil || fl&unix.O_NONBLOCK != 0 {
		t.Errorf("flags %#x, %v", fl, err)
	}
	if n, err := d.Recv(make([]link.Frame, 1)); n != 0 || err != nil {
		t.Errorf("Recv = %d, %v", n, err)
	}
	if _, _, err := unix.Recvfrom(fds[1], bytes.Repeat([]byte{0}, 10), unix.MSG_DONTWAIT); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("something was sent: %v", err)
	}
}
