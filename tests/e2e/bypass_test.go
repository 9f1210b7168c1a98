package e2e

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/tests/world"
)

// The loopback bypass: local connections and datagrams go between the host and the namespace
// by sockets of both, and never see the tap. How its connections end is in
// bypassclose_test.go.

// bypassPort is forwarded by startBypass, into the namespace with TCP and UDP, and
// bypassPort+1 out of it.
const bypassPort = 7700

// startBypass starts pasta with one port of each kind.
func startBypass(t *testing.T, args ...string) *instance {
	t.Helper()
	needsPasta(t)
	in, out := fmt.Sprint(bypassPort), fmt.Sprint(bypassPort+1)
	return start(t, append([]string{"-t", in, "-u", in, "-T", out, "-U", out}, args...)...)
}

// bypasses lists the ways past the tap for both families.
func bypasses(in *instance) []path {
	return []path{
		{"into the namespace v4", world.Host, in.ns, "127.0.0.1"},
		{"into the namespace v6", world.Host, in.ns, "::1"},
		{"out of the namespace v4", in.ns, world.Host, "127.0.0.1"},
		{"out of the namespace v6", in.ns, world.Host, "::1"},
	}
}

// bypassed is the port of p that is forwarded.
func (p path) bypassed() int {
	if p.server == world.Host {
		return bypassPort + 1
	}
	return bypassPort
}

// tapBytes is how much has gone over the interface of the namespace in both directions.
func tapBytes(t *testing.T, in *instance) int {
	t.Helper()
	l, err := ipJSON[[]struct {
		Stats struct {
			Rx, Tx struct{ Bytes int }
		} `json:"stats64"`
	}](in.ns, "-s", "link", "show", "dev", in.ifname)
	if err != nil {
		t.Fatal(err)
	}
	return l[0].Stats.Rx.Bytes + l[0].Stats.Tx.Bytes
}

func TestBypassTransfers(t *testing.T) {
	const small, large = 1000, 10 << 20
	for _, args := range [][]string{{"--config-net"}, {"--config-net", "--host-lo-to-ns-lo"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			in := startBypass(t, args...)
			for _, network := range []string{"tcp", "udp"} {
				for _, p := range bypasses(in) {
					for _, size := range []int{1, small, large} {
						t.Run(fmt.Sprintf("%s %s %d", network, p.name, size), func(t *testing.T) {
							before := tapBytes(t, in)
							world.Exchange(t, p.client, p.server, network, p.addr, p.bypassed(), size)
							if n := tapBytes(t, in) - before; n > small*4 {
								t.Errorf("%d bytes went over the tap, want none of the transfer", n)
							}
						})
					}
				}
			}
		})
	}
}

func TestBypassEmptyStream(t *testing.T) {
	in := startBypass(t, "--config-net")
	for _, p := range bypasses(in) {
		t.Run(p.name, func(t *testing.T) { world.Exchange(t, p.client, p.server, "tcp", p.addr, p.bypassed(), 0) })
	}
}

func TestBypassUrgentData(t *testing.T) {
	// Urgent data is a byte like others, in its place: past it, the stream goes on.
	in := startBypass(t, "--config-net")
	data := world.Pattern(11, 16<<20+1)
	half := len(data) / 2
	eachBypass(t, in, func(t *testing.T, first, second *net.TCPConn) {
		raw, err := first.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			first.Write(data[:half])
			raw.Write(func(fd uintptr) bool { return unix.Send(int(fd), data[half:half+1], unix.MSG_OOB) != unix.EAGAIN })
			pour(first, data[half+1:])
		}()
		drain(t, second, data, 256<<10, 0)
	})
}

func TestBypassDatagramSizes(t *testing.T) {
	in := startBypass(t, "--config-net")
	for _, p := range bypasses(in) {
		for _, size := range []int{0, 1, 1472, 1500, 8000, 65487} {
			t.Run(fmt.Sprintf("%s %d", p.name, size), func(t *testing.T) {
				// A port of p.port's scheme is one that is reached over the tap.
				echoOnce(t, path{p.name, p.client, p.server, p.addr}, p.bypassed()-p.port(0), size)
			})
		}
	}
}

// serveEnds answers each byte, or datagram, with the endpoints that the server sees: where it
// came to, and from which address.
func serveEnds(t *testing.T, n *world.NS, network, addr string) {
	t.Helper()
	if network == "tcp" {
		world.ServeOn(t, n, addr, func(c *net.TCPConn) {
			l, r := c.LocalAddr().(*net.TCPAddr), c.RemoteAddr().(*net.TCPAddr)
			answerEach(c, []byte(l.AddrPort().Addr().Unmap().String()+" from "+r.AddrPort().Addr().Unmap().String()))
		})
		return
	}
	p, err := n.ListenPacket("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	go func() {
		b := make([]byte, 100)
		for {
			_, from, err := p.ReadFrom(b)
			if err != nil {
				return
			}
			at, _, _ := net.SplitHostPort(addr)
			p.WriteTo([]byte(at+" from "+from.(*net.UDPAddr).AddrPort().Addr().Unmap().String()), from)
		}
	}()
}

func TestBypassAddresses(t *testing.T) {
	// What a server sees that is bound to one address, and whether it is reached at all.
	const closed = "closed"
	for _, tc := range []struct {
		name         string
		args         []string
		inside       bool // the server is in the namespace
		v4, v6       string
		want4, want6 string
	}{
		{"external address", nil, true, world.HostV4, world.HostV6, world.HostV4 + " from " + world.HostV4, world.HostV6 + " from " + world.HostV6},
		{"loopback is not reached", nil, true, "127.0.0.1", "::1", closed, closed},
		{"loopback by option", []string{"--host-lo-to-ns-lo"}, true, "127.0.0.1", "::1", "127.0.0.1 from 127.0.0.1", "::1 from ::1"},
		{"not the external address with the option", []string{"--host-lo-to-ns-lo"}, true, world.HostV4, world.HostV6, closed, closed},
		{"other external address", []string{"-a", "192.0.2.5", "-n", "24", "-g", "192.0.2.1", "-a", "2001:db8:77::5"}, true,
			"192.0.2.5", "2001:db8:77::5", "192.0.2.5 from 192.0.2.5", "2001:db8:77::5 from 2001:db8:77::5"},
		{"host's loopback", nil, false, "127.0.0.1", "::1", "127.0.0.1 from 127.0.0.1", "::1 from ::1"},
		{"host's external address is not reached", nil, false, world.HostV4, world.HostV6, closed, closed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := startBypass(t, append([]string{"--config-net"}, tc.args...)...)
			client, server, port := world.Host, in.ns, bypassPort
			if !tc.inside {
				client, server, port = in.ns, world.Host, bypassPort+1
			}
			for _, network := range []string{"tcp", "udp"} {
				for _, v := range []struct{ at, ask, want string }{{tc.v4, "127.0.0.1", tc.want4}, {tc.v6, "::1", tc.want6}} {
					serveEnds(t, server, network, world.Endpoint(v.at, port))
					got := banner(client, network, world.Endpoint(v.ask, port), time.Second)
					if v.want == closed {
						if strings.Contains(got, " from ") {
							t.Errorf("%s: the server at %s is reached: %s", network, v.at, got)
						}
					} else if got != v.want {
						t.Errorf("%s %s: the server sees %q, want %q", network, v.ask, got, v.want)
					}
				}
			}
		})
	}
}

func TestBypassPortsOfTheNamespaceAreOnLoopback(t *testing.T) {
	// -T and -U bind the namespace's loopback only: neither its other addresses nor the host's network has them.
	in := startBypass(t, "--config-net")
	serveEnds(t, world.Host, "tcp", world.Endpoint("127.0.0.1", bypassPort+1))
	for _, from := range []struct {
		n    *world.NS
		addr string
	}{{in.ns, world.HostV4}, {in.ns, world.HostV6}, {world.Peer, world.HostV4}, {world.Peer, world.HostV6}} {
		if got := banner(from.n, "tcp", world.Endpoint(from.addr, bypassPort+1), time.Second); got != "closed" {
			t.Errorf("%s asks %s: %s, want closed", from.n.Name, from.addr, got)
		}
	}
}

func TestNoSplice(t *testing.T) {
	needsPasta(t)
	in := start(t, "--config-net", "--no-splice", "-t", fmt.Sprint(bypassPort), "-u", fmt.Sprint(bypassPort))
	const size = 1 << 20
	want := map[string]string{"127.0.0.1": world.HostV4 + " from " + world.GateV4, "::1": world.HostV6 + " from " + world.GateV6}
	at := map[string]string{"127.0.0.1": world.HostV4, "::1": world.HostV6}
	for _, network := range []string{"tcp", "udp"} {
		for _, p := range bypasses(in)[:2] {
			t.Run(network+" "+p.name, func(t *testing.T) {
				before := tapBytes(t, in)
				world.Exchange(t, p.client, p.server, network, p.addr, bypassPort, size)
				if n := tapBytes(t, in) - before; n < 2*size {
					t.Errorf("%d bytes went over the tap, want at least the %d of the transfer", n, 2*size)
				}
				serveEnds(t, in.ns, network, world.Endpoint(at[p.addr], bypassPort))
				if got := banner(world.Host, network, world.Endpoint(p.addr, bypassPort), time.Second); got != want[p.addr] {
					t.Errorf("the server sees %q, want %q", got, want[p.addr])
				}
			})
		}
	}
	t.Run("contradicts --host-lo-to-ns-lo", func(t *testing.T) {
		r := runPasta(t, 5*time.Second, "--no-splice", "--host-lo-to-ns-lo", "--", "true")
		if r.code != 1 || !strings.Contains(r.stderr, "--no-splice") || !strings.Contains(r.stderr, "--host-lo-to-ns-lo") {
			t.Errorf("exit status %d, printed %q, want 1 and both options named", r.code, r.stderr)
		}
	})
}

func TestSpliceOnly(t *testing.T) {
	in := startBypass(t, "--splice-only")
	var names []string
	for name := range links(t, in.ns) {
		names = append(names, name)
	}
	if !slices.Equal(names, []string{"lo"}) {
		t.Errorf("interfaces %v, want lo alone", names)
	}
	for _, network := range []string{"tcp", "udp"} {
		for _, p := range bypasses(in) {
			for _, size := range []int{1, 10 << 20} {
				t.Run(fmt.Sprintf("%s %s %d", network, p.name, size), func(t *testing.T) {
					world.Exchange(t, p.client, p.server, network, p.addr, p.bypassed(), size)
				})
			}
		}
	}
	// Nothing else leads into this namespace, least of all to its loopback: not the network, and not another address
	// of the host.
	for _, network := range []string{"tcp", "udp"} {
		for _, from := range []*world.NS{world.Peer, world.Host} {
			for _, p := range []struct{ serve, ask string }{{"127.0.0.1", world.HostV4}, {"::1", world.HostV6}} {
				t.Run(network+" from elsewhere, by "+from.Name+" to "+p.ask, func(t *testing.T) {
					serveEnds(t, in.ns, network, world.Endpoint(p.serve, bypassPort))
					got := banner(from, network, world.Endpoint(p.ask, bypassPort), time.Second)
					if network == "tcp" && !strings.Contains(got, "reset") || network == "udp" && got != "no answer" {
						t.Errorf("the client gets %q, want TCP reset and UDP dropped", got)
					}
				})
			}
		}
	}
}

func TestBypassParallel(t *testing.T) {
	in := startBypass(t, "--config-net")
	const count, size = 200, 64 << 10
	for _, p := range bypasses(in) {
		t.Run(p.name, func(t *testing.T) {
			world.ServeOn(t, p.server, world.Endpoint("", p.bypassed()), func(c *net.TCPConn) { world.AnswerExchange(c) })
			var wg sync.WaitGroup
			errs := make(chan error, count)
			open := make(chan struct{}) // all are connected before the first is used
			var connected sync.WaitGroup
			connected.Add(count)
			for range count {
				wg.Go(func() {
					c, err := p.client.Dial("tcp", world.Endpoint(p.addr, p.bypassed()), 5*time.Second)
					connected.Done()
					if err != nil {
						errs <- err
						return
					}
					defer c.Close()
					<-open
					c.SetDeadline(time.Now().Add(world.TransferTime))
					if err := world.AskExchange(c.(*net.TCPConn), size); err != nil {
						errs <- err
					}
				})
			}
			connected.Wait()
			close(open)
			wg.Wait()
			close(errs)
			failed := 0
			for err := range errs {
				if failed++; failed <= 3 {
					t.Error(err)
				}
			}
			if failed > 0 {
				t.Errorf("%d of %d exchanges failed", failed, count)
			}
		})
	}
}
