package splice

import (
	"syscall"

	"golang.org/x/sys/unix"

	"passt/l3/inet"
	"passt/l4/sock"
	"passt/link/sys"
)

// Provider has sockets in the guest's network namespace.
type Provider interface {
	// Take gives a socket away: of TCP if stream, else of UDP, of IPv4 or IPv6, prepared
	// as sock.New does it.
	Take(stream, v4 bool) (fd int, e syscall.Errno)
}

// Pipe is a pipe by its two ends, and how many bytes it has room for.
type Pipe struct{ r, w, size int32 }

// Sockets is what a TCP needs of sockets and pipes; System has the real ones, and the tests
// others.
type Sockets interface {
	// Connect begins a connection to dst, on the host if out, else in the guest's
	// namespace.
	Connect(out bool, dst *inet.Endpoint) (fd int, e syscall.Errno)
	Recv(fd int, b []byte) (int, syscall.Errno)
	Send(fd int, b []byte) (int, syscall.Errno)
	// Move moves up to n bytes between a pipe and a socket.
	Move(from, to, n int) (int, syscall.Errno)
	// Bulk makes a socket ready to send bulk data.
	Bulk(fd int)
	Pipe() (Pipe, syscall.Errno)
	// End ends a socket as how says, or closes an end of a pipe (sock.Orderly).
	End(fd int, how sock.Ending)
	// Err takes the pending error of a socket, 0 if there is none.
	Err(fd int) syscall.Errno
}

// System is the Sockets of the system.
type System struct {
	Guest Provider
	TCP   *sock.TCP
}

var _ Sockets = (*System)(nil)

// pipeSize is how much room is asked for in a pipe, in bytes: what the system gives to anybody
// by default (/proc/sys/fs/pipe-max-size, pipe(7)).
const pipeSize = 1 << 20

// Connect implements Sockets.
func (s *System) Connect(out bool, dst *inet.Endpoint) (fd int, e syscall.Errno) {
	fd, e = s.socket(out, true, dst)
	if e != 0 {
		return -1, e
	}
	if e = sock.Connect(fd, dst); e != 0 {
		sock.Close(fd)
		return -1, e
	}
	return fd, 0
}

func (s *System) socket(out, stream bool, dst *inet.Endpoint) (int, syscall.Errno) {
	if out {
		return sock.New(stream, dst.Addr.Is4())
	}
	return s.Guest.Take(stream, dst.Addr.Is4())
}

// Recv implements Sockets.
func (s *System) Recv(fd int, b []byte) (int, syscall.Errno) {
	return sys.Recv(fd, b, unix.MSG_DONTWAIT)
}

// Send implements Sockets.
func (s *System) Send(fd int, b []byte) (int, syscall.Errno) {
	return sys.Send(fd, b, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

// Move implements Sockets.
func (s *System) Move(from, to, n int) (int, syscall.Errno) { return sys.Splice(from, to, n) }

// Bulk implements Sockets.
func (s *System) Bulk(fd int) { sock.Calm(fd) }

// Pipe implements Sockets.
func (s *System) Pipe() (Pipe, syscall.Errno) {
	r, w, e := sys.Pipe()
	if e != 0 {
		return Pipe{}, e
	}
	size, e := sys.SetPipeSize(w, pipeSize)
	if e != 0 {
		size, e = sys.PipeSize(w)
	}
	if e != 0 {
		sys.Close(r)
		sys.Close(w)
		return Pipe{}, e
	}
	return Pipe{int32(r), int32(w), int32(size)}, 0
}

// End implements Sockets.
func (s *System) End(fd int, how sock.Ending) { s.TCP.End(fd, how) }

// Err implements Sockets.
func (s *System) Err(fd int) syscall.Errno { return s.TCP.Err(fd) }
