package load

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// A Mode is what clients do.
type Mode string

// The modes.
const (
	Stream     Mode = "stream"    // send over TCP; the server counts
	Maerts     Mode = "maerts"    // receive over TCP
	Echo       Mode = "rr"        // one message and its answer after the other, over TCP
	Connect    Mode = "crr"       // a connection for each message and answer
	Datagram   Mode = "udprr"     // messages and answers over UDP
	Datagrams  Mode = "udpstream" // send over UDP without a pause; the server counts
	Idle       Mode = "idle"      // open connections and hold them until the input ends
	Reachable  Mode = "reachable" // try until one message was answered
	serverMode Mode = "serve"     // the other side of all of them
)

const (
	// grace is how much longer than Config.Time anything may take before it is a failure.
	grace = 5 * time.Second
	// chunk is the size of reads and writes of streams, in bytes.
	chunk = 128 << 10
)

// ErrStalled is the failure of a connection on which nothing moved any more.
var ErrStalled = errors.New("stalled")

// Config is one measurement.
type Config struct {
	Mode  Mode
	Addr  string        // of the server
	Time  time.Duration // for which the load lasts
	Conns int           // at once
	Size  int           // of a message or datagram, in bytes
}

// Args is the command line by which Main does what c says.
func (c Config) Args() []string {
	return []string{string(c.Mode), "-t", c.Time.String(), "-n", fmt.Sprint(c.Conns), "-s", fmt.Sprint(c.Size), c.Addr}
}

// Result is what was measured. What a mode does not have is zero.
type Result struct {
	Seconds float64 // that it took
	Bytes   uint64  // of payload that arrived
	Sent    uint64  // bytes of payload, whether they arrived or not: Datagrams
	Count   uint64  // transactions, datagrams that arrived, or connections that work: Idle
	Failed  uint64  // transactions and connections that came to nothing
	P50     float64 // of the time of a transaction, in microseconds
	P99     float64 // the same
	Pause   float64 // the longest time in which nothing moved, in milliseconds
}

// Main runs the command line args, prints the result as JSON, and returns the exit status.
func Main(args []string) int {
	c, err := parse(args)
	if err == nil && c.Mode == serverMode {
		err = serve(c.Addr)
	}
	if err == nil {
		var r Result
		if r, err = Run(c); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(r)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func parse(args []string) (c Config, err error) {
	if len(args) == 0 {
		return c, errors.New("load: which mode?")
	}
	c.Mode = Mode(args[0])
	f := flag.NewFlagSet("load "+args[0], flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.DurationVar(&c.Time, "t", time.Second, "")
	f.IntVar(&c.Conns, "n", 1, "")
	f.IntVar(&c.Size, "s", 1, "")
	if err := f.Parse(args[1:]); err != nil {
		return c, fmt.Errorf("load %s: %w", c.Mode, err)
	}
	if c.Addr = f.Arg(0); f.NArg() != 1 {
		return c, fmt.Errorf("load %s: one address is needed", c.Mode)
	}
	if c.Conns < 1 || c.Size < 1 {
		return c, fmt.Errorf("load %s: -n and -s are at least 1", c.Mode)
	}
	return c, nil
}

// Run measures once.
func Run(c Config) (Result, error) {
	switch c.Mode {
	case Stream:
		return together(c, stream)
	case Maerts:
		return together(c, maerts)
	case Echo:
		return together(c, echo)
	case Connect:
		return together(c, connect)
	case Datagram:
		return together(c, datagram)
	case Datagrams:
		return datagrams(c)
	case Idle:
		return idle(c, os.Stdout, os.Stdin)
	case Reachable:
		return reachable(c)
	}
	return Result{}, fmt.Errorf("load: no mode %q", c.Mode)
}

// tally is what one of several clients counted.
type tally struct {
	bytes, failed uint64
	pause         time.Duration
	took          []time.Duration // of each transaction
}

// progress notes that something moved at now, and before that at last.
func (t *tally) progress(last, now time.Time) { t.pause = max(t.pause, now.Sub(last)) }

// transaction notes one that took d.
func (t *tally) transaction(d time.Duration) {
	t.took = append(t.took, d)
	t.pause = max(t.pause, d)
}

// together runs c.Conns clients at once, each until end, and adds up what they counted.
func together(c Config, client func(c Config, end time.Time, t *tally) error) (Result, error) {
	var wg sync.WaitGroup
	tallies := make([]tally, c.Conns)
	errs := make([]error, c.Conns)
	begin := time.Now()
	for i := range c.Conns {
		wg.Go(func() { errs[i] = client(c, begin.Add(c.Time), &tallies[i]) })
	}
	wg.Wait()
	r := sum(tallies)
	r.Seconds = time.Since(begin).Seconds()
	return r, errors.Join(errs...)
}

// sum adds tallies up.
func sum(tallies []tally) (r Result) {
	var took []time.Duration
	var pause time.Duration
	for _, t := range tallies {
		r.Bytes += t.bytes
		r.Failed += t.failed
		pause = max(pause, t.pause)
		took = append(took, t.took...)
	}
	slices.Sort(took)
	r.Count = uint64(len(took))
	r.Pause = float64(pause) / 1e6
	r.P50, r.P99 = quantile(took, 0.50), quantile(took, 0.99)
	return r
}

// quantile is the q-quantile of times in ascending order, in microseconds; 0 of none.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[int(q*float64(len(sorted)-1))]) / 1e3
}

// failure is err as it should be reported: an exceeded deadline is a stall.
func failure(err error) error {
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		return ErrStalled
	}
	return err
}
