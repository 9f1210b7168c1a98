package dhcpv6

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

// TestChange: the host is in another network now.
func TestChange(t *testing.T) {
	c := newClient(t, config())
	cfg := config()
	cfg.Guest, cfg.LinkLocal = netip.MustParseAddr(other), netip.MustParseAddr("fe80::77")
	cfg.DNS = []netip.Addr{netip.MustParseAddr("2001:db8:1::53")}
	c.Server.Change(cfg)
	got := c.Send(fromGuest, toAll, message(dhcpv6.MessageTypeSolicit, clientID, na(1), oro(dhcpv6.OptionDNSRecursiveNameServer)).ToBytes())
	if len(got) != 1 {
		t.Fatalf("%d answers", len(got))
	}
	m, err := dhcpv6.MessageFromBytes(got[0].Payload)
	if err != nil {
		t.Fatal(err)
	}
	if got[0].Src.Addr() != cfg.LinkLocal {
		t.Errorf("it came from %v, want %v", got[0].Src, cfg.LinkLocal)
	}
	if s := summary(t, m); !strings.Contains(s, other) || strings.Contains(s, guest) {
		t.Errorf("got %s, want %s", s, other)
	}
	if dns := m.Options.DNS(); len(dns) != 1 || dns[0].String() != "2001:db8:1::53" {
		t.Errorf("resolvers: %v", dns)
	}
	cfg.Guest = netip.Addr{}
	c.Server.Change(cfg)
	got = c.Send(fromGuest, toAll, message(dhcpv6.MessageTypeSolicit, clientID, na(1)).ToBytes())
	if len(got) == 1 {
		if m, err := dhcpv6.MessageFromBytes(got[0].Payload); err != nil || strings.Contains(summary(t, m), other) {
			t.Errorf("an address is given that there is none of any more: %v, %v", m, err)
		}
	}
}
