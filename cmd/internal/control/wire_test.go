package control

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"passt/l4/fwd"
)

const zeros16 = "00000000000000000000000000000000"

// Rules as they are on the wire.
var (
	ruleAny     = zeros16 + zeros16 + zeros16 + "1f901f9000500601"                                                       // t8080:80
	ruleAddr    = "00000000000000000000ffffc0000201" + zeros16 + "65746830000000000000000000000000" + "0400040104001100" // u192.0.2.1%eth0/1024-1025
	ruleTarget  = zeros16 + "20010db8000000000000000000000009" + zeros16 + "1f911f9100510601"                            // t8081:[2001:db8::9]/81
	ruleAuto    = zeros16 + zeros16 + zeros16 + "0001ffff00010607"                                                       // Tauto
	ruleBefore  = zeros16 + zeros16 + zeros16 + "0001001500010603"                                                       // tall,~22
	ruleBehind  = zeros16 + zeros16 + zeros16 + "0017ffff00170603"
	helloGolden = "626173696c3a7300" + "00000002" + "00000080" + "00000010"
)

func name(s string) string {
	return hex.EncodeToString([]byte(s)) + strings.Repeat("00", nameSize-len(s))
}

func TestEncodeTables(t *testing.T) {
	for _, tt := range []struct {
		name, rules string
		can         Abilities
		want        string
	}{
		{"machine without ports", "", Abilities{V4: true, TCP: true, UDP: true},
			helloGolden + "01" + name("HOST") + "0000002d" + "00000000" + "00"},
		{"namespace", "t8080:80 u192.0.2.1%eth0/1024-1025 t8081:[2001:db8::9]/81 Tauto", Abilities{true, true, true, true, true, true},
			helloGolden + "01" + name("HOST") + "0000003f" + "00000003" + ruleAny + ruleAddr + ruleTarget +
				"03" + name("SPLICE") + "0000003f" + "00000001" + ruleAuto + "00"},
		{"exclusion", "t~22", Abilities{V6: true, TCP: true},
			helloGolden + "01" + name("HOST") + "00000026" + "00000002" + ruleBefore + ruleBehind + "00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := encodeTables(tablesOf(forwards(t, tt.rules), tt.can), tt.can)
			if hex.EncodeToString(got) != tt.want {
				t.Errorf("got  %x\nwant %s", got, tt.want)
			}
		})
	}
}

// answer is the bytes of parts, written in hexadecimal.
func answer(t *testing.T, parts ...string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(parts, ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var answers = []struct {
	name, rules string
	bytes       []string
	want        string // rules after it
	err         string // part of it
}{
	{"nothing said", "t8080:80", nil, "t8080:80", ""},
	{"nothing changed", "t8080:80", []string{"00"}, "t8080:80", ""},
	{"one added", "t8080:80", []string{"01", "00000002", ruleAny, ruleAddr, "00"}, "t8080:80 u192.0.2.1%eth0/1024-1025", ""},
	{"one deleted", "t8080:80 t9000", []string{"01", "00000001", ruleAny, "00"}, "t8080:80", ""},
	{"all deleted", "t8080:80 Tauto", []string{"01", "00000000", "00"}, "Tauto", ""},
	{"both tables", "", []string{"01", "00000001", ruleAny, "03", "00000001", ruleAuto, "00"}, "t8080:80 Tauto", ""},
	{"rule of several parts kept", "t~22", []string{"01", "00000003", ruleBehind, ruleAny, ruleBefore, "00"}, "t~22 t8080:80", ""},
	{"part of a rule deleted", "t~22", []string{"01", "00000001", ruleBefore, "00"}, "t1-21", ""},
	{"implied rule kept", "u8080?", []string{"01", "00000001", zeros16 + zeros16 + zeros16 + "1f901f901f901103", "00"}, "u8080?", ""},
	{"given twice", "", []string{"01", "00000002", ruleAny, ruleAny, "00"}, "t8080:80", ""},
	{"no end", "t9000", []string{"01", "00000001", ruleAny}, "t9000", "EOF"},
	{"ends within a rule", "t9000", []string{"01", "00000001", ruleAny[:20]}, "t9000", "unexpected EOF"},
	{"ends within a head", "t9000", []string{"01", "0000"}, "t9000", "unexpected EOF"},
	{"unknown table", "t9000", []string{"02", "00000000", "00"}, "t9000", "table 2 does not exist"},
	{"table twice", "t9000", []string{"01", "00000000", "01", "00000000", "00"}, "t9000", "table 1 does not exist"},
	{"too many", "t9000", []string{"01", "ffffffff"}, "t9000", "4096 are the most"},
	{"port 0", "t9000", []string{"01", "00000001", zeros16 + zeros16 + zeros16 + "0000000000000601", "00"}, "t9000", "no ranges"},
	{"reversed", "t9000", []string{"01", "00000001", zeros16 + zeros16 + zeros16 + "0009000800090601", "00"}, "t9000", "no ranges"},
	{"target out of range", "t9000", []string{"01", "00000001", zeros16 + zeros16 + zeros16 + "00080009ffff0601", "00"}, "t9000", "no ranges"},
	{"other protocol", "t9000", []string{"01", "00000001", zeros16 + zeros16 + zeros16 + "1f901f901f900101", "00"}, "t9000", "neither TCP nor UDP"},
	{"unknown flag", "t9000", []string{"01", "00000001", zeros16 + zeros16 + zeros16 + "1f901f901f900609", "00"}, "t9000", "unknown flags"},
	{"address and both versions", "t9000", []string{"01", "00000001", "00000000000000000000ffffc0000201" + zeros16 + zeros16 + "1f901f901f900601", "00"}, "t9000", "unspecified"},
	{"multicast", "t9000", []string{"01", "00000001", "ff020000000000000000000000000001" + zeros16 + zeros16 + "1f901f901f900600", "00"}, "t9000", "one host"},
	{"name without an end", "t9000", []string{"01", "00000001", zeros16 + zeros16 + "61616161616161616161616161616161" + "1f901f901f900601", "00"}, "t9000", "no end"},
	{"name of no interface", "t9000", []string{"01", "00000001", zeros16 + zeros16 + "612f6100000000000000000000000000" + "1f901f901f900601", "00"}, "t9000", "interface"},
	{"scan with a target", "t9000", []string{"01", "00000001", zeros16 + zeros16 + zeros16 + "1f901f9000500607", "00"}, "t9000", "other target"},
}

func TestReadAnswer(t *testing.T) {
	can := Abilities{true, true, true, true, true, true}
	for _, tt := range answers {
		t.Run(tt.name, func(t *testing.T) {
			rules := forwards(t, tt.rules)
			c, err := readAnswer(bytes.NewReader(answer(t, tt.bytes...)), tablesOf(rules, can))
			if err == nil {
				rules, err = c.apply(rules, can)
			}
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got error %v, want %q", err, tt.err)
			}
			if got := (&fake{rules: rules}).list(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestManyRules writes back more rules than a client may come up with, all but one of them.
func TestManyRules(t *testing.T) {
	var rules []fwd.Forward
	for i := range 2 * maxRules {
		rules = append(rules, forwards(t, fmt.Sprintf("t%d:1", i+1))...)
	}
	can := Abilities{V4: true, V6: true, TCP: true, UDP: true}
	ts := tablesOf(rules, can)
	b := binary.BigEndian.AppendUint32([]byte{ts[0].id}, uint32(len(rules)-1))
	for _, p := range ts[0].parts[1:] {
		b = append(b, p[0][:]...)
	}
	c, err := readAnswer(bytes.NewReader(append(b, 0)), ts)
	if err != nil || len(c.add) != 0 || len(c.remove) != 1 {
		t.Errorf("%d to add, %d to remove, %v", len(c.add), len(c.remove), err)
	}
}

// TestMeanwhile has another client change the rules between reading and writing.
func TestMeanwhile(t *testing.T) {
	can := Abilities{true, true, true, true, true, true}
	read, now := forwards(t, "t8080:80 t9000"), forwards(t, "t9000 t9001")
	c, err := readAnswer(bytes.NewReader(answer(t, "01", "00000002", ruleAny, ruleAddr, "00")), tablesOf(read, can))
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.apply(now, can)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := (&fake{rules: got}).list(), "t9001 u192.0.2.1%eth0/1024-1025"; got != want {
		t.Errorf("got %q, want %q: 8080 was deleted meanwhile, 9000 is by this client", got, want)
	}
}

func FuzzReadAnswer(f *testing.F) {
	for _, tt := range answers {
		b, _ := hex.DecodeString(strings.Join(tt.bytes, ""))
		f.Add(b)
	}
	can := Abilities{true, true, true, true, true, true}
	f.Fuzz(func(t *testing.T, b []byte) {
		rules := forwards(t, "t8080:80 t~22 Tauto")
		c, err := readAnswer(bytes.NewReader(b), tablesOf(rules, can))
		if err != nil {
			return
		}
		next, err := c.apply(rules, can)
		if err != nil {
			return
		}
		for i := range next {
			if r := next[i].Rule; r.First == 0 || r.Last < r.First || len(r.Ports()) == 0 {
				t.Errorf("rule %+v", r)
			}
		}
	})
}

// exchange connects to the socket of existing clients, reads all and answers b.
func exchange(t *testing.T, w *world, b []byte) {
	t.Helper()
	c := dial(t, w.conf)
	want := encodeTables(tablesOf(w.rules, w.can), w.can)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("got %x, %v, want %x", got, err, want)
	}
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
	if !ended(c) {
		t.Error("the server did not close")
	}
}

func TestConfSocket(t *testing.T) {
	w := newWorld(t, "t8080:80")
	var stalled []io.Closer
	for range 3 {
		stalled = append(stalled, dial(t, w.conf))
	}
	exchange(t, w, answer(t, "01", "00000002", ruleAny, ruleAddr, "00"))
	if got, want := w.list(), "t8080:80 u192.0.2.1%eth0/1024-1025"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	exchange(t, w, []byte("\xff rubbish"))
	exchange(t, w, answer(t, "01", "00000001", zeros16+zeros16+zeros16+"0050005000500601", "00"))
	if got, want := w.list(), "t8080:80 u192.0.2.1%eth0/1024-1025"; got != want || !strings.Contains(w.log.String(), "permission denied") {
		t.Errorf("after a port that can't be bound: got %q, want %q; log %s", got, want, w.log.String())
	}
	for _, c := range stalled {
		c.Close()
	}
}

// TestStalled fills all places with clients that do nothing: others are turned away at once,
// and served when the time of these is over.
func TestStalled(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the time limit")
	}
	t.Parallel()
	w := newWorld(t, "t8080:80")
	first := dial(t, w.conf)
	for range maxSessions - 1 {
		dial(t, w.conf)
	}
	start := time.Now()
	if c := dial(t, w.conf); !ended(c) || time.Since(start) > patience/2 {
		t.Error("one client too many was not turned away at once")
	}
	if r, err := Call(w.own, &Request{Cmd: CmdAdd, TCP: []string{"9000"}}); err != nil || len(r.Ports) != 2 {
		t.Errorf("our own socket meanwhile: %+v, %v", r, err)
	}
	if !ended(first) || time.Since(start) > 2*patience {
		t.Error("a client that stalls was not ended")
	}
	time.Sleep(patience / 20) // the others', too
	exchange(t, w, answer(t, "01", "00000000", "00"))
	if got := w.list(); got != "" {
		t.Errorf("got %q, want nothing", got)
	}
}
