package e2e

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/tests/world"
)

// TCP under the conditions in which a window rule goes wrong: slow readers, tiny buffers,
// delay, many connections, silence.

// maxGap is the longest that a reader may wait for data that the sender has ready.
const maxGap = time.Second

// pour writes data and half-closes; the reader of the other end judges.
func pour(c *net.TCPConn, data []byte) {
	c.Write(data)
	c.CloseWrite()
}

// drain reads to the end of the stream in pieces of at most chunk bytes, with a pause before
// each, and fails on other bytes than want or on a wait of more than maxGap.
func drain(t *testing.T, c *net.TCPConn, want []byte, chunk int, pause time.Duration) {
	t.Helper()
	h := sha256.New()
	buf := make([]byte, chunk)
	total, longest, at := 0, time.Duration(0), 0
	for {
		time.Sleep(pause)
		begin := time.Now()
		n, err := c.Read(buf)
		if d := time.Since(begin); d > longest {
			longest, at = d, total
		}
		h.Write(buf[:n])
		total += n
		if errors.Is(err, io.EOF) || total > len(want) {
			break
		}
		if err != nil {
			t.Errorf("after %d of %d bytes: %v", total, len(want), err)
			return
		}
	}
	if digest := sha256.Sum256(want); total != len(want) || !bytes.Equal(h.Sum(nil), digest[:]) {
		t.Errorf("%d bytes came that differ from the %d sent", total, len(want))
	}
	if longest > maxGap {
		t.Errorf("stalled for %v after %d bytes", longest, at)
	}
}

func TestSlowReader(t *testing.T) {
	in := start(t, "--config-net", "-t", "7500")
	data := world.Pattern(7, 10<<20)
	t.Run("sleeps, then reads", func(t *testing.T) {
		eachWay(t, in, func(t *testing.T, first, second *net.TCPConn) {
			go pour(first, data)
			time.Sleep(800 * time.Millisecond) // more than any window takes has been sent
			drain(t, second, data, 256<<10, 0)
		})
	})
	t.Run("reads a little at a time", func(t *testing.T) {
		eachWay(t, in, func(t *testing.T, first, second *net.TCPConn) {
			go pour(first, data[:2<<20])
			drain(t, second, data[:2<<20], 8<<10, 2*time.Millisecond)
		})
	})
	t.Run("reads in bursts", func(t *testing.T) {
		eachWay(t, in, func(t *testing.T, first, second *net.TCPConn) {
			go pour(first, data)
			drain(t, second, data, 4<<20, 100*time.Millisecond)
		})
	})
}

func TestServerSpeaksFirst(t *testing.T) {
	// A banner and the end of the stream at once, before the client says anything.
	in := start(t, "--config-net", "-t", "7500")
	for _, p := range paths(in) {
		t.Run(p.name, func(t *testing.T) {
			world.ServeOn(t, p.server, world.Endpoint("", p.port(7500)), func(c *net.TCPConn) { c.Write([]byte("220 ready\r\n")) })
			c := world.DialTCP(t, p.client, world.Endpoint(p.addr, p.port(7500)))
			c.SetDeadline(time.Now().Add(2 * time.Second))
			if got, err := io.ReadAll(io.LimitReader(c, 100)); err != nil || string(got) != "220 ready\r\n" {
				t.Errorf("read %q, %v", got, err)
			}
		})
	}
}

func TestTinyBuffers(t *testing.T) {
	small := func(opt int) world.Control {
		return func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, opt, 4096) }
	}
	in := start(t, "--config-net", "-t", "7500")
	data := world.Pattern(8, 1<<20)
	for _, p := range paths(in)[:4] {
		for _, tc := range []struct {
			name string
			opt  int
		}{{"receive", unix.SO_RCVBUF}, {"send", unix.SO_SNDBUF}} {
			t.Run(p.name+" "+tc.name, func(t *testing.T) {
				l, err := p.server.ListenWith(world.Endpoint("", 7500), small(tc.opt))
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				c, err := p.client.DialWith("tcp", world.Endpoint(p.addr, 7500), 5*time.Second, small(tc.opt))
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				client := c.(*net.TCPConn)
				l.SetDeadline(time.Now().Add(5 * time.Second))
				server, err := l.AcceptTCP()
				if err != nil {
					t.Fatal(err)
				}
				defer server.Close()
				server.SetDeadline(time.Now().Add(world.TransferTime))
				client.SetDeadline(time.Now().Add(world.TransferTime))
				go pour(client, data)
				drain(t, server, data, 64<<10, 0)
				go pour(server, data)
				drain(t, client, data, 64<<10, 0)
			})
		}
	}
}

func TestBothWaysAtOnce(t *testing.T) {
	in := start(t, "--config-net", "-t", "7500")
	a, b := world.Pattern(9, 10<<20), world.Pattern(10, 10<<20)
	eachWay(t, in, func(t *testing.T, first, second *net.TCPConn) {
		go pour(first, a)
		go pour(second, b)
		var wg sync.WaitGroup
		wg.Go(func() { drain(t, first, b, 256<<10, 0) })
		wg.Go(func() { drain(t, second, a, 256<<10, 0) })
		wg.Wait()
	})
}

func TestDelayedPeer(t *testing.T) {
	const size = 10 << 20
	data := world.Pattern(11, size)
	world.ServeOn(t, world.Far, world.Endpoint("", 7600), func(c *net.TCPConn) { // sends at once, then reads
		pour(c, data)
		io.Copy(io.Discard, c)
	})
	got := make(chan error, 1)
	world.ServeOn(t, world.Far, world.Endpoint("", 7601), func(c *net.TCPConn) {
		h := sha256.New()
		n, err := io.Copy(h, c)
		if want := sha256.Sum256(data); err == nil && !bytes.Equal(h.Sum(nil), want[:]) {
			err = fmt.Errorf("%d bytes came that differ from those sent", n)
		}
		got <- err
	})
	fetch := func(t *testing.T, n *world.NS, addr string) time.Duration {
		begin := time.Now()
		c := world.DialTCP(t, n, world.Endpoint(addr, 7600))
		c.SetDeadline(time.Now().Add(2 * world.TransferTime))
		drain(t, c, data, 256<<10, 0)
		return time.Since(begin)
	}
	put := func(t *testing.T, n *world.NS, addr string) time.Duration {
		begin := time.Now()
		c := world.DialTCP(t, n, world.Endpoint(addr, 7601))
		pour(c, data)
		select {
		case err := <-got:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(2 * world.TransferTime):
			t.Error("the data is not there after ", 2*world.TransferTime)
		}
		return time.Since(begin)
	}
	in := start(t, "--config-net")
	for _, addr := range []string{world.FarV4, world.FarV6} {
		for _, way := range []struct {
			name string
			do   func(*testing.T, *world.NS, string) time.Duration
		}{{"fetch", fetch}, {"put", put}} {
			t.Run(way.name+" "+addr, func(t *testing.T) {
				direct := way.do(t, world.Host, addr)
				took := way.do(t, in.ns, addr)
				t.Logf("direct %v, through pasta %v", direct, took)
				if took > 2*direct+time.Second {
					t.Errorf("took %v, direct %v", took, direct)
				}
			})
		}
	}
}

func TestManyConnections(t *testing.T) {
	const many = 500
	in := start(t, "--config-net", "-t", "7500")
	for _, p := range paths(in) {
		port := p.port(7500)
		t.Run(p.name, func(t *testing.T) {
			world.ServeOn(t, p.server, world.Endpoint("", port), func(c *net.TCPConn) { io.Copy(c, c) })
			var wg sync.WaitGroup
			errs := make(chan error, many)
			connected := sync.WaitGroup{}
			connected.Add(many)
			for i := range many {
				wg.Go(func() {
					c, err := p.client.Dial("tcp", world.Endpoint(p.addr, port), world.TransferTime)
					connected.Done()
					if err != nil {
						errs <- err
						return
					}
					defer c.Close()
					connected.Wait() // all are open at once
					c.SetDeadline(time.Now().Add(world.TransferTime))
					data := world.Pattern(byte(i), 1000+i)
					got := make([]byte, len(data))
					c.Write(data)
					if _, err := io.ReadFull(c, got); err != nil {
						errs <- err
					} else if !bytes.Equal(got, data) {
						errs <- errors.New("other bytes came back")
					}
				})
			}
			wg.Wait()
			close(errs)
			n := 0
			for err := range errs {
				if n++; n <= 3 {
					t.Error(err)
				}
			}
			if n > 0 {
				t.Errorf("%d of %d connections failed", n, many)
			}
		})
	}
}

func TestConnectUnreachable(t *testing.T) {
	in := start(t, "--config-net")
	var wg sync.WaitGroup
	for _, addr := range []string{world.HoleV4, world.HoleV6} {
		wg.Go(func() {
			_, err := in.ns.Dial("tcp", world.Endpoint(addr, 80), 3*time.Second)
			if ne, ok := err.(net.Error); !ok || !ne.Timeout() {
				t.Errorf("%s, where everything is dropped: %v, want a timeout", addr, err)
			}
		})
	}
	for _, addr := range []string{world.GoneV4, world.GoneV6} {
		wg.Go(func() {
			c, err := in.ns.Dial("tcp", world.Endpoint(addr, 80), 8*time.Second)
			if err == nil {
				c.Close()
				t.Errorf("connected to %s, which nobody has", addr)
			} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
				t.Errorf("%s, where nobody answers ARP or NDP: %v, want an error from pasta", addr, err)
			}
		})
	}
	// Meanwhile others are served.
	for range 5 {
		world.Exchange(t, in.ns, world.Peer, "tcp", world.PeerV4, 7610, 100<<10)
		world.Exchange(t, in.ns, world.Peer, "tcp", world.PeerV6, 7610, 100<<10)
	}
	wg.Wait()
}

func TestKeepalive(t *testing.T) {
	in := start(t, "--config-net", "-t", "7500")
	for _, p := range paths(in)[:4] {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			l, err := p.server.Listen(world.Endpoint(p.addr, 7500))
			if err != nil {
				t.Fatal(err)
			}
			world.Serve(t, l, func(c *net.TCPConn) { io.Copy(c, c) })
			c := world.DialTCP(t, p.client, world.Endpoint(p.addr, 7500))
			if err := c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 2}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(6 * time.Second)
			c.SetDeadline(time.Now().Add(2 * time.Second))
			c.Write([]byte("x"))
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				t.Errorf("after 6 s of nothing but keepalives: %v", err)
			}
		})
	}
}
