package guest

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/tests/world"
)

// --fd with what is no stream socket: which of them it is, passt has to find out.

// socketPair makes two connected sockets: for passt, and for the other end.
func socketPair(t *testing.T, kind int) (ours, theirs *os.File) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	unix.SetNonblock(pair[1], true) // so that Close ends a Read
	return os.NewFile(uintptr(pair[0]), "passt's"), os.NewFile(uintptr(pair[1]), "the other")
}

// startDescriptor runs passt on a descriptor, which is closed here.
func startDescriptor(t *testing.T, f *os.File, args ...string) *world.Process {
	t.Helper()
	defer f.Close()
	return world.StartProcess(t, world.Host, passtCmd(f, append([]string{"--fd", "3"}, args...)...), world.ScratchDir(t)+"/log")
}

// endsWell has a passt end by itself, without an error.
func endsWell(t *testing.T, p *world.Process) {
	t.Helper()
	if !p.WaitEnd(5 * time.Second) {
		t.Fatal("passt stays without its guest")
	}
	if code := p.Cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("passt ended with %d, want 0", code)
	}
}

// TestDescriptorTap hands passt a tap in another namespace: no virtual machine at all.
func TestDescriptorTap(t *testing.T) {
	for _, tc := range []struct {
		name    string
		headers bool
	}{{"plain", false}, {"with virtio headers", true}} {
		t.Run(tc.name, func(t *testing.T) {
			n := newStandin(t)
			tap, err := world.OpenTap(n, "eth0", tc.headers)
			if err != nil {
				t.Fatal(err)
			}
			p := startDescriptor(t, tap, forwardStandin...)
			giveAddresses(t, n)
			waitUsable(t, n)
			checkTraffic(t, n, 1<<20)
			t.Run("interface removed", func(t *testing.T) {
				if err := world.Batch(n, "link del eth0"); err != nil {
					t.Fatal(err)
				}
				endsWell(t, p)
			})
		})
	}
}

// TestDescriptorSeqpacket has a relay between a tap and the far end of a socket that keeps
// frames apart.
func TestDescriptorSeqpacket(t *testing.T) {
	n := newStandin(t)
	tap, err := world.OpenTap(n, "eth0", false)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := socketPair(t, unix.SOCK_SEQPACKET)
	p := startDescriptor(t, ours, forwardStandin...)
	done := make(chan struct{}, 2)
	for _, way := range [][2]*os.File{{tap, theirs}, {theirs, tap}} {
		go func() {
			defer func() { done <- struct{}{} }()
			b := make([]byte, 1<<17)
			for {
				n, err := way[0].Read(b)
				if err != nil || n == 0 {
					return
				}
				way[1].Write(b[:n]) // a frame that is not taken is lost
			}
		}()
	}
	giveAddresses(t, n)
	waitUsable(t, n)
	checkTraffic(t, n, 1<<20)
	theirs.Close()
	tap.Close()
	endsWell(t, p)
}
