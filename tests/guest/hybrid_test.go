package guest

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/tests/world"
)

// Monitors with a vsock of their own, in user space: Firecracker and Cloud Hypervisor. What a
// guest connects to on port PORT of the host, the monitor connects to the UNIX socket
// PATH_PORT, with no word said before the guest's first. (Only connections the other way
// begin with a handshake, on PATH itself.) If nobody listens there, the guest's connection is
// reset.
//
//	"passt guest" in a namespace -- UNIX socket -- monitor -- PATH_PORT -- passt

// monitor is such a monitor, as far as connections of the guest go.
type monitor struct {
	guest string // the guest's side of the vsock
	host  string // PATH_PORT
	mu    sync.Mutex
	conns map[net.Conn]bool
	count int // connections of the guest that reached the host
}

func startMonitor(t *testing.T, host string) *monitor {
	t.Helper()
	m := &monitor{guest: world.ScratchDir(t) + "/vsock", host: host, conns: make(map[net.Conn]bool)}
	l, err := net.Listen("unix", m.guest)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { m.relay(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		m.breakAll()
		wg.Wait()
	})
	return m
}

// relay connects one connection of the guest.
func (m *monitor) relay(c net.Conn) {
	defer c.Close()
	h, err := net.Dial("unix", m.host)
	if err != nil {
		return
	}
	defer h.Close()
	m.mu.Lock()
	m.conns[c] = true
	m.count++
	m.mu.Unlock()
	var wg sync.WaitGroup
	for _, way := range [][2]net.Conn{{c, h}, {h, c}} {
		wg.Go(func() {
			// Packets of virtio-vsock: they begin and end anywhere.
			io.CopyBuffer(struct{ io.Writer }{way[1]}, struct{ io.Reader }{way[0]}, make([]byte, 4093))
			way[0].Close()
			way[1].Close()
		})
	}
	wg.Wait()
	m.mu.Lock()
	delete(m.conns, c)
	m.mu.Unlock()
}

// breakAll ends what connections there are.
func (m *monitor) breakAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for c := range m.conns {
		c.Close()
	}
}

// connected is how often the guest has reached the host.
func (m *monitor) connected() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.count
}

// waitConnected waits for more than n connections.
func (m *monitor) waitConnected(t *testing.T, n int) {
	t.Helper()
	world.Eventually(t, usableTime, func() error {
		if got := m.connected(); got <= n {
			return fmt.Errorf("%d connections", got)
		}
		return nil
	})
}

func TestHybridVSock(t *testing.T) {
	socket := world.ScratchDir(t) + "/vm.vsock_1024"
	m := startMonitor(t, socket)
	n := newStandin(t)
	runInside(t, n, "--socket", m.guest) // which is refused until there is a passt
	in := startPasstAt(t, socket, forwardStandin...)
	waitUsable(t, n)
	checkTraffic(t, n, 1<<20)
	t.Run("connection lost", func(t *testing.T) {
		before := m.connected()
		m.breakAll()
		m.waitConnected(t, before)
		waitAnswer(t, n)
		checkTraffic(t, n, 100000)
	})
	t.Run("passt restarted", func(t *testing.T) {
		before := m.connected()
		if !in.Terminate(unix.SIGTERM, 5*time.Second) {
			t.Fatal("passt does not end")
		}
		if _, err := os.Stat(socket); !os.IsNotExist(err) {
			t.Errorf("the socket is still there: %v", err)
		}
		startPasstAt(t, socket, forwardStandin...)
		m.waitConnected(t, before)
		waitAnswer(t, n)
		checkTraffic(t, n, 100000)
	})
}

// waitAnswer waits until something answers in the network of a stand-in.
func waitAnswer(t *testing.T, n *world.NS) {
	t.Helper()
	world.Eventually(t, usableTime, func() error {
		_, err := n.Run(5*time.Second, "ping", "-c", "1", "-W", "1", world.PeerV4)
		return err
	})
}
