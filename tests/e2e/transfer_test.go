package e2e

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"passt/tests/world"
)

// path is one way from a client to a server through pasta.
type path struct {
	name           string
	client, server *world.NS
	addr           string // to connect to
}

// paths lists the ways through an instance for both families.
func paths(in *instance) []path {
	if direct {
		return []path{
			{"out v4", world.Host, world.Peer, world.PeerV4}, {"out v6", world.Host, world.Peer, world.PeerV6},
			{"in v4", world.Peer, world.Host, world.HostV4}, {"in v6", world.Peer, world.Host, world.HostV6},
		}
	}
	return []path{
		{"out v4", in.ns, world.Peer, world.PeerV4},
		{"out v6", in.ns, world.Peer, world.PeerV6},
		{"forwarded in v4", world.Peer, in.ns, world.HostV4},
		{"forwarded in v6", world.Peer, in.ns, world.HostV6},
		{"gateway-mapped v4", in.ns, world.Host, world.GateV4},
		{"gateway-mapped v6", in.ns, world.Host, world.GateV6},
	}
}

// port returns the port for a server of the path, where forwarded is the one that pasta has
// on every address of H.
func (p path) port(forwarded int) int {
	if p.server == world.Host && !direct {
		return forwarded + 1
	}
	return forwarded
}

func TestTransfers(t *testing.T) {
	for _, tc := range []struct {
		mtu   string
		sizes []int
	}{
		{"65520", []int{1, 1000, 10 << 20}},
		{"1500", []int{10 << 20}},
		{"1280", []int{10 << 20}},
	} {
		t.Run("MTU "+tc.mtu, func(t *testing.T) {
			const port = 7200
			in := start(t, "--config-net", "-m", tc.mtu, "-t", fmt.Sprint(port), "-u", fmt.Sprint(port))
			for _, network := range []string{"tcp", "udp"} {
				for _, p := range paths(in) {
					for _, size := range tc.sizes {
						t.Run(fmt.Sprintf("%s %s %d", network, p.name, size), func(t *testing.T) {
							world.Exchange(t, p.client, p.server, network, p.addr, p.port(port), size)
						})
					}
				}
			}
		})
	}
}

func TestEmptyStream(t *testing.T) {
	in := start(t, "--config-net", "-t", "7200")
	for _, p := range paths(in)[:4] {
		t.Run(p.name, func(t *testing.T) { world.Exchange(t, p.client, p.server, "tcp", p.addr, 7200, 0) })
	}
}

func TestDatagramSizes(t *testing.T) {
	in := start(t, "--config-net", "-u", "7300")
	// The largest that fit the interface's MTU of 65520 without a fragment are 65492 over IPv4 and 65472 over IPv6; what
	// is larger, up to what the IP headers can say, leaves the namespace in fragments.
	for _, p := range paths(in) {
		sizes := []int{0, 1, 1400, 1472, 1473, 1500, 8000, 65472}
		if p.addr == world.PeerV4 || p.addr == world.HostV4 || p.addr == world.GateV4 {
			sizes = append(sizes, 65492)
		}
		for _, size := range sizes {
			t.Run(fmt.Sprintf("%s %d", p.name, size), func(t *testing.T) { echoOnce(t, p, 7300, size) })
		}
	}
}

func TestFragmentedDatagrams(t *testing.T) {
	in := start(t, "--config-net", "-u", "7300")
	small := start(t, "--config-net", "-m", "1500")
	for _, p := range paths(in) {
		size := 65487
		if p.addr == world.PeerV4 || p.addr == world.HostV4 || p.addr == world.GateV4 {
			size = 65507
		}
		t.Run(fmt.Sprintf("%s %d", p.name, size), func(t *testing.T) { echoOnce(t, p, 7300, size) })
	}
	for _, p := range paths(small)[:2] {
		t.Run(fmt.Sprintf("MTU 1500 %s 8000", p.name), func(t *testing.T) { echoOnce(t, p, 7301, 8000) })
	}
}

// echoOnce has one datagram echoed, with two more tries.
func echoOnce(t *testing.T, p path, port, size int) {
	t.Helper()
	echo(t, p, p.port(port), size, 3)
}

// echo has one datagram echoed on a port of the server's, in some tries.
func echo(t *testing.T, p path, port, size, tries int) {
	t.Helper()
	world.ServeUDP(t, p.server, world.Endpoint("", port))
	c, err := p.client.Dial("udp", world.Endpoint(p.addr, port), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	data := world.Pattern(4, size)
	buf := make([]byte, 1<<16)
	for try := range tries {
		if _, err := c.Write(data); err != nil {
			t.Fatalf("sending: %v", err)
		}
		c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		n, err := c.Read(buf)
		if err != nil {
			if try == tries-1 {
				t.Errorf("no answer: %v", err)
			}
			continue
		}
		if !bytes.Equal(buf[:n], data) {
			t.Errorf("%d bytes came back, not the %d sent", n, size)
		}
		return
	}
}
