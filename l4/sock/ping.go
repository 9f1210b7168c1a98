package sock

// Ping sockets (icmp(7), ping_group_range): datagram sockets of ICMP and ICMPv6 that send
// echo requests and receive the replies to them, without privileges. The port that one is
// bound to is the identifier of its messages.

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"passt/l3/inet"
	"passt/link/sys"
)

// Echo is an echo message to send, or one that was received.
type Echo struct {
	Peer  inet.Addr
	Scope uint32 // interface of a link-local Peer
	// TTL is the lifetime or hop limit of what was received. For what is to be sent it is set
	// for the socket if it is not 0.
	TTL uint8
	Msg []byte // the ICMP message, header and data
}

// Ping makes and uses ping sockets. It belongs to one thread.
type Ping struct {
	errQueue
	hdr  unix.Msghdr
	iov  [1]sys.Iovec
	addr Addr
	ctl  [64]byte
}

// NewPing makes a Ping.
func NewPing() *Ping { return new(Ping) }

// Open makes a ping socket for IPv6 if wide, else IPv4, with the given identifier if that
// is free, else any other. out says how it is bound, unless it is nil.
func (p *Ping) Open(wide bool, id uint16, out *Outbound) (fd int, e syscall.Errno) {
	fd, e = openPing(wide)
	if e != 0 {
		return -1, e
	}
	any4 := inet.V4(make([]byte, 4))
	at := inet.Endpoint{Port: id}
	if !wide {
		at.Addr = any4
	}
	var scope uint32
	if out != nil {
		scope = out.Scope
		if out.If != "" {
			e = sys.SetBytes(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, []byte(out.If))
		}
		if !out.Addr.IsZero() {
			at.Addr = out.Addr
		}
	}
	if e == 0 {
		if e = sys.Bind(fd, p.addr.Put(&at, scope)); e != 0 {
			at.Port = 0
			e = sys.Bind(fd, p.addr.Put(&at, scope))
		}
	}
	if e != 0 {
		sys.Close(fd)
		return -1, e
	}
	if wide {
		sys.SetInt(fd, unix.SOL_IPV6, unix.IPV6_RECVERR, 1)
		sys.SetInt(fd, unix.SOL_IPV6, unix.IPV6_RECVHOPLIMIT, 1)
	} else {
		sys.SetInt(fd, unix.SOL_IP, unix.IP_RECVERR, 1)
		sys.SetInt(fd, unix.SOL_IP, unix.IP_RECVTTL, 1)
	}
	return fd, 0
}

func openPing(wide bool) (int, syscall.Errno) {
	if wide {
		return sys.Socket(unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_ICMPV6)
	}
	return sys.Socket(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP)
}

// Close closes a socket.
func (p *Ping) Close(fd int) { sys.Close(fd) }

// Send sends the echo request m. The kernel puts the socket's identifier and the checksum
// into what it sends.
func (p *Ping) Send(fd int, m *Echo) syscall.Errno {
	v4 := m.Peer.Is4()
	if m.TTL != 0 {
		if v4 {
			sys.SetInt(fd, unix.SOL_IP, unix.IP_TTL, int(m.TTL))
		} else {
			sys.SetInt(fd, unix.SOL_IPV6, unix.IPV6_UNICAST_HOPS, int(m.TTL))
		}
	}
	at := inet.Endpoint{Addr: m.Peer}
	sys.SetIovec(&p.iov[0], m.Msg)
	sys.SetMsg(&p.hdr, p.addr.Put(&at, m.Scope), p.iov[:], nil)
	_, e := sys.Sendmsg(fd, &p.hdr, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	return e
}

// Recv receives a message into buf and describes it in m, whose Msg is then part of buf.
func (p *Ping) Recv(fd int, m *Echo, buf []byte) syscall.Errno {
	sys.SetIovec(&p.iov[0], buf)
	sys.SetMsg(&p.hdr, p.addr[:], p.iov[:], p.ctl[:])
	n, e := sys.Recvmsg(fd, &p.hdr, unix.MSG_DONTWAIT)
	if e != 0 {
		return e
	}
	at, scope := p.addr.peer(int(p.hdr.Namelen))
	*m = Echo{Peer: at.Addr, Scope: scope, Msg: buf[:n]}
	for c := (cmsgs{p.ctl[:min(int(p.hdr.Controllen), len(p.ctl))]}); c.next(); {
		level, typ, v := c.get()
		if (level == unix.SOL_IP && typ == unix.IP_TTL || level == unix.SOL_IPV6 && typ == unix.IPV6_HOPLIMIT) && len(v) >= 4 {
			m.TTL = uint8(binary.NativeEndian.Uint32(v))
		}
	}
	return 0
}

// CheckPing says why ping sockets can't be made, nil if they can.
func CheckPing() error {
	fd, e := openPing(false)
	if e == 0 {
		sys.Close(fd)
		return nil
	}
	if e != unix.EACCES && e != unix.EPERM {
		return fmt.Errorf("ping will not work: no ping socket: %w", e)
	}
	gid := os.Getegid()
	if m, err := os.ReadFile("/proc/self/gid_map"); err == nil {
		gid = outerID(string(m), gid)
	}
	// What the range is now can't be told: from inside a user namespace it reads as nonsense.
	return fmt.Errorf("ping will not work: net.ipv4.ping_group_range does not include group %d; to mend it, run as root: "+
		`sysctl -w net.ipv4.ping_group_range="0 %d"`, gid, gid)
}

// outerID translates an ID of this user namespace to one of the namespace above by the
// lines of m, a gid_map (user_namespaces(7)). An unmapped one stays as it is.
func outerID(m string, id int) int {
	for line := range strings.Lines(m) {
		var inside, outside, n int
		if k, _ := fmt.Sscan(line, &inside, &outside, &n); k == 3 && id >= inside && id-inside < n {
			return outside + id - inside
		}
	}
	return id
}
