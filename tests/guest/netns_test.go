package guest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// netns is a network namespace that sockets can be opened in and commands run in. A socket
// stays in the namespace in which it was made, so the rest of a test uses it from anywhere.
type netns struct {
	name string
	f    *os.File
}

// newNetns makes a network namespace and binds it under /run/netns, where ip(8) finds it.
func newNetns(name string) (*netns, error) {
	n := &netns{name: name}
	errc := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		errc <- func() error {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("making network namespace %s: %w", name, err)
			}
			f, err := os.Open("/proc/thread-self/ns/net")
			if err != nil {
				return err
			}
			n.f = f
			path := "/run/netns/" + name
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				return err
			}
			if err := unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, ""); err != nil {
				return fmt.Errorf("binding %s: %w", path, err)
			}
			return exec.Command("ip", "link", "set", "lo", "up").Run()
		}()
	}()
	return n, <-errc
}

// netnsOf opens the network namespace of a process.
func netnsOf(name string, pid int) (*netns, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return nil, err
	}
	return &netns{name: name, f: f}, nil
}

// do runs fn on a thread of its own that is in the namespace.
func (n *netns) do(fn func() error) error {
	errc := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Setns(int(n.f.Fd()), unix.CLONE_NEWNET); err != nil {
			errc <- fmt.Errorf("entering network namespace %s: %w", n.name, err)
			return
		}
		errc <- fn()
	}()
	return <-errc
}

// run runs a command in the namespace and returns what it printed on standard output. An
// error carries its standard error.
func (n *netns) run(timeout time.Duration, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	err := n.do(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		cmd.WaitDelay = time.Second
		return cmd.Run()
	})
	if err != nil {
		return stdout.String(), fmt.Errorf("%s in %s: %w: %s%s", strings.Join(args, " "), n.name, err,
			stdout.String(), strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// dial opens a connection, or a connected UDP socket, from within the namespace.
func (n *netns) dial(network, addr string, timeout time.Duration) (net.Conn, error) {
	var conn net.Conn
	err := n.do(func() error {
		d := net.Dialer{Timeout: timeout, KeepAlive: -1}
		var err error
		conn, err = d.Dial(network, addr)
		return err
	})
	return conn, err
}

// listen opens a TCP listener in the namespace.
func (n *netns) listen(addr string) (net.Listener, error) {
	var l net.Listener
	err := n.do(func() error {
		lc := net.ListenConfig{KeepAlive: -1}
		lc.SetMultipathTCP(false)
		var err error
		l, err = lc.Listen(context.Background(), "tcp", addr)
		return err
	})
	return l, err
}

// listenPacket opens a datagram socket in the namespace.
func (n *netns) listenPacket(addr string) (net.PacketConn, error) {
	var c net.PacketConn
	err := n.do(func() error {
		var err error
		c, err = net.ListenPacket("udp", addr)
		return err
	})
	return c, err
}
