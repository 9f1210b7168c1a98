package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"passt/tests/world"
)

// TestFirstDatagram has the first datagram of a flow arrive, and its answer: a name server is
// not asked a second time for seconds.
func TestFirstDatagram(t *testing.T) {
	const port = 7320
	in := start(t, "--config-net", "-u", fmt.Sprint(port))
	for _, p := range paths(in) {
		for range 3 {
			t.Run(p.name, func(t *testing.T) { echo(t, p, p.port(port), 100, 1) })
		}
	}
	if direct {
		return
	}
	past := startBypass(t, "--config-net")
	for _, p := range bypasses(past) {
		for range 3 {
			t.Run("bypass "+p.name, func(t *testing.T) { echo(t, p, p.bypassed(), 100, 1) })
		}
	}
}

// TestAnswersFromElsewhere has servers answer from another port or address than they were asked
// at, as those of TFTP do: the client hears from where it was, and what it sends there arrives.
func TestAnswersFromElsewhere(t *testing.T) {
	in := start(t, "--config-net")
	const ask, other = 7330, 7331
	for _, tc := range []struct {
		name   string
		asked  string
		answer *world.NS
		from   string
	}{
		{"another port v4", world.PeerV4, world.Peer, world.Endpoint(world.PeerV4, other)},
		{"another port v6", world.PeerV6, world.Peer, world.Endpoint(world.PeerV6, other)},
		{"another address v4", world.PeerV4, world.Far, world.Endpoint(world.FarV4, ask)},
		{"another address v6", world.PeerV6, world.Far, world.Endpoint(world.FarV6, ask)},
		{"another address and port v4", world.PeerV4, world.Far, world.Endpoint(world.FarV4, other)},
		{"another address and port v6", world.PeerV6, world.Far, world.Endpoint(world.FarV6, other)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			asked := listenUDP(t, world.Peer, world.Endpoint(tc.asked, ask))
			answering := listenUDP(t, tc.answer, tc.from)
			client := listenUDP(t, in.ns, ":0")
			to := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(world.Endpoint(tc.asked, ask)))
			if _, err := client.WriteTo([]byte("question"), to); err != nil {
				t.Fatal(err)
			}
			_, from := receive(t, asked)
			if _, err := answering.WriteTo([]byte("answer"), from); err != nil {
				t.Fatal(err)
			}
			got, from := receive(t, client)
			if got != "answer" || unmapped(from) != netip.MustParseAddrPort(tc.from) {
				t.Fatalf("the client got %q from %v, want an answer from %s", got, from, tc.from)
			}
			if _, err := client.WriteTo([]byte("thanks"), from); err != nil {
				t.Fatal(err)
			}
			if got, _ := receive(t, answering); got != "thanks" {
				t.Errorf("the server got %q", got)
			}
		})
	}
}

// listenUDP is a socket in n until the end of the test.
func listenUDP(t *testing.T, n *world.NS, addr string) net.PacketConn {
	t.Helper()
	c, err := n.ListenPacket("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// receive waits for a datagram.
func receive(t *testing.T, c net.PacketConn) (string, net.Addr) {
	t.Helper()
	b := make([]byte, 100)
	c.SetReadDeadline(time.Now().Add(time.Second))
	n, from, err := c.ReadFrom(b)
	if err != nil {
		t.Fatalf("nothing came: %v", err)
	}
	return string(b[:n]), from
}

// unmapped is a UDP endpoint that may have come on a socket for both families.
func unmapped(a net.Addr) netip.AddrPort {
	p := a.(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}
