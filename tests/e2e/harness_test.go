package e2e

import (
	"bytes"
	"net"
	"testing"
	"time"

	"passt/tests/world"
)

// The tests of this file prove the topology itself, with no pasta in between: if they fail,
// nothing else says anything. See also direct.

func TestTopologyDelay(t *testing.T) {
	world.ServeOn(t, world.Far, world.Endpoint("", 7000), func(c *net.TCPConn) {
		b := make([]byte, 10)
		for {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			c.Write(b[:n])
		}
	})
	for _, addr := range []string{world.FarV4, world.FarV6} {
		c := world.DialTCP(t, world.Host, world.Endpoint(addr, 7000))
		begin := time.Now()
		b := []byte("0123456789")
		c.Write(b)
		got := make([]byte, 10)
		if _, err := c.Read(got); err != nil || !bytes.Equal(b, got) {
			t.Fatalf("%s: %v, %q", addr, err, got)
		}
		if d := time.Since(begin); d < 50*time.Millisecond || d > 70*time.Millisecond {
			t.Errorf("%s: a round trip takes %v, want 50 ms", addr, d)
		}
	}
}

func TestTopologyBlackHole(t *testing.T) {
	for _, addr := range []string{world.HoleV4, world.HoleV6} {
		_, err := world.Host.Dial("tcp", world.Endpoint(addr, 80), 300*time.Millisecond)
		if ne, ok := err.(net.Error); !ok || !ne.Timeout() {
			t.Errorf("%s: %v, want a timeout", addr, err)
		}
	}
}
