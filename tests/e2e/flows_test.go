package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"passt/tests/world"
)

// asker returns a function that runs "passt ARGS" about an instance, and returns what it
// printed.
func asker(t *testing.T, in *instance) func(args ...string) string {
	t.Helper()
	passt := world.ScratchDir(t) + "/passt"
	if err := os.Symlink(world.Binary, passt); err != nil {
		t.Fatal(err)
	}
	return func(args ...string) string {
		t.Helper()
		args = append(args, "--pid", strconv.Itoa(in.PID()))
		r := runCommand(t, world.Host, 5*time.Second, world.AsUser, append([]string{passt}, args...)...)
		if r.code != 0 || r.stderr != "" {
			t.Errorf("passt %s: exit status %d, %s", strings.Join(args, " "), r.code, r.stderr)
		}
		return r.stdout
	}
}

// shownFlow is what of a flow "passt flows" has to show whatever the time.
type shownFlow struct {
	Protocol string `json:"protocol"`
	FromHost bool   `json:"from_host"`
	Guest    string `json:"guest"`
	Remote   string `json:"remote"`
	Host     string `json:"host"`
	State    string `json:"state"`
	ToHost   uint64 `json:"to_host"`
	ToGuest  uint64 `json:"to_guest"`
}

// tableFlows reads the table of "passt flows".
func tableFlows(t *testing.T, out string) (fs []shownFlow) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(out), "\n")
	want := "PROTOCOL GUEST REMOTE HOST SIDE STATE AGE IDLE TO HOST TO GUEST"
	if got := strings.Join(strings.Fields(lines[0]), " "); got != want {
		t.Errorf("the table begins with %q, want %q", got, want)
	}
	for _, l := range lines[1:] {
		f := strings.Fields(l)
		if len(f) != 10 {
			t.Fatalf("a row of %d columns: %s", len(f), l)
		}
		for _, span := range f[6:8] {
			if d, err := time.ParseDuration(span); err != nil || d < 0 || d > time.Minute {
				t.Errorf("a time of %q: %s", span, l)
			}
		}
		toHost, err := strconv.ParseUint(f[8], 10, 64)
		if err != nil {
			t.Error(err)
		}
		toGuest, err := strconv.ParseUint(f[9], 10, 64)
		if err != nil {
			t.Error(err)
		}
		if f[5] == "-" {
			f[5] = ""
		}
		fs = append(fs, shownFlow{f[0], f[2] == "←", f[1], f[3], f[4], f[5], toHost, toGuest})
	}
	return fs
}

// jsonFlows reads the output of "passt flows --json".
func jsonFlows(t *testing.T, out string) (fs []shownFlow) {
	t.Helper()
	if err := json.Unmarshal([]byte(out), &fs); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	return fs
}

// TestFlowsShown looks at a connection of the guest and at datagrams to a forwarded port.
func TestFlowsShown(t *testing.T) {
	needsPasta(t)
	in := start(t, "--config-net", "-u", "7340")
	flows := asker(t, in)
	if out := flows("flows", "--json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("nothing passes, and the flows are %q", out)
	}

	at := world.Endpoint(world.PeerV6, 7341)
	world.ServeOn(t, world.Peer, at, func(c *net.TCPConn) {
		if _, err := io.ReadFull(c, make([]byte, 1000)); err == nil {
			c.Write(make([]byte, 300))
			io.Copy(io.Discard, c) // until the client ends it
		}
	})
	c := world.DialTCP(t, in.ns, at)
	c.SetDeadline(time.Now().Add(time.Second))
	c.Write(make([]byte, 1000))
	if _, err := io.ReadFull(c, make([]byte, 300)); err != nil {
		t.Fatal(err)
	}

	server, client := listenUDP(t, in.ns, ":7340"), listenUDP(t, world.Peer, world.Endpoint(world.PeerV4, 7342))
	for range 3 {
		if _, err := client.WriteTo([]byte("x"), &net.UDPAddr{IP: net.ParseIP(world.HostV4), Port: 7340}); err != nil {
			t.Fatal(err)
		}
		_, from := receive(t, server)
		if _, err := server.WriteTo([]byte("y"), from); err != nil {
			t.Fatal(err)
		}
		receive(t, client)
	}
	if _, err := client.WriteTo([]byte("the fourth"), &net.UDPAddr{IP: net.ParseIP(world.HostV4), Port: 7340}); err != nil {
		t.Fatal(err)
	}
	receive(t, server)

	want := []shownFlow{
		{Protocol: "tcp", Guest: c.LocalAddr().String(), Remote: at, Host: at, State: "established", ToHost: 1000, ToGuest: 300},
		{Protocol: "udp", FromHost: true, Guest: world.Endpoint(world.HostV4, 7340), Remote: world.Endpoint(world.PeerV4, 7342),
			Host: world.Endpoint(world.PeerV4, 7342), ToHost: 3, ToGuest: 4},
	}
	if got := tableFlows(t, flows("flows")); !slices.Equal(got, want) {
		t.Errorf("the table shows\n%+v, want\n%+v", got, want)
	}
	if got := jsonFlows(t, flows("flows", "--json")); !slices.Equal(got, want) {
		t.Errorf("--json shows\n%+v, want\n%+v", got, want)
	}

	c.CloseWrite()
	io.Copy(io.Discard, c)
	world.Eventually(t, time.Second, func() error {
		if rest := tableFlows(t, flows("flows")); !slices.Equal(rest, want[1:]) {
			return fmt.Errorf("left are %+v", rest)
		}
		return nil
	})
}
