package engine

import (
	"net/netip"
	"strings"
	"testing"

	"passt/cmd/internal/conf"
	"passt/cmd/internal/hostinfo"
	"passt/l3"
	"passt/l3/inet"
	"passt/nat"
)

// TestOutboundAllow goes from the command line to where the guest may send.
func TestOutboundAllow(t *testing.T) {
	atGateway := network("192.168.1.5/24", "192.168.1.1", "192.168.1.1")
	atGateway.V4.DNSHost = netip.MustParseAddr("192.168.1.1")
	beyond := network("192.168.1.5/24", "192.168.1.1", "9.9.9.9")
	beyond.V4.DNSHost, beyond.V4.HostAddr = netip.MustParseAddr("9.9.9.9"), netip.MustParseAddr("192.168.1.5")
	for _, tt := range []struct {
		name    string
		network *hostinfo.Network
		args    string
		yes, no string // destinations of UDP
	}{
		{"no limits", beyond, "", "203.0.113.5:80 192.168.1.1:80", ""},
		{"list", beyond, "--outbound-allow 203.0.113.0/24:80-90,198.51.100.7", "203.0.113.5:80 203.0.113.5:90 198.51.100.7:1", "203.0.113.5:91 198.51.100.8:1 192.168.1.1:80"},
		{"two lists", beyond, "--outbound-allow 203.0.113.5 --outbound-allow 203.0.113.6", "203.0.113.5:80 203.0.113.6:80", "203.0.113.7:80"},
		{"none", beyond, "--outbound-allow none", "", "203.0.113.5:80 192.168.1.1:80 9.9.9.9:53"},
		{"gateway chosen", beyond, "--outbound-allow none --map-host-loopback 192.168.1.1", "192.168.1.1:80", "192.168.1.5:80"},
		{"host's address", beyond, "--outbound-allow none --map-guest-addr 192.168.1.9", "192.168.1.9:80", "192.168.1.1:80"},
		{"--dns-forward", beyond, "--outbound-allow none --dns-forward 192.168.1.3", "192.168.1.3:53 192.168.1.3:853", "192.168.1.3:80 9.9.9.9:53"},
		{"name server at the gateway", atGateway, "--outbound-allow none", "", "192.168.1.1:53 192.168.1.1:80"},
		{"name server at the gateway, announced", atGateway, "--outbound-allow none --dhcp-dns", "192.168.1.1:53", "192.168.1.1:80"},
		{"name server beyond it, announced", beyond, "--outbound-allow none --dhcp-dns", "", "9.9.9.9:53"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, err := conf.Parse(conf.ModePasta, "pasta", strings.Fields(tt.args))
			if err != nil {
				t.Fatal(err)
			}
			r := nat.New(natConfig(o, tt.network, new(past)))
			check := func(dsts string, want bool) {
				for _, dst := range strings.Fields(dsts) {
					to, ok := r.FromGuest(l3.ProtoUDP, at("192.168.1.5:1000"), at(dst))
					if ok != want || to.Prohibited == want {
						t.Errorf("%s: %+v, %v, want %v", dst, to, ok, want)
					}
				}
			}
			check(tt.yes, true)
			check(tt.no, false)
		})
	}
}

// TestPastResolvers has a guest that was told of two name servers, and may ask the one that is
// the gateway. It may go on asking that one in another network.
func TestPastResolvers(t *testing.T) {
	o, err := conf.Parse(conf.ModePasst, "passt", []string{"--outbound-allow", "none"})
	if err != nil {
		t.Fatal(err)
	}
	a := network("192.168.1.5/24", "192.168.1.1", "192.168.1.1", "9.9.9.9")
	b := network("10.7.0.5/16", "10.7.0.1", "10.7.0.1")
	a.V4.DNSHost, b.V4.DNSHost = a.V4.Gateway, b.V4.Gateway
	var p past
	w := &worker{e: &Engine{p: Params{Options: o, Network: a}}, rules: &rules{nat.New(natConfig(o, a, &p))}}
	w.past = w.past.next(a, b, w.unused)
	if got := w.past[0].resolvers; len(got) != 1 || got[0] != inet.FromNetip(a.V4.Gateway) {
		t.Fatalf("remembered: %v", texts(got))
	}
	r := nat.New(natConfig(o, b, &w.past))
	for dst, want := range map[string]bool{"192.168.1.1:53": true, "10.7.0.1:53": true, "9.9.9.9:53": false, "192.168.1.1:80": false} {
		if to, ok := r.FromGuest(l3.ProtoUDP, at("192.168.1.5:1000"), at(dst)); ok != want {
			t.Errorf("%s: %+v, %v", dst, to, ok)
		}
	}
}
