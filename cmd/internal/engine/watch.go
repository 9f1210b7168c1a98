package engine

// What can be seen without a client: counters of all layers (--stats) and flows that begin
// and end (--debug).

import (
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"time"
	"unicode"

	"passt/cmd/internal/control"
	"passt/cmd/internal/logx"
	"passt/l4/flow"
)

// counted is the Stats of a layer. Its numbers belong to the worker's thread.
type counted struct {
	name  string
	stats any // a pointer to a struct of uint64
}

// counted lists the counters of the layers that w has, from the link up.
func (w *worker) counted() []counted {
	var out []counted
	if w.e.p.LinkStats != nil {
		out = append(out, counted{"link", w.e.p.LinkStats})
	}
	out = append(out, counted{"ethernet", &w.eth.Stats}, counted{"ip", &w.ip.Stats}, counted{"reassembly", w.ip.ReassemblyStats()})
	if w.ndp != nil {
		out = append(out, counted{"ndp", &w.ndp.Stats})
	}
	out = append(out, counted{"mux", &w.mux.Stats})
	if w.dhcp != nil {
		out = append(out, counted{"dhcp", &w.dhcp.Stats})
	}
	if w.dhcpv6 != nil {
		out = append(out, counted{"dhcpv6", &w.dhcpv6.Stats})
	}
	if w.tcp != nil {
		out = append(out, counted{"tcp", &w.tcp.Stats})
	}
	if w.udp != nil {
		out = append(out, counted{"udp", &w.udp.Stats})
	}
	if w.icmp != nil {
		out = append(out, counted{"icmp", &w.icmp.Stats})
	}
	out = append(out, counted{"ports", &w.ports.Stats})
	if w.spliceTCP != nil {
		out = append(out, counted{"bypass.tcp", &w.spliceTCP.Stats})
	}
	if w.spliceUDP != nil {
		out = append(out, counted{"bypass.udp", &w.spliceUDP.Stats})
	}
	return out
}

// Counters implements control.Instance.
func (e *Engine) Counters() (out []control.Counter) {
	w := e.workers[0]
	w.call(func() {
		for _, c := range w.counted() {
			v := reflect.ValueOf(c.stats).Elem()
			for i := range v.NumField() {
				if f := v.Field(i); f.Kind() == reflect.Uint64 {
					out = append(out, control.Counter{Name: c.name + "." + lower(v.Type().Field(i).Name), Value: f.Uint()})
				}
			}
		}
	})
	return out
}

// lower makes rx_too_long of RxTooLong.
func lower(name string) string {
	var b strings.Builder
	up := true // the letter before was one
	for i, r := range name {
		if unicode.IsUpper(r) && !up && i > 0 {
			b.WriteByte('_')
		}
		up = unicode.IsUpper(r)
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// report writes counters that have changed to the log, until stop.
func (e *Engine) report(every time.Duration, stop <-chan struct{}) {
	t := time.NewTicker(every)
	defer t.Stop()
	last := make(map[string]uint64)
	for {
		select {
		case <-t.C:
			if args := changes(last, e.Counters()); len(args) > 0 {
				e.p.Log.Info("statistics", args...)
			}
		case <-stop:
			return
		}
	}
}

// changes lists, for the log, what differs from last, and makes last the same: the value of
// each and how much it grew.
func changes(last map[string]uint64, now []control.Counter) (args []any) {
	for _, c := range now {
		if d := c.Value - last[c.Name]; d != 0 {
			args = append(args, c.Name, fmt.Sprintf("%d(+%d)", c.Value, d))
			last[c.Name] = c.Value
		}
	}
	return args
}

// Lines about flows: enough to follow what a person does, and no more than that of a flood.
const (
	flowEvery = 20_000_000 // nanoseconds
	flowBurst = 200
)

// flowLog writes flows that begin and end, or may not, to the log.
type flowLog struct {
	log   *slog.Logger
	now   func() int64
	lines logx.Limit
}

var _ flow.Watcher = (*flowLog)(nil)

// watcher is who watches the flows of w; nil if nobody does.
func (w *worker) watcher() flow.Watcher {
	if !w.e.p.Options.Debug {
		return nil
	}
	return &flowLog{log: w.e.p.Log, now: w.now, lines: logx.Limit{Every: flowEvery, Burst: flowBurst}}
}

// Began implements flow.Watcher.
func (l *flowLog) Began(p flow.Passage) { l.line("flow began", &p) }

// Ended implements flow.Watcher.
func (l *flowLog) Ended(p flow.Passage, why string) { l.line("flow ended", &p, "why", why) }

// Denied implements flow.Watcher.
func (l *flowLog) Denied(p flow.Passage) { l.line("flow denied", &p) }

func (l *flowLog) line(text string, p *flow.Passage, args ...any) {
	held, ok := l.lines.Allow(l.now())
	if !ok {
		return
	}
	from, to := "guest", []any{"guest", endpoint(p.Guest)}
	if p.FromHost {
		from = "host"
	}
	if r := endpoint(p.Remote); r != "" {
		to = append(to, "remote", r)
	}
	if h := endpoint(p.Host); h != "" && p.Host != p.Remote {
		to = append(to, "host", h)
	}
	all := append([]any{"protocol", protocolName(p.Proto), "from", from}, to...)
	if p.Bypass {
		all = append(all, "bypass", true)
	}
	if all = append(all, args...); held > 0 {
		all = append(all, "held back", held)
	}
	l.log.Debug(text, all...)
}
