package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/tests/world"
)

// Frames made by hand, right and wrong, as a hostile program inside the namespace can write
// them. Lengths and checksums are filled in; what is to be wrong is broken afterwards.

const (
	etherIPv4 = 0x0800
	etherARP  = 0x0806
	etherIPv6 = 0x86dd
)

// injector writes frames to the tap's interface from inside.
type injector struct {
	fd       int
	src, dst net.HardwareAddr // of the interface, of the gateway
}

// newInjector opens a packet socket in N, whose frames go to the gateway.
func newInjector(t *testing.T, in *instance) *injector {
	t.Helper()
	fd, err := in.ns.RawSocket(in.ifname)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	mac, err := net.ParseMAC(links(t, in.ns)[in.ifname].MAC)
	if err != nil {
		t.Fatal(err)
	}
	return &injector{fd: fd, src: mac, dst: gatewayMAC(t, in)}
}

// gatewayMAC is what the namespace has learned of the gateway, which answers for itself.
func gatewayMAC(t *testing.T, in *instance) (mac net.HardwareAddr) {
	t.Helper()
	c, err := in.ns.Dial("udp", world.Endpoint(world.GateV4, 9), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	world.Eventually(t, 2*time.Second, func() error {
		c.Write(nil) // to be sent, it needs the address; it may be refused
		known, err := ipJSON[[]struct{ LLAddr string }](in.ns, "neigh", "show", "to", world.GateV4, "dev", in.ifname)
		if err != nil || len(known) != 1 {
			return errors.Join(err, fmt.Errorf("neighbours %v", known))
		}
		mac, err = net.ParseMAC(known[0].LLAddr)
		return err
	})
	return mac
}

// send writes a frame. A full queue means wait: the flood is to arrive.
func (j *injector) send(frame []byte) {
	for range 100 {
		if _, err := unix.Write(j.fd, frame); err != unix.ENOBUFS && err != unix.EAGAIN {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func (j *injector) ether(kind uint16, payload []byte) []byte {
	b := append(append([]byte(nil), j.dst...), j.src...)
	return append(binary.BigEndian.AppendUint16(b, kind), payload...)
}

// ip makes an Ethernet frame with an IPv4 or IPv6 packet, by the addresses' family.
func (j *injector) ip(src, dst string, proto byte, payload []byte) []byte {
	s, d := netip.MustParseAddr(src), netip.MustParseAddr(dst)
	if s.Is4() {
		h := make([]byte, 20, 20+len(payload))
		h[0], h[8], h[9] = 0x45, 64, proto
		binary.BigEndian.PutUint16(h[2:], uint16(20+len(payload)))
		copy(h[12:], s.AsSlice())
		copy(h[16:], d.AsSlice())
		binary.BigEndian.PutUint16(h[10:], fold(sum(h, 0)))
		return j.ether(etherIPv4, append(h, payload...))
	}
	h := make([]byte, 40, 40+len(payload))
	h[0], h[6], h[7] = 0x60, proto, 64
	binary.BigEndian.PutUint16(h[4:], uint16(len(payload)))
	copy(h[8:], s.AsSlice())
	copy(h[24:], d.AsSlice())
	return j.ether(etherIPv6, append(h, payload...))
}

// transport fills in the checksum of a TCP, UDP or ICMPv6 header and wraps it in IP.
func (j *injector) transport(src, dst string, proto byte, at int, b []byte) []byte {
	s, d := netip.MustParseAddr(src), netip.MustParseAddr(dst)
	pseudo := append(s.AsSlice(), d.AsSlice()...)
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(b)))
	pseudo = append(pseudo, 0, 0, 0, proto)
	binary.BigEndian.PutUint16(b[at:], 0)
	c := fold(sum(b, sum(pseudo, 0)))
	if proto == unix.IPPROTO_UDP && c == 0 {
		c = 0xffff
	}
	binary.BigEndian.PutUint16(b[at:], c)
	return j.ip(src, dst, proto, b)
}

// udp makes a frame with a UDP datagram.
func (j *injector) udp(src, dst string, from, to uint16, data []byte) []byte {
	b := make([]byte, 8, 8+len(data))
	binary.BigEndian.PutUint16(b, from)
	binary.BigEndian.PutUint16(b[2:], to)
	binary.BigEndian.PutUint16(b[4:], uint16(8+len(data)))
	return j.transport(src, dst, unix.IPPROTO_UDP, 6, append(b, data...))
}

// TCP flags.
const (
	flagFIN = 1 << iota
	flagSYN
	flagRST
	flagPSH
	flagACK
	flagURG
)

// tcp makes a frame with a TCP segment. Options are padded to a multiple of four bytes.
func (j *injector) tcp(src, dst string, from, to uint16, seq, ack uint32, flags byte, options, data []byte) []byte {
	for len(options)%4 != 0 {
		options = append(options, 0)
	}
	b := make([]byte, 20, 20+len(options)+len(data))
	binary.BigEndian.PutUint16(b, from)
	binary.BigEndian.PutUint16(b[2:], to)
	binary.BigEndian.PutUint32(b[4:], seq)
	binary.BigEndian.PutUint32(b[8:], ack)
	b[12], b[13] = byte(5+len(options)/4)<<4, flags
	binary.BigEndian.PutUint16(b[14:], 65535)
	return j.transport(src, dst, unix.IPPROTO_TCP, 16, append(append(b, options...), data...))
}

// echo makes a frame with an ICMP or ICMPv6 echo request.
func (j *injector) echo(src, dst string, id, seq uint16) []byte {
	b := make([]byte, 16)
	b[0] = 8
	binary.BigEndian.PutUint16(b[4:], id)
	binary.BigEndian.PutUint16(b[6:], seq)
	if netip.MustParseAddr(src).Is4() {
		binary.BigEndian.PutUint16(b[2:], fold(sum(b, 0)))
		return j.ip(src, dst, unix.IPPROTO_ICMP, b)
	}
	b[0] = 128
	return j.transport(src, dst, unix.IPPROTO_ICMPV6, 2, b)
}

// arp makes a frame with an ARP request.
func (j *injector) arp(src, dst string) []byte {
	b := []byte{0, 1, 8, 0, 6, 4, 0, 1}
	b = append(append(b, j.src...), netip.MustParseAddr(src).AsSlice()...)
	b = append(append(b, 0, 0, 0, 0, 0, 0), netip.MustParseAddr(dst).AsSlice()...)
	return j.ether(etherARP, b)
}

// solicitation makes a frame with a Neighbour Solicitation.
func (j *injector) solicitation(src, target string) []byte {
	b := make([]byte, 32)
	b[0] = 135
	copy(b[8:], netip.MustParseAddr(target).AsSlice())
	b[24], b[25] = 1, 1
	copy(b[26:], j.src)
	f := j.transport(src, target, unix.IPPROTO_ICMPV6, 2, b)
	f[14+7] = 255 // hop limit, outside the checksum
	return f
}

// sum adds 16-bit words to a one's complement sum.
func sum(b []byte, s uint32) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return s
}

// fold ends a one's complement sum.
func fold(s uint32) uint16 {
	for s>>16 != 0 {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}
