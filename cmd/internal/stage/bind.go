package stage

// Ports below 1024 of the host (ip(7), ip_unprivileged_port_start). Being allowed to bind them
// is a matter of the user namespace that the host's network belongs to, and there the
// translator has no rights. The start stage may have the right: as root, or by a capability of
// the program file. So the translator makes the socket as it needs it and, where it may not
// bind it, sends it to the start stage, which does that and nothing else: not for any other
// kind of socket, and not for ports that the translator can have without.

import (
	"encoding/binary"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"passt/cmd/internal/sandbox"
	"passt/link/sys"
)

// binder is the translator's side.
type binder struct {
	sock    int // to the start stage
	mu      sync.Mutex
	answers chan syscall.Errno
	ended   chan struct{} // the start stage is gone
}

// privileged is who binds what the translator may not, nil if nobody can.
func (t *translator) privileged() func(fd int, name []byte) syscall.Errno {
	if !t.c.Binds {
		return nil
	}
	return t.bind.request
}

// request has the socket fd bound to name.
func (b *binder) request(fd int, name []byte) syscall.Errno {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := send(b.sock, message{Kind: kindBind, Name: name}, fd); err != nil {
		return unix.EACCES
	}
	select {
	case e := <-b.answers:
		return e
	case <-b.ended:
		return unix.EACCES
	}
}

// answer is called with the answer to a request.
func (b *binder) answer(e syscall.Errno) {
	select {
	case b.answers <- e:
	default: // nobody has asked
	}
}

// answerBind is the start stage's side: it does what m asks for, and answers.
func (s *starter) answerBind(sock int, m message, fds []int) {
	e := bindLow(fds, m.Name, s.c.Binds, unprivilegedFrom())
	closeAll(fds)
	_ = send(sock, message{Kind: kindBound, Code: int(e)}) // if it has gone, we hear of that
}

// bindLow binds the one socket of fds to name, if it is of TCP or UDP and the port is below from,
// the first one that anybody may bind.
func bindLow(fds []int, name []byte, may bool, from int) syscall.Errno {
	if !may || len(fds) != 1 {
		return unix.EACCES
	}
	fd := fds[0]
	domain, size := unix.AF_INET, unix.SizeofSockaddrInet4
	if len(name) == unix.SizeofSockaddrInet6 {
		domain, size = unix.AF_INET6, unix.SizeofSockaddrInet6
	}
	if len(name) != size || int(binary.NativeEndian.Uint16(name)) != domain || option(fd, unix.SO_DOMAIN) != domain {
		return unix.EINVAL
	}
	switch typ, proto := option(fd, unix.SO_TYPE), option(fd, unix.SO_PROTOCOL); {
	case typ == unix.SOCK_STREAM && proto == unix.IPPROTO_TCP, typ == unix.SOCK_DGRAM && proto == unix.IPPROTO_UDP:
	default:
		return unix.EINVAL
	}
	if port := int(binary.BigEndian.Uint16(name[2:])); port == 0 || port >= from {
		return unix.EACCES
	}
	return sys.Bind(fd, name)
}

// option is an integer of a socket, -1 if it has none, not being a socket for instance.
func option(fd, opt int) int {
	v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, opt)
	if err != nil {
		return -1
	}
	return v
}

// unprivilegedFrom is the first port that anybody may bind.
func unprivilegedFrom() int {
	n, err := strconv.Atoi(readSysctl("net.ipv4.ip_unprivileged_port_start"))
	if err != nil {
		return 1024
	}
	return n
}

// mayBindLow says whether this process may bind ports below that.
func mayBindLow() bool { return sandbox.Has(unix.CAP_NET_BIND_SERVICE) }
