package load

// The clients over UDP. Datagrams may be lost, which is a figure and no failure, unless
// nothing arrives at all.

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"time"
)

// answerTime is how long an answer is waited for.
const answerTime = time.Second

// seqLen is the length of the number that tells an answer from a late one.
const seqLen = 8

// datagram sends messages and waits for the answer of each.
func datagram(c Config, end time.Time, t *tally) error {
	conn, err := net.Dial("udp", c.Addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	b := make([]byte, max(c.Size, 1+seqLen))
	b[0] = wantEcho
	var seq uint64
	for begin := time.Now(); begin.Before(end); begin = time.Now() {
		seq++
		binary.BigEndian.PutUint64(b[1:], seq)
		if _, err := conn.Write(b); err != nil {
			return err
		}
		conn.SetReadDeadline(begin.Add(answerTime))
		switch err := await(conn, b, seq); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			t.failed++
			t.pause = max(t.pause, answerTime)
		case err != nil:
			return err
		default:
			t.transaction(time.Since(begin))
		}
	}
	if len(t.took) == 0 {
		return ErrStalled
	}
	return nil
}

// await receives until the answer to seq.
func await(c net.Conn, b []byte, seq uint64) error {
	for {
		if n, err := c.Read(b); err != nil {
			return err
		} else if n == len(b) && binary.BigEndian.Uint64(b[1:]) == seq {
			return nil
		}
	}
}

const (
	burst  = 16                     // datagrams between two looks at the clock
	settle = 300 * time.Millisecond // for what is under way to arrive
	asks   = 5                      // for the count: the question or the answer may be lost
)

// datagrams sends datagrams of c.Size bytes as fast as it can for c.Time, and asks the
// server how many bytes came.
func datagrams(c Config) (r Result, err error) {
	conn, err := net.Dial("udp", c.Addr)
	if err != nil {
		return r, err
	}
	defer conn.Close()
	b := make([]byte, max(c.Size, tagLen))
	b[0] = wantAdd
	begin := time.Now()
	binary.BigEndian.PutUint64(b[1:], uint64(begin.UnixNano())) // unique among those of one server
	for time.Since(begin) < c.Time {
		for range burst {
			if n, err := conn.Write(b); err == nil {
				r.Sent += uint64(n)
			}
		}
	}
	r.Seconds = time.Since(begin).Seconds()
	time.Sleep(settle)
	ask := append([]byte{wantResult}, b[1:tagLen]...)
	answer := make([]byte, tagLen+8)
	for range asks {
		conn.Write(ask)
		conn.SetReadDeadline(time.Now().Add(answerTime))
		n, err := conn.Read(answer)
		if err != nil || n != len(answer) {
			continue
		}
		if r.Bytes = binary.BigEndian.Uint64(answer[tagLen:]); r.Bytes == 0 {
			return r, errors.New("nothing arrived")
		}
		r.Count = r.Bytes / uint64(len(b))
		return r, nil
	}
	return r, ErrStalled
}
