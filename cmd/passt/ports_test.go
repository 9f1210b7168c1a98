package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"passt/cmd/internal/control"
)

func TestFlowTable(t *testing.T) {
	var b bytes.Buffer
	a := asker{}
	fs := []control.Flow{
		{Protocol: "tcp", Guest: "192.0.2.2:1000", Remote: "192.0.2.1:80", Host: "127.0.0.1:80", State: "established", Age: 80, Idle: 1.25, ToHost: 5, ToGuest: 7},
		{Protocol: "udp", Bypass: true, FromHost: true, Guest: "127.0.0.1:53", Host: "127.0.0.1:5", Age: 3, Idle: -1},
		{Protocol: "icmp", Guest: "192.0.2.2", ID: 77, Remote: "192.0.2.9", Host: "192.0.2.9", Idle: 0, ToHost: 3},
	}
	if err := a.print(&b, fs, func(w io.Writer) { flowTable(w, fs) }); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(b.String()) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	want := []string{
		"PROTOCOL GUEST REMOTE HOST SIDE STATE AGE IDLE TO HOST TO GUEST",
		"tcp 192.0.2.2:1000 → 192.0.2.1:80 127.0.0.1:80 established 1m20s 1.3s 5 7",
		"udp 127.0.0.1:53 ← - 127.0.0.1:5 bypass 3s - 0 0",
		"icmp 192.0.2.2 id 77 → 192.0.2.9 192.0.2.9 - 0s 0s 3 0",
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
}

func TestAbridged(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   []string
		want string
	}{
		{"nothing", nil, "-"},
		{"some", []string{"22", "80-90"}, "22,80-90"},
		{"many", strings.Fields("1 3 5 7 9 11 13 15 17 19"), "1,3,5,7,9,11,13,15,… 2 more"},
	} {
		if got := abridged(tt.in); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestNoInstance asks for what is not there, and is told so without a hint at the help.
func TestNoInstance(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	for _, tt := range []struct {
		name, line, want string
	}{
		{"socket", "passt ports list --socket /nonexistent", "passt: reach the instance: "},
		{"name", "passt flows --name no-such-name-anywhere", "passt: no "},
		{"statistics", "passt stats --name no-such-name-anywhere", "passt: no "},
		{"ports, and no more", "passt ports", "passt: no instance of this user is running\n"},
	} {
		var stdout, stderr bytes.Buffer
		p := &program{stdout: &stdout, stderr: &stderr}
		code := p.main(strings.Fields(tt.line))
		if s := stderr.String(); code != 1 || !strings.HasPrefix(s, tt.want) || stdout.Len() > 0 ||
			strings.Contains(s, "try 'passt help'") != strings.Contains(tt.want, "try") {
			t.Errorf("%s: status %d, %q", tt.name, code, s)
		}
	}
}
