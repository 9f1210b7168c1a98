package splice

// A machine of fakes: sockets are queues in memory that the test fills, drains and breaks.

import (
	"bytes"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"passt/l3/inet"
	"passt/l4/sock"
	"passt/l4/wheel"
	"passt/nat"
)

// fakeSock is a socket: what can be read, what was sent and how much room there is for more.
type fakeSock struct {
	in    []byte
	eof   bool
	err   syscall.Errno // of the next call
	out   bytes.Buffer
	room  int
	ended string
	bulk  bool

	// There is urgent data in in, at mark. A read stops in front of it, and the next one goes on;
	// splice(2) never does.
	urgent bool
	mark   int
}

// The sockets of a connection, in the order in which they are made, and the first pipe's ends.
const (
	fdClient = 10
	fdServer = 11
	fdPipes  = 100
)

type fakes struct {
	t          *testing.T
	socks      map[int]*fakeSock
	pipes      map[int]*bytes.Buffer // by either end
	nextPipe   int
	pipeSize   int32
	pipeErr    syscall.Errno
	connectErr syscall.Errno
	dst        inet.Endpoint
	out        bool
	rearmed    int
	refs       map[int]sock.Ref
}

func (f *fakes) Connect(out bool, dst *inet.Endpoint) (int, syscall.Errno) {
	f.out, f.dst = out, *dst
	if f.connectErr != 0 {
		return -1, f.connectErr
	}
	f.socks[fdServer] = &fakeSock{room: 1 << 30}
	return fdServer, 0
}

func (s *fakeSock) fail() syscall.Errno {
	e := s.err
	s.err = 0
	return e
}

func (f *fakes) Recv(fd int, b []byte) (int, syscall.Errno) {
	s := f.socks[fd]
	if len(s.in) > 0 {
		if s.urgent && s.mark > 0 {
			b = b[:min(len(b), s.mark)]
		}
		n := copy(b, s.in)
		s.in = s.in[n:]
		s.urgent = s.urgent && s.mark > 0
		s.mark -= n
		return n, 0
	}
	if e := s.fail(); e != 0 {
		return -1, e
	}
	if s.eof {
		return 0, 0
	}
	return -1, syscall.EAGAIN
}

func (f *fakes) Send(fd int, b []byte) (int, syscall.Errno) {
	s := f.socks[fd]
	if e := s.fail(); e != 0 {
		return -1, e
	}
	n := min(len(b), s.room)
	if n == 0 {
		return -1, syscall.EAGAIN
	}
	s.room -= n
	s.out.Write(b[:n])
	return n, 0
}

func (f *fakes) Move(from, to, n int) (int, syscall.Errno) {
	if p := f.pipes[to]; p != nil {
		if s := f.socks[from]; s.urgent && s.mark == 0 {
			return -1, syscall.EAGAIN
		}
		n = min(n, int(f.pipeSize)-p.Len())
		b := make([]byte, n)
		n, e := f.Recv(from, b)
		p.Write(b[:max(n, 0)])
		return n, e
	}
	p := f.pipes[from]
	n, e := f.Send(to, p.Bytes()[:min(n, p.Len())])
	p.Next(max(n, 0))
	return n, e
}

func (f *fakes) Bulk(fd int) { f.socks[fd].bulk = true }

func (f *fakes) Pipe() (Pipe, syscall.Errno) {
	if f.pipeErr != 0 {
		return Pipe{}, f.pipeErr
	}
	r := fdPipes + f.nextPipe
	f.nextPipe += 2
	b := new(bytes.Buffer)
	f.pipes[r], f.pipes[r+1] = b, b
	return Pipe{int32(r), int32(r + 1), f.pipeSize}, 0
}

func (f *fakes) End(fd int, how sock.Ending) {
	if _, ok := f.pipes[fd]; ok {
		delete(f.pipes, fd)
		return
	}
	f.socks[fd].ended += [...]string{"half ", "orderly ", "abort "}[how]
}

func (f *fakes) Err(fd int) syscall.Errno { return f.socks[fd].fail() }

func (f *fakes) Add(fd int, ref sock.Ref, events uint32) bool {
	f.refs[fd] = ref
	return true
}

func (f *fakes) Mod(fd int, ref sock.Ref, events uint32) bool {
	f.rearmed++
	return true
}

func (f *fakes) Del(int) {}

// machine is a TCP with one connection, accepted and on its way to its target.
type machine struct {
	*fakes
	tcp   *TCP
	wheel *wheel.Wheel
	now   int64
}

func newMachine(t *testing.T) *machine {
	f := &fakes{
		t: t, socks: map[int]*fakeSock{fdClient: {room: 1 << 30}}, pipes: map[int]*bytes.Buffer{}, pipeSize: 1 << 20,
		refs: map[int]sock.Ref{},
	}
	m := &machine{fakes: f, now: second, wheel: wheel.New(second)}
	rules := nat.New(nat.Config{V4: nat.Family{Guest: inet.V4([]byte{192, 0, 2, 10})}})
	m.tcp = NewTCP(Config{Sockets: f, Poller: f, Wheel: m.wheel, Rules: rules, Observed: &nat.Observed{}, MaxConns: 2})
	return m
}

func (m *machine) accept(out bool) {
	client := inet.Endpoint{Addr: inet.V4([]byte{127, 0, 0, 1}), Port: 40000}
	m.tcp.Accepter(out).Accept(fdClient, client, client.Addr, inet.Endpoint{Port: 80}, m.now)
}

// event reports events of a socket.
func (m *machine) event(fd int, events uint32) { m.tcp.Event(m.refs[fd], events, m.now) }

// open makes an established connection.
func open(t *testing.T) *machine {
	m := newMachine(t)
	m.accept(false)
	m.event(fdServer, sock.Out)
	return m
}

// wantEnds checks how the two sockets were ended.
func (m *machine) wantEnds(client, server string) {
	m.t.Helper()
	got := fmt.Sprintf("%s/%s", strings.TrimSpace(m.socks[fdClient].ended), strings.TrimSpace(m.socks[fdServer].ended))
	if want := client + "/" + server; got != want {
		m.t.Errorf("sockets were ended %q, want %q", got, want)
	}
}

// wantSent checks what a socket was sent, and forgets it.
func (m *machine) wantSent(fd int, want []byte) {
	m.t.Helper()
	if got := m.socks[fd].out.Bytes(); !bytes.Equal(got, want) {
		m.t.Errorf("socket %d was sent %d bytes, want %d (equal so far: %v)", fd, len(got), len(want),
			bytes.Equal(got[:min(len(got), len(want))], want[:min(len(got), len(want))]))
	}
	m.socks[fd].out.Reset()
}

// pattern is n bytes that differ.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return b
}
