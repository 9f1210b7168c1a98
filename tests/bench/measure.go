package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"passt/tests/bench/load"
)

// sample is what one measurement of a row gave: figures, or why there are none.
type sample struct {
	Row     string             `json:"row"`
	Tool    string             `json:"tool"`
	Round   int                `json:"round"` // from 1 on
	Figures map[string]float64 `json:"figures,omitempty"`
	Failure string             `json:"failure,omitempty"`
	Remark  string             `json:"remark,omitempty"`  // what is wrong with the figures
	Missing bool               `json:"missing,omitempty"` // the tool has no such thing
}

// Figures, with their units.
const (
	rate        = "Gbit/s"
	perSecond   = "1/s"
	half        = "µs p50"
	tail        = "µs p99"
	lost        = "% lost"
	cpuPerGB    = "CPU s/GB"
	cpuEach     = "CPU µs each"
	idleMemory  = "MiB idle"
	heldMemory  = "MiB 2000 conns"
	startMillis = "ms"
)

// figuresOf are the figures of a mode in the order of the table.
func figuresOf(m load.Mode) []string {
	switch m {
	case load.Stream, load.Maerts:
		return []string{rate, cpuPerGB}
	case load.Datagrams:
		return []string{rate, lost, cpuPerGB}
	case load.Echo, load.Datagram, load.Connect:
		return []string{half, tail, perSecond, cpuEach}
	case memoryMode:
		return []string{idleMemory, heldMemory}
	}
	return []string{startMillis}
}

// figures makes figures of a result and the CPU time of the translator, in seconds, which is
// negative if there is no translator.
func figures(m load.Mode, r load.Result, cpu float64) map[string]float64 {
	f := make(map[string]float64)
	switch m {
	case load.Stream, load.Maerts, load.Datagrams:
		f[rate] = float64(r.Bytes) * 8 / r.Seconds / 1e9
		if cpu >= 0 && r.Bytes > 0 {
			f[cpuPerGB] = cpu / (float64(r.Bytes) / 1e9)
		}
		if m == load.Datagrams && r.Sent > 0 {
			f[lost] = 100 * (1 - float64(r.Bytes)/float64(r.Sent))
		}
	case load.Echo, load.Datagram, load.Connect:
		f[half], f[tail], f[perSecond] = r.P50, r.P99, float64(r.Count)/r.Seconds
		if cpu >= 0 && r.Count > 0 {
			f[cpuEach] = cpu / float64(r.Count) * 1e6
		}
	}
	return f
}

// longPause is how long nothing may move without a remark, in milliseconds.
const longPause = 500

// remark says what is wrong with a result that is no failure.
func remark(r load.Result) string {
	var s []string
	if r.Failed > 0 {
		s = append(s, fmt.Sprintf("%d came to nothing", r.Failed))
	}
	if r.Pause >= longPause {
		s = append(s, fmt.Sprintf("stood still for %.1f s", r.Pause/1000))
	}
	return strings.Join(s, ", ")
}

// measureAll measures everything, until ctx ends. All tools take turns within a round, setup
// by setup.
func measureAll(ctx context.Context, c config) (all []sample, err error) {
	b := &bench{config: c}
	if b.world, err = newWorld(); err != nil {
		return nil, err
	}
	for _, n := range []network{b.host, b.peer} {
		p, err := b.start(n, false, loadArgs("serve", ":"+outerPort)...)
		if err != nil {
			return nil, err
		}
		defer p.stop()
		if _, err := runLoad(ctx, n, load.Config{Mode: load.Reachable, Addr: toOutside, Time: startTime, Conns: 1, Size: 1}); err != nil {
			return nil, fmt.Errorf("the server of the load: %w", err)
		}
	}
	for round := 1; round <= c.rounds; round++ {
		for _, s := range setups {
			rows := rowsOf(c.rows, s)
			for _, t := range c.tools {
				if len(rows) == 0 || ctx.Err() != nil {
					break
				}
				fmt.Fprintf(os.Stderr, "round %d of %d, %v: %s\n", round, c.rounds, s, t.name)
				for _, got := range b.measureSetup(ctx, t, s, rows) {
					got.Round, got.Tool = round, t.name
					all = append(all, got)
				}
			}
		}
	}
	return all, nil
}

// rowsOf are the rows with the setup s.
func rowsOf(rows []row, s setup) (out []row) {
	for _, r := range rows {
		if r.setup == s {
			out = append(out, r)
		}
	}
	return out
}

// measureSetup measures rows of one setup with one tool.
func (b *bench) measureSetup(ctx context.Context, t tool, want setup, rows []row) (all []sample) {
	var s *subject
	var err error
	if want != alone {
		if s, err = b.up(ctx, t, want); err == nil {
			defer s.stop()
		}
	}
	for _, r := range rows {
		got := sample{Row: r.name}
		err := err
		if err == nil {
			got.Figures, got.Remark, err = b.measure(ctx, t, s, r)
		}
		switch {
		case ctx.Err() != nil:
			return all // interrupted: that it failed means nothing
		case errors.Is(err, errNone):
			got.Missing, got.Figures = true, nil
		case err != nil:
			got.Failure, got.Figures = err.Error(), nil
		}
		all = append(all, got)
	}
	return all
}

// measure measures one row.
func (b *bench) measure(ctx context.Context, t tool, s *subject, r row) (map[string]float64, string, error) {
	if r.mode == startMode {
		ms, err := b.startTimes(ctx, t)
		return map[string]float64{startMillis: ms}, "", err
	}
	if r.forwarded() && t.kind == isSlirp || r.mode == memoryMode && t.kind == isDirect {
		return nil, "", errNone
	}
	if r.mode == memoryMode {
		return b.measureMemory(ctx, s, r)
	}
	l := r.load(b.config)
	if t.kind == isDirect { // with nothing in between, the port is that of the server
		l.Addr = strings.Replace(l.Addr, ":"+innerPort, ":"+outerPort, 1)
	}
	from := map[place]network{within: s.inside, onHost: b.host, atPeer: b.peer}[r.from]
	before := cpuOf(s.root)
	got, err := runLoad(ctx, from, l)
	used := cpuOf(s.root) - before
	if s.root == 0 {
		used = -1
	}
	if err != nil {
		return nil, "", err
	}
	return figures(r.mode, got, used), remark(got), nil
}

// rest is how long a translator is left alone before its idle memory is looked at.
const rest = 200 * time.Millisecond

// measureMemory measures the memory of a translator that does nothing, and that has many
// connections to keep.
func (b *bench) measureMemory(ctx context.Context, s *subject, r row) (map[string]float64, string, error) {
	time.Sleep(rest)
	f := make(map[string]float64)
	var err error
	if f[idleMemory], err = memoryOf(s.root); err != nil {
		return nil, "", err
	}
	got, err := holdConnections(ctx, s.inside, r.addr, r.conns, func() (err error) {
		f[heldMemory], err = memoryOf(s.root)
		return err
	})
	return f, remark(got), err
}
