package engine

import (
	"net/netip"
	"slices"
	"testing"

	"passt/cmd/internal/conf"
	"passt/cmd/internal/hostinfo"
	"passt/l3/inet"
)

func network(addr, gw string, dns ...string) *hostinfo.Network {
	n := &hostinfo.Network{V4: hostinfo.Family{
		Enabled: true, Addr: netip.MustParsePrefix(addr), Gateway: netip.MustParseAddr(gw), OurAddr: netip.MustParseAddr(gw),
	}}
	for _, d := range dns {
		n.V4.DNS = append(n.V4.DNS, netip.MustParseAddr(d))
	}
	return n
}

func texts(addrs []inet.Addr) (out []string) {
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return out
}

func TestPast(t *testing.T) {
	a := network("192.168.1.5/24", "192.168.1.1", "192.168.1.1", "9.9.9.9")
	b := network("10.7.0.5/16", "10.7.0.1", "10.7.0.1", "9.9.9.9")
	other := network("192.168.1.1/24", "192.168.1.254")
	taken := network("192.168.1.7/24", "192.168.1.5") // the gateway is what the guest was
	for _, tc := range []struct {
		name      string
		networks  []*hostinfo.Network
		told      bool
		addrs     []string
		resolvers []string
	}{
		{"the same", []*hostinfo.Network{a, a}, true, nil, nil},
		{"another", []*hostinfo.Network{a, b}, true, []string{"192.168.1.5"}, []string{"192.168.1.1"}},
		{"not told", []*hostinfo.Network{a, b}, false, []string{"192.168.1.5"}, nil},
		{"and back", []*hostinfo.Network{a, b, a}, true, []string{"10.7.0.5"}, []string{"10.7.0.1"}},
		{"back and forth", []*hostinfo.Network{a, b, a, b, a}, true, []string{"10.7.0.5"}, []string{"10.7.0.1"}},
		{"a third one", []*hostinfo.Network{a, b, other}, true, []string{"10.7.0.5", "192.168.1.5"}, []string{"10.7.0.1", "9.9.9.9", "192.168.1.1"}},
		{"an address that is the gateway now", []*hostinfo.Network{a, b, taken}, false, []string{"10.7.0.5"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var p past
			for i := range tc.networks[1:] {
				p = p.next(tc.networks[i], tc.networks[i+1], func(netip.Addr) bool { return !tc.told })
			}
			if got := texts(p[0].addrs); !slices.Equal(got, tc.addrs) {
				t.Errorf("addresses %v, want %v", got, tc.addrs)
			}
			if got := texts(p[0].resolvers); !slices.Equal(got, tc.resolvers) {
				t.Errorf("resolvers %v, want %v", got, tc.resolvers)
			}
			if p[1].addrs != nil || p[1].resolvers != nil {
				t.Errorf("of IPv6: %v", p[1])
			}
		})
	}
	t.Run("many", func(t *testing.T) {
		var p past
		last := a
		for i := range 100 {
			n := network(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i), 5}), 24).String(), "10.255.0.1")
			p = p.next(last, n, func(netip.Addr) bool { return false })
			last = n
		}
		if len(p[0].addrs) != maxPast || p[0].addrs[0] != inet.FromNetip(netip.MustParseAddr("10.0.98.5")) {
			t.Errorf("remembered: %v", texts(p[0].addrs))
		}
	})
}

// TestFollow changes the network under a running engine: the address that is ours, and is not
// the guest's, is another one then, and what the guest had stays its own.
func TestFollow(t *testing.T) {
	w := newWorld(t, conf.Options{})
	fd := w.guest()
	if !w.served(fd) {
		t.Fatal("no answer to ARP for the gateway")
	}
	n := *w.e.p.Network
	n.V4.Local, n.V4.Addr = false, netip.MustParsePrefix("10.7.0.5/16")
	n.V4.Gateway, n.V4.OurAddr = netip.MustParseAddr("10.7.0.1"), netip.MustParseAddr("10.7.0.1")
	w.e.Follow(&n)
	worker := w.e.workers[0]
	worker.call(func() {
		for a, want := range map[string]bool{"10.7.0.5": true, "192.0.2.2": true, "10.7.0.1": false, "192.0.2.1": false} {
			b := inet.FromNetip(netip.MustParseAddr(a))
			if got := worker.isGuest(&b); got != want {
				t.Errorf("%s is the guest's: %v, want %v", a, got, want)
			}
		}
		to, ok := worker.rules.FromGuest(6, inet.Endpoint{Addr: inet.FromNetip(netip.MustParseAddr("192.0.2.2")), Port: 1000},
			inet.Endpoint{Addr: inet.FromNetip(netip.MustParseAddr("10.7.0.1")), Port: 80})
		if !ok || !to.Loopback {
			t.Errorf("the new gateway leads to %v, %v", to, ok)
		}
		if worker.mux.DHCP == nil {
			t.Error("no DHCP")
		}
	})
	// The old gateway is an address like any other, and found here as all are.
	if !w.served(fd) {
		t.Error("no answer to ARP for the old gateway")
	}
	n.V4.Gateway = netip.Addr{}
	w.e.Follow(&n)
	worker.call(func() {
		if worker.mux.DHCP != nil {
			t.Error("DHCP goes on without a router")
		}
	})
	if c := w.e.Counters(); len(c) == 0 {
		t.Error("no counters")
	}
}
