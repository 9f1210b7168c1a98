package tcp

import (
	"fmt"
	"slices"
	"syscall"
	"testing"

	"passt/l4/flow"
	"passt/l4/sock"
)

// record is a flow.Watcher that writes down what it hears.
type record []string

func (r *record) Began(p flow.Passage) { *r = append(*r, "began "+ends(&p)) }

func (r *record) Ended(p flow.Passage, why string) { *r = append(*r, "ended "+ends(&p)+": "+why) }

func (r *record) Denied(p flow.Passage) { *r = append(*r, "denied "+p.Remote.String()) }

func ends(p *flow.Passage) string {
	from := "guest"
	if p.FromHost {
		from = "host"
	}
	return fmt.Sprintf("%d by %s %d", p.Proto, from, p.Remote.Port)
}

func TestWatch(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(b *bench)
		want []string
	}{
		{"reset by the guest", func(b *bench) {
			b.connect()
			b.in(seg{flags: RST, seq: irs + 1})
		}, []string{"began 6 by guest 80", "ended 6 by guest 80: reset by the guest"}},
		{"error on the host", func(b *bench) {
			fd := b.connect()
			b.socks.socks[fd].err = syscall.ECONNRESET
			b.event(fd, sock.In|sock.Err|sock.Hup)
		}, []string{"began 6 by guest 80", "ended 6 by guest 80: connection reset by peer"}},
		{"the guest goes", func(b *bench) {
			b.connect()
			b.tr.Reset()
		}, []string{"began 6 by guest 80", "ended 6 by guest 80: the guest has gone"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, allOffloads)
			var r record
			b.tr.cfg.Watch = &r
			tt.do(b)
			if !slices.Equal([]string(r), tt.want) {
				t.Errorf("got %q, want %q", r, tt.want)
			}
		})
	}
}
