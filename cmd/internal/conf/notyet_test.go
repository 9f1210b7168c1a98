package conf

import (
	"strings"
	"testing"
)

func TestNotYet(t *testing.T) {
	for _, tt := range []struct {
		name  string
		mode  Mode
		line  string
		warn  []string // beginnings of the warnings
		fatal []string
	}{
		{"nothing", ModePasta, "--config-net -t 22 -u 53 -T none -U none --no-splice --freebind", nil, nil},
		{"ports of a namespace", ModePasta, "-T 5201 -U auto -t 22,auto -u ::1/auto --host-lo-to-ns-lo", nil, nil},
		{"auto", ModePasst, "-f -t 22,auto -u ::1/auto", []string{"--tcp-ports auto ", "--udp-ports auto "}, nil},
		{"namespace of a process", ModePasta, "--runas x --log-file x --chroot-fallback 12", nil, nil},
		{"what watches and changes", ModePasta, "-c x --stats 1", nil, nil},
		{"bypass only", ModePasta, "--splice-only", nil, nil},
		{"passt", ModePasst, "--print-capabilities --vhost-user --repair-path x", nil,
			[]string{"--print-capabilities", "--vhost-user", "--repair-path"}},
		{"harmless of migration", ModePasst, "--repair-path none --migrate-exit --migrate-no-linger", nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, err := Parse(tt.mode, tt.mode.String(), strings.Fields(tt.line))
			if err != nil {
				t.Fatal(err)
			}
			warn, fatal := tt.warn, tt.fatal
			for _, n := range o.NotYet() {
				want := &warn
				if n.Fatal {
					want = &fatal
				}
				if len(*want) == 0 || !strings.HasPrefix(n.Text, (*want)[0]) || !strings.Contains(n.Text, "not supported yet") {
					t.Fatalf("got %+v, want %q next", n, *want)
				}
				*want = (*want)[1:]
			}
			if len(warn)+len(fatal) > 0 {
				t.Errorf("missing: %q, %q", warn, fatal)
			}
			for _, n := range o.NotYet() {
				if !n.Fatal {
					t.Errorf("the second time: %+v", n)
				}
			}
		})
	}
}

func TestNotYetKeepsPorts(t *testing.T) {
	o, err := Parse(ModePasst, "passt", []string{"-t", "auto,22", "-t", "all"})
	if err != nil {
		t.Fatal(err)
	}
	o.NotYet()
	if got, want := o.TCPPorts.String(), "22,all"; got != want || o.TCPPorts.Auto {
		t.Errorf("got %q, Auto %v, want %q", got, o.TCPPorts.Auto, want)
	}
}
