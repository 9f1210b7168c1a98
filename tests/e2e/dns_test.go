package e2e

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"passt/tests/world"
)

// answerDNS makes a response to a query: every name has the address 192.0.2.1 or 2001:db8::1
// (RFC 1035, section 4.1).
func answerDNS(query []byte) []byte {
	if len(query) < 17 {
		return nil
	}
	end := 12
	for end < len(query) && query[end] != 0 {
		end += int(query[end]) + 1
	}
	end += 5 // the root label, type, class
	if end > len(query) {
		return nil
	}
	resp := slices.Clone(query[:end])
	resp[2], resp[3] = 0x84, 0x80 // a response, authoritative; recursion is available
	binary.BigEndian.PutUint16(resp[6:], 0)
	binary.BigEndian.PutUint32(resp[8:], 0)
	addr := net.ParseIP("192.0.2.1").To4()
	kind := binary.BigEndian.Uint16(query[end-4:])
	if kind == 28 {
		addr = net.ParseIP("2001:db8::1")
	} else if kind != 1 {
		return resp
	}
	resp[7] = 1
	resp = append(resp, 0xc0, 12)
	resp = append(resp, query[end-4:end]...)
	resp = binary.BigEndian.AppendUint32(resp, 60)
	resp = binary.BigEndian.AppendUint16(resp, uint16(len(addr)))
	return append(resp, addr...)
}

// serveDNS answers queries in P, the nameserver of H's resolver configuration, over UDP and
// TCP.
func serveDNS(t *testing.T, addr string) {
	t.Helper()
	u, err := world.Peer.ListenPacket("udp", world.Endpoint(addr, 53))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := u.ReadFrom(buf)
			if err != nil {
				return
			}
			u.WriteTo(answerDNS(buf[:n]), from)
		}
	}()
	world.ServeOn(t, world.Peer, world.Endpoint(addr, 53), func(c *net.TCPConn) {
		for {
			var size [2]byte
			if _, err := io.ReadFull(c, size[:]); err != nil {
				return
			}
			query := make([]byte, binary.BigEndian.Uint16(size[:]))
			if _, err := io.ReadFull(c, query); err != nil {
				return
			}
			resp := answerDNS(query)
			c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(resp))), resp...))
		}
	})
}

// resolve looks a name up from within a namespace, at one nameserver and over one protocol.
func resolve(n *world.NS, network, nameserver string) ([]string, error) {
	r := net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return n.Dial(network, world.Endpoint(nameserver, 53), 2*time.Second)
	}}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	return r.LookupHost(ctx, "host.test.")
}

func TestNameLookup(t *testing.T) {
	needsPasta(t)
	serveDNS(t, world.PeerV4)
	serveDNS(t, world.PeerV6)
	const fwd4, fwd6, other = "169.254.1.1", "fd00:1:2:3::53", world.PeerV4
	for _, tc := range []struct {
		name   string
		args   []string
		server string
		fails  bool
	}{
		{"the host's nameserver v4", nil, world.PeerV4, false},
		{"the host's nameserver v6", nil, world.PeerV6, false},
		{"forwarded v4", []string{"--dns-forward", fwd4}, fwd4, false},
		{"forwarded v6", []string{"--dns-forward", fwd6}, fwd6, false},
		{"forwarded both", []string{"--dns-forward", fwd4, "--dns-forward", fwd6}, fwd6, false},
		{"forwarded to a given host", []string{"--dns-forward", fwd4, "--dns-host", other}, fwd4, false},
		{"not forwarded", nil, fwd4, true},
	} {
		for _, network := range []string{"udp", "tcp"} {
			t.Run(network+" "+tc.name, func(t *testing.T) {
				in := start(t, append([]string{"--config-net"}, tc.args...)...)
				got, err := resolve(in.ns, network, tc.server)
				if tc.fails {
					if err == nil {
						t.Errorf("resolved to %v", got)
					}
					return
				}
				slices.Sort(got)
				if err != nil || !slices.Equal(got, []string{"192.0.2.1", "2001:db8::1"}) {
					t.Errorf("%v, %v", got, err)
				}
			})
		}
	}
}
