package guest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/tests/world"
)

// TestRestarts has one passt see guests come and go: clients that are none, a guest, its
// reboot, its sudden end, and the next.
func TestRestarts(t *testing.T) {
	in := startPasst(t, "-t", fmt.Sprint(guestPort+holdOffset))
	for _, rubbish := range []string{"", "\x00\x00\x05\xdc", "\x00\x00\x05\xdcin the middle of a frame", "\xff\xff\xff\xff of an impossible length"} {
		c := connectSocket(t, in.socket)
		c.Write([]byte(rubbish)) // it may have been thrown out already
		c.Close()
	}
	v := boot(t, streamTo(in.socket), nil)
	configure(t, v)
	t.Run("second client", func(t *testing.T) {
		c := connectSocket(t, in.socket)
		defer c.Close()
		c.SetDeadline(time.Now().Add(2 * time.Second))
		var ne net.Error
		if n, err := c.Read(make([]byte, 1)); err == nil || errors.As(err, &ne) && ne.Timeout() {
			t.Errorf("a second client is not refused: %d bytes, %v", n, err)
		}
		v.sh(t, transferTime, fmt.Sprintf("tool tcp %s %d 100000", world.PeerV4, peerPort))
	})
	t.Run("reboot", func(t *testing.T) {
		flows := openFlows(t, v)
		v.begin(time.Minute, "reboot -f")
		v.waitUp(t)
		configure(t, v)
		// The guest's new kernel knows nothing of them, and says so when it is sent something.
		flows.expectReset(t, 5*time.Second)
		v.sh(t, transferTime, fmt.Sprintf("tool tcp %s %d 1000000", world.PeerV4, peerPort))
	})
	t.Run("sudden end", func(t *testing.T) {
		flows := openFlows(t, v)
		v.kill(t)
		flows.expectReset(t, 2*time.Second)
		v := boot(t, streamTo(in.socket), nil)
		configure(t, v)
		openFlows(t, v)
		v.sh(t, transferTime, fmt.Sprintf("tool tcp %s %d 1000000", world.PeerV6, peerPort))
	})
}

// connectSocket connects to a passt as QEMU would.
func connectSocket(t *testing.T, path string) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// flows are the peer's ends of two connections with the guest that are in use.
type flows struct{ in, out net.Conn }

// openFlows opens a connection to the guest and one from it.
func openFlows(t *testing.T, v *vm) flows {
	t.Helper()
	var f flows
	var err error
	if f.in, err = world.Peer.Dial("tcp", world.Endpoint(world.HostV4, guestPort+holdOffset), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.in.Close() })
	l, err := world.Peer.Listen(world.Endpoint(world.PeerV6, 7040))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.SetDeadline(time.Now().Add(10 * time.Second))
	v.begin(time.Minute, fmt.Sprintf("tool hold %s 7040", world.PeerV6))
	if f.out, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.out.Close() })
	f.in.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := f.in.Read(make([]byte, 1)); err != nil {
		t.Fatalf("nothing from the guest: %v", err)
	}
	return f
}

// expectReset fails the test unless both connections are reset in time.
func (f flows) expectReset(t *testing.T, timeout time.Duration) {
	t.Helper()
	for name, c := range map[string]net.Conn{"to": f.in, "from": f.out} {
		end := time.Now().Add(timeout)
		c.SetDeadline(end)
		_, err := c.Write([]byte{'.'})
		for b := make([]byte, 1000); err == nil; { // what was under way before
			_, err = c.Read(b)
		}
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the connection %s the guest: %v, want a reset", name, err)
		}
	}
}

// checkOneOff has a guest leave and its passt follow.
func checkOneOff(t *testing.T, p *world.Process, v *vm) {
	t.Helper()
	configure(t, v)
	for _, addr := range []string{world.PeerV4, world.PeerV6} {
		v.sh(t, transferTime, fmt.Sprintf("tool tcp %s %d 1000000", addr, peerPort))
	}
	v.begin(time.Minute, "poweroff -f")
	if !v.qemu.WaitEnd(10 * time.Second) {
		t.Fatal("the guest does not power off")
	}
	if !p.WaitEnd(3 * time.Second) {
		t.Fatal("passt stays without its guest")
	}
	if code := p.Cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("passt ended with %d, want 0", code)
	}
}

// TestOneOff is --one-off, with a guest that qrap connects.
func TestOneOff(t *testing.T) {
	in := startPasst(t, "--one-off")
	v := boot(t, "socket,id=s,fd=5", func(cmd *exec.Cmd) {
		cmd.Path = qrapPath
		cmd.Args = slices.Concat([]string{"qrap", "--socket", in.socket, "5"}, cmd.Args)
	})
	checkOneOff(t, in.Process, v)
	if _, err := os.Stat(in.socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// TestDescriptor is --fd: passt and QEMU inherit the ends of a pair of sockets.
func TestDescriptor(t *testing.T) {
	ours, theirs := socketPair(t, unix.SOCK_STREAM)
	p := startDescriptor(t, ours)
	v := boot(t, "stream,id=s,server=off,addr.type=fd,addr.str=3", func(cmd *exec.Cmd) { cmd.ExtraFiles = []*os.File{theirs} })
	theirs.Close()
	checkOneOff(t, p, v)
}

// TestOldOptions is the command line of passt(1) for QEMU before 7.2, which makes card and
// network by -net.
func TestOldOptions(t *testing.T) {
	ours, theirs := socketPair(t, unix.SOCK_STREAM)
	p := startDescriptor(t, ours)
	v := boot(t, "", func(cmd *exec.Cmd) {
		cmd.ExtraFiles = []*os.File{theirs}
		cmd.Args = append(cmd.Args, "-net", "socket,fd=3", "-net", "nic,model=virtio,macaddr="+guestMAC)
	})
	theirs.Close()
	checkOneOff(t, p, v)
}

// TestReconnect has QEMU connect again by itself when passt is started again, as libvirt
// makes it do.
func TestReconnect(t *testing.T) {
	needsGuest(t)
	var option string
	switch major, minor := qemuVersion(t); {
	case major > 9 || major == 9 && minor >= 2:
		option = ",reconnect-ms=200"
	case major >= 8:
		option = ",reconnect=1"
	default:
		t.Skipf("-netdev stream of QEMU %d.%d has no reconnect; 8.0 and later ones have", major, minor)
	}
	in := startPasst(t)
	v := boot(t, streamTo(in.socket)+option, nil)
	configure(t, v)
	v.sh(t, transferTime, fmt.Sprintf("tool tcp %s %d 100000", world.PeerV4, peerPort))
	if !in.Terminate(unix.SIGTERM, 5*time.Second) {
		t.Fatal("passt does not end")
	}
	startPasstAt(t, in.socket)
	world.Eventually(t, 20*time.Second, func() error {
		_, err := v.try(10*time.Second, "ping -c 1 -W 1 "+world.PeerV4)
		return err
	})
	v.sh(t, transferTime, fmt.Sprintf("tool tcp %s %d 100000", world.PeerV6, peerPort))
}

// qemuVersion is that of the QEMU installed.
func qemuVersion(t *testing.T) (major, minor int) {
	t.Helper()
	out, err := exec.Command("qemu-system-x86_64", "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(string(out), "QEMU emulator version %d.%d", &major, &minor); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return major, minor
}

// TestTwoGuests has the guests of two instances talk to each other by their forwarded ports.
func TestTwoGuests(t *testing.T) {
	a := startPasst(t, "-t", fmt.Sprintf("7200:%d", guestPort), "-u", fmt.Sprintf("7200:%d", guestPort))
	b := startPasst(t, "-t", fmt.Sprintf("7300:%d", guestPort), "-u", fmt.Sprintf("7300:%d", guestPort))
	va, vb := boot(t, streamTo(a.socket), nil), boot(t, streamTo(b.socket), nil)
	configure(t, va)
	configure(t, vb)
	for _, tc := range []struct {
		name string
		from *vm
		port int
	}{{"first to second", va, 7300}, {"second to first", vb, 7200}} {
		for _, addr := range []string{world.GateV4, world.GateV6} {
			for _, network := range []string{"tcp", "udp"} {
				t.Run(fmt.Sprint(tc.name, " ", network, " ", addr), func(t *testing.T) {
					tc.from.sh(t, transferTime, fmt.Sprintf("tool %s %s %d %d", network, addr, tc.port, min(size(network), 1<<20)))
				})
			}
		}
	}
}
