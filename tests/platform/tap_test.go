package platform

import (
	"encoding/binary"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openTap makes a tap device with virtio headers in the current network namespace.
func openTap(t *testing.T, flags uint16) int {
	t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, os.ErrPermission) || errors.Is(err, os.ErrNotExist) {
		t.Skipf("/dev/net/tun: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	req, err := unix.NewIfreq("t0")
	if err != nil {
		t.Fatal(err)
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		t.Fatalf("TUNSETIFF: %v", err)
	}
	return fd
}

// IFF_VNET_HDR and TUNSETOFFLOAD work within a user namespace, and let super-frames pass at
// an MTU of 1500. Without them the tap moves one segment at a time.
func TestTapOffloads(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	fd := openTap(t, unix.IFF_VNET_HDR)
	if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, unix.TUN_F_CSUM|unix.TUN_F_TSO4|unix.TUN_F_TSO6); err != nil {
		t.Fatalf("TUNSETOFFLOAD: %v", err)
	}
	const usoFlags = unix.TUN_F_USO4 | unix.TUN_F_USO6 // Linux 6.2
	if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, unix.TUN_F_CSUM|unix.TUN_F_TSO4|unix.TUN_F_TSO6|usoFlags); err != nil {
		t.Logf("no segmentation offload for UDP: %v", err)
	}
	// Into the namespace: a frame of 32 KiB with a header that says TCPv4, segments of 1448.
	loUp(t)
	up(t, "t0")
	frame := make([]byte, 10+14+20+20+32<<10)
	frame[0], frame[1] = unix.VIRTIO_NET_HDR_F_NEEDS_CSUM, unix.VIRTIO_NET_HDR_GSO_TCPV4
	binary.NativeEndian.PutUint16(frame[2:], 14+20+20)
	binary.NativeEndian.PutUint16(frame[4:], 1448)
	binary.NativeEndian.PutUint16(frame[6:], 14+20)
	binary.NativeEndian.PutUint16(frame[8:], 16)
	for i := range 6 {
		frame[10+i] = 0xff
	}
	frame[10+12] = 8 // IPv4
	ip := frame[10+14:]
	ip[0], ip[8], ip[9] = 0x45, 64, unix.IPPROTO_TCP
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	ip[20+12] = 5 << 4
	if n, err := unix.Write(fd, frame); err != nil || n != len(frame) {
		t.Errorf("writing a super-frame: %d, %v", n, err)
	}
}

// up sets an interface up.
func up(t *testing.T, name string) {
	t.Helper()
	s := socket(t, unix.AF_INET, unix.SOCK_DGRAM, 0)
	req, err := unix.NewIfreq(name)
	if err != nil {
		t.Fatal(err)
	}
	req.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, req); err != nil {
		t.Fatal(err)
	}
}

// A second queue of the same device can be opened (one for each worker).
func TestTapQueues(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	openTap(t, unix.IFF_VNET_HDR|unix.IFF_MULTI_QUEUE)
	openTap(t, unix.IFF_VNET_HDR|unix.IFF_MULTI_QUEUE)
}

// A tap goes with its last descriptor: nothing is to be cleaned up after a crash.
func TestTapVanishes(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip(err)
	}
	req, err := unix.NewIfreq("t1")
	if err != nil {
		t.Fatal(err)
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	s := socket(t, unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err := unix.IoctlIfreq(s, unix.SIOCGIFINDEX, req); err != unix.ENODEV {
		t.Errorf("%v, want no such device", err)
	}
}

// Ping sockets send echo requests without privilege if the group is in ping_group_range, and
// take the identifier as a port.
func TestPingSockets(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	loUp(t)
	if _, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP); err != unix.EACCES {
		t.Errorf("with the range of a new namespace: %v, want permission denied", err)
	}
	setSysctl(t, "net.ipv4.ping_group_range", "0 0")
	fd := socket(t, unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: 0x1234}); err != nil {
		t.Fatal(err)
	}
	// An echo request with another identifier: the kernel puts the socket's own there.
	if err := unix.Sendto(fd, []byte{8, 0, 0, 0, 0xff, 0xff, 0, 7, 'x'}, 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1})
	buf := make([]byte, 100)
	n, err := unix.Read(fd, buf)
	if err != nil || n != 9 {
		t.Fatalf("%d, %v", n, err)
	}
	if buf[0] != 0 || binary.BigEndian.Uint16(buf[4:]) != 0x1234 || binary.BigEndian.Uint16(buf[6:]) != 7 {
		t.Errorf("answer % x, want an echo reply of 1234, sequence 7", buf[:n])
	}
	socket(t, unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_ICMPV6)
}

// SO_BINDTODEVICE works without privilege on a socket that is bound to none yet (Linux 5.7).
func TestBindToDevice(t *testing.T) {
	fd := socket(t, unix.AF_INET, unix.SOCK_STREAM, 0)
	if err := unix.BindToDevice(fd, "lo"); err != nil {
		t.Errorf("%v: ports cannot be bound to an interface on this kernel", err)
	}
}

// EPOLLEXCLUSIVE (Linux 4.5) lets one listening socket stand in several workers' epolls.
func TestExclusiveWakeup(t *testing.T) {
	l := socket(t, unix.AF_INET, unix.SOCK_STREAM, 0)
	if err := unix.Bind(l, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(l, 10); err != nil {
		t.Fatal(err)
	}
	var eps [2]int
	for i := range eps {
		ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(ep)
		eps[i] = ep
		if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, l, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLEXCLUSIVE, Fd: int32(l)}); err != nil {
			t.Fatal(err)
		}
	}
	addr, err := unix.Getsockname(l)
	if err != nil {
		t.Fatal(err)
	}
	woken := make(chan int, 2)
	for i, ep := range eps {
		go func() {
			var evs [1]unix.EpollEvent
			if n, _ := unix.EpollWait(ep, evs[:], 2000); n == 1 {
				woken <- i
			}
		}()
	}
	time.Sleep(50 * time.Millisecond)
	c := socket(t, unix.AF_INET, unix.SOCK_STREAM, 0)
	if err := unix.Connect(c, addr); err != nil {
		t.Fatal(err)
	}
	select {
	case <-woken:
	case <-time.After(time.Second):
		t.Fatal("nobody was woken")
	}
}
