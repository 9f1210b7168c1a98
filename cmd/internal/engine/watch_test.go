package engine

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"passt/cmd/internal/control"
	"passt/l3"
	"passt/l3/inet"
	"passt/l4/flow"
)

func TestLower(t *testing.T) {
	for in, want := range map[string]string{"Rx": "rx", "RxTooLong": "rx_too_long", "RxARP": "rx_arp", "TxNak": "tx_nak", "FromGuest": "from_guest"} {
		if got := lower(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestChanges(t *testing.T) {
	last := make(map[string]uint64)
	for _, tt := range []struct {
		name string
		a, b uint64
		want string
	}{
		{"nothing happened", 0, 0, "[]"},
		{"one", 3, 0, "[a 3(+3)]"},
		{"nothing new", 3, 0, "[]"},
		{"both", 4, 7, "[a 4(+1) b 7(+7)]"},
	} {
		if got := fmt.Sprint(changes(last, []control.Counter{{Name: "a", Value: tt.a}, {Name: "b", Value: tt.b}})); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

func at(s string) inet.Endpoint {
	p := netip.MustParseAddrPort(s)
	return inet.Endpoint{Addr: inet.FromNetip(p.Addr()), Port: p.Port()}
}

func TestFlowLog(t *testing.T) {
	var b bytes.Buffer
	now := int64(0)
	l := &flowLog{log: slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug})), now: func() int64 { return now }}
	l.lines.Every, l.lines.Burst = flowEvery, 3
	p := flow.Passage{Proto: l3.ProtoTCP, Guest: at("192.0.2.2:1000"), Remote: at("192.0.2.1:53"), Host: at("127.0.0.1:53")}
	l.Denied(flow.Passage{Proto: l3.ProtoUDP, Guest: at("192.0.2.2:1000"), Remote: at("192.0.2.1:53")})
	for range 5 {
		l.Began(p)
	}
	now += 5 * flowEvery
	l.Ended(flow.Passage{Proto: l3.ProtoUDP, Bypass: true, FromHost: true, Guest: at("[::1]:80"), Host: at("[::1]:5")}, "idle")
	want := []string{
		`msg="flow denied" protocol=udp from=guest guest=192.0.2.2:1000 remote=192.0.2.1:53`,
		`msg="flow began" protocol=tcp from=guest guest=192.0.2.2:1000 remote=192.0.2.1:53 host=127.0.0.1:53`,
		`msg="flow began" protocol=tcp from=guest guest=192.0.2.2:1000 remote=192.0.2.1:53 host=127.0.0.1:53`,
		`msg="flow ended" protocol=udp from=host guest=[::1]:80 host=[::1]:5 bypass=true why=idle "held back"=3`,
	}
	var got []string
	for line := range strings.Lines(b.String()) {
		_, line, _ = strings.Cut(line, "level=DEBUG ")
		got = append(got, strings.TrimSuffix(line, "\n"))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestShown(t *testing.T) {
	const s = 1_000_000_000
	for _, tt := range []struct {
		in   flow.Info
		want control.Flow
	}{
		{flow.Info{
			Passage: flow.Passage{Proto: l3.ProtoTCP, Guest: at("192.0.2.2:1000"), Remote: at("192.0.2.1:80"), Host: at("127.0.0.1:80")},
			State:   "established", ToHost: 5, ToGuest: 7, Started: 2 * s, LastSeen: 9 * s,
		}, control.Flow{
			Protocol: "tcp", Guest: "192.0.2.2:1000", Remote: "192.0.2.1:80", Host: "127.0.0.1:80",
			State: "established", Age: 8, Idle: 1, ToHost: 5, ToGuest: 7,
		}},
		{flow.Info{
			Passage: flow.Passage{Proto: l3.ProtoUDP, FromHost: true, Guest: at("192.0.2.2:53"), Remote: at("192.0.2.9:9"), Host: at("192.0.2.9:9")},
			ToHost:  1, ToGuest: 2, Started: 9 * s, LastSeen: 9*s + s/2,
		}, control.Flow{
			Protocol: "udp", FromHost: true, Guest: "192.0.2.2:53", Remote: "192.0.2.9:9", Host: "192.0.2.9:9", Age: 1, Idle: 0.5, ToHost: 1, ToGuest: 2,
		}},
		{flow.Info{
			Passage: flow.Passage{Proto: l3.ProtoICMPv6, Guest: at("[2001:db8::2]:77"), Remote: at("[2001:db8::9]:0"), Host: at("[2001:db8::9]:0")},
			ToHost:  3, Started: 1, LastSeen: 10 * s,
		}, control.Flow{
			Protocol: "icmpv6", Guest: "2001:db8::2", Remote: "2001:db8::9", Host: "2001:db8::9", ID: 77, Age: 9.999, ToHost: 3,
		}},
		{flow.Info{
			Passage: flow.Passage{Proto: l3.ProtoTCP, Bypass: true, FromHost: true, Guest: at("192.0.2.2:80"), Host: at("127.0.0.1:5")},
			State:   "connecting", ToHost: 2, ToGuest: 1, Started: 11 * s,
		}, control.Flow{
			Protocol: "tcp", Bypass: true, FromHost: true, Guest: "192.0.2.2:80", Host: "127.0.0.1:5", State: "connecting", Idle: -1, ToHost: 2, ToGuest: 1,
		}},
	} {
		if got := shown(&tt.in, 10*s); got != tt.want {
			t.Errorf("got  %+v\nwant %+v", got, tt.want)
		}
	}
}
