package sock

// UDP sockets (udp(7)). They are never connected: one socket serves all the peers of one
// port of the guest, and each message carries its destination and, in control data, its
// source, interface, lifetime and class. Batches go out as one train that the kernel cuts
// (UDP_SEGMENT), or as many messages of one call; they come in as many messages, each
// perhaps a train that the kernel has put together (UDP_GRO).

import (
	"encoding/binary"
	"syscall"

	"golang.org/x/sys/unix"

	"passt/l3/inet"
	"passt/link/sys"
)

// MaxBatch is how many messages go in one call at most.
const MaxBatch = 64

// Limits of UDP_SEGMENT (linux/udp.h, UDP_MAX_SEGMENTS in its older and smaller value).
const (
	MaxSegments = 64
	MaxPayload  = 65507 // bytes of one UDP datagram over IPv4, and of one train
)

// bufSize is what is asked for as a socket's buffers, in bytes. The system caps it.
const bufSize = 4 << 20

// Dest is where messages go and what their headers say.
type Dest struct {
	To    inet.Endpoint // the zero Endpoint: where the socket is connected to
	Scope uint32        // interface of a link-local To
	Src   inet.Addr     // zero: the system chooses
	If    uint32        // interface to leave by; 0: the system chooses
	TTL   uint8         // lifetime or hop limit; 0: the socket's own
	TOS   uint8
	Wide  bool // the socket's family is AF_INET6
}

// Datagram is room for one message to be received, and what came.
type Datagram struct {
	Body [][]byte // in: memory for the payload, at most two pieces
	Over []byte   // in: memory for what does not fit into Body; it may be empty

	Len   int // out: bytes of payload
	Seg   int // out: if not 0, the payload is a train of datagrams of Seg bytes each, the last may be shorter
	From  inet.Endpoint
	Scope uint32    // interface of a link-local From
	Local inet.Addr // what it was sent to; zero unless the socket is an adopted one
}

// recvCtl is the room for control data of a received message: packet info and a train's
// segment size.
const recvCtl = 96

// UDP makes and uses UDP sockets. It belongs to one thread.
type UDP struct {
	errQueue
	hdr   [MaxBatch]sys.Mmsghdr
	iov   [MaxBatch * 3]sys.Iovec
	names [MaxBatch]Addr
	ctls  [MaxBatch][recvCtl]byte
	to    Addr
	ctl   [256]byte
}

// NewUDP makes a UDP.
func NewUDP() *UDP { return new(UDP) }

// Open makes a socket for IPv4 or, if wide, IPv6 alone, bound to port of the wildcard
// address if that is free, else to any free port. gro allows it to receive trains.
func (u *UDP) Open(wide bool, port uint16, gro bool) (fd int, e syscall.Errno) {
	family := unix.AF_INET
	if wide {
		family = unix.AF_INET6
	}
	if fd, e = sys.Socket(family, unix.SOCK_DGRAM, 0); e != 0 {
		return -1, e
	}
	if wide {
		sys.SetInt(fd, unix.SOL_IPV6, unix.IPV6_V6ONLY, 1)
	}
	at := inet.Endpoint{Port: port}
	if !wide {
		at.Addr = inet.V4(make([]byte, 4))
	}
	if e = sys.Bind(fd, u.to.Put(&at, 0)); e != 0 && port != 0 {
		at.Port = 0
		e = sys.Bind(fd, u.to.Put(&at, 0))
	}
	if e != 0 {
		sys.Close(fd)
		return -1, e
	}
	prepare(fd, wide, gro)
	return fd, 0
}

// Adopt prepares a bound socket, made elsewhere to listen on a forwarded port, for use
// here. Its datagrams are then received with their Local address.
func (u *UDP) Adopt(fd int, wide, gro bool) {
	prepare(fd, wide, gro)
	if wide {
		sys.SetInt(fd, unix.SOL_IPV6, unix.IPV6_RECVPKTINFO, 1)
	} else {
		sys.SetInt(fd, unix.SOL_IP, unix.IP_PKTINFO, 1)
	}
}

// prepare sets the options of every UDP socket. All of them can be done without: a kernel
// that does not know one is no reason to stop.
func prepare(fd int, wide, gro bool) {
	sys.SetInt(fd, unix.SOL_IP, unix.IP_RECVERR, 1)
	if wide {
		sys.SetInt(fd, unix.SOL_IPV6, unix.IPV6_RECVERR, 1)
	}
	sys.SetInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, bufSize)
	sys.SetInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bufSize)
	if gro {
		sys.SetInt(fd, unix.SOL_UDP, unix.UDP_GRO, 1)
	}
}

// Close closes a socket.
func (u *UDP) Close(fd int) { sys.Close(fd) }

// Send sends bufs to d. If seg is 0, each of them is a datagram, and n is how many went;
// otherwise they are, end to end, one train of datagrams of seg bytes each, the last of
// which may be shorter, and n is 1 if it went. There may be MaxBatch of them. An error
// is about the first that did not go; there may be none although some did not.
func (u *UDP) Send(fd int, d *Dest, bufs [][]byte, seg int) (n int, e syscall.Errno) {
	var name []byte
	if d.To != (inet.Endpoint{}) {
		name = u.to.Put(&d.To, d.Scope)
	}
	ctl := u.ctl[:d.control(u.ctl[:], seg)]
	for i, b := range bufs {
		sys.SetIovec(&u.iov[i], b)
	}
	if seg > 0 || len(bufs) == 1 {
		h := &u.hdr[0].Hdr
		sys.SetMsg(h, name, u.iov[:len(bufs)], ctl)
		if _, e = sys.Sendmsg(fd, h, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL); e != 0 {
			return 0, e
		}
		return 1, 0
	}
	for i := range bufs {
		sys.SetMsg(&u.hdr[i].Hdr, name, u.iov[i:i+1], ctl)
	}
	n, e = sys.Sendmmsg(fd, u.hdr[:len(bufs)], unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	return max(n, 0), e
}

// control writes the control data of a message to d and returns its length.
func (d *Dest) control(b []byte, seg int) int {
	n := 0
	if d.If != 0 || !d.Src.IsZero() {
		n += d.packetInfo(b)
	}
	level, ttl, tos := unix.SOL_IP, unix.IP_TTL, unix.IP_TOS
	if !d.To.Addr.Is4() {
		level, ttl, tos = unix.SOL_IPV6, unix.IPV6_HOPLIMIT, unix.IPV6_TCLASS
	}
	if d.TTL != 0 {
		n += putCmsgInt(b[n:], level, ttl, int(d.TTL))
	}
	if d.TOS != 0 {
		n += putCmsgInt(b[n:], level, tos, int(d.TOS))
	}
	if seg > 0 {
		v, space := putCmsg(b[n:], unix.SOL_UDP, unix.UDP_SEGMENT, 2)
		binary.NativeEndian.PutUint16(v, uint16(seg))
		n += space
	}
	return n
}

// packetInfo writes the source address and the interface. A socket of family AF_INET6
// takes IPv4 ones in mapped form.
func (d *Dest) packetInfo(b []byte) int {
	if !d.Wide {
		v, space := putCmsg(b, unix.SOL_IP, unix.IP_PKTINFO, 12)
		clear(v)
		binary.NativeEndian.PutUint32(v, d.If)
		copy(v[4:8], d.Src[12:])
		return space
	}
	v, space := putCmsg(b, unix.SOL_IPV6, unix.IPV6_PKTINFO, 20)
	copy(v, d.Src[:])
	if d.To.Addr.Is4() {
		v[10], v[11] = 0xff, 0xff
	}
	binary.NativeEndian.PutUint32(v[16:], d.If)
	return space
}

// Recv receives up to len(d) messages, at most MaxBatch, and returns how many there were.
func (u *UDP) Recv(fd int, d []Datagram) (n int, e syscall.Errno) {
	d = d[:min(len(d), MaxBatch)]
	for i := range d {
		v := u.iov[3*i : 3*i : 3*i+3]
		for _, b := range d[i].Body[:min(len(d[i].Body), 2)] {
			v = v[:len(v)+1]
			sys.SetIovec(&v[len(v)-1], b)
		}
		if len(d[i].Over) > 0 {
			v = v[:len(v)+1]
			sys.SetIovec(&v[len(v)-1], d[i].Over)
		}
		sys.SetMsg(&u.hdr[i].Hdr, u.names[i][:], v, u.ctls[i][:])
	}
	n, e = sys.Recvmmsg(fd, u.hdr[:len(d)], unix.MSG_DONTWAIT)
	if e != 0 {
		return 0, e
	}
	for i := range d[:n] {
		h := &u.hdr[i]
		m := &d[i]
		m.Len, m.Seg, m.Local = int(h.Len), 0, inet.Addr{}
		m.From, m.Scope = u.names[i].peer(int(h.Hdr.Namelen))
		if c := int(h.Hdr.Controllen); c > 0 {
			m.control(u.ctls[i][:min(c, recvCtl)])
		}
	}
	return n, 0
}

// control reads the control data of a received message.
func (d *Datagram) control(b []byte) {
	for c := (cmsgs{b}); c.next(); {
		level, typ, v := c.get()
		switch {
		case level == unix.SOL_UDP && typ == unix.UDP_GRO && len(v) >= 4:
			if seg := int(binary.NativeEndian.Uint32(v)); seg < d.Len {
				d.Seg = seg
			}
		case level == unix.SOL_IP && typ == unix.IP_PKTINFO && len(v) >= 12:
			d.Local = inet.V4(v[4:])
		case level == unix.SOL_IPV6 && typ == unix.IPV6_PKTINFO && len(v) >= 20:
			d.Local = inet.V6(v)
		}
	}
}
