package platform

import (
	"bytes"
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// UDP_SEGMENT (Linux 4.18) sends one buffer as many datagrams. Without it each takes a message
// of its own in sendmmsg.
func TestSegmentation(t *testing.T) {
	a, b := udpPair(t)
	oob := make([]byte, unix.CmsgSpace(2))
	binary.NativeEndian.PutUint64(oob, uint64(unix.CmsgLen(2)))
	binary.NativeEndian.PutUint32(oob[8:], unix.SOL_UDP)
	binary.NativeEndian.PutUint32(oob[12:], unix.UDP_SEGMENT)
	binary.NativeEndian.PutUint16(oob[16:], 1000)
	data := bytes.Repeat([]byte("0123456789"), 250)
	if err := unix.Sendmsg(a, data, oob, nil, 0); err != nil {
		t.Skipf("this kernel has no UDP_SEGMENT: %v", err)
	}
	buf := make([]byte, 4000)
	for i, want := range []int{1000, 1000, 500} {
		waitReadable(t, b)
		n, err := unix.Read(b, buf)
		if err != nil || n != want {
			t.Fatalf("datagram %d has %d bytes, %v, want %d", i, n, err, want)
		}
	}
}

// UDP_GRO (Linux 5.0) delivers a run of equal datagrams at once, with their size.
func TestReceiveOffload(t *testing.T) {
	a, b := udpPair(t)
	if err := unix.SetsockoptInt(b, unix.SOL_UDP, unix.UDP_GRO, 1); err != nil {
		t.Skipf("this kernel has no UDP_GRO: %v", err)
	}
	if err := unix.SetsockoptInt(a, unix.SOL_UDP, unix.UDP_SEGMENT, 1000); err != nil {
		t.Skip(err)
	}
	if _, err := unix.Write(a, make([]byte, 3500)); err != nil {
		t.Fatal(err)
	}
	waitReadable(t, b)
	buf, oob := make([]byte, 4000), make([]byte, 100)
	n, on, _, _, err := unix.Recvmsg(b, buf, oob, 0)
	if err != nil {
		t.Fatal(err)
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:on])
	if err != nil {
		t.Fatal(err)
	}
	if n == 1000 && len(msgs) == 0 {
		t.Skip("lo does not keep datagrams together on this kernel")
	}
	if n != 3500 || len(msgs) != 1 || msgs[0].Header.Type != unix.UDP_GRO || binary.NativeEndian.Uint32(msgs[0].Data) != 1000 {
		t.Errorf("%d bytes with %v, want 3500 in segments of 1000", n, msgs)
	}
}

// A connected socket reports ICMP port unreachable as ECONNREFUSED: how the guest comes to
// hear of a closed port.
func TestPortUnreachable(t *testing.T) {
	a, b := udpPair(t)
	// A socket connected elsewhere takes nothing from a: for a, the port is closed.
	if err := unix.Connect(b, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 9}); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(a, []byte("x")); err != nil {
		t.Fatal(err)
	}
	waitReadable(t, a)
	if _, err := unix.Read(a, make([]byte, 1)); err != unix.ECONNREFUSED {
		t.Errorf("%v, want connection refused", err)
	}
}

// IP_PKTINFO tells the address that a datagram came to on a wildcard socket, so that the
// answer goes out from there.
func TestPacketInfo(t *testing.T) {
	s := socket(t, unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err := unix.SetsockoptInt(s, unix.IPPROTO_IP, unix.IP_PKTINFO, 1); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(s, &unix.SockaddrInet4{}); err != nil {
		t.Fatal(err)
	}
	addr, err := unix.Getsockname(s)
	if err != nil {
		t.Fatal(err)
	}
	to := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 7}, Port: addr.(*unix.SockaddrInet4).Port}
	c := socket(t, unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err := unix.Sendto(c, []byte("x"), 0, to); err != nil {
		t.Fatal(err)
	}
	waitReadable(t, s)
	oob := make([]byte, 100)
	_, n, _, _, err := unix.Recvmsg(s, make([]byte, 10), oob, 0)
	if err != nil {
		t.Fatal(err)
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(msgs) != 1 {
		t.Fatalf("%v, %v", msgs, err)
	}
	// struct in_pktinfo: interface index, local address, address in the header.
	if got := [4]byte(msgs[0].Data[8:12]); got != to.Addr {
		t.Errorf("came to %v, want %v", got, to.Addr)
	}
}
