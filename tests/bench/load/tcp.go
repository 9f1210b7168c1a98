package load

// The clients over TCP. Each connection has one deadline, some time after the end of the
// load: whoever is still waiting then has been stalled for as long.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// open connects and says what is wanted.
func open(addr string, want byte, deadline time.Time) (*net.TCPConn, error) {
	d := net.Dialer{Deadline: deadline}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(deadline)
	if _, err := c.Write([]byte{want}); err != nil {
		c.Close()
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// stream sends until end. What counts is what arrived, and the time until all had.
func stream(c Config, end time.Time, t *tally) error {
	conn, err := open(c.Addr, wantCount, end.Add(grace))
	if err != nil {
		return failure(err)
	}
	defer conn.Close()
	b := make([]byte, chunk)
	for last := time.Now(); last.Before(end); {
		if _, err := conn.Write(b); err != nil {
			return failure(err)
		}
		now := time.Now()
		t.progress(last, now)
		last = now
	}
	last := time.Now()
	conn.CloseWrite()
	if err := binary.Read(conn, binary.BigEndian, &t.bytes); err != nil {
		return failure(err)
	}
	t.progress(last, time.Now())
	return nil
}

// maerts receives until end.
func maerts(c Config, end time.Time, t *tally) error {
	conn, err := open(c.Addr, wantFlood, end.Add(grace))
	if err != nil {
		return failure(err)
	}
	defer conn.Close()
	conn.SetReadDeadline(end)
	b := make([]byte, chunk)
	for last := time.Now(); ; {
		n, err := conn.Read(b)
		now := time.Now()
		t.progress(last, now)
		last = now
		t.bytes += uint64(n)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && t.bytes == 0:
			return ErrStalled
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return err
		}
	}
}

// echo sends messages of c.Size bytes and waits for each to come back.
func echo(c Config, end time.Time, t *tally) error {
	conn, err := open(c.Addr, wantEcho, end.Add(grace))
	if err != nil {
		return failure(err)
	}
	defer conn.Close()
	b := make([]byte, c.Size)
	for begin := time.Now(); begin.Before(end); {
		if err := exchange(conn, b); err != nil {
			return failure(err)
		}
		now := time.Now()
		t.transaction(now.Sub(begin))
		begin = now
	}
	return nil
}

// exchange sends b and waits for as much.
func exchange(c net.Conn, b []byte) error {
	if _, err := c.Write(b); err != nil {
		return err
	}
	_, err := io.ReadFull(c, b)
	return err
}

// connect opens a connection for each message. One that fails is counted and not more, unless
// none works.
func connect(c Config, end time.Time, t *tally) error {
	b := make([]byte, c.Size)
	var last error
	for begin := time.Now(); begin.Before(end); begin = time.Now() {
		conn, err := open(c.Addr, wantEcho, begin.Add(grace))
		if err == nil {
			err = exchange(conn, b)
			conn.Close()
		}
		if err != nil {
			t.failed++
			last = failure(err)
			continue
		}
		t.transaction(time.Since(begin))
	}
	if len(t.took) == 0 {
		return last
	}
	return nil
}

// opening is how many connections idle opens at once: a backlog holds as many.
const opening = 64

// idle opens c.Conns connections, writes a line once all were tried, and holds them until in
// ends. Then it counts those that still work.
func idle(c Config, out io.Writer, in io.Reader) (r Result, err error) {
	conns := make([]*net.TCPConn, c.Conns)
	places := make(chan struct{}, opening)
	var wg sync.WaitGroup
	begin := time.Now()
	for i := range conns {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			conn, err := open(c.Addr, wantEcho, time.Now().Add(grace))
			if err == nil && exchange(conn, []byte{1}) == nil {
				conns[i] = conn
			}
		})
	}
	wg.Wait()
	r.Seconds = time.Since(begin).Seconds()
	fmt.Fprintln(out, "open")
	io.Copy(io.Discard, in)
	deadline := time.Now().Add(grace)
	for _, conn := range conns {
		if conn != nil && conn.SetDeadline(deadline) == nil && exchange(conn, []byte{1}) == nil {
			r.Count++
		}
	}
	r.Failed = uint64(c.Conns) - r.Count
	return r, nil
}

// reachable tries until a message is answered, for c.Time.
func reachable(c Config) (r Result, err error) {
	for begin := time.Now(); time.Since(begin) < c.Time; time.Sleep(20 * time.Millisecond) {
		var conn net.Conn
		if conn, err = open(c.Addr, wantEcho, time.Now().Add(time.Second)); err != nil {
			continue
		}
		err = exchange(conn, []byte{1})
		conn.Close()
		if err == nil {
			r.Count, r.Seconds = 1, time.Since(begin).Seconds()
			return r, nil
		}
	}
	return r, failure(err)
}
