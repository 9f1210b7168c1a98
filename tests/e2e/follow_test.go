package e2e

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/tests/world"
)

// The host's network changes while pasta runs, or comes when it runs already.

// follows is how long the guest may wait for what has changed on the host.
const follows = 6 * time.Second

// Another network that H may be in, and a second nameserver.
const (
	awayV4, awayV6         = "198.18.0.2", "2001:db8:a::2"
	awayGateV4, awayGateV6 = "198.18.0.1", "2001:db8:a::1" // P, as H's default gateway
	awayPeerV4, awayPeerV6 = "198.18.0.9", "2001:db8:a::9" // P, as a peer
	otherDNS               = "198.51.100.10"
)

// writableEtc lets the test replace H's resolver configuration, as a file that is renamed
// over the old one.
func writableEtc(t *testing.T) func(servers ...string) {
	t.Helper()
	dir := world.ScratchDir(t)
	for _, d := range []string{"upper", "work"} {
		if err := os.Mkdir(dir+"/"+d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		t.Fatal(err)
	}
	opts := fmt.Sprintf("lowerdir=/etc,upperdir=%s/upper,workdir=%s/work", dir, dir)
	if err := unix.Mount("overlay", "/etc", "overlay", 0, opts); err != nil {
		t.Skip("no overlay to write to /etc in:", err)
	}
	t.Cleanup(func() { unix.Unmount("/etc", unix.MNT_DETACH) })
	replace := func(text string) {
		if err := os.WriteFile("/etc/resolv.conf.new", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename("/etc/resolv.conf.new", "/etc/resolv.conf"); err != nil {
			t.Fatal(err)
		}
	}
	replace(string(before))
	return func(servers ...string) {
		text := ""
		for _, s := range servers {
			text += "nameserver " + s + "\n"
		}
		replace(text)
	}
}

// udhcpc is the client of that name.
func udhcpc(t *testing.T) *world.DHCPClient {
	t.Helper()
	i := slices.IndexFunc(world.DHCPClients, func(c world.DHCPClient) bool { return c.Name == "udhcpc" })
	world.Needs(t, world.DHCPClients[i].Name)
	return &world.DHCPClients[i]
}

// looksUp returns an error unless the nameserver at addr answers in n.
func looksUp(n *world.NS, addr string) func() error {
	return func() error {
		for _, network := range []string{"udp", "tcp"} {
			got, err := resolve(n, network, addr)
			slices.Sort(got)
			if err != nil || !slices.Equal(got, []string{"192.0.2.1", "2001:db8::1"}) {
				return fmt.Errorf("nameserver %s over %s: %v, %v", addr, network, got, err)
			}
		}
		return nil
	}
}

func TestResolvConfReplaced(t *testing.T) {
	needsPasta(t)
	const fwd = "169.254.1.1"
	world.Batch(world.Peer, "addr add "+otherDNS+"/24 dev eth0")
	t.Cleanup(func() { world.Batch(world.Peer, "addr del "+otherDNS+"/24 dev eth0") })
	for _, tc := range []struct {
		name string
		run  func(t *testing.T, args ...string) *world.NS
	}{
		{"foreground", func(t *testing.T, args ...string) *world.NS { return start(t, args...).ns }},
		{"background", func(t *testing.T, args ...string) *world.NS {
			g := newTarget(t)
			startDaemon(t, g.user(), append(withDefaults(args), strconv.Itoa(g.pid))...)
			return g.ns
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			write := writableEtc(t)
			n := tc.run(t, "--config-net", "--dhcp-dns", "--dns-forward", fwd)
			t.Run("before", func(t *testing.T) {
				serveDNS(t, world.PeerV4)
				if err := looksUp(n, fwd)(); err != nil {
					t.Error(err)
				}
			})
			t.Run("after", func(t *testing.T) {
				serveDNS(t, otherDNS)
				write(otherDNS)
				world.Eventually(t, follows, looksUp(n, fwd))
				// The namespace may go on asking the one that it was told of.
				if err := looksUp(n, world.PeerV4)(); err != nil {
					t.Error(err)
				}
			})
			t.Run("and back", func(t *testing.T) {
				serveDNS(t, world.PeerV4)
				write(world.PeerV4)
				world.Eventually(t, follows, looksUp(n, fwd))
			})
		})
	}
}

// hostDown takes H's network away, as if it had not come yet, until comeUp or the end of
// the test.
func hostDown(t *testing.T) (comeUp func()) {
	t.Helper()
	if err := world.Batch(world.Host, "link set eth0 down", "addr flush dev eth0"); err != nil {
		t.Fatal(err)
	}
	up := false
	comeUp = func() {
		if up {
			return
		}
		up = true
		if err := world.Batch(world.Host,
			"link set eth0 up",
			"addr add "+world.HostV4+"/24 dev eth0",
			"addr add "+world.HostV6+"/64 dev eth0 nodad",
			"route add default via "+world.GateV4+" dev eth0",
			"route add default via "+world.GateV6+" dev eth0",
		); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(comeUp)
	return comeUp
}

// getsOut returns an error unless the peer can be reached from n over both IP versions.
func getsOut(t *testing.T, n *world.NS, port int) func() error {
	for _, addr := range []string{world.PeerV4, world.PeerV6} {
		occupy(t, world.Peer, "tcp", world.Endpoint(addr, port), "peer")
	}
	return func() error {
		for _, addr := range []string{world.PeerV4, world.PeerV6} {
			if err := answers(n, "tcp", world.Endpoint(addr, port), "peer")(); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestStartedBeforeNetwork(t *testing.T) {
	needsPasta(t)
	const port, fwd = 7960, "169.254.1.1"
	t.Run("--config-net", func(t *testing.T) {
		comeUp := hostDown(t)
		in := start(t, "--config-net", "--dns-forward", fwd, "-I", "eth0")
		if got := addressList(t, in.ns, "eth0"); !slices.Contains(got, "169.254.2.1/16") {
			t.Errorf("before there is a network: %v", got)
		}
		comeUp()
		serveDNS(t, world.PeerV4)
		world.Eventually(t, follows, getsOut(t, in.ns, port))
		world.Eventually(t, follows, looksUp(in.ns, fwd))
		isLikeHost(t, in.ns, world.HostV4, world.HostV6, world.GateV4, world.GateV6)
	})
	t.Run("--config-net, background, by the user", func(t *testing.T) {
		comeUp := hostDown(t)
		g := newTarget(t)
		startDaemon(t, g.user(), append(withDefaults([]string{"--config-net", "--dns-forward", fwd, "-I", "eth0"}), strconv.Itoa(g.pid))...)
		comeUp()
		serveDNS(t, world.PeerV4)
		world.Eventually(t, follows, getsOut(t, g.ns, port))
		world.Eventually(t, follows, looksUp(g.ns, fwd))
		isLikeHost(t, g.ns, world.HostV4, world.HostV6, world.GateV4, world.GateV6)
	})
	t.Run("--config-net, background, by root inside", func(t *testing.T) { // as Podman does
		comeUp := hostDown(t)
		g := newTarget(t)
		startDaemon(t, g.inside(), append(withDefaults([]string{"--config-net", "--dns-forward", fwd, "-I", "eth0"}), "--netns", g.bind(t))...)
		comeUp()
		serveDNS(t, world.PeerV4)
		world.Eventually(t, follows, getsOut(t, g.ns, port))
		world.Eventually(t, follows, looksUp(g.ns, fwd))
		isLikeHost(t, g.ns, world.HostV4, world.HostV6, world.GateV4, world.GateV6)
	})
	t.Run("--config-net, background, by root", func(t *testing.T) { // who can't configure it again, having become nobody
		comeUp := hostDown(t)
		g := newNamed(t)
		startDaemon(t, root, append(withDefaults([]string{"--config-net", "--dns-forward", fwd, "-I", "eth0"}), "--netns", g.path)...)
		comeUp()
		serveDNS(t, world.PeerV4)
		world.Eventually(t, follows, getsOut(t, g.ns, port))
		world.Eventually(t, follows, looksUp(g.ns, fwd))
	})
	t.Run("DHCP", func(t *testing.T) {
		comeUp := hostDown(t)
		in := start(t, "--dns-forward", fwd, "-I", "eth0")
		bringUp(t, in)
		client := udhcpc(t)
		if l := client.Run(t, in.ns, in.ifname); l["new_ip_address"] != "169.254.2.1" {
			t.Errorf("before there is a network: %v", l)
		}
		comeUp()
		serveDNS(t, world.PeerV4)
		// With the lease that it has, and autoconfiguration.
		world.Eventually(t, follows, getsOut(t, in.ns, port))
		world.Eventually(t, follows, looksUp(in.ns, fwd))
		world.Eventually(t, follows, func() error { return prefixed(in, "2001:db8:9::/64", false) })
		if l := client.Run(t, in.ns, in.ifname); l["new_ip_address"] != world.HostV4 {
			t.Errorf("with a network: %v", l)
		}
	})
}

// isLikeHost waits until the namespace has the addresses, and default routes, that H has.
func isLikeHost(t *testing.T, n *world.NS, v4, v6, gate4, gate6 string) {
	t.Helper()
	world.Eventually(t, follows, func() error {
		got, err := preferredAddresses(n)
		if want := []string{v4 + "/24", v6 + "/64"}; err != nil || !slices.Equal(got, want) {
			return fmt.Errorf("addresses %v, want %v, %v", got, want, err)
		}
		for family, want := range map[string]string{"-4": gate4, "-6": gate6} {
			if got := defaultRoute(t, n, family); got != want {
				return fmt.Errorf("default route %s via %q, want %s", family, got, want)
			}
		}
		return nil
	})
}

// lasting is an address with what "ip -j" says of its lifetimes.
type lasting struct {
	address
	Deprecated bool   `json:"deprecated"`
	Valid      uint64 `json:"valid_life_time"`
	Preferred  uint64 `json:"preferred_life_time"`
}

func lastingAddresses(n *world.NS, ifname string) (out []lasting, err error) {
	l, err := ipJSON[[]struct {
		Info []lasting `json:"addr_info"`
	}](n, "addr", "show", "dev", ifname)
	for _, x := range l {
		for _, a := range x.Info {
			if a.Scope == "global" {
				out = append(out, a)
			}
		}
	}
	return out, err
}

// preferredAddresses are those of eth0 that are not deprecated. The others must end some time.
func preferredAddresses(n *world.NS) (out []string, err error) {
	all, err := lastingAddresses(n, "eth0")
	for _, a := range all {
		if !a.Deprecated {
			out = append(out, a.String())
		} else if a.Valid == 0 || a.Valid > 2*60*60 {
			return nil, fmt.Errorf("%v is deprecated, and valid for %d s", a, a.Valid)
		}
	}
	return out, err
}

// prefixed returns an error unless the interface has an autoconfigured address of the prefix,
// deprecated or not.
func prefixed(in *instance, prefix string, deprecated bool) error {
	all, err := lastingAddresses(in.ns, in.ifname)
	if err != nil {
		return err
	}
	p := netip.MustParsePrefix(prefix)
	for _, a := range all {
		if ip, err := netip.ParseAddr(a.Local); err == nil && p.Contains(ip) {
			if a.Deprecated != deprecated || deprecated && a.Valid > 2*60*60 {
				return fmt.Errorf("%v: deprecated %v, valid for %d s", a, a.Deprecated, a.Valid)
			}
			return nil
		}
	}
	return fmt.Errorf("no address of %s among %v", prefix, all)
}

// moveHost takes H to another network, and back at the end of the test.
func moveHost(t *testing.T) {
	t.Helper()
	for _, a := range []string{awayPeerV4 + "/24", awayGateV4 + "/24", awayGateV6 + "/64", awayPeerV6 + "/64"} {
		if err := world.Batch(world.Peer, "addr add "+a+" dev eth0"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { world.Batch(world.Peer, "addr del "+a+" dev eth0") }) // the first of a subnet may take the others with it
	}
	world.ChangeHost(t, []string{
		"addr add " + awayV4 + "/24 dev eth0",
		"addr add " + awayV6 + "/64 dev eth0 nodad",
		"addr del " + world.HostV4 + "/24 dev eth0", // the routes go with it
		"addr del " + world.HostV6 + "/64 dev eth0",
		"route replace default via " + awayGateV4 + " dev eth0",
		"route replace default via " + awayGateV6 + " dev eth0",
	}, []string{
		"addr add " + world.HostV4 + "/24 dev eth0",
		"addr add " + world.HostV6 + "/64 dev eth0 nodad",
		"addr del " + awayV4 + "/24 dev eth0",
		"addr del " + awayV6 + "/64 dev eth0",
		"route replace default via " + world.GateV4 + " dev eth0",
		"route replace default via " + world.GateV6 + " dev eth0",
	})
}

func TestHostMoves(t *testing.T) {
	needsPasta(t)
	t.Run("--config-net", func(t *testing.T) {
		in := start(t, "--config-net", "-t", "7971")
		occupy(t, world.Host, "tcp", world.Endpoint("127.0.0.1", 7970), "host")
		// A connection that does not depend on the host's addresses goes on.
		world.ServeOn(t, world.Host, world.Endpoint("127.0.0.1", 7972), func(c *net.TCPConn) {
			b := make([]byte, 1)
			for {
				if _, err := c.Read(b); err != nil {
					return
				}
				c.Write(b)
			}
		})
		old := world.DialTCP(t, in.ns, world.Endpoint(world.GateV4, 7972))
		moveHost(t)
		isLikeHost(t, in.ns, awayV4, awayV6, awayGateV4, awayGateV6)
		greets(t, in.ns, "tcp", world.Endpoint(awayGateV4, 7970), "host")
		world.Exchange(t, in.ns, world.Peer, "tcp", awayPeerV4, 7973, 100000)
		world.Exchange(t, in.ns, world.Peer, "udp", awayPeerV6, 7973, 10000)
		world.Exchange(t, world.Peer, in.ns, "tcp", awayV4, 7971, 100000)
		world.Exchange(t, world.Peer, in.ns, "tcp", awayV6, 7971, 100000)
		old.SetDeadline(time.Now().Add(2 * time.Second))
		if _, err := old.Write([]byte("x")); err != nil {
			t.Errorf("old connection: %v", err)
		}
		if _, err := old.Read(make([]byte, 1)); err != nil {
			t.Errorf("old connection: %v", err)
		}
	})
	t.Run("DHCP and router advertisements", func(t *testing.T) {
		in := start(t, "--dhcp-dns", "-t", "7971")
		bringUp(t, in)
		client := udhcpc(t)
		if l := client.Run(t, in.ns, in.ifname); l["new_ip_address"] != world.HostV4 {
			t.Fatalf("before: %v", l)
		}
		world.Eventually(t, follows, func() error { return prefixed(in, "2001:db8:9::/64", false) })
		before := solicit(t, in)
		moveHost(t)
		// The router tells the guest by itself.
		world.Eventually(t, follows, func() error { return prefixed(in, "2001:db8:a::/64", false) })
		if err := prefixed(in, "2001:db8:9::/64", true); err != nil {
			t.Error(err)
		}
		after := solicit(t, in)
		if before == nil || after == nil || !slices.Equal(before.prefixes, []string{"2001:db8:9::/64 LA"}) ||
			!slices.Equal(after.prefixes, []string{"2001:db8:a::/64 LA", "2001:db8:9::/64 LA"}) {
			t.Errorf("advertised prefixes: before %+v, after %+v", before, after)
		}
		// With the old lease it works, both ways, and the new one is there.
		world.Exchange(t, in.ns, world.Peer, "tcp", awayPeerV4, 7973, 100000)
		world.Exchange(t, in.ns, world.Peer, "tcp", awayPeerV6, 7973, 100000)
		world.Exchange(t, world.Peer, in.ns, "tcp", awayV4, 7971, 100000)
		if l := client.Run(t, in.ns, in.ifname); l["new_ip_address"] != awayV4 || l["new_routers"] != awayGateV4 {
			t.Errorf("after: %v", l)
		}
		world.Exchange(t, world.Peer, in.ns, "tcp", awayV4, 7971, 100000)
	})
	t.Run("given addresses stay", func(t *testing.T) {
		args := []string{"--config-net", "-a", "10.0.2.100/24", "-g", "10.0.2.2", "-a", "fd00:2::100/64", "-g", "fd00:2::2"}
		in := start(t, args...)
		before := addressList(t, in.ns, "eth0")
		moveHost(t)
		world.Eventually(t, follows, func() error {
			if !strings.Contains(in.Log(), "the host's network has changed") {
				return fmt.Errorf("not noticed")
			}
			return nil
		})
		if after := addressList(t, in.ns, "eth0"); !slices.Equal(before, after) {
			t.Errorf("addresses %v, before %v", after, before)
		}
		world.Exchange(t, in.ns, world.Peer, "tcp", awayPeerV4, 7973, 100000)
		world.Exchange(t, in.ns, world.Peer, "tcp", awayPeerV6, 7973, 100000)
	})
}

// TestRouterChanges looks at the advertisements themselves: a gateway with another link-local
// address is another router, and the old one says that it is none any more.
func TestRouterChanges(t *testing.T) {
	needsPasta(t)
	const old, now = "fe80::a:1", "fe80::b:1"
	world.ChangeHost(t, []string{"route replace default via " + old + " dev eth0"}, []string{"route replace default via " + world.GateV6 + " dev eth0"})
	in := start(t)
	bringUp(t, in)
	world.Eventually(t, follows, func() error {
		if got := defaultRoute(t, in.ns, "-6"); got != old {
			return fmt.Errorf("default route via %q, want %s", got, old)
		}
		return nil
	})
	pc, err := in.ns.ListenPacket("ip6:58", "::")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	if err := world.Batch(world.Host, "route replace default via "+now+" dev eth0"); err != nil {
		t.Fatal(err)
	}
	lifetimes := make(map[string]int)
	pc.SetReadDeadline(time.Now().Add(follows))
	b := make([]byte, 2000)
	for len(lifetimes) < 2 {
		n, from, err := pc.ReadFrom(b)
		if err != nil {
			t.Fatalf("%v, with %v", err, lifetimes)
		}
		if n >= 16 && b[0] == 134 {
			lifetimes[from.(*net.IPAddr).IP.String()] = int(binary.BigEndian.Uint16(b[6:]))
		}
	}
	if lifetimes[old] != 0 || lifetimes[now] == 0 {
		t.Errorf("routers and their lifetimes: %v", lifetimes)
	}
	if got := defaultRoute(t, in.ns, "-6"); got != now {
		t.Errorf("default route via %q, want %s", got, now)
	}
}
