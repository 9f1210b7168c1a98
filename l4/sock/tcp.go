package sock

import (
	"encoding/binary"
	"syscall"

	"golang.org/x/sys/unix"

	"passt/l3/inet"
	"passt/link/sys"
)

// TCP makes and uses TCP sockets of the host for one worker. It implements what package
// tcp asks for.
type TCP struct {
	Out4, Out6 Outbound
	peekOff    bool // the kernel has SO_PEEK_OFF for TCP (Linux 6.9)
	iov        [maxPieces]sys.Iovec
	msg        unix.Msghdr
	mem        sys.MemInfo
	addr       Addr
	scratch    []byte // where skipped bytes go without SO_PEEK_OFF
}

// maxPieces is the most pieces of memory of one call (UIO_MAXIOV).
const maxPieces = 1024

const scratchLen = 64 << 10

// NewTCP makes a TCP that binds outbound sockets as out4 and out6 say.
func NewTCP(out4, out6 Outbound) *TCP {
	t := &TCP{Out4: out4, Out6: out6}
	if fd, e := sys.Socket(unix.AF_INET, unix.SOCK_STREAM, 0); e == 0 {
		t.peekOff = sys.SetInt(fd, unix.SOL_SOCKET, unix.SO_PEEK_OFF, 0) == 0
		sys.Close(fd)
	}
	if !t.peekOff {
		t.scratch = make([]byte, scratchLen)
	}
	return t
}

// Prepare sets the options that sockets of flows need. On a listening socket it sets them
// for the connections that it will accept.
func (t *TCP) Prepare(fd int) {
	prepareTCP(fd)
	if t.peekOff {
		sys.SetInt(fd, unix.SOL_SOCKET, unix.SO_PEEK_OFF, 0)
	}
}

// prepareTCP sets what every TCP socket needs. Urgent data is ordinary data in its place, as
// RFC 6093 recommends: one byte of it would be missing otherwise (SO_OOBINLINE, socket(7)).
func prepareTCP(fd int) {
	sys.SetInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	sys.SetInt(fd, unix.SOL_SOCKET, unix.SO_OOBINLINE, 1)
}

var reno = []byte("reno")

// Calm takes congestion control away from fd, a TCP socket that sends over loopback, as far as
// that goes: reno does nothing where nothing is lost, and the kernel always has it. The system's
// may be one that paces, such as bbr, with which loopback was measured to be a third slower.
func Calm(fd int) { sys.SetBytes(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, reno) }

// Dial starts a connection to dst. local is set if dst is the host's loopback, which no
// outbound address or interface is right for; hops, if not 0, is the lifetime of packets.
func (t *TCP) Dial(dst *inet.Endpoint, local bool, hops uint8) (int, syscall.Errno) {
	domain, out := unix.AF_INET6, &t.Out6
	if dst.Addr.Is4() {
		domain, out = unix.AF_INET, &t.Out4
	}
	fd, e := sys.Socket(domain, unix.SOCK_STREAM, 0)
	if e != 0 {
		return -1, e
	}
	t.Prepare(fd)
	if local {
		Calm(fd)
	} else {
		e = t.bind(fd, out)
	}
	if hops != 0 {
		if domain == unix.AF_INET {
			sys.SetInt(fd, unix.IPPROTO_IP, unix.IP_TTL, int(hops))
		} else {
			sys.SetInt(fd, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, int(hops))
		}
	}
	if e == 0 {
		e = sys.Connect(fd, t.addr.Put(dst, out.Scope))
	}
	if e != 0 && e != unix.EINPROGRESS {
		sys.Close(fd)
		return -1, e
	}
	return fd, 0
}

func (t *TCP) bind(fd int, out *Outbound) syscall.Errno {
	if out.If != "" {
		if e := sys.SetBytes(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, []byte(out.If)); e != 0 {
			return e
		}
	}
	if out.Addr.IsZero() {
		return 0
	}
	// The port is chosen at connect(), by the whole 4-tuple (ip(7)).
	sys.SetInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	return sys.Bind(fd, t.addr.Put(&inet.Endpoint{Addr: out.Addr}, out.Scope))
}

// Err takes the pending error of fd, 0 if there is none (SO_ERROR, socket(7)).
func (t *TCP) Err(fd int) syscall.Errno {
	v, e := sys.GetInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if e != 0 {
		return e
	}
	return syscall.Errno(v)
}

// Send sends the pieces of v and returns how many bytes the socket took.
func (t *TCP) Send(fd int, v [][]byte) (int, syscall.Errno) {
	if len(v) == 1 {
		return sys.Send(fd, v[0], unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
	}
	v = v[:min(len(v), maxPieces)]
	for i, b := range v {
		sys.SetIovec(&t.iov[i], b)
	}
	sys.SetMsg(&t.msg, nil, t.iov[:len(v)], nil)
	return sys.Sendmsg(fd, &t.msg, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
}

// Peek copies bytes of the receive queue, from the offset skip on, to the pieces of v, and
// leaves them in the queue. It returns how many, 0 at the end of the stream. moved says
// that skip is not where the last Peek ended.
func (t *TCP) Peek(fd, skip int, moved bool, v [][]byte) (int, syscall.Errno) {
	k := 0
	if t.peekOff {
		if moved {
			if e := sys.SetInt(fd, unix.SOL_SOCKET, unix.SO_PEEK_OFF, skip); e != 0 {
				return -1, e
			}
		}
		skip = 0
	}
	for n := skip; n > 0; n -= scratchLen {
		if k == maxPieces-1 {
			return -1, unix.EAGAIN // the guest is too far behind: wait for its acknowledgement
		}
		sys.SetIovec(&t.iov[k], t.scratch[:min(n, scratchLen)])
		k++
	}
	if k == 0 && len(v) == 1 {
		return sys.Recv(fd, v[0], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	}
	for _, b := range v[:min(len(v), maxPieces-k)] {
		sys.SetIovec(&t.iov[k], b)
		k++
	}
	sys.SetMsg(&t.msg, nil, t.iov[:k], nil)
	n, e := sys.Recvmsg(fd, &t.msg, unix.MSG_PEEK|unix.MSG_DONTWAIT)
	if e != 0 {
		return -1, e
	}
	if n -= skip; n < 0 || n == 0 && skip > 0 && !t.atEnd(fd, skip) {
		return -1, unix.EAGAIN
	}
	return n, 0
}

// atEnd says whether the peer has sent its FIN, behind n bytes that are in the receive queue:
// without SO_PEEK_OFF a short read does not tell. More than these may have come since, or be
// urgent data, which a read stops in front of.
func (t *TCP) atEnd(fd, n int) bool {
	var info [1]byte
	k, e := sys.GetBytes(fd, unix.IPPROTO_TCP, unix.TCP_INFO, info[:])
	const tcpClose, closeWait, lastAck, closing = 7, 8, 9, 11 // net/tcp_states.h
	if e != 0 || k != 1 || info[0] != closeWait && info[0] != lastAck && info[0] != closing && info[0] != tcpClose {
		return false
	}
	queued, e := sys.InQueue(fd)
	return e == 0 && queued <= n
}

// Discard takes n bytes off the receive queue, which has them: with urgent data among them
// in more than one call, since each read stops in front of it.
func (t *TCP) Discard(fd, n int) {
	for n > 0 {
		k, e := sys.Discard(fd, n)
		if e != 0 || k == 0 {
			return
		}
		n -= k
	}
}

// Room asks for the size of the send buffer of fd and how much of it is taken, in the
// kernel's own accounting, which counts its overhead (SO_MEMINFO), and how many bytes of
// payload take that much.
func (t *TCP) Room(fd int) (size, taken, payload int) {
	if e := sys.GetMemInfo(fd, &t.mem); e != 0 {
		return 0, 0, 0
	}
	size, taken = int(t.mem[sys.MemSndBuf]), int(t.mem[sys.MemWmemQueued])
	if taken > 0 {
		payload, _ = sys.OutQueue(fd)
	}
	return size, taken, payload
}

// Ending is how a socket is ended.
type Ending uint8

// Endings: Half ends what is sent and leaves receiving open; Orderly closes after everything
// sent was received; Abort closes with a reset.
const (
	Half Ending = iota
	Orderly
	Abort
)

// End ends fd as how says.
func (t *TCP) End(fd int, how Ending) {
	switch how {
	case Half:
		sys.Shutdown(fd, unix.SHUT_WR)
		return
	case Abort:
		// SO_LINGER with no time makes close() send a reset (socket(7)).
		var linger [8]byte
		binary.NativeEndian.PutUint32(linger[:], 1)
		sys.SetBytes(fd, unix.SOL_SOCKET, unix.SO_LINGER, linger[:])
	}
	sys.Close(fd)
}

// KeepAlive makes the kernel ask the peer of fd from time to time whether it is still there.
func (t *TCP) KeepAlive(fd int) { sys.SetInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1) }
