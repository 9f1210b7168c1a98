package engine

import (
	"slices"
	"strings"
	"testing"

	"passt/cmd/internal/conf"
)

func TestForwards(t *testing.T) {
	for _, tt := range []struct {
		name string
		mode conf.Mode
		line string
		want []string // "optional" where it is no error if nothing can be bound
	}{
		{"namespace, nothing said", conf.ModePasta, "", []string{
			"TCP port auto", "optional UDP port auto", "TCP port auto of the namespace", "optional UDP port auto of the namespace"}},
		{"namespace, none", conf.ModePasta, "-t none -u none -T none -U none", nil},
		{"namespace, TCP ports", conf.ModePasta, "-t 8080:80 -T none -U none", []string{
			"TCP port 8080:80", "optional UDP port 8080", "optional UDP port auto"}},
		{"namespace, TCP auto with exclusions", conf.ModePasta, "-t auto,~22 -T none -U none", []string{
			"TCP port auto,~22", "optional UDP port auto,~22"}},
		{"namespace, UDP ports only", conf.ModePasta, "-t none -u 53 -T none -U none", []string{"UDP port 53"}},
		{"namespace, ports out", conf.ModePasta, "-t none -u none -T 22 -U 53", []string{
			"TCP port 22 of the namespace", "UDP port 53 of the namespace"}},
		{"namespace, no bypass", conf.ModePasta, "--no-splice", []string{"TCP port auto", "optional UDP port auto"}},
		{"namespace, no TCP", conf.ModePasta, "--no-tcp -U none", []string{"optional UDP port auto"}},
		{"namespace, no UDP", conf.ModePasta, "--no-udp -T none", []string{"TCP port auto"}},
		{"machine, nothing said", conf.ModePasst, "", nil},
		{"machine, TCP ports", conf.ModePasst, "-t 8080:80", []string{"TCP port 8080:80", "optional UDP port 8080"}},
		{"machine, no UDP ports", conf.ModePasst, "-t 8080:80 -u none", []string{"TCP port 8080:80"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, err := conf.Parse(tt.mode, tt.mode.String(), strings.Fields(tt.line))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range forwards(o, tt.mode == conf.ModePasta) {
				f.Rule.Weak = f.Rule.Auto // what is made up for UDP is weak, and would be called "all"
				s := f.String()
				if f.Optional {
					s = "optional " + s
				}
				got = append(got, s)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestCalls has a worker that does not run, runs, and has ended.
func TestCalls(t *testing.T) {
	w := &worker{}
	w.calls.fd = -1
	n := 0
	w.call(func() { n++ })
	if n != 1 {
		t.Error("not called before the worker runs")
	}
	w.begin()
	done := make(chan bool)
	go func() {
		w.call(func() { n++ })
		close(done)
	}()
	for served := false; !served; {
		w.serve()
		select {
		case <-done:
			served = true
		default:
		}
	}
	w.end()
	w.call(func() { n++ })
	if n != 2 {
		t.Errorf("called %d times", n)
	}
}
