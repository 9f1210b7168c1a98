package tap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"passt/link"
)

// pairPeer is the other end of a device on one end of a pair of sockets that keep the
// boundaries of messages, as a tap does: a stand-in that needs no rights, and can be full.
type pairPeer struct {
	fd  int
	hdr int
}

func newPair(t testing.TB, f Features) (*Dev, *pairPeer) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<20)
	}
	d := New(fds[0], f)
	p := &pairPeer{fds[1], f.VnetHdr}
	t.Cleanup(func() { d.Close(); p.Close() })
	return d, p
}

func (p *pairPeer) Send(b []byte, m link.Meta) error {
	return sendVnet(p.fd, p.hdr, b, m)
}

func (p *pairPeer) Recv() ([]byte, link.Meta, error) { return recvVnet(p.fd, p.hdr) }

func (p *pairPeer) MaxFrame() int { return link.MaxFrame }

func (p *pairPeer) Close() error {
	if p.fd >= 0 {
		unix.Close(p.fd)
		p.fd = -1
	}
	return nil
}

func sendVnet(fd, hdr int, b []byte, m link.Meta) error {
	if hdr > 0 {
		h := make([]byte, hdr, hdr+len(b))
		putVnetHdr(h, &m)
		b = append(h, b...)
	}
	_, err := unix.Write(fd, b)
	return err
}

func recvVnet(fd, hdr int) ([]byte, link.Meta, error) {
	buf := make([]byte, 1<<17)
	for {
		n, err := unix.Read(fd, buf)
		switch {
		case err == unix.EAGAIN:
			if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 2000); n == 0 && err == nil {
				return nil, link.Meta{}, os.ErrDeadlineExceeded
			}
			continue
		case err != nil:
			return nil, link.Meta{}, err
		case n < hdr:
			return nil, link.Meta{}, errors.New("short message")
		}
		var m link.Meta
		b := bytes.Clone(buf[hdr:n])
		if hdr > 0 && !readVnetHdr(&m, buf, len(b)) {
			return nil, m, errors.New("impossible header")
		}
		return b, m, nil
	}
}

// packetPeer is the kernel's side of a real tap: a packet socket with virtio headers on the
// interface (packet(7), PACKET_VNET_HDR). What it sends comes out of the tap, and what is
// written to the tap it receives.
type packetPeer struct {
	fd, index int
}

// newTap makes a tap of the largest MTU, up, in this namespace, where IPv6 is off so that
// the kernel says nothing of its own on it.
func newTap(t testing.TB, queues int) ([]*Dev, *packetPeer) {
	t.Helper()
	needNamespace(t)
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0)
	fds, f, name, err := Create("", queues)
	if err != nil {
		t.Fatal(err)
	}
	devs := make([]*Dev, len(fds))
	for i, fd := range fds {
		devs[i] = New(fd, f)
		t.Cleanup(func() { devs[i].Close() })
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &packetPeer{fd: fd}
	t.Cleanup(func() { unix.Close(fd) })
	ifr, _ := unix.NewIfreq(name)
	ifr.SetUint32(MaxMTU)
	must(t, unix.IoctlIfreq(fd, unix.SIOCSIFMTU, ifr))
	ifr, _ = unix.NewIfreq(name)
	ifr.SetUint16(unix.IFF_UP)
	must(t, unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr))
	i, err := net.InterfaceByName(name)
	must(t, err)
	p.index = i.Index
	must(t, unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1))
	must(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20))
	must(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 4<<20))
	must(t, unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: 0x0300, Ifindex: p.index})) // ETH_P_ALL
	return devs, p
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (p *packetPeer) Send(b []byte, m link.Meta) error { return sendVnet(p.fd, vnetHdrLen, b, m) }

func (p *packetPeer) Recv() ([]byte, link.Meta, error) { return recvVnet(p.fd, vnetHdrLen) }

func (p *packetPeer) MaxFrame() int { return etherLen + MaxMTU }

// Close deletes the interface: rtnetlink(7), RTM_DELLINK.
func (p *packetPeer) Close() error {
	if p.index == 0 {
		return nil
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	m := make([]byte, unix.SizeofNlMsghdr+unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(m, uint32(len(m)))
	binary.NativeEndian.PutUint16(m[4:], unix.RTM_DELLINK)
	binary.NativeEndian.PutUint16(m[6:], unix.NLM_F_REQUEST)
	binary.NativeEndian.PutUint32(m[unix.SizeofNlMsghdr+4:], uint32(p.index))
	p.index = 0
	return unix.Sendto(fd, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}
