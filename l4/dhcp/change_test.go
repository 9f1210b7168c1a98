package dhcp

import (
	"net/netip"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// TestChange: the host is in another network now.
func TestChange(t *testing.T) {
	c := newClient(t, config())
	send := func(m *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
		t.Helper()
		got := c.Send(nowhere, everywhere, m.ToBytes())
		if len(got) != 1 {
			t.Fatalf("%d answers", len(got))
		}
		a, err := dhcpv4.FromBytes(got[0].Payload)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := send(discover()); a.YourIPAddr.String() != guest {
		t.Errorf("before: %v", a)
	}
	cfg := config()
	cfg.Ours, cfg.Router = netip.MustParseAddr("10.7.0.1"), netip.MustParseAddr("10.7.0.1")
	cfg.Guest = netip.MustParsePrefix("10.7.0.5/16")
	c.Server.Change(cfg)
	if a := send(discover(as(dhcpv4.MessageTypeRequest), asked(guest))); a.MessageType() != dhcpv4.MessageTypeNak {
		t.Errorf("the address from before was not refused: %v", a)
	}
	a := send(discover(as(dhcpv4.MessageTypeRequest), server("10.7.0.1"), asked("10.7.0.5")))
	if a.MessageType() != dhcpv4.MessageTypeAck || a.YourIPAddr.String() != "10.7.0.5" || a.SubnetMask().String() != "ffff0000" ||
		len(a.Router()) != 1 || a.Router()[0].String() != "10.7.0.1" {
		t.Errorf("after: %v", a)
	}
	if c.Server.Stats.Rx != 3 || c.Server.Stats.TxAnswers != 2 || c.Server.Stats.TxNak != 1 {
		t.Errorf("counters: %+v", c.Server.Stats)
	}
}
