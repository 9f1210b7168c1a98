package sock

// Which ports are bound in a network namespace: sock_diag(7) asks the kernel for listening
// sockets alone, in binary, and says of an IPv6 socket whether it takes IPv4 too. Where that
// is not to be had, the tables of /proc/net are read (proc(5)).

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"passt/l3/inet"
	"passt/link/sys"
)

// Tables lists the bound sockets of the network namespace that it was opened in. It belongs
// to one goroutine at a time, and works from any namespace, and without a file system.
type Tables struct {
	diag int // netlink socket; -1 if there is none
	proc [4]int
	seq  uint32
	buf  []byte
}

// procNames are the tables of proc, in its order: by protocol, then IP version.
var procNames = [4]string{"tcp", "tcp6", "udp", "udp6"}

// Sockets that wait for others have these states (net/tcp_states.h): TCP ones listen, UDP
// ones are not connected, which is "closed".
const (
	stateClose  = 7
	stateListen = 10
)

// OpenTables opens the tables of the calling thread's network namespace.
func OpenTables() (*Tables, error) {
	t := &Tables{diag: -1, proc: [4]int{-1, -1, -1, -1}, buf: make([]byte, 32<<10)}
	if fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_SOCK_DIAG); err == nil {
		t.diag = fd
		none := func(inet.Endpoint, bool) {}
		if t.dump(unix.IPPROTO_TCP, unix.AF_INET, none) == nil && t.dump(unix.IPPROTO_UDP, unix.AF_INET, none) == nil {
			return t, nil
		}
		sys.Close(fd)
		t.diag = -1
	}
	var err error
	for i, n := range procNames {
		fd, e := unix.Open("/proc/thread-self/net/"+n, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if e != nil {
			if i%2 == 0 {
				err = fmt.Errorf("see which ports are bound: /proc/net/%s: %w", n, e)
			}
			continue
		}
		t.proc[i] = fd
	}
	return t, err
}

// Bound calls f for every socket of proto, unix.IPPROTO_TCP or unix.IPPROTO_UDP, that waits
// for anybody; dual says that it is bound to :: and takes IPv4 too.
func (t *Tables) Bound(proto uint8, f func(at inet.Endpoint, dual bool)) error {
	if t.diag >= 0 {
		err := t.dump(proto, unix.AF_INET, f)
		if err == nil {
			err = t.dump(proto, unix.AF_INET6, f)
		}
		return err
	}
	i := 0
	if proto == unix.IPPROTO_UDP {
		i = 2
	}
	for _, fd := range t.proc[i : i+2] {
		if err := t.read(fd, proto, f); err != nil {
			return err
		}
	}
	return nil
}

// Close closes the tables.
func (t *Tables) Close() {
	for _, fd := range append(t.proc[:], t.diag) {
		if fd >= 0 {
			sys.Close(fd)
		}
	}
}

// Layouts of linux/inet_diag.h.
const (
	diagRequestLen = unix.SizeofNlMsghdr + 56 // struct inet_diag_req_v2
	diagReplyLen   = 72                       // struct inet_diag_msg
	diagV6Only     = 11                       // INET_DIAG_SKV6ONLY
)

// dump asks for the sockets of one protocol and family.
func (t *Tables) dump(proto, family uint8, f func(inet.Endpoint, bool)) error {
	var req [diagRequestLen]byte
	ne := binary.NativeEndian
	t.seq++
	ne.PutUint32(req[0:], diagRequestLen)
	ne.PutUint16(req[4:], unix.SOCK_DIAG_BY_FAMILY)
	ne.PutUint16(req[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	ne.PutUint32(req[8:], t.seq)
	req[16], req[17] = family, proto
	state := uint32(1 << stateListen)
	if proto == unix.IPPROTO_UDP {
		state = 1 << stateClose
	}
	ne.PutUint32(req[20:], state)
	// A kernel socket answers from within these calls: there is nothing to wait for.
	if _, e := sys.Send(t.diag, req[:], unix.MSG_DONTWAIT); e != 0 {
		return e
	}
	for {
		n, e := sys.Recv(t.diag, t.buf, unix.MSG_DONTWAIT)
		if e == syscall.EINTR {
			continue
		}
		if e != 0 {
			return e
		}
		if done, err := t.replies(t.buf[:n], f); done || err != nil {
			return err
		}
	}
}

var errShort = errors.New("sock_diag: message cut off")

// replies reads the messages of one datagram, and says whether they were the last.
func (t *Tables) replies(b []byte, f func(inet.Endpoint, bool)) (done bool, err error) {
	ne := binary.NativeEndian
	for len(b) >= unix.SizeofNlMsghdr {
		n := int(ne.Uint32(b))
		if n < unix.SizeofNlMsghdr || n > len(b) {
			return false, errShort
		}
		body := b[unix.SizeofNlMsghdr:n]
		switch typ := ne.Uint16(b[4:]); {
		case ne.Uint32(b[8:]) != t.seq: // of a dump that was given up
		case typ == unix.NLMSG_DONE:
			return true, nil
		case typ == unix.NLMSG_ERROR:
			if len(body) < 4 {
				return false, errShort
			}
			return true, syscall.Errno(-int32(ne.Uint32(body)))
		case len(body) >= diagReplyLen:
			at, dual := diagSocket(body)
			f(at, dual)
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	return false, nil
}

func diagSocket(b []byte) (at inet.Endpoint, dual bool) {
	at.Port = binary.BigEndian.Uint16(b[4:])
	if b[0] == unix.AF_INET {
		at.Addr = inet.V4(b[8:])
		return at, false
	}
	at.Addr = inet.V6(b[8:])
	dual = at.Addr.IsZero()
	for a := b[diagReplyLen:]; len(a) >= unix.SizeofRtAttr; {
		n := int(binary.NativeEndian.Uint16(a))
		if n < unix.SizeofRtAttr || n > len(a) {
			break
		}
		if binary.NativeEndian.Uint16(a[2:]) == diagV6Only && n > unix.SizeofRtAttr && a[4] != 0 {
			dual = false
		}
		a = a[min((n+3)&^3, len(a)):]
	}
	return at, dual
}

// read reads one table of /proc/net from its beginning.
func (t *Tables) read(fd int, proto uint8, f func(inet.Endpoint, bool)) error {
	if fd < 0 {
		return nil
	}
	want := uint64(stateListen)
	if proto == unix.IPPROTO_UDP {
		want = stateClose
	}
	for off, kept := int64(0), 0; ; {
		n, err := unix.Pread(fd, t.buf[kept:], off)
		if err != nil {
			return fmt.Errorf("read /proc/net: %w", err)
		}
		if n == 0 {
			return nil
		}
		off += int64(n)
		b := t.buf[:kept+n]
		for {
			line, rest, ok := cutLine(b)
			if !ok {
				break
			}
			if at, state, ok := procSocket(line); ok && state == want {
				f(at, at.Addr.IsZero())
			}
			b = rest
		}
		kept = copy(t.buf, b)
	}
}

func cutLine(b []byte) (line, rest []byte, ok bool) {
	for i, c := range b {
		if c == '\n' {
			return b[:i], b[i+1:], true
		}
	}
	return nil, b, false
}

// procSocket reads a line "sl: ADDRESS:PORT ADDRESS:PORT STATE …". Addresses are words of 32
// bits in host byte order, in hexadecimal.
func procSocket(line []byte) (at inet.Endpoint, state uint64, ok bool) {
	var field [4][]byte
	k := 0
	for i := 0; i < len(line) && k < len(field); {
		for i < len(line) && line[i] == ' ' {
			i++
		}
		j := i
		for j < len(line) && line[j] != ' ' {
			j++
		}
		field[k] = line[i:j]
		k++
		i = j
	}
	addr := field[1]
	if k < len(field) || len(addr) != 8+5 && len(addr) != 32+5 {
		return at, 0, false
	}
	n := len(addr) - 5
	var raw [16]byte
	for i := 0; i < n; i += 8 {
		v, err := strconv.ParseUint(string(addr[i:i+8]), 16, 32)
		if err != nil {
			return at, 0, false
		}
		binary.NativeEndian.PutUint32(raw[i/2:], uint32(v))
	}
	port, err1 := strconv.ParseUint(string(addr[n+1:]), 16, 16)
	state, err2 := strconv.ParseUint(string(field[3]), 16, 8)
	if addr[n] != ':' || err1 != nil || err2 != nil {
		return at, 0, false
	}
	at.Port = uint16(port)
	if at.Addr = inet.V6(raw[:]); n == 8 {
		at.Addr = inet.V4(raw[:])
	}
	return at, state, true
}
