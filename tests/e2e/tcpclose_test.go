package e2e

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/tests/world"
)

// How TCP connections are refused, reset and closed, in both directions.

func TestRefusedOut(t *testing.T) {
	in := start(t, "--config-net")
	for _, addr := range []string{world.PeerV4, world.PeerV6, world.GateV4, world.GateV6, world.FarV4, world.FarV6} {
		t.Run(addr, func(t *testing.T) {
			begin := time.Now()
			_, err := in.ns.Dial("tcp", world.Endpoint(addr, 9), 5*time.Second)
			if !errors.Is(err, unix.ECONNREFUSED) {
				t.Errorf("%v, want connection refused", err)
			}
			if d := time.Since(begin); d > time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
}

func TestRefusedIn(t *testing.T) {
	// The kernel of the host completes the handshake, so a refusal may also come as a reset; it may not come as an orderly
	// end of a stream that never was.
	start(t, "--config-net", "-t", "7400")
	for _, addr := range []string{world.HostV4, world.HostV6} {
		t.Run(addr, func(t *testing.T) {
			begin := time.Now()
			c, err := world.Peer.Dial("tcp", world.Endpoint(addr, 7400), 5*time.Second)
			if err == nil {
				defer c.Close()
				c.SetReadDeadline(time.Now().Add(5 * time.Second))
				_, err = c.Read(make([]byte, 1))
			}
			if !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, unix.ECONNRESET) {
				t.Errorf("%v, want refused or reset", err)
			}
			if d := time.Since(begin); d > time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
}

// pair connects client and server along a path and returns both ends.
func pair(t *testing.T, p path, port int) (client, server *net.TCPConn) {
	t.Helper()
	l, err := p.server.Listen(world.Endpoint("", port))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client = world.DialTCP(t, p.client, world.Endpoint(p.addr, port))
	l.SetDeadline(time.Now().Add(5 * time.Second))
	if server, err = l.AcceptTCP(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	deadline := time.Now().Add(world.TransferTime)
	client.SetDeadline(deadline)
	server.SetDeadline(deadline)
	return client, server
}

// eachWay runs check on a fresh connection for each path of an instance, and for each
// choice of the end that acts first. Port 7500 has to be forwarded.
func eachWay(t *testing.T, in *instance, check func(t *testing.T, first, second *net.TCPConn)) {
	t.Helper()
	for _, p := range paths(in) {
		eachEnd(t, p, p.port(7500), check)
	}
}

// eachEnd runs check on two fresh connections by one path, each end acting first once.
func eachEnd(t *testing.T, p path, port int, check func(t *testing.T, first, second *net.TCPConn)) {
	t.Helper()
	t.Run(p.name+", client first", func(t *testing.T) {
		c, s := pair(t, p, port)
		check(t, c, s)
	})
	t.Run(p.name+", server first", func(t *testing.T) {
		c, s := pair(t, p, port)
		check(t, s, c)
	})
}

// halfClose has data go one way, its end, and then data the other way.
func halfClose(t *testing.T, first, second *net.TCPConn, earlySize, lateSize int) {
	t.Helper()
	early, late := world.Pattern(5, earlySize), world.Pattern(6, lateSize)
	go func() {
		first.Write(early) // the reader sees what is missing
		first.CloseWrite()
	}()
	if got, err := io.ReadAll(second); err != nil || !bytes.Equal(got, early) {
		t.Fatalf("%d bytes before the half-close: %v, want %d", len(got), err, len(early))
	}
	time.Sleep(100 * time.Millisecond) // for what wrongly followed the end
	go func() {
		second.Write(late)
		second.CloseWrite()
	}()
	if got, err := io.ReadAll(io.LimitReader(first, int64(lateSize)+1)); err != nil || !bytes.Equal(got, late) {
		t.Fatalf("%d bytes against the half-close: %v, want %d", len(got), err, len(late))
	}
}

// closeWithUnreadData has a program close without reading what came, which resets the
// connection; the other end must learn of it.
func closeWithUnreadData(t *testing.T, first, second *net.TCPConn) {
	t.Helper()
	if _, err := second.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	first.Close()
	if _, err := io.Copy(io.Discard, second); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("%v, want connection reset", err)
	}
}

// simultaneousClose has both ends close at once.
func simultaneousClose(t *testing.T, first, second *net.TCPConn) {
	t.Helper()
	first.CloseWrite()
	second.CloseWrite()
	for _, c := range []*net.TCPConn{first, second} {
		if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("%d bytes, %v, want the end of the stream", n, err)
		}
	}
}

func TestHalfClose(t *testing.T) {
	in := start(t, "--config-net", "-t", "7500")
	eachWay(t, in, func(t *testing.T, first, second *net.TCPConn) { halfClose(t, first, second, 100<<10, 1<<20) })
}

// isReset reads of c, which is to be reset at once.
func isReset(t *testing.T, c *net.TCPConn) {
	t.Helper()
	begin := time.Now()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("%v, want connection reset", err)
	}
	if d := time.Since(begin); d > time.Second {
		t.Errorf("took %v", d)
	}
}

func TestReset(t *testing.T) {
	in := start(t, "--config-net", "-t", "7500")
	eachWay(t, in, func(t *testing.T, first, second *net.TCPConn) {
		if _, err := first.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(second, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		first.SetLinger(0)
		first.Close()
		isReset(t, second)
	})
}

func TestResetWithDataInFlight(t *testing.T) {
	// A reset has to arrive also if the reader has not taken what came before.
	in := start(t, "--config-net", "-t", "7500")
	eachWay(t, in, func(t *testing.T, first, second *net.TCPConn) {
		first.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		first.Write(make([]byte, 64<<20)) // until the buffers are full
		first.SetLinger(0)
		first.Close()
		_, err := io.Copy(io.Discard, second)
		if !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("%v, want connection reset", err)
		}
	})
}

func TestCloseWithUnreadData(t *testing.T) {
	eachWay(t, start(t, "--config-net", "-t", "7500"), closeWithUnreadData)
}

func TestSimultaneousClose(t *testing.T) {
	eachWay(t, start(t, "--config-net", "-t", "7500"), simultaneousClose)
}
