package guest

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"passt/cmd/internal/conf"
	"passt/link"
	"passt/link/tap"
	"passt/link/vsock"
)

// Config is what to do.
type Config struct {
	VSock     *conf.VSock // where the host listens, or
	Socket    string      // this UNIX socket
	IfName    string      // of the tap; empty: the kernel chooses
	MTU       int         // of the tap, in bytes; 0: DefaultMTU, or what the host says with ConfigNet
	ConfigNet bool        // bring the interface up, with an address by DHCP and SLAAC
	Log       *slog.Logger
}

// DefaultMTU is the MTU of the tap, in bytes, unless another was given.
const DefaultMTU = 65520

// While the host does not answer, the wait between tries doubles from the first to the last.
const (
	firstWait = 100 * time.Millisecond
	lastWait  = 5 * time.Second
)

// Run connects a new tap interface to the host, again and again, until something is wrong
// on this side.
func Run(c Config) error {
	runtime.LockOSThread()
	runtime.GOMAXPROCS(2) // the pump keeps one P while it is busy (sys.Waiter)
	fds, features, name, err := tap.Create(c.IfName, 1)
	if err != nil {
		return err
	}
	n := &network{c: &c, name: name}
	if err := n.prepare(); err != nil {
		return err
	}
	c.Log.Info("made the interface", "name", name)
	c.Log.Debug("it takes super-frames", "TCP", features.Offload&link.OffloadTSO4 != 0, "UDP", features.Offload&link.OffloadUSO4 != 0)
	dev := tap.New(fds[0], features)
	defer dev.Close()
	p, err := newPump(dev)
	if err != nil {
		return err
	}
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		fd, err := c.connect()
		if err != nil {
			c.Log.Debug("no connection to the host", "error", err, "next try in", wait)
			if wait == lastWait {
				c.Log.Warn("still no connection to the host", "error", err)
			}
			time.Sleep(wait)
			continue
		}
		c.Log.Info("connected to the host")
		began := time.Now()
		if c.ConfigNet {
			n.connected()
		}
		err = p.run(fd)
		n.disconnected()
		c.Log.Debug("frames left out so far", "to the host", p.out.dropped+dev.Stats.RxBad+dev.Stats.RxTooLong,
			"to the guest", dev.Stats.TxRefused)
		if !errors.Is(err, link.ErrClosed) && !errors.Is(err, link.ErrProtocol) {
			return err
		}
		c.Log.Info("the host closed the connection", "error", err)
		if time.Since(began) > lastWait {
			wait = firstWait / 2
		} else {
			time.Sleep(wait) // refused, for there is another guest
		}
	}
}

// connect connects to the host.
func (c *Config) connect() (int, error) {
	if c.VSock != nil {
		return vsock.Dial(c.VSock.CID, c.VSock.Port)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: c.Socket}); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("connect to %s: %w", c.Socket, err)
	}
	return fd, nil
}
