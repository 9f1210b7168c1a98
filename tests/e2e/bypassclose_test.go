package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/tests/world"
)

// How connections past the tap are refused, reset, closed and held up.

// eachBypass runs check on a fresh connection for each way past the tap and for each choice of
// the end that acts first.
func eachBypass(t *testing.T, in *instance, check func(t *testing.T, first, second *net.TCPConn)) {
	t.Helper()
	for _, p := range bypasses(in) {
		eachEnd(t, p, p.bypassed(), check)
	}
}

func TestBypassHalfClose(t *testing.T) {
	in := startBypass(t, "--config-net")
	eachBypass(t, in, func(t *testing.T, first, second *net.TCPConn) { halfClose(t, first, second, 3<<20, 5<<20) })
}

func TestBypassSimultaneousClose(t *testing.T) {
	eachBypass(t, startBypass(t, "--config-net"), simultaneousClose)
}

func TestBypassReset(t *testing.T) {
	in := startBypass(t, "--config-net")
	for _, tc := range []struct {
		name string
		data int // sent before the reset, and not read
	}{{"idle", 0}, {"data unread", 1000}, {"buffers full", 64 << 20}} {
		t.Run(tc.name, func(t *testing.T) {
			eachBypass(t, in, func(t *testing.T, first, second *net.TCPConn) {
				if _, err := first.Write([]byte("x")); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(second, make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
				first.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
				first.Write(make([]byte, tc.data)) // until the buffers are full
				first.SetLinger(0)
				first.Close()
				begin := time.Now()
				if _, err := io.Copy(io.Discard, second); !errors.Is(err, unix.ECONNRESET) {
					t.Errorf("%v, want connection reset", err)
				}
				if d := time.Since(begin); d > time.Second {
					t.Errorf("took %v", d)
				}
			})
		})
	}
}

func TestBypassCloseWithUnreadData(t *testing.T) {
	eachBypass(t, startBypass(t, "--config-net"), closeWithUnreadData)
}

func TestBypassResetWhileHalfClosed(t *testing.T) {
	in := startBypass(t, "--config-net")
	eachBypass(t, in, func(t *testing.T, first, second *net.TCPConn) {
		first.CloseWrite()
		if _, err := second.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Fatalf("%v, want the end of the stream", err)
		}
		second.SetLinger(0)
		second.Close()
		isReset(t, first)
	})
}

func TestBypassLastWords(t *testing.T) {
	// A server answers before it has read all of a request, and closes, which resets the connection. Its answer arrives,
	// though the client goes on sending.
	in := startBypass(t, "--config-net")
	const words = "HTTP/1.1 413 Content Too Large\r\n\r\n"
	for _, p := range bypasses(in) {
		t.Run(p.name, func(t *testing.T) {
			world.ServeOn(t, p.server, world.Endpoint(p.addrInside(), p.bypassed()), func(c *net.TCPConn) {
				c.Read(make([]byte, 1000))
				c.Write([]byte(words))
			})
			for range 50 {
				c := world.DialTCP(t, p.client, world.Endpoint(p.addr, p.bypassed()))
				c.SetDeadline(time.Now().Add(5 * time.Second))
				for range 64 {
					c.Write(make([]byte, 16<<10)) // fails once the reset is there
				}
				got := make([]byte, len(words))
				if n, err := io.ReadFull(c, got); string(got[:n]) != words {
					t.Fatalf("read %q, %v", got[:n], err)
				}
				c.Close()
			}
		})
	}
}

func TestBypassRefused(t *testing.T) {
	// The kernel completes the handshake, so that a refusal may also come as a reset, at once; it may not come as an
	// orderly end of a stream that never was.
	in := startBypass(t, "--config-net")
	for _, p := range bypasses(in) {
		t.Run(p.name, func(t *testing.T) {
			for range 20 {
				begin := time.Now()
				c, err := p.client.Dial("tcp", world.Endpoint(p.addr, p.bypassed()), 5*time.Second)
				if err == nil {
					c.SetReadDeadline(time.Now().Add(5 * time.Second))
					_, err = c.Read(make([]byte, 1))
					c.Close()
				}
				if !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, unix.ECONNRESET) {
					t.Fatalf("%v, want refused or reset", err)
				}
				if d := time.Since(begin); d > 500*time.Millisecond {
					t.Fatalf("took %v", d)
				}
			}
		})
	}
}

func TestBypassRefusedDatagrams(t *testing.T) {
	// To the namespace the refusal can be passed on; on the host that would need a privilege.
	in := startBypass(t, "--config-net")
	for _, p := range bypasses(in)[2:] {
		t.Run(p.name, func(t *testing.T) {
			if got := banner(p.client, "udp", world.Endpoint(p.addr, p.bypassed()), 1500*time.Millisecond); got != "closed" {
				t.Errorf("%s, want port unreachable", got)
			}
		})
	}
	// A server that comes later is reached, whatever was refused before.
	for _, p := range bypasses(in) {
		t.Run(p.name+", served later", func(t *testing.T) {
			c, err := p.client.Dial("udp", world.Endpoint(p.addr, p.bypassed()), time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.Write([]byte("too early"))
			time.Sleep(50 * time.Millisecond)
			world.ServeUDP(t, p.server, world.Endpoint("", p.bypassed()))
			world.Eventually(t, time.Second, func() error {
				c.Write([]byte("now"))
				c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
				_, err := c.Read(make([]byte, 10))
				return err
			})
		})
	}
}

func TestBypassSlowReader(t *testing.T) {
	in := startBypass(t, "--config-net")
	data := world.Pattern(7, 10<<20)
	t.Run("sleeps, then reads", func(t *testing.T) {
		eachBypass(t, in, func(t *testing.T, first, second *net.TCPConn) {
			go pour(first, data)
			time.Sleep(500 * time.Millisecond) // more than any buffer takes has been sent
			drain(t, second, data, 256<<10, 0)
		})
	})
	t.Run("reads a little at a time", func(t *testing.T) {
		eachBypass(t, in, func(t *testing.T, first, second *net.TCPConn) {
			go pour(first, data[:1<<20])
			drain(t, second, data[:1<<20], 8<<10, 2*time.Millisecond)
		})
	})
}

func TestBypassIsBounded(t *testing.T) {
	// A reader that does not read stops the writer: pasta keeps no more than a few buffers' worth.
	in := startBypass(t, "--config-net")
	for _, p := range bypasses(in)[:3:3] {
		t.Run(p.name, func(t *testing.T) {
			c, _ := pair(t, p, p.bypassed())
			c.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
			if n, err := c.Write(make([]byte, 128<<20)); err == nil {
				t.Errorf("all of %d bytes were taken with nobody reading", n)
			}
		})
	}
}

func TestBypassServerSpeaksFirst(t *testing.T) {
	in := startBypass(t, "--config-net")
	for _, p := range bypasses(in) {
		t.Run(p.name, func(t *testing.T) {
			world.ServeOn(t, p.server, world.Endpoint("", p.bypassed()), func(c *net.TCPConn) { c.Write([]byte("220 ready\r\n")) })
			for range 50 {
				c := world.DialTCP(t, p.client, world.Endpoint(p.addr, p.bypassed()))
				c.SetDeadline(time.Now().Add(2 * time.Second))
				if got, err := io.ReadAll(io.LimitReader(c, 100)); err != nil || string(got) != "220 ready\r\n" {
					t.Fatalf("read %q, %v", got, err)
				}
				c.Close()
			}
		})
	}
}

func TestBypassLeavesNoDescriptors(t *testing.T) {
	in := startBypass(t, "--config-net")
	// Sockets made ahead of need, and pipes kept for later, are less than what one of these would leave behind.
	const rounds, spare = 100, 300
	before := descriptors(in.PID())
	abort := func(c *net.TCPConn) { c.SetLinger(0) }
	for _, tc := range []struct {
		name   string
		serve  bool
		client func(c *net.TCPConn)
		server func(c *net.TCPConn)
	}{
		{"orderly, client first", true, func(*net.TCPConn) {}, func(c *net.TCPConn) { io.Copy(io.Discard, c) }},
		{"orderly, server first", true, func(c *net.TCPConn) { io.Copy(io.Discard, c) }, func(*net.TCPConn) {}},
		{"data left over", true, func(c *net.TCPConn) { c.Write(make([]byte, 100<<10)) }, func(*net.TCPConn) {}},
		{"reset by the client", true, abort, func(c *net.TCPConn) { io.Copy(io.Discard, c) }},
		{"reset by the server", true, func(c *net.TCPConn) { io.Copy(io.Discard, c) }, abort},
		{"refused", false, func(c *net.TCPConn) { io.Copy(io.Discard, c) }, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, p := range bypasses(in) {
				if tc.serve {
					world.ServeOn(t, p.server, world.Endpoint(p.addrInside(), p.bypassed()), tc.server)
				}
				for range rounds {
					c, err := p.client.Dial("tcp", world.Endpoint(p.addr, p.bypassed()), 5*time.Second)
					if err != nil {
						continue // a refusal may show at once
					}
					c.SetDeadline(time.Now().Add(5 * time.Second))
					tc.client(c.(*net.TCPConn))
					c.Close()
				}
			}
			world.Eventually(t, 3*time.Second, func() error {
				if n := descriptors(in.PID()); n > before+spare {
					return fmt.Errorf("%d descriptors are open after %d connections, %d before", n, 4*rounds, before)
				}
				return nil
			})
		})
	}
}

// addrInside is where a server of p has to listen.
func (p path) addrInside() string {
	switch {
	case p.server == world.Host:
		return p.addr
	case p.addr == "::1":
		return world.HostV6
	}
	return world.HostV4
}
