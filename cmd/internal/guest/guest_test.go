package guest

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/cmd/internal/netns/nstest"
	"passt/l2"
	"passt/l3"
	"passt/l4/dhcp"
	"passt/link"
	"passt/link/stream"
)

// serveGuest is a host, as far as DHCP goes, for the next guest that connects to l, until
// the guest or the test, by hangUp, closes the connection. Router solicitations go to asked.
func serveGuest(t *testing.T, l *net.UnixListener, cfg dhcp.Config) (hangUp func(), asked <-chan struct{}) {
	t.Helper()
	l.SetDeadline(time.Now().Add(patience))
	c, err := l.AcceptUnix()
	if err != nil {
		t.Fatalf("no guest connects: %v", err)
	}
	f, err := c.File()
	c.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	router := make(router, 1)
	go func() {
		defer close(ended)
		dev := stream.New()
		dev.Attach(fd)
		defer dev.Close()
		eth := l2.New(dev, l2.Config{MAC: l2.MAC{0x9a, 0x55, 0x9a, 0x55, 0x9a, 0x55}})
		var up upper
		stack := l3.New(eth, &up, l3.Config{V4: true, V6: true})
		stack.SetControl(router)
		up.Server = dhcp.New(cfg, stack)
		for {
			p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			if _, err := unix.Poll(p, -1); err != nil && !errors.Is(err, unix.EINTR) {
				return
			}
			for again := true; again; again = dev.Buffered() {
				if _, err := eth.Poll(stack, time.Now().UnixNano()); err != nil {
					return
				}
			}
		}
	}()
	return func() {
		unix.Shutdown(fd, unix.SHUT_RDWR)
		<-ended
	}, router
}

// router notes that it was asked for an advertisement.
type router chan struct{}

func (r router) Input(p *l3.Packet, _ int64) bool {
	if b := p.L4; len(b) > 0 && b[0] == 133 {
		select {
		case r <- struct{}{}:
		default:
		}
	}
	return true
}

// upper hands datagrams to a server.
type upper struct{ *dhcp.Server }

func (u *upper) Input(batch []l3.Packet, now int64) {
	for i := range batch {
		u.Server.Input(&batch[i], now)
	}
}

// eventually retries until ip(8) says what it should, and not what it should not.
func eventually(t *testing.T, args string, want, not string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
		text := strings.Join(strings.Fields(string(out)), " ")
		if err == nil && strings.Contains(text, want) && (not == "" || !strings.Contains(text, not)) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("ip %s: %v: %s; want %q in it, and not %q", args, err, text, want, not)
		}
	}
}

// expectAsked waits for a router solicitation: each host gets one of its own.
func expectAsked(t *testing.T, asked <-chan struct{}) {
	t.Helper()
	select {
	case <-asked:
	case <-time.After(patience):
		t.Error("no router solicitation")
	}
}

// needsTun skips a test that makes a tap where none can be made.
func needsTun(t *testing.T) {
	t.Helper()
	if err := unix.Access("/dev/net/tun", unix.R_OK|unix.W_OK); err != nil {
		t.Skipf("/dev/net/tun: %v", err)
	}
}

// TestRun connects to a host that is not there yet, that goes away, and that comes back with
// another network.
func TestRun(t *testing.T) {
	nstest.Run(t, func(t *testing.T) {
		nstest.IP(t, "link set lo up")
		needsTun(t)
		for _, name := range []string{"accept_dad", "router_solicitations"} { // none but our own
			if err := os.WriteFile("/proc/sys/net/ipv6/conf/default/"+name, []byte("0"), 0); err != nil {
				t.Skip(err)
			}
		}
		dir := t.TempDir()
		path := dir + "/socket"
		log, err := os.Create(dir + "/log")
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if b, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
				t.Logf("it said:\n%s", b)
			}
		}()
		failed := make(chan error, 1)
		c := Config{Socket: path, IfName: "eth0", ConfigNet: true,
			Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
		go func() { failed <- Run(c) }()
		eventually(t, "link show dev eth0", "mtu 65520", "")
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()

		// The host was not there at first.
		hangUp, _ := serveGuest(t, l, dhcp.Config{Ours: netip.MustParseAddr("192.0.2.1"), Guest: netip.MustParsePrefix("192.0.2.2/24"),
			Router: netip.MustParseAddr("192.0.2.1"), MTU: 9000})
		eventually(t, "-4 addr show dev eth0", "inet 192.0.2.2/24", "")
		eventually(t, "-4 route", "default via 192.0.2.1 dev eth0 proto dhcp", "")
		eventually(t, "link show dev eth0", "mtu 9000", "")
		hangUp()

		// It comes back as it was.
		hangUp, asked := serveGuest(t, l, dhcp.Config{Ours: netip.MustParseAddr("192.0.2.1"), Guest: netip.MustParsePrefix("192.0.2.2/24"),
			Router: netip.MustParseAddr("192.0.2.1"), MTU: 1500})
		eventually(t, "link show dev eth0", "mtu 1500", "")
		eventually(t, "-4 addr show dev eth0", "inet 192.0.2.2/24", "")
		expectAsked(t, asked)
		hangUp()

		// It comes back in another network, with a router that is not on the link.
		hangUp, asked = serveGuest(t, l, dhcp.Config{Ours: netip.MustParseAddr("198.51.100.1"), Guest: netip.MustParsePrefix("198.51.100.2/32"),
			Router: netip.MustParseAddr("198.51.100.1")})
		eventually(t, "-4 addr show dev eth0", "inet 198.51.100.2/32", "192.0.2.2")
		eventually(t, "-4 route", "default via 198.51.100.1 dev eth0 proto dhcp", "192.0.2.1")
		expectAsked(t, asked)
		hangUp()
		select {
		case err := <-failed:
			t.Errorf("it ended: %v", err)
		default:
		}

		// The interface is taken away.
		hangUp, _ = serveGuest(t, l, dhcp.Config{Ours: netip.MustParseAddr("192.0.2.1"), Guest: netip.MustParsePrefix("192.0.2.2/24")})
		defer hangUp()
		eventually(t, "-4 addr show dev eth0", "inet 192.0.2.2/24", "")
		nstest.IP(t, "link del eth0")
		select {
		case err := <-failed:
			if err == nil || errors.Is(err, link.ErrClosed) || !strings.Contains(err.Error(), "the tap interface") {
				t.Errorf("got %v, want an error of the tap", err)
			}
		case <-time.After(patience):
			t.Error("it goes on without its interface")
		}
	})
}

func TestRunRefuses(t *testing.T) {
	nstest.Run(t, func(t *testing.T) {
		needsTun(t)
		for _, tt := range []struct {
			name string
			c    Config
			want string
		}{
			{"name", Config{IfName: "a/b"}, "a/b"},
			{"interface exists", Config{IfName: "lo"}, "lo"},
			{"MTU", Config{IfName: "eth0", MTU: 100000}, "100000"},
		} {
			tt.c.Socket, tt.c.Log = t.TempDir()+"/none", slog.New(slog.NewTextHandler(io.Discard, nil))
			err := make(chan error, 1)
			go func() { err <- Run(tt.c) }()
			select {
			case err := <-err:
				if err == nil || !strings.Contains(fmt.Sprint(err), tt.want) {
					t.Errorf("%s: got %v, want %q in it", tt.name, err, tt.want)
				}
			case <-time.After(patience):
				t.Errorf("%s: no error", tt.name)
			}
		}
	})
}
