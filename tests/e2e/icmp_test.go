package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/tests/world"
)

func TestPing(t *testing.T) {
	world.Needs(t, "ping")
	in := start(t, "--config-net")
	small := start(t, "--config-net", "-m", "1500")
	for _, tc := range []struct {
		name   string
		in     *instance
		addr   string
		args   string
		answer bool
	}{
		{"peer v4", in, world.PeerV4, "", true},
		{"peer v6", in, world.PeerV6, "", true},
		{"far v4", in, world.FarV4, "", true},
		{"far v6", in, world.FarV6, "", true},
		{"gateway v4", in, world.GateV4, "", true},
		{"gateway v6", in, world.GateV6, "", true},
		{"empty", in, world.PeerV4, "-s 0", true},
		{"large v4", in, world.PeerV4, "-s 8000", true},
		{"large v6", in, world.PeerV6, "-s 8000", true},
		{"full frame v4", small, world.PeerV4, "-s 1472", true},
		{"full frame v6", small, world.PeerV6, "-s 1452", true},
		{"several v4", in, world.PeerV4, "-c 5 -i 0.05", true},
		{"several v6", in, world.PeerV6, "-c 5 -i 0.05", true},
		{"nobody there v4", in, world.GoneV4, "", false},
		{"nobody there v6", in, world.GoneV6, "", false},
		{"dropped v4", in, world.HoleV4, "", false},
		{"alive afterwards", in, world.PeerV4, "", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			args := append([]string{"ping", "-n", "-W", "1"}, strings.Fields(tc.args)...)
			if !strings.Contains(tc.args, "-c") {
				args = append(args, "-c", "1")
			}
			out, err := tc.in.ns.Run(10*time.Second, append(args, tc.addr)...)
			if got := err == nil; got != tc.answer {
				t.Errorf("answered: %v, want %v\n%s%v", got, tc.answer, out, err)
			}
			if tc.answer && !strings.Contains(out, " 0% packet loss") {
				t.Errorf("packets lost:\n%s", out)
			}
			if strings.Contains(out, "DUP!") {
				t.Errorf("answers doubled:\n%s", out)
			}
		})
	}
}

// TestPingReason: a host that does not let users ping is told of at the start, with the command
// that mends it. A new network namespace is such a host.
func TestPingReason(t *testing.T) {
	needsPasta(t)
	n, err := world.NewNS(world.Unique("noping"))
	if err != nil {
		t.Fatal(err)
	}
	warnings := func() string {
		t.Helper()
		r := runPastaIn(t, n, 5*time.Second, withDefaults([]string{"--config-net", "--", "true"})...)
		if r.code != 0 {
			t.Errorf("exit status %d, want that of the command", r.code)
		}
		return r.stderr
	}
	out := warnings()
	m := regexp.MustCompile(`ping will not work: .*sysctl -w net\.ipv4\.ping_group_range="(0 [0-9]+)"`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no reason, or no remedy, in:\n%s", out)
	}
	if world.AsRoot { // else it is a group of a namespace that is in between for the test's sake
		if err := world.Sysctl(n, "net.ipv4.ping_group_range", m[1]); err != nil {
			t.Fatal(err)
		}
		if out := warnings(); strings.Contains(out, "ping") {
			t.Errorf("with %s:\n%s", m[1], out)
		}
	}
}

func TestPingTime(t *testing.T) {
	world.Needs(t, "ping")
	in := start(t, "--config-net")
	out, err := in.ns.Run(10*time.Second, "ping", "-n", "-c", "3", "-i", "0.2", world.FarV4)
	if err != nil {
		t.Fatal(err)
	}
	var ms float64
	m := regexp.MustCompile(`min/avg/max/mdev = ([0-9.]+)/`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no times in:\n%s", out)
	}
	fmt.Sscan(m[1], &ms)
	if ms < 50 || ms > 60 {
		t.Errorf("%v ms to a peer 50 ms away", ms)
	}
}

func TestPingsAtOnce(t *testing.T) {
	// Several programs ping the same address: each gets its own answers, by the identifier.
	world.Needs(t, "ping")
	in := start(t, "--config-net")
	var wg sync.WaitGroup
	for range 20 {
		for _, addr := range []string{world.PeerV4, world.PeerV6} {
			wg.Go(func() {
				out, err := in.ns.Run(10*time.Second, "ping", "-n", "-W", "1", "-c", "3", "-i", "0.1", addr)
				if err != nil || !strings.Contains(out, "3 received") || strings.Contains(out, "DUP!") {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
	}
	wg.Wait()
}

func TestClosedUDPPort(t *testing.T) {
	in := start(t, "--config-net")
	for _, p := range paths(in) {
		if p.client == world.Peer {
			continue // of a port that it has bound itself, no program can say that it is closed
		}
		t.Run(p.name, func(t *testing.T) {
			c, err := p.client.Dial("udp", world.Endpoint(p.addr, p.port(7300)), time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := c.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			c.SetReadDeadline(time.Now().Add(time.Second))
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNREFUSED) {
				t.Errorf("%v, want connection refused", err)
			}
		})
	}
}

// hop is what came back for a datagram of a certain TTL: an ICMP error from a router, or the
// echo of the destination.
type hop struct {
	from    netip.Addr // of the router
	arrived bool
	err     error
}

func (h hop) String() string {
	if h.arrived {
		return "arrived"
	}
	return fmt.Sprintf("from %v: %v", h.from, h.err)
}

// probe sends one datagram with a TTL (or hop limit) to an echo server.
func probe(n *world.NS, addr string, port, ttl int) hop {
	level, optTTL, optErr := unix.IPPROTO_IP, unix.IP_TTL, unix.IP_RECVERR
	if strings.Contains(addr, ":") {
		level, optTTL, optErr = unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, unix.IPV6_RECVERR
	}
	c, err := n.DialWith("udp", world.Endpoint(addr, port), time.Second, func(fd int) error {
		return errors.Join(unix.SetsockoptInt(fd, level, optTTL, ttl), unix.SetsockoptInt(fd, level, optErr, 1))
	})
	if err != nil {
		return hop{err: err}
	}
	defer c.Close()
	c.Write([]byte("probe"))
	c.SetReadDeadline(time.Now().Add(time.Second))
	if _, err = c.Read(make([]byte, 16)); err == nil {
		return hop{arrived: true}
	}
	raw, rawErr := c.(*net.UDPConn).SyscallConn()
	if rawErr != nil {
		return hop{err: rawErr}
	}
	h := hop{err: err}
	raw.Control(func(fd uintptr) {
		oob := make([]byte, 512)
		_, n, _, _, err := unix.Recvmsg(int(fd), make([]byte, 16), oob, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		if err != nil {
			return
		}
		msgs, err := unix.ParseSocketControlMessage(oob[:n])
		if err != nil || len(msgs) == 0 {
			return
		}
		// struct sock_extended_err, 16 bytes, then the address of the router that sent the ICMP message.
		switch d := msgs[0].Data; {
		case len(d) >= 16+8 && binary.NativeEndian.Uint16(d[16:]) == unix.AF_INET:
			h.from = netip.AddrFrom4([4]byte(d[20:24]))
		case len(d) >= 16+24 && binary.NativeEndian.Uint16(d[16:]) == unix.AF_INET6:
			h.from = netip.AddrFrom16([16]byte(d[24:40]))
		}
	})
	return h
}

func TestTimeToLive(t *testing.T) {
	// To the far peer there is one router, P. pasta stands for the host and is no hop of its own, or for one more hop:
	// either way P's error has to reach the program inside, before the datagram arrives with a greater TTL.
	in := start(t, "--config-net")
	for _, tc := range []struct{ addr, router string }{{world.FarV4, world.PeerV4}, {world.FarV6, world.PeerV6}} {
		t.Run(tc.addr, func(t *testing.T) {
			world.ServeUDP(t, world.Far, world.Endpoint(tc.addr, 7310))
			if h := probe(world.Host, tc.addr, 7310, 1); h.from != netip.MustParseAddr(tc.router) {
				t.Fatalf("the host itself sees %v", h)
			}
			var seen []string
			router := false
			for ttl := 1; ttl <= 4; ttl++ {
				h := probe(in.ns, tc.addr, 7310, ttl)
				seen = append(seen, fmt.Sprintf("%d: %v", ttl, h))
				router = router || h.from == netip.MustParseAddr(tc.router)
				if h.arrived {
					break
				}
			}
			if last := seen[len(seen)-1]; !router || len(seen) < 2 || !strings.Contains(last, "arrived") {
				t.Errorf("hops seen, want router %s, then the destination:\n%s", tc.router, strings.Join(seen, "\n"))
			}
		})
	}
}
