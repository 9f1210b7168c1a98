package control

import (
	"bufio"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestJSON(t *testing.T) {
	for _, tt := range []struct {
		name, rules, line, want string
		after                   string // the rules; empty: as before
	}{
		{"list", "t8080:80 uall", `{"cmd":"list"}`,
			`{"instance":{"mode":"pasta","start":"0001-01-01T00:00:00Z","conf":"CONF","command":"sleep"},"ports":[` +
				`{"protocol":"tcp","out":false,"rule":"8080:80","bound":["8080"],"sockets":1},{"protocol":"udp","out":false,"rule":"all","bound":[],"sockets":0}]}`, ""},
		{"add", "", `{"cmd":"add","tcp":["8000-8002"],"udp_out":["53000"]}`,
			`{"ports":[{"protocol":"tcp","out":false,"rule":"8000-8002","bound":["8000-8002"],"sockets":3},` +
				`{"protocol":"udp","out":true,"rule":"53000","bound":["53000"],"sockets":1}]}`, "t8000-8002 U53000"},
		{"add, one of two not possible", "t9000", `{"cmd":"add","tcp":["8000","80"]}`, `{"error":"port 80: permission denied"}`, ""},
		{"add, there", "t9000", `{"cmd":"add","tcp":["9000"]}`, `{"error":"TCP port 9000 is forwarded already"}`, ""},
		{"add, other target", "t9000", `{"cmd":"add","tcp":["9000:1"]}`,
			`{"error":"TCP port 9000:1: port 9000 of \"9000:1\" was given before, in \"9000\"; give every port once"}`, ""},
		{"add none", "t9000", `{"cmd":"add","tcp":["none"]}`, `{"error":"tcp \"none\": ` + errNone.Error() + `"}`, ""},
		{"add nothing", "t9000", `{"cmd":"add"}`, `{"error":"no ports are given"}`, ""},
		{"add no ports", "", `{"cmd":"add","udp":["x"]}`, `{"error":"udp \"x\": \"x\" is not a port; give a number from 1 to 65535"}`, ""},
		{"delete", "t9000 t9001", `{"cmd":"delete","tcp":["9000"]}`,
			`{"ports":[{"protocol":"tcp","out":false,"rule":"9001","bound":["9001"],"sockets":1}]}`, "t9001"},
		{"delete, one of two not there", "t9000", `{"cmd":"delete","tcp":["9000"],"udp":["9000"]}`, `{"error":"UDP port 9000 is not forwarded"}`, ""},
		{"flows", "", `{"cmd":"flows"}`, `{"flows":[{"protocol":"tcp","bypass":false,"from_host":false,"guest":"192.0.2.2:1000",` +
			`"remote":"192.0.2.9:80","host":"192.0.2.9:80","state":"established","age":1.5,"idle":0,"to_host":0,"to_guest":0}]}`, ""},
		{"stats", "", `{"cmd":"stats"}`, `{"stats":[{"name":"tcp.retransmits","value":7}]}`, ""},
		{"unknown", "", `{"cmd":"x"}`, `{"error":"unknown command \"x\""}`, ""},
		{"rubbish", "", `GET / HTTP/1.1`, `{"error":"this is no request: invalid character 'G' looking for beginning of value"}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.rules)
			c := dial(t, w.own)
			if _, err := c.Write([]byte(tt.line + "\n")); err != nil {
				t.Fatal(err)
			}
			got, err := bufio.NewReader(c).ReadString('\n')
			if want := strings.ReplaceAll(tt.want, "CONF", w.conf) + "\n"; err != nil || got != want {
				t.Errorf("got  %s%v\nwant %s", got, err, want)
			}
			if tt.after == "" {
				tt.after = tt.rules
			}
			if got := w.list(); got != tt.after {
				t.Errorf("rules: got %q, want %q", got, tt.after)
			}
		})
	}
}

func TestSeveralRequests(t *testing.T) {
	w := newWorld(t, "")
	c := dial(t, w.own)
	if _, err := c.Write([]byte(`{"cmd":"add","tcp":["9000"]}` + "\n" + `{"cmd":"delete","tcp":["9000"]}` + "\n" + `{"cmd":"add","tcp":["9001"]}` + "\nx\n{}\n")); err != nil {
		t.Fatal(err)
	}
	n := 0
	for in := bufio.NewScanner(c); in.Scan(); n++ {
	}
	if n != 4 || w.list() != "t9001" || w.applied != 3 {
		t.Errorf("%d answers, %d changes, rules %q", n, w.applied, w.list())
	}
}

func TestTooLong(t *testing.T) {
	w := newWorld(t, "")
	c := dial(t, w.own)
	go func() {
		for b := make([]byte, 64<<10); ; {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	}()
	if !ended(c) {
		t.Error("a line without an end was not ended")
	}
}

func TestEdit(t *testing.T) {
	for _, tt := range []struct {
		name, rules, add, remove string
		want                     string // "!" and a part of it for an error
	}{
		{"more", "t9000", "t9001", "", "t9000 t9001"},
		{"same port of another protocol", "t9000", "u9000", "", "t9000 u9000"},
		{"same port of another direction", "t9000", "T9000", "", "t9000 T9000"},
		{"same port of another address", "t127.0.0.1/9000", "t127.0.0.2/9000", "", "t127.0.0.1/9000 t127.0.0.2/9000"},
		{"same port of an overlapping address", "t127.0.0.1/9000", "t9000", "", "!given before"},
		{"beside all", "tall", "t9000:80", "", "tall t9000:80"},
		{"implied ones make room", "u9000-9002?", "u9001:53", "", "u9000-9002,~9001? u9001:53"},
		{"implied one made real", "u9000?", "u9000", "", "u9000"},
		{"auto twice", "tauto", "tauto", "", "!already"},
		{"rule", "t9000:80 t9001", "", "t9000:80", "t9001"},
		{"rule without its target", "t9000:80", "", "t9000", ""},
		{"rule with another target", "t9000:80", "", "t9000:81", "!not forwarded"},
		{"port of a range", "t9000-9010", "", "t9005", "t9000-9010,~9005"},
		{"port of a mapped range, with its target", "t9000-9010:80-90", "", "t9005:85", "t9000-9010:80-90,~9005"},
		{"port of a mapped range, with another", "t9000-9010:80-90", "", "t9005:86", "!not forwarded"},
		{"all but some", "t~22", "", "tall", ""},
		{"all of a specific address", "t127.0.0.1/all", "", "tall", "!not forwarded"},
		{"auto, not all", "tall tauto", "", "tauto", "tall"},
		{"port of auto", "tauto", "", "t9000", "tauto,~9000"},
		{"port of a rule before one of auto", "tauto t9000", "", "t9000", "tauto"},
		{"implied one", "u9000? uauto?", "", "u9000", "uauto?"},
		{"more than there is", "t9000-9010", "", "t9005-9015", "!not forwarded"},
		{"nothing", "t9000", "", "", "!no ports"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rules := forwards(t, tt.rules)
			before := (&fake{rules: rules}).list()
			edit, some := remove, forwards(t, tt.remove)
			if tt.add != "" {
				edit, some = add, forwards(t, tt.add)
			}
			got, err := edit(rules, some)
			if part, ok := strings.CutPrefix(tt.want, "!"); ok {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("got error %v, want %q", err, part)
				}
			} else if got := (&fake{rules: got}).list(); err != nil || got != tt.want {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
			if after := (&fake{rules: rules}).list(); after != before {
				t.Errorf("the old rules became %q", after)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		name, rule string
		can        Abilities
		want       string
	}{
		{"all is on", "Tauto", Abilities{true, true, true, true, true, true}, ""},
		{"no TCP", "t1", Abilities{UDP: true}, "TCP is off"},
		{"no UDP", "u1", Abilities{TCP: true}, "UDP is off"},
		{"machine, ports out", "T1", Abilities{TCP: true}, "no namespace"},
		{"machine, auto", "tauto", Abilities{TCP: true}, "virtual machine"},
	} {
		if err := tt.can.check(forwards(t, tt.rule)); (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", dir)
	if got := Folders()[0]; got != filepath.Join(dir, "passt") {
		t.Fatalf("folder %s", got)
	}
	own, fd, err := Listen(1)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(filepath.Dir(own)); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v", st.Mode(), err)
	}
	w := newWorld(t, "t9000")
	s := NewServer(w.fake, Identity{Mode: "passt", Socket: w.own, Conf: w.conf, NetNS: "/run/netns/blue"}, slog.New(slog.DiscardHandler))
	if err := s.Serve(fd); err != nil {
		t.Fatal(err)
	}
	dead, fd, err := Listen(1<<22 + 1) // no process has this number
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	for _, tt := range []struct {
		name string
		Which
		hit bool
	}{
		{"process", Which{PID: 1}, true},
		{"other process", Which{PID: 2}, false},
		{"control socket", Which{Socket: own}, true},
		{"guest's socket", Which{Socket: w.own}, true},
		{"socket of existing clients", Which{Socket: w.conf}, true},
		{"namespace", Which{Name: "blue"}, true},
		{"name of the guest's socket", Which{Name: "own"}, true},
		{"other name", Which{Name: "red"}, false},
		{"name and process", Which{Name: "blue", PID: 1}, true},
		{"name of another process", Which{Name: "blue", PID: 2}, false},
	} {
		f, err := Find(tt.Which)
		if (err == nil) != tt.hit || tt.hit && (f.PID != 1 || f.Path != own) {
			t.Errorf("%s: got %+v, %v", tt.name, f, err)
		}
	}
	// One that is stuck: nobody accepts.
	stuck, fd, err := Listen(3)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	began := time.Now()
	if f, err := Find(Which{Name: "blue"}); err != nil || f.PID != 1 {
		t.Errorf("beside a stuck one: got %+v, %v", f, err)
	}
	if took := time.Since(began); took > callPatience/2 {
		t.Errorf("a stuck instance delays the search for another one by %v", took)
	}
	if f, err := Find(Which{PID: 3}); err != nil || f.Path != stuck {
		t.Errorf("the stuck one: got %+v, %v", f, err)
	}
	if _, err := Find(Which{}); err == nil || !strings.Contains(err.Error(), "--pid 3  does not answer") {
		t.Errorf("any: got %v", err)
	}
	if _, err := os.Stat(dead); !os.IsNotExist(err) {
		t.Errorf("what a dead process left is there: %v", err)
	}
}

func TestOutside(t *testing.T) {
	for _, tt := range []struct {
		name, uidMap string
		uid, want    int
	}{
		{"the system's own", "         0          0 4294967295\n", 0, 0},
		{"a user of the system", "         0          0 4294967295\n", 1000, 1000},
		{"root of one user", "         0       1000          1\n", 0, 1000},
		{"root of a container", "         0       1000          1\n         1     100000      65536\n", 0, 1000},
		{"a user of a container", "         0       1000          1\n         1     100000      65536\n", 33, 100032},
		{"nobody there is an ID for", "         0       1000          1\n", 65534, 65534},
		{"no map", "", 7, 7},
	} {
		if got := outside(tt.uidMap, tt.uid); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestFolderOfSomebodyElse(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "/proc/self/ns") // not where folders can be made, and not ours for most users
	for _, dir := range Folders() {
		if !filepath.IsAbs(dir) {
			t.Errorf("folder %q", dir)
		}
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("/", link); err != nil {
		t.Fatal(err)
	}
	if err := ours(link, os.Geteuid()); err == nil {
		t.Error("a symbolic link is taken for a folder")
	}
	if err := ours(t.TempDir(), os.Geteuid()+1); err == nil {
		t.Error("somebody else's folder is taken for ours")
	}
}

func TestRanges(t *testing.T) {
	w := newWorld(t, "t9000-9002 t9005,~9004")
	var got [][]string
	for _, p := range ports(w.fake) {
		got = append(got, p.Bound)
	}
	if want := [][]string{{"9000-9002"}, {"9005"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
