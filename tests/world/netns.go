package world

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// NS is a network namespace that sockets can be opened in and commands run in. A socket
// stays in the namespace in which it was made, so the rest of a test uses it from anywhere.
type NS struct {
	Name string
	f    *os.File
}

// NewNS makes a network namespace and binds it under /run/netns, where ip(8) finds it.
func NewNS(name string) (*NS, error) {
	n := &NS{Name: name}
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

// NSOf opens the network namespace of a process.
func NSOf(name string, pid int) (*NS, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return nil, err
	}
	return &NS{Name: name, f: f}, nil
}

// Close lets go of the namespace, which stays as long as a process or path holds it.
func (n *NS) Close() { n.f.Close() }

// Do runs fn on a thread of its own that is in the namespace.
func (n *NS) Do(fn func() error) error {
	errc := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Setns(int(n.f.Fd()), unix.CLONE_NEWNET); err != nil {
			errc <- fmt.Errorf("entering network namespace %s: %w", n.Name, err)
			return
		}
		errc <- fn()
	}()
	return <-errc
}

// Run runs a command in the namespace and returns what it printed on standard output. An
// error carries its standard error.
func (n *NS) Run(timeout time.Duration, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	err := n.Do(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		cmd.WaitDelay = time.Second
		return cmd.Run()
	})
	if err != nil {
		return stdout.String(), fmt.Errorf("%s in %s: %w: %s%s", strings.Join(args, " "), n.Name, err,
			stdout.String(), strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// Control sets socket options; see net.ListenConfig.
type Control func(fd int) error

func (c Control) raw(_, _ string, rc syscall.RawConn) error {
	if c == nil {
		return nil
	}
	var err error
	if e := rc.Control(func(fd uintptr) { err = c(int(fd)) }); e != nil {
		return e
	}
	return err
}

// Dial opens a connection, or a connected UDP socket, from within the namespace.
func (n *NS) Dial(network, addr string, timeout time.Duration) (net.Conn, error) {
	return n.DialWith(network, addr, timeout, nil)
}

// DialWith is Dial with options for the socket.
func (n *NS) DialWith(network, addr string, timeout time.Duration, c Control) (net.Conn, error) {
	var conn net.Conn
	err := n.Do(func() error {
		d := net.Dialer{Timeout: timeout, Control: c.raw, KeepAlive: -1}
		var err error
		conn, err = d.Dial(network, addr)
		return err
	})
	return conn, err
}

// Listen opens a TCP listener in the namespace.
func (n *NS) Listen(addr string) (*net.TCPListener, error) { return n.ListenWith(addr, nil) }

// ListenWith is Listen with options for the socket.
func (n *NS) ListenWith(addr string, c Control) (*net.TCPListener, error) {
	var l net.Listener
	err := n.Do(func() error {
		lc := net.ListenConfig{Control: c.raw, KeepAlive: -1}
		lc.SetMultipathTCP(false)
		var err error
		l, err = lc.Listen(context.Background(), "tcp", addr)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listening on %s in %s: %w", addr, n.Name, err)
	}
	return l.(*net.TCPListener), nil
}

// ListenPacket opens a datagram socket in the namespace.
func (n *NS) ListenPacket(network, addr string) (net.PacketConn, error) {
	var c net.PacketConn
	err := n.Do(func() error {
		var err error
		c, err = net.ListenPacket(network, addr)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("opening %s %s in %s: %w", network, addr, n.Name, err)
	}
	return c, nil
}

// RawSocket opens a packet socket on an interface of the namespace, to send whole frames.
func (n *NS) RawSocket(ifname string) (int, error) {
	fd := -1
	err := n.Do(func() error {
		ifi, err := net.InterfaceByName(ifname)
		if err != nil {
			return err
		}
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: ifi.Index})
	})
	return fd, err
}

// OpenTap makes a tap device in the namespace; with headers, each frame has a virtio header
// of 10 bytes in front, and may be a super-frame.
func OpenTap(n *NS, name string, headers bool) (*os.File, error) {
	var f *os.File
	err := n.Do(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		req, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		flags := uint16(unix.IFF_TAP | unix.IFF_NO_PI)
		if headers {
			flags |= unix.IFF_VNET_HDR
		}
		req.SetUint16(flags)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
			return err
		}
		if headers {
			if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, unix.TUN_F_CSUM|unix.TUN_F_TSO4|unix.TUN_F_TSO6); err != nil {
				return err
			}
		}
		f = os.NewFile(uintptr(fd), name)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("making tap %s in %s: %w", name, n.Name, err)
	}
	return f, nil
}
