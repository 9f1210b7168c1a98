package trace

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"passt/link"
)

// Dev is a device whose packets are shown. It belongs to one thread, like the device below.
type Dev struct {
	link.Device
	log   *slog.Logger
	level slog.Level
	buf   []byte
}

var _ link.Device = (*Dev)(nil)

// New shows the packets of dev as lines of the given level.
func New(dev link.Device, log *slog.Logger, level slog.Level) *Dev {
	return &Dev{Device: dev, log: log, level: level}
}

// Recv implements link.Device.
func (d *Dev) Recv(dst []link.Frame) (int, error) {
	n, err := d.Device.Recv(dst)
	for i := range dst[:n] {
		d.show("from guest", dst[i].B, &dst[i].Meta)
	}
	return n, err
}

// Send implements link.Device.
func (d *Dev) Send(s []link.Slot) (int, error) {
	n, err := d.Device.Send(s)
	for i := range s[:n] {
		d.buf = append(d.buf[:0], s[i].Head...)
		left := s[i].Len
		for _, b := range s[i].Body {
			b = b[:min(left, len(b))]
			left -= len(b)
			d.buf = append(d.buf, b...)
		}
		d.show("to guest", d.buf, &s[i].Meta)
	}
	return n, err
}

// Flush passes on what the device below may want to do at the end of a burst.
func (d *Dev) Flush() error {
	if f, ok := d.Device.(interface{ Flush() error }); ok {
		return f.Flush()
	}
	return nil
}

func (d *Dev) show(direction string, b []byte, m *link.Meta) {
	line := direction + ": " + describe(b)
	if m.GSO != link.GSONone {
		line += fmt.Sprintf(", in segments of %d", m.SegSize)
	}
	d.log.Log(context.Background(), d.level, line)
}

// describe is one line about the frame b.
func describe(b []byte) string {
	p := gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.DecodeOptions{NoCopy: true, Lazy: true})
	from, to := "", ""
	if n := p.NetworkLayer(); n != nil {
		from, to = n.NetworkFlow().Src().String(), n.NetworkFlow().Dst().String()
	}
	switch l := transport(p).(type) {
	case *layers.TCP:
		return fmt.Sprintf("TCP %s.%d > %s.%d %s seq %d ack %d win %d len %d",
			from, uint16(l.SrcPort), to, uint16(l.DstPort), flags(l), l.Seq, l.Ack, l.Window, len(l.Payload))
	case *layers.UDP:
		return fmt.Sprintf("UDP %s.%d > %s.%d len %d", from, uint16(l.SrcPort), to, uint16(l.DstPort), len(l.Payload))
	case *layers.ICMPv4:
		return fmt.Sprintf("ICMP %s > %s %v id %d seq %d", from, to, l.TypeCode, l.Id, l.Seq)
	case *layers.ICMPv6:
		return fmt.Sprintf("ICMPv6 %s > %s %v", from, to, l.TypeCode)
	case *layers.ARP:
		if l.Operation == layers.ARPRequest {
			return fmt.Sprintf("ARP who has %v? tell %v", ip(l.DstProtAddress), ip(l.SourceProtAddress))
		}
		return fmt.Sprintf("ARP %v is here; for %v", ip(l.SourceProtAddress), ip(l.DstProtAddress))
	}
	return fmt.Sprintf("%d bytes of %s", len(b), strings.Join(names(p), "/"))
}

// transport is the layer of p that says most about it.
func transport(p gopacket.Packet) gopacket.Layer {
	for _, t := range []gopacket.LayerType{
		layers.LayerTypeTCP, layers.LayerTypeUDP, layers.LayerTypeICMPv4, layers.LayerTypeICMPv6, layers.LayerTypeARP,
	} {
		if l := p.Layer(t); l != nil {
			return l
		}
	}
	return nil
}

func names(p gopacket.Packet) (n []string) {
	for _, l := range p.Layers() {
		n = append(n, l.LayerType().String())
	}
	return n
}

func ip(b []byte) string { return layers.NewIPEndpoint(b).String() }

// flags are the letters that tcpdump uses.
func flags(l *layers.TCP) string {
	s := ""
	for _, f := range []struct {
		set bool
		c   string
	}{{l.SYN, "S"}, {l.FIN, "F"}, {l.RST, "R"}, {l.PSH, "P"}, {l.URG, "U"}, {l.ACK, "."}} {
		if f.set {
			s += f.c
		}
	}
	return "[" + s + "]"
}
