package tcp

import (
	"testing"

	"passt/l4/sock"
	"passt/link"
)

// TestOldSegmentKeepsWindow: of two segments, the later one says what the window is, in
// whatever order they come (RFC 9293, section 3.10.7.4).
func TestOldSegmentKeepsWindow(t *testing.T) {
	for _, tt := range []struct {
		name string
		seq  uint32
		want uint32
	}{
		{"sent before", 1, 512 << 7},
		{"sent at the same place", 6, 3 << 7},
		{"sent later", 7, 3 << 7},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, allOffloads)
			b.connect()
			b.in(seg{flags: ACK, seq: irs + 6, ack: b.iss() + 1, wnd: 512})
			b.in(seg{flags: ACK, seq: irs + tt.seq, ack: b.iss() + 1, wnd: 3})
			if got := b.conn().sndWnd; got != tt.want {
				t.Errorf("window %d, want %d", got, tt.want)
			}
		})
	}
}

// TestOldAcknowledgementNewPayload: a segment that was overtaken by a later acknowledgement
// still carries what it carries, and moves nothing back.
func TestOldAcknowledgementNewPayload(t *testing.T) {
	b := newBench(t, allOffloads)
	fd := b.connect()
	b.socks.socks[fd].queue = pattern(3000)
	b.event(fd, sock.In|sock.Out)
	b.want("data", "ACK 1 1 len 3000")
	b.in(seg{flags: ACK, seq: irs + 1, ack: b.iss() + 3001, wnd: 512})
	b.in(seg{flags: ACK, seq: irs + 1, ack: b.iss() + 1001, wnd: 3, data: "hello"})
	b.late()
	b.want("taken", "ACK 3001 6")
	if got := string(b.socks.socks[fd].got); got != "hello" {
		t.Errorf("socket got %q", got)
	}
	if c := b.conn(); c.sndWnd != 512<<7 || c.sndUna != b.iss()+3001 {
		t.Errorf("window %d, acknowledged up to %d", c.sndWnd, c.sndUna-b.iss())
	}
}

// TestWindowWithoutScale: a guest that knows no scaling may send what a window field can
// say, also where the socket has more room and the numbers pass 0.
func TestWindowWithoutScale(t *testing.T) {
	for _, first := range []uint32{1000, 1<<32 - 100000, 1<<32 - 1000} {
		b := newBench(t, link.OffloadCsum)
		b.in(seg{flags: SYN, seq: first - 1, wnd: 65535, opts: synOpts[:4]})
		b.event(0, sock.Out)
		b.in(seg{flags: ACK, seq: first, ack: b.iss() + 1, wnd: 512, data: string(pattern(20000))})
		last := b.net.sent[len(b.net.sent)-1].h
		if last.Window() != 65535 || last.Ack() != first+20000 {
			t.Fatalf("from %d: window %d at %d, want all that the field holds", first, last.Window(), last.Ack()-first)
		}
		b.in(seg{flags: ACK, seq: first + 20000, ack: b.iss() + 1, wnd: 512, data: string(pattern(65535))},
			seg{flags: ACK, seq: first + 85535, ack: b.iss() + 1, wnd: 512, data: "beyond"})
		if got := len(b.socks.socks[0].got); got != 85535 {
			t.Errorf("from %d: took %d bytes, want what the window allowed", first, got)
		}
	}
}
