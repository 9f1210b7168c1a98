package world

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"
)

// TransferTime is the longest that a transfer of 10 MB may take: far more than it needs on
// a busy machine, far less than a stall of a few retransmission timeouts.
const TransferTime = 10 * time.Second

// Pattern returns n bytes that depend on seed, so that bytes lost, doubled, reordered or of
// another transfer change a digest.
func Pattern(seed byte, n int) []byte {
	b := make([]byte, n)
	src := rand.NewChaCha8([32]byte{seed})
	src.Read(b) // never fails
	return b
}

// Endpoint joins address and port.
func Endpoint(addr string, port int) string { return net.JoinHostPort(addr, strconv.Itoa(port)) }

// Serve accepts connections and handles each on a goroutine, until the test ends.
func Serve(t *testing.T, l *net.TCPListener, handle func(*net.TCPConn)) {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	conns := make(map[*net.TCPConn]bool)
	wg.Go(func() {
		for {
			c, err := l.AcceptTCP()
			if err != nil {
				return
			}
			mu.Lock()
			conns[c] = true
			mu.Unlock()
			wg.Go(func() {
				handle(c)
				c.Close()
				mu.Lock()
				delete(conns, c)
				mu.Unlock()
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
}

// ServeOn is Serve on a new listener.
func ServeOn(t *testing.T, n *NS, addr string, handle func(*net.TCPConn)) {
	t.Helper()
	l, err := n.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	Serve(t, l, handle)
}

// DialTCP connects or fails the test.
func DialTCP(t *testing.T, n *NS, addr string) *net.TCPConn {
	t.Helper()
	c, err := n.Dial("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatalf("from %s: %v", n.Name, err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// AnswerExchange is the server's half of Exchange: it reads a length and as many bytes,
// answers with the digest of what came and as many bytes of its own, and closes.
func AnswerExchange(c net.Conn) {
	length := make([]byte, 8)
	if _, err := io.ReadFull(c, length); err != nil {
		return
	}
	n := int64(binary.BigEndian.Uint64(length))
	h := sha256.New()
	if _, err := io.CopyN(h, c, n); err != nil {
		return
	}
	if _, err := c.Write(h.Sum(nil)); err != nil {
		return
	}
	c.Write(Pattern(2, int(n))) // the client sees what is missing
}

// AskExchange is the client's half: size bytes out, digest and size bytes back, then the
// end of the stream.
func AskExchange(c net.Conn, size int) error {
	data := Pattern(1, size)
	if _, err := c.Write(append(binary.BigEndian.AppendUint64(nil, uint64(size)), data...)); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	digest := make([]byte, sha256.Size)
	if _, err := io.ReadFull(c, digest); err != nil {
		return fmt.Errorf("reading the digest: %w", err)
	}
	if want := sha256.Sum256(data); !bytes.Equal(digest, want[:]) {
		return errors.New("the server got other bytes than were sent")
	}
	got, err := io.ReadAll(io.LimitReader(c, int64(size)+1))
	if err != nil {
		return fmt.Errorf("reading the answer, after %d bytes: %w", len(got), err)
	}
	if want := Pattern(2, size); !bytes.Equal(got, want) {
		return fmt.Errorf("the answer of %d bytes differs from the %d bytes sent", len(got), len(want))
	}
	return nil
}

// Exchange sends size bytes from a client in one namespace to a server in another and as
// many back, compared byte for byte. The server listens on every address.
func Exchange(t *testing.T, client, server *NS, network, addr string, port, size int) {
	t.Helper()
	if network == "udp" {
		ExchangeUDP(t, client, server, addr, port, size)
		return
	}
	l, err := server.Listen(Endpoint("", port))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.AcceptTCP(); err == nil {
			c.SetDeadline(time.Now().Add(TransferTime))
			AnswerExchange(c)
			c.Close()
		}
	}()
	c := DialTCP(t, client, Endpoint(addr, port))
	defer c.Close()
	c.SetDeadline(time.Now().Add(TransferTime))
	begin := time.Now()
	if err := AskExchange(c, size); err != nil {
		t.Errorf("%s to %s: %v (after %v)", client.Name, Endpoint(addr, port), err, time.Since(begin))
	}
}

// EchoUDP answers every datagram with itself until the socket is closed.
func EchoUDP(c net.PacketConn) {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := c.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			c.WriteTo(buf[:n], from) // a lost answer is the client's to notice
		}
	}
}

// ServeUDP echoes datagrams in a namespace until the test ends.
func ServeUDP(t *testing.T, n *NS, addr string) {
	t.Helper()
	c, err := n.ListenPacket("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	go EchoUDP(c)
	t.Cleanup(func() { c.Close() })
}

// ExchangeUDP sends size bytes as numbered datagrams to an echo server, at most a few
// unanswered at a time, and compares the answers. A datagram that stays unanswered is sent
// again: the data has to arrive whole, not every datagram at once.
func ExchangeUDP(t *testing.T, client, server *NS, addr string, port, size int) {
	t.Helper()
	srv, err := server.ListenPacket("udp", Endpoint("", port))
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	go EchoUDP(srv)
	c, err := client.Dial("udp", Endpoint(addr, port), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const chunk, window = 1200, 16 // fits an MTU of 1280
	data := Pattern(3, size)
	total := (size + chunk - 1) / chunk
	got := make([]bool, total)
	lost, done, next := 0, 0, 0
	var open []int // sent and unanswered, oldest first
	send := func(i int) {
		b := binary.BigEndian.AppendUint32(nil, uint32(i))
		c.Write(append(b, data[i*chunk:min(size, (i+1)*chunk)]...)) // an error shows as a lost answer
	}
	buf := make([]byte, 1<<16)
	end := time.Now().Add(TransferTime)
	for done < total {
		for ; len(open) < window && next < total; next++ {
			send(next)
			open = append(open, next)
		}
		c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		n, err := c.Read(buf)
		if err != nil {
			if time.Now().After(end) || errors.Is(err, net.ErrClosed) {
				t.Errorf("UDP %s to %s: %d of %d datagrams answered: %v", client.Name, Endpoint(addr, port), done, total, err)
				return
			}
			lost += len(open)
			for _, i := range open {
				send(i)
			}
			continue
		}
		i := -1
		if n >= 4 {
			i = int(binary.BigEndian.Uint32(buf))
		}
		if i < 0 || i >= total || !bytes.Equal(buf[4:n], data[i*chunk:min(size, (i+1)*chunk)]) {
			t.Errorf("UDP: an answer of %d bytes equals nothing that was sent", n)
			return
		}
		if !got[i] {
			got[i] = true
			done++
			open = remove(open, i)
		}
	}
	if lost > total/20 {
		t.Errorf("UDP: %d of %d datagrams had to be sent again, want at most one in 20", lost, total)
	}
}

// remove deletes the first v from s.
func remove(s []int, v int) []int {
	for i, x := range s {
		if x == v {
			return append(s[:i], s[i+1:]...)
		}
	}
	return s
}
