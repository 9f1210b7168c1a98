package stage

// passt: the guest is a virtual machine, which runs already or connects later, so there is
// no namespace and no command. The start stage makes the socket, or takes the descriptor
// that it was given, and passes it on.

import (
	"fmt"
	"io"
	"strings"

	"golang.org/x/sys/unix"

	"passt/cmd/internal/conf"
	"passt/cmd/internal/engine"
	"passt/link/fd"
	"passt/link/stream"
	"passt/link/vsock"
)

// defaultSocket is where guests connect to if no other path is given: the first of these
// that is free, counted from 1 to lastSocket.
const (
	defaultSocket = "/tmp/passt_%d.socket"
	lastSocket    = 64
)

// guestLink is the start stage's part of the link to a guest.
type guestLink struct {
	hostSocket
	fd int // the listening socket, or what --fd gave; -1 if none
}

// openLink makes what the guest is at the other end of, or checks it.
func openLink(o *conf.Options) (g guestLink, err error) {
	g.fd = -1
	switch {
	case o.FD >= 0:
		g.fd, err = takeDescriptor(o.FD)
		return g, err
	case o.VSock != nil:
		return g, nil // the translator listens: a library does it, in its own process
	case o.Socket != "":
		g.hostSocket, g.fd, err = listenAt(o.Socket)
		return g, err
	}
	for i := 1; i <= lastSocket; i++ {
		// One that is in use, or that another user's process left, is not ours to take.
		if g.hostSocket, g.fd, err = listenAt(fmt.Sprintf(defaultSocket, i)); err == nil {
			return g, nil
		}
	}
	return g, fmt.Errorf("no default socket is free, up to %w; give another path with --socket", err)
}

// takeDescriptor moves the descriptor n, which the user passed, out of the way of standard
// input, output and error.
func takeDescriptor(n int) (int, error) {
	if err := fd.Check(n); err != nil {
		return -1, fmt.Errorf("--fd %d: %w", n, err)
	}
	d, err := unix.FcntlInt(uintptr(n), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return -1, fmt.Errorf("--fd %d: %w", n, err)
	}
	if n > 2 {
		unix.Close(n)
		return d, nil
	}
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err == nil {
		err = unix.Dup3(null, n, 0)
		unix.Close(null)
	}
	if err != nil {
		return -1, fmt.Errorf("--fd %d: put /dev/null in its place: %w", n, err)
	}
	return d, nil
}

// describe says how to connect a guest.
func (g *guestLink) describe(w io.Writer, o *conf.Options) {
	var b strings.Builder
	switch {
	case g.path != "":
		fmt.Fprintf(&b, "UNIX domain socket bound at %s\n", g.path)
		b.WriteString("You can start QEMU now, from version 7.2 on:\n")
		fmt.Fprintf(&b, "    qemu-system-x86_64 ... -device virtio-net-pci,netdev=s -netdev stream,id=s,server=off,addr.type=unix,addr.path=%s\n", g.path)
		b.WriteString("or, for an earlier one, by way of qrap:\n")
		fmt.Fprintf(&b, "    qrap --socket %s 5 qemu-system-x86_64 ... -device virtio-net-pci,netdev=s -netdev socket,id=s,fd=5\n", g.path)
	case o.VSock != nil:
		fmt.Fprintf(&b, "Waiting on vsock port %d\nIn the virtual machine, run:\n    passt guest --vsock %d:%d --config-net\n",
			o.VSock.Port, vsock.Host, o.VSock.Port)
	}
	_, _ = io.WriteString(w, b.String())
}

// passedOn is called when the translator has what it needs. A listening socket stays open here.
func (g *guestLink) passedOn() {
	if g.path == "" && g.fd >= 0 {
		unix.Close(g.fd)
		g.fd = -1
	}
}

// remove removes the socket. Its listening descriptor is open until then, so that nobody
// takes the path over before.
func (g *guestLink) remove() {
	g.hostSocket.remove()
	if g.fd >= 0 {
		unix.Close(g.fd)
	}
	g.fd = -1
}

// serveGuest is the translator stage for a virtual machine. It returns the exit status.
func serveGuest(c *config, start int) int {
	nameProcess("passt-net")
	t := newTranslator(c, start)
	stop := t.stopRequests()
	var err error
	if t.engine, err = t.setUpGuest(); err != nil {
		return t.fail(err)
	}
	go func() { t.ended <- t.engine.Run() }()
	go t.followHost()
	if err := send(start, message{Kind: kindReady}); err != nil {
		t.log.Debug("report that all is ready", "error", err) // the stop request comes
	}
	select {
	case <-stop:
		return t.exit(0)
	case err := <-t.ended:
		if err != nil {
			return t.fail(err)
		}
		return t.exit(0) // the one guest has left
	}
}

// setUpGuest makes the engine, and closes the sandbox.
func (t *translator) setUpGuest() (runner, error) {
	if err := letGo(); err != nil {
		t.log.Debug(err.Error())
	}
	p := engineParams{Options: &t.c.Options, Network: &t.c.Network, PcapFD: t.c.Pcap, Privileged: t.privileged(), Log: t.log}
	if err := t.link(&p); err != nil {
		return nil, err
	}
	e, err := steps.newEngine(p)
	if err != nil {
		return nil, err
	}
	if err := t.enterSandbox(); err != nil {
		return nil, err
	}
	t.log.Debug("everything is open and the sandbox closed")
	return e, t.serveControls(e)
}

// link makes the device, and what brings guests to it.
func (t *translator) link(p *engineParams) error {
	o := &t.c.Options
	if o.FD >= 0 {
		d, err := fd.Open(t.c.Link)
		if err != nil {
			return fmt.Errorf("--fd %d: %w", o.FD, err)
		}
		p.Link = d
		if s, ok := d.(*stream.Dev); ok {
			p.Socket = s
		}
		return nil
	}
	d := stream.New()
	p.Link, p.Socket = d, d
	if o.VSock == nil {
		p.Clients = stream.NewListener(t.c.Link)
		return nil
	}
	l, err := vsock.Listen(o.VSock.CID, o.VSock.Port)
	if err != nil {
		return err
	}
	p.Clients = l
	return nil
}

var (
	_ engine.Socket  = (*stream.Dev)(nil)
	_ engine.Clients = (*stream.Listener)(nil)
	_ engine.Clients = (*vsock.Listener)(nil)
)
