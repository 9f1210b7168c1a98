package l4

import (
	"encoding/binary"

	"passt/l3"
)

// Translator takes runs of packets of one protocol, in order.
type Translator interface {
	Input(batch []l3.Packet, now int64)
}

// Service is a server of ours for the guest, over UDP.
type Service interface {
	// Input handles p and says whether it was for the service.
	Input(p *l3.Packet, now int64) bool
}

// Ports of the services' servers.
const (
	portDHCP   = 67
	portDHCPv6 = 547
)

// Mux sorts packets. Fields that are nil drop what would be theirs; they do not change while
// packets come in.
type Mux struct {
	TCP, UDP, ICMP Translator
	DHCP, DHCPv6   Service
	Stats          Stats
}

// Stats counts packets.
type Stats struct {
	Served  uint64 // handled by a service
	Dropped uint64 // of a protocol that is off or unknown
}

var _ l3.Upper = (*Mux)(nil)

// Input implements l3.Upper.
func (m *Mux) Input(batch []l3.Packet, now int64) {
	start, run := 0, drop
	for i := range batch {
		if c := m.class(&batch[i], now); c != run {
			m.pass(run, batch[start:i], now)
			start, run = i, c
		}
	}
	m.pass(run, batch[start:], now)
}

// class is where a packet goes.
type class uint8

const (
	drop class = iota
	tcp
	udp
	icmp
	served
)

// class says where p goes. A packet for a service is handled on the spot; its answer may
// overtake the packets before it, which nobody minds.
func (m *Mux) class(p *l3.Packet, now int64) class {
	switch p.Proto {
	case l3.ProtoTCP:
		return tcp
	case l3.ProtoUDP:
		if m.serve(p, now) {
			return served
		}
		return udp
	case l3.ProtoICMP, l3.ProtoICMPv6:
		return icmp
	}
	return drop
}

// serve offers p to the service that its port is of.
func (m *Mux) serve(p *l3.Packet, now int64) bool {
	if len(p.L4) < 8 {
		return false
	}
	switch binary.BigEndian.Uint16(p.L4[2:]) {
	case portDHCP:
		return m.DHCP != nil && p.Src.Is4() && m.DHCP.Input(p, now)
	case portDHCPv6:
		return m.DHCPv6 != nil && !p.Src.Is4() && m.DHCPv6.Input(p, now)
	}
	return false
}

func (m *Mux) pass(c class, run []l3.Packet, now int64) {
	if len(run) == 0 {
		return
	}
	var t Translator
	switch c {
	case tcp:
		t = m.TCP
	case udp:
		t = m.UDP
	case icmp:
		t = m.ICMP
	case served:
		m.Stats.Served += uint64(len(run))
		return
	}
	if t == nil {
		m.Stats.Dropped += uint64(len(run))
		return
	}
	t.Input(run, now)
}
