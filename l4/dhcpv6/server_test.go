package dhcpv6

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"passt/l4/service/servicetest"
	"passt/link"
)

const (
	ours    = "fe80::1"
	guest   = "2001:db8::2"
	guestLL = "fe80::5054:ff:fe12:3456"
	other   = "2001:db8:1::9"
)

func config() Config {
	return Config{
		MAC:       servicetest.OurMAC,
		LinkLocal: netip.MustParseAddr(ours),
		Guest:     netip.MustParseAddr(guest),
		DNS:       []netip.Addr{netip.MustParseAddr("2001:db8::53"), netip.MustParseAddr("192.0.2.53")},
		Search:    []string{"example.com", "a..b", "corp.example.com."},
		FQDN:      "guest.example.com",
	}
}

func newClient(t testing.TB, cfg Config) *servicetest.Client[*Server] {
	return servicetest.NewClient(t, New, cfg)
}

var (
	fromGuest = netip.MustParseAddrPort("[" + guestLL + "]:546")
	toAll     = netip.MustParseAddrPort("[ff02::1:2]:547")
	toUs      = netip.MustParseAddrPort("[" + ours + "]:547")
	clientID  = dhcpv6.OptClientID(&dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: servicetest.GuestMAC[:]})
	ourID     = dhcpv6.OptServerID(&dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: servicetest.OurMAC[:]})
	otherID   = dhcpv6.OptServerID(&dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: servicetest.GuestMAC[:]})
	rapid     = &dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionRapidCommit}
)

// message is a message of the given type with options.
func message(kind dhcpv6.MessageType, opts ...dhcpv6.Option) *dhcpv6.Message {
	m := &dhcpv6.Message{MessageType: kind, TransactionID: dhcpv6.TransactionID{1, 2, 3}}
	m.Options.Options = opts
	return m
}

func addrs(list []string) (o dhcpv6.Options) {
	for _, a := range list {
		o.Add(&dhcpv6.OptIAAddress{IPv6Addr: net.ParseIP(a), PreferredLifetime: time.Hour, ValidLifetime: 2 * time.Hour})
	}
	return o
}

func na(id byte, list ...string) dhcpv6.Option {
	return &dhcpv6.OptIANA{IaId: [4]byte{id}, T1: time.Hour, T2: time.Hour, Options: dhcpv6.IdentityOptions{Options: addrs(list)}}
}

func ta(id byte, list ...string) dhcpv6.Option {
	return &dhcpv6.OptIATA{IaId: [4]byte{id}, Options: dhcpv6.IdentityOptions{Options: addrs(list)}}
}

func pd(id byte) dhcpv6.Option { return &dhcpv6.OptIAPD{IaId: [4]byte{id}} }

func oro(codes ...dhcpv6.OptionCode) dhcpv6.Option { return dhcpv6.OptRequestedOption(codes...) }

// summary is what an answer says of addresses, in short: each association with its
// identifier, its addresses ("-" in front of those with lifetime 0), and its status.
func summary(t *testing.T, m *dhcpv6.Message) string {
	t.Helper()
	var parts []string
	status := func(o dhcpv6.Options) {
		if s, ok := o.GetOne(dhcpv6.OptionStatusCode).(*dhcpv6.OptStatusCode); ok {
			parts = append(parts, s.StatusCode.String())
		}
	}
	list := func(name string, id byte, o dhcpv6.Options) (gets bool) {
		parts = append(parts, fmt.Sprintf("%s%d", name, id))
		for _, a := range o.Get(dhcpv6.OptionIAAddr) {
			a := a.(*dhcpv6.OptIAAddress)
			switch a.ValidLifetime {
			case 0xffffffff * time.Second:
				parts, gets = append(parts, a.IPv6Addr.String()), true
			case 0:
				parts = append(parts, "-"+a.IPv6Addr.String())
			default:
				t.Errorf("lifetime %v", a.ValidLifetime)
			}
			if a.PreferredLifetime != a.ValidLifetime {
				t.Errorf("lifetimes %v and %v", a.PreferredLifetime, a.ValidLifetime)
			}
		}
		status(o)
		return gets
	}
	for _, o := range m.Options.Options {
		switch o := o.(type) {
		case *dhcpv6.OptIANA:
			want := time.Duration(0)
			if list("na", o.IaId[0], o.Options.Options) {
				want = 0xffffffff * time.Second
			}
			if o.T1 != want || o.T2 != want {
				t.Errorf("got T1 %v, T2 %v, want %v", o.T1, o.T2, want)
			}
		case *dhcpv6.OptIATA:
			list("ta", o.IaId[0], o.Options.Options)
		case *dhcpv6.OptIAPD:
			list("pd", o.IaId[0], o.Options.Options)
		}
	}
	status(m.Options.Options)
	return strings.Join(parts, " ")
}

func TestMessages(t *testing.T) {
	const (
		solicit     = dhcpv6.MessageTypeSolicit
		advertise   = dhcpv6.MessageTypeAdvertise
		request     = dhcpv6.MessageTypeRequest
		confirm     = dhcpv6.MessageTypeConfirm
		renew       = dhcpv6.MessageTypeRenew
		rebind      = dhcpv6.MessageTypeRebind
		reply       = dhcpv6.MessageTypeReply
		release     = dhcpv6.MessageTypeRelease
		decline     = dhcpv6.MessageTypeDecline
		information = dhcpv6.MessageTypeInformationRequest
	)
	noAddress := func(c *Config) { c.Guest = netip.Addr{} }
	tests := []struct {
		name string
		m    *dhcpv6.Message
		cfg  func(c *Config)
		dst  netip.AddrPort // zero: to all servers on the link
		want dhcpv6.MessageType
		says string // summary of the answer
		bad  bool   // if there is no answer
	}{
		{name: "solicit", m: message(solicit, clientID, na(1)), want: advertise, says: "na1 " + guest},
		{name: "solicit, in the site", m: message(solicit, clientID, na(1)), dst: netip.MustParseAddrPort("[ff05::1:3]:547"), want: advertise, says: "na1 " + guest},
		{name: "solicit, rapid commit", m: message(solicit, clientID, rapid, na(1)), want: reply, says: "na1 " + guest},
		{name: "solicit another address", m: message(solicit, clientID, na(1, other)), want: advertise, says: "na1 " + guest},
		{name: "solicit a temporary address", m: message(solicit, clientID, ta(1)), want: advertise, says: "ta1 " + guest},
		{name: "solicit both kinds", m: message(solicit, clientID, ta(1), na(2)), want: advertise, says: "ta1 NoAddrsAvail na2 " + guest},
		{name: "solicit two", m: message(solicit, clientID, na(1), na(2)), want: advertise, says: "na1 " + guest + " na2 NoAddrsAvail"},
		{name: "solicit two, the second has it", m: message(solicit, clientID, na(1), na(2, guest)), want: advertise, says: "na1 NoAddrsAvail na2 " + guest},
		{name: "solicit a prefix", m: message(solicit, clientID, na(1), pd(2)), want: advertise, says: "na1 " + guest + " pd2 NoPrefixAvail"},
		{name: "solicit nothing", m: message(solicit, clientID), want: advertise},
		{name: "solicit, no address", m: message(solicit, clientID, na(1)), cfg: noAddress, want: advertise, says: "na1 NoAddrsAvail"},
		{name: "solicit without client", m: message(solicit, na(1)), bad: true},
		{name: "solicit with server", m: message(solicit, clientID, ourID, na(1)), bad: true},
		{name: "solicit by unicast", m: message(solicit, clientID, na(1)), dst: toUs, bad: true},

		{name: "request", m: message(request, clientID, ourID, na(1, guest)), want: reply, says: "na1 " + guest},
		{name: "request any", m: message(request, clientID, ourID, na(1)), want: reply, says: "na1 " + guest},
		{name: "request another address", m: message(request, clientID, ourID, na(1, other)), want: reply, says: "na1 NotOnLink"},
		{name: "request ours and another", m: message(request, clientID, ourID, na(1, other, guest)), want: reply, says: "na1 " + guest},
		{name: "request a temporary address", m: message(request, clientID, ourID, ta(1, guest)), want: reply, says: "ta1 " + guest},
		{name: "request another temporary address", m: message(request, clientID, ourID, ta(1, other)), want: reply, says: "ta1 NotOnLink"},
		{name: "request, no address", m: message(request, clientID, ourID, na(1, guest)), cfg: noAddress, want: reply, says: "na1 NotOnLink"},
		{name: "request from another server", m: message(request, clientID, otherID, na(1, guest))},
		{name: "request without server", m: message(request, clientID, na(1, guest)), bad: true},
		{name: "request without client", m: message(request, ourID, na(1, guest)), bad: true},
		{name: "request by unicast", m: message(request, clientID, ourID, na(1, guest)), dst: toUs, want: reply, says: "UseMulticast"},

		{name: "confirm", m: message(confirm, clientID, na(1, guest)), want: reply, says: "Success"},
		{name: "confirm, moved", m: message(confirm, clientID, na(1, other)), want: reply, says: "NotOnLink"},
		{name: "confirm, one of two", m: message(confirm, clientID, na(1, guest), ta(2, other)), want: reply, says: "NotOnLink"},
		{name: "confirm nothing", m: message(confirm, clientID, na(1))},
		{name: "confirm with server", m: message(confirm, clientID, ourID, na(1, guest)), bad: true},
		{name: "confirm by unicast", m: message(confirm, clientID, na(1, guest)), dst: toUs, bad: true},

		{name: "renew", m: message(renew, clientID, ourID, na(1, guest)), want: reply, says: "na1 " + guest},
		{name: "renew another address", m: message(renew, clientID, ourID, na(1, other)), want: reply, says: "na1 " + guest + " -" + other},
		{name: "renew both", m: message(renew, clientID, ourID, na(1, guest, other)), want: reply, says: "na1 " + guest + " -" + other},
		{name: "renew, no address", m: message(renew, clientID, ourID, na(1, other)), cfg: noAddress, want: reply, says: "na1 -" + other},
		{name: "renew from another server", m: message(renew, clientID, otherID, na(1, guest))},
		{name: "renew without server", m: message(renew, clientID, na(1, guest)), bad: true},
		{name: "renew by unicast", m: message(renew, clientID, ourID, na(1, guest)), dst: toUs, want: reply, says: "UseMulticast"},

		{name: "rebind", m: message(rebind, clientID, na(1, guest)), want: reply, says: "na1 " + guest},
		{name: "rebind another address", m: message(rebind, clientID, na(1, other)), want: reply, says: "na1 " + guest + " -" + other},
		{name: "rebind with server", m: message(rebind, clientID, ourID, na(1, guest)), bad: true},

		{name: "release", m: message(release, clientID, ourID, na(1, guest)), want: reply, says: "Success"},
		{name: "release to another server", m: message(release, clientID, otherID, na(1, guest))},
		{name: "release without server", m: message(release, clientID, na(1, guest)), bad: true},
		{name: "decline", m: message(decline, clientID, ourID, na(1, guest)), want: reply, says: "Success"},
		{name: "decline by unicast", m: message(decline, clientID, ourID, na(1, guest)), dst: toUs, want: reply, says: "UseMulticast"},

		{name: "information", m: message(information, clientID), want: reply},
		{name: "information, no client", m: message(information), want: reply},
		{name: "information, our server", m: message(information, clientID, ourID), want: reply},
		{name: "information, another server", m: message(information, clientID, otherID)},
		{name: "information with an association", m: message(information, clientID, na(1)), bad: true},
		{name: "information by unicast", m: message(information, clientID), dst: toUs, bad: true},

		{name: "advertise", m: message(advertise, clientID, otherID)},
		{name: "reply", m: message(reply, clientID, otherID)},
		{name: "reconfigure", m: message(dhcpv6.MessageTypeReconfigure, clientID, otherID)},
		{name: "lease query", m: message(dhcpv6.MessageTypeLeaseQuery, clientID)},
		{name: "relayed", m: message(dhcpv6.MessageTypeRelayForward, clientID)},
		{name: "type 255", m: message(255, clientID)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := config()
			if tt.cfg != nil {
				tt.cfg(&cfg)
			}
			dst := toAll
			if tt.dst.IsValid() {
				dst = tt.dst
			}
			c := newClient(t, cfg)
			got := c.Send(fromGuest, dst, tt.m.ToBytes())
			if c.Consumed != 1 {
				t.Error("the message was passed on")
			}
			if tt.want == 0 {
				if s := c.Server.Stats; len(got) != 0 || (s.RxBad == 1) != tt.bad || (s.RxIgnored == 1) == tt.bad {
					t.Errorf("got answers %v, %+v, want none", got, s)
				}
				return
			}
			if len(got) != 1 {
				t.Fatalf("got %d answers, want 1; %+v", len(got), c.Server.Stats)
			}
			if got[0].Src != toUs || got[0].Dst != fromGuest {
				t.Errorf("got an answer from %v to %v, want it from %v to %v", got[0].Src, got[0].Dst, toUs, fromGuest)
			}
			m, err := dhcpv6.MessageFromBytes(got[0].Payload)
			if err != nil {
				t.Fatal(err)
			}
			if m.MessageType != tt.want || m.TransactionID != tt.m.TransactionID {
				t.Errorf("got %v, want %v to %v", m, tt.want, tt.m.TransactionID)
			}
			if s := summary(t, m); s != tt.says {
				t.Errorf("got %q, want %q", s, tt.says)
			}
			if id := m.Options.ClientID(); (id != nil) != (tt.m.Options.ClientID() != nil) || id != nil && !id.Equal(tt.m.Options.ClientID()) {
				t.Errorf("got client %v, want %v", id, tt.m.Options.ClientID())
			}
			if id := m.Options.ServerID(); id == nil || !bytes.Equal(dhcpv6.OptServerID(id).ToBytes(), ourID.ToBytes()) {
				t.Errorf("got server %v", id)
			}
			if has := m.Options.GetOne(dhcpv6.OptionRapidCommit) != nil; has != (tt.m.MessageType == solicit && tt.want == reply) {
				t.Errorf("rapid commit: %v", has)
			}
			if p := m.Options.Preference(); (tt.want == advertise) != (p == 255) {
				t.Errorf("got preference %d", p)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	const (
		dns    = dhcpv6.OptionDNSRecursiveNameServer
		search = dhcpv6.OptionDomainSearchList
		fqdn   = dhcpv6.OptionFQDN
		name   = "\x05guest\x07example\x03com\x00"
	)
	fqdnOf := func(b ...byte) dhcpv6.Option { return &dhcpv6.OptionGeneric{OptionCode: fqdn, OptionData: b} }
	info := dhcpv6.MessageTypeInformationRequest
	tests := []struct {
		name string
		cfg  func(c *Config)
		m    *dhcpv6.Message
		code dhcpv6.OptionCode
		want string // bytes; "": the option is missing
	}{
		{name: "resolvers", m: message(info), code: dns, want: string(netip.MustParseAddr("2001:db8::53").AsSlice())},
		{name: "resolvers with an address", m: message(dhcpv6.MessageTypeSolicit, clientID, na(1)), code: dns, want: string(netip.MustParseAddr("2001:db8::53").AsSlice())},
		{name: "no resolvers", m: message(info), cfg: func(c *Config) { c.DNS = c.DNS[1:] }, code: dns},
		{name: "no resolvers in a confirmation", m: message(dhcpv6.MessageTypeConfirm, clientID, na(1, guest)), code: dns},
		{name: "search list", m: message(info), code: search, want: "\x07example\x03com\x00\x04corp\x07example\x03com\x00"},
		{name: "no search list", m: message(info), cfg: func(c *Config) { c.Search = nil }, code: search},
		{name: "full name, not asked for", m: message(info, oro(dns)), code: fqdn},
		{name: "full name, asked for", m: message(info, oro(dns, fqdn)), code: fqdn, want: "\x04" + name},
		{name: "full name, client's", m: message(info, fqdnOf(0, 1, 'x')), code: fqdn, want: "\x04" + name},
		{name: "full name, server to update", m: message(info, fqdnOf(1)), code: fqdn, want: "\x06" + name},
		{name: "no full name", cfg: func(c *Config) { c.FQDN = "" }, m: message(info, oro(fqdn)), code: fqdn},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := config()
			if tt.cfg != nil {
				tt.cfg(&cfg)
			}
			got := newClient(t, cfg).Send(fromGuest, toAll, tt.m.ToBytes())
			if len(got) != 1 {
				t.Fatalf("got %d answers, want 1", len(got))
			}
			m, err := dhcpv6.MessageFromBytes(got[0].Payload)
			if err != nil {
				t.Fatal(err)
			}
			var b []byte
			if o := m.Options.GetOne(tt.code); o != nil {
				b = o.ToBytes()
			}
			if string(b) != tt.want {
				t.Errorf("got % x, want % x", b, tt.want)
			}
		})
	}
}

// TestRealFrames answers frames that were taken from the wire.
func TestRealFrames(t *testing.T) {
	want := map[string]dhcpv6.MessageType{
		"dhclient-solicit":             dhcpv6.MessageTypeAdvertise,
		"dhclient-request":             dhcpv6.MessageTypeReply,
		"dhclient-confirm":             dhcpv6.MessageTypeReply,
		"dhclient-release":             dhcpv6.MessageTypeReply,
		"dhclient-information-request": dhcpv6.MessageTypeReply,
		"dhcpcd-solicit":               dhcpv6.MessageTypeReply, // with rapid commit
	}
	frames := servicetest.Frames(t)
	if len(frames) != len(want) {
		t.Errorf("%d frames, want %d", len(frames), len(want))
	}
	for _, f := range frames {
		t.Run(f.Name, func(t *testing.T) {
			copy(f.B[6:], servicetest.GuestMAC[:])
			c := newClient(t, config())
			got := c.Frame(f.B, link.Meta{})
			if len(got) != 1 || c.Server.Stats.RxBad != 0 {
				t.Fatalf("got %d answers, %+v", len(got), c.Server.Stats)
			}
			m, err := dhcpv6.MessageFromBytes(got[0].Payload)
			if err != nil || m.MessageType != want[f.Name] {
				t.Errorf("got %v, %v, want %v", m, err, want[f.Name])
			}
		})
	}
}

func TestFlood(t *testing.T) {
	c := newClient(t, config())
	c.Now = 1e12
	f := servicetest.Datagram(fromGuest, toAll, message(dhcpv6.MessageTypeSolicit, clientID, na(1)).ToBytes())
	got := 0
	for range 10000 {
		got += len(c.Frame(f, link.Meta{}))
	}
	if s := c.Server.Stats; got != 100 || s.RxLimited != 9900 || c.Consumed != 10000 {
		t.Errorf("got %d answers, consumed %d, %+v", got, c.Consumed, s)
	}
	c.Now += 1e9
	if len(c.Frame(f, link.Meta{})) != 1 {
		t.Error("no answer after the flood")
	}
}

func TestNoRoom(t *testing.T) {
	c := newClient(t, config())
	c.SetFull(true)
	c.Send(fromGuest, toAll, message(dhcpv6.MessageTypeSolicit, clientID, na(1)).ToBytes())
	if s := c.Server.Stats; s.TxNoRoom != 1 || s.TxAnswers != 0 {
		t.Errorf("got %+v", s)
	}
}

func FuzzInput(f *testing.F) {
	for _, b := range servicetest.Frames(f) {
		f.Add(b.B[62:])
	}
	f.Add(message(dhcpv6.MessageTypeRebind, clientID, na(1, other, guest), ta(2, other), pd(3), oro(dhcpv6.OptionFQDN)).ToBytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > maxRequest {
			return
		}
		c := newClient(t, config())
		for _, a := range c.Send(fromGuest, toAll, b) {
			if len(a.Payload) > 1280-40-8 {
				t.Errorf("answer of %d bytes", len(a.Payload))
			}
			// The client's identifier is given back as it came; the rest is ours.
			q, _ := parse(b)
			if _, err := dhcpv6.DUIDFromBytes(q.client); err != nil && q.client != nil {
				continue
			}
			if _, err := dhcpv6.MessageFromBytes(a.Payload); err != nil {
				t.Fatalf("%v in % x", err, a.Payload)
			}
		}
	})
}
