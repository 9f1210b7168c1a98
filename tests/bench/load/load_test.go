package load

import (
	"bytes"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name, args string
		want       Config
		err        bool
	}{
		{"defaults", "rr 127.0.0.1:1", Config{Echo, "127.0.0.1:1", time.Second, 1, 1}, false},
		{"everything", "stream -t 500ms -n 8 -s 9 [::1]:1", Config{Stream, "[::1]:1", 500 * time.Millisecond, 8, 9}, false},
		{"no mode", "", Config{}, true},
		{"no address", "rr -n 1", Config{}, true},
		{"two addresses", "rr a:1 b:1", Config{}, true},
		{"no connections", "rr -n 0 a:1", Config{}, true},
		{"no such flag", "rr -x a:1", Config{}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parse(strings.Fields(tt.args))
			if (err != nil) != tt.err || err == nil && got != tt.want {
				t.Errorf("got %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}

func TestArgsAreParsed(t *testing.T) {
	want := Config{Datagrams, "192.0.2.1:7", 250 * time.Millisecond, 3, 1400}
	if got, err := parse(want.Args()); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestSum(t *testing.T) {
	us := func(n ...int) (d []time.Duration) {
		for _, n := range n {
			d = append(d, time.Duration(n)*time.Microsecond)
		}
		return d
	}
	got := sum([]tally{
		{bytes: 10, failed: 1, pause: 2 * time.Millisecond, took: us(5, 1)},
		{bytes: 5, pause: 7 * time.Millisecond, took: us(3)},
	})
	want := Result{Bytes: 15, Failed: 1, Count: 3, P50: 3, P99: 3, Pause: 7}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := sum(make([]tally, 2)); got != (Result{}) {
		t.Errorf("of nothing: got %+v", got)
	}
}

func TestQuantile(t *testing.T) {
	var times []time.Duration
	for i := range 101 {
		times = append(times, time.Duration(i)*time.Microsecond)
	}
	for q, want := range map[float64]float64{0: 0, 0.5: 50, 0.99: 99, 1: 100} {
		if got := quantile(times, q); got != want {
			t.Errorf("%v: got %v, want %v", q, got, want)
		}
	}
}

// free finds an address where both protocols are free, and serves there.
func free(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	go serve(addr)
	if _, err := Run(Config{Mode: Reachable, Addr: addr, Time: grace, Conns: 1, Size: 1}); err != nil {
		t.Fatal(err)
	}
	return addr
}

func TestModes(t *testing.T) {
	addr := free(t)
	for _, m := range []Mode{Stream, Maerts, Echo, Connect, Datagram, Datagrams} {
		t.Run(string(m), func(t *testing.T) {
			r, err := Run(Config{Mode: m, Addr: addr, Time: 50 * time.Millisecond, Conns: 2, Size: 100})
			if err != nil {
				t.Fatal(err)
			}
			counted := r.Bytes > 0
			if slices.Contains([]Mode{Echo, Connect, Datagram}, m) {
				counted = r.Count > 0 && r.P50 > 0 && r.P99 >= r.P50
			}
			if !counted || r.Failed != 0 || r.Seconds < 0.05 {
				t.Errorf("got %+v", r)
			}
		})
	}
}

func TestIdle(t *testing.T) {
	addr := free(t)
	var out bytes.Buffer
	r, err := idle(Config{Mode: Idle, Addr: addr, Conns: 100}, &out, strings.NewReader(""))
	if err != nil || r.Count != 100 || r.Failed != 0 || out.String() != "open\n" {
		t.Errorf("got %+v, %v, output %q", r, err, out.String())
	}
}

func TestStall(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { // takes what comes and never answers
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			go io.Copy(io.Discard, c)
		}
	}()
	_, err = Run(Config{Mode: Maerts, Addr: l.Addr().String(), Time: 50 * time.Millisecond, Conns: 1, Size: 1})
	if err == nil || err.Error() != ErrStalled.Error() {
		t.Errorf("got %v, want %v", err, ErrStalled)
	}
}
