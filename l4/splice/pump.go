package splice

// Moving the bytes of one direction. Small data is copied through one buffer of the worker:
// two system calls, where splice(2) needs its detour by a pipe. Once much is read at a time,
// a pipe of a megabyte takes over, which costs less than copying. It goes back to the others
// when the direction has become quiet. A direction with urgent data is only copied: splice(2)
// never gets past the mark, while a read stops in front of it and the next one goes on.
//
// What was read and the target has no room for waits where it is, in the buffer, which the
// direction then keeps, or in the pipe. Nothing more is read meanwhile, so that the source's
// window closes.

import (
	"syscall"

	"passt/l4/sock"
)

const (
	// copyLen is how much is copied at a time, in bytes.
	copyLen = 64 << 10
	// bulkLen is how much a read must bring to count as bulk data; bulkRuns of them in a
	// row make a direction use a pipe, and as many that bring less than quietLen make it
	// stop. It has one only while it moves something, or its target is full.
	bulkLen  = 32 << 10
	quietLen = 16 << 10
	bulkRuns = 2
	// turn is how many bytes a direction moves before others have their turn.
	turn = 1 << 20
	// lastLen is how many bytes are taken from a connection that broke: about what a receive
	// queue holds (tcp_rmem, tcp(7)).
	lastLen = 8 * turn
	// pipesKept is how many pipes are kept when they are not in use. A pipe that got less
	// room than pipeMin, since the user has many, is worse than copying.
	pipesKept   = 16
	buffersKept = 16 // and likewise buffers
	pipeMin     = 64 << 10
)

// none is no descriptor and no number.
const none = -1

// half is one direction of a connection.
type half struct {
	moved    uint64
	held     int32 // number of the buffer with the bytes from, to; or none
	from, to int32
	pipe     Pipe // r is none without one
	inPipe   int32
	runs     int8 // reads in a row that were large, or with bulk, small
	bulk     bool // a pipe is to be used
	urgent   bool // there was urgent data: never bulk
	blocked  bool // the target is full, and what was read is held or in the pipe
	eof      bool // the source has ended
	shut     bool // and the target was told
}

// pump moves bytes from side s to the other one, to the end of what there is: until the
// source says that it has no more if last is set, else until a read that does not fill the
// buffer. It says whether c is still there.
func (t *TCP) pump(c *conn, s int, last bool) bool {
	h := &c.half[s]
	if h.shut {
		return true
	}
	h.blocked = false
	ok := t.move(c, s, last)
	if ok && h.pipe.r != none && h.inPipe == 0 {
		t.putPipe(h) // an idle direction needs none, also if it will be busy again
	}
	return ok
}

func (t *TCP) move(c *conn, s int, last bool) bool {
	h := &c.half[s]
	for left := turn; ; {
		if e := t.flush(c, s); e != 0 {
			t.reset(c)
			return false
		}
		if h.blocked {
			return true
		}
		if h.eof {
			return t.finish(c, s)
		}
		if left <= 0 {
			// More than others should wait for: the rest is reported as a new event.
			t.cfg.Poller.Mod(int(c.fd[s]), t.ref(c, s), sock.InOut|sock.Pri)
			return true
		}
		n, full, e := t.step(c, s)
		switch {
		case e == syscall.EAGAIN, h.blocked:
			return true
		case e == syscall.EINTR:
			continue
		case e != 0:
			t.reset(c)
			return false
		case n == 0:
			h.eof = true
		case !full && !last:
			return true
		}
		left -= n
	}
}

// step reads once, by the way that is right for the direction, which has nothing left to
// send. full says that there may be more.
func (t *TCP) step(c *conn, s int) (n int, full bool, e syscall.Errno) {
	h := &c.half[s]
	switch {
	case h.bulk && h.pipe.r == none:
		t.takePipe(h)
	case !h.bulk && h.pipe.r != none:
		t.putPipe(h)
	}
	if h.pipe.r != none {
		n, e = t.fill(c, s)
		return n, true, e
	}
	n, e = t.copy(c, s)
	return n, n == copyLen, e
}

// copy reads once and sends what came. It returns what was read.
func (t *TCP) copy(c *conn, s int) (int, syscall.Errno) {
	h := &c.half[s]
	n, e := t.cfg.Sockets.Recv(int(c.fd[s]), t.buf)
	if e != 0 || n == 0 {
		return n, e
	}
	sent, e := t.cfg.Sockets.Send(int(c.fd[1-s]), t.buf[:n])
	switch {
	case e == syscall.EAGAIN:
		sent = 0
	case e != 0:
		return n, e
	}
	h.moved += uint64(sent)
	if sent < n {
		t.hold(h, sent, n)
		return n, 0
	}
	switch {
	case n < bulkLen, h.urgent:
		h.runs = 0
	case h.runs < bulkRuns:
		h.runs++
	default:
		h.bulk, h.runs = true, 0
		t.Stats.Bulk++
		t.cfg.Sockets.Bulk(int(c.fd[1-s]))
	}
	return n, 0
}

// hold leaves the bytes from..to of the buffer to h, and gives the worker another buffer.
func (t *TCP) hold(h *half, from, to int) {
	var k int32
	if n := len(t.spare); n > 0 {
		k, t.spare = t.spare[n-1], t.spare[:n-1]
	} else {
		k = int32(len(t.held))
		t.held = append(t.held, nil)
	}
	if t.held[k] == nil {
		t.held[k] = make([]byte, copyLen)
	}
	t.held[k], t.buf = t.buf, t.held[k]
	h.held, h.from, h.to = k, int32(from), int32(to)
	h.blocked = true
}

// giveBack frees the buffer of h. The memory of a few is kept.
func (t *TCP) giveBack(h *half) {
	if len(t.spare) >= buffersKept {
		t.held[h.held] = nil
	}
	t.spare = append(t.spare, h.held)
	h.held = none
}

// flush sends what the direction from side s has, until its target is full.
func (t *TCP) flush(c *conn, s int) syscall.Errno {
	h := &c.half[s]
	to := int(c.fd[1-s])
	for h.held != none || h.inPipe > 0 {
		var n int
		var e syscall.Errno
		if h.held != none {
			n, e = t.cfg.Sockets.Send(to, t.held[h.held][h.from:h.to])
		} else {
			n, e = t.cfg.Sockets.Move(int(h.pipe.r), to, int(h.inPipe))
		}
		switch e {
		case 0:
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			h.blocked = true
			return 0
		default:
			return e
		}
		h.moved += uint64(n)
		if h.held == none {
			h.inPipe -= int32(n)
		} else if h.from += int32(n); h.from == h.to {
			t.giveBack(h)
		}
	}
	return 0
}

// lastWords passes on what side s said before its connection broke: the kernel still has it,
// and a native peer would read it, such as the answer of a server that does not care for the
// rest of a request. It does so once, as far as the other side has room.
func (t *TCP) lastWords(c *conn, s int) {
	h := &c.half[s]
	h.blocked = false
	for left := lastLen; left > 0; {
		if e := t.flush(c, s); e != 0 || h.blocked {
			return
		}
		n, e := t.copy(c, s)
		if e != 0 || n == 0 {
			return
		}
		left -= n
	}
}

// fill moves bytes from the source to the pipe, which is empty.
func (t *TCP) fill(c *conn, s int) (int, syscall.Errno) {
	h := &c.half[s]
	n, e := t.cfg.Sockets.Move(int(c.fd[s]), int(h.pipe.w), int(h.pipe.size))
	if e != 0 {
		return 0, e
	}
	h.inPipe = int32(n)
	switch {
	case n >= quietLen:
		h.runs = 0
	case h.runs < bulkRuns:
		h.runs++
	default:
		h.bulk, h.runs = false, 0
	}
	return n, 0
}

// finish passes on that the source has ended. It says whether c is still there.
func (t *TCP) finish(c *conn, s int) bool {
	c.half[s].shut = true
	t.letGo(&c.half[s])
	if c.half[1-s].shut {
		t.drop(c, sock.Orderly, "closed")
		return false
	}
	t.cfg.Sockets.End(int(c.fd[1-s]), sock.Half)
	return true
}

// letGo gives back what h has.
func (t *TCP) letGo(h *half) {
	if h.held != none {
		t.giveBack(h)
	}
	if h.pipe.r == none {
		return
	}
	if h.inPipe == 0 {
		t.putPipe(h)
		return
	}
	t.closePipe(h.pipe)
	h.pipe.r = none
}

// takePipe gives h a pipe. If there is none to be had, h goes on copying for a while.
func (t *TCP) takePipe(h *half) {
	if n := len(t.pipes); n > 0 {
		h.pipe, t.pipes = t.pipes[n-1], t.pipes[:n-1]
		return
	}
	p, e := t.cfg.Sockets.Pipe()
	switch {
	case e != 0:
		h.bulk = false
	case p.size < pipeMin:
		h.bulk = false
		t.closePipe(p)
	default:
		h.pipe = p
	}
}

// putPipe takes the empty pipe of h back.
func (t *TCP) putPipe(h *half) {
	if len(t.pipes) < pipesKept {
		t.pipes = append(t.pipes, h.pipe)
	} else {
		t.closePipe(h.pipe)
	}
	h.pipe.r = none
}

func (t *TCP) closePipe(p Pipe) {
	t.cfg.Sockets.End(int(p.r), sock.Orderly)
	t.cfg.Sockets.End(int(p.w), sock.Orderly)
}
