package stage

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"passt/cmd/internal/conf"
	"passt/cmd/internal/control"
	"passt/cmd/internal/engine"
	"passt/cmd/internal/hostinfo"
	"passt/cmd/internal/hostwatch"
	"passt/cmd/internal/inside"
	"passt/cmd/internal/logx"
	"passt/cmd/internal/netns"
	"passt/cmd/internal/sandbox"
	"passt/cmd/internal/trace"
	"passt/link"
	"passt/link/pcap"
	"passt/link/stream"
	"passt/link/tap"
)

type engineParams struct {
	Options     *conf.Options
	Network     *hostinfo.Network
	TapFDs      []int
	TapFeatures tap.Features
	GuestMAC    net.HardwareAddr
	NetNS       int            // descriptor of the guest's network namespace, 0 if it has none
	Link        link.Device    // instead of a tap
	Socket      engine.Socket  // the same again, if it is one
	Clients     engine.Clients // where guests come from, if they may come and go
	Privileged  func(fd int, name []byte) syscall.Errno
	PcapFD      int
	Log         *slog.Logger
}

// runner is the engine as the translator stage sees it.
type runner interface {
	// Run works until Stop or an error.
	Run() error
	// Stop closes the listening sockets at once and makes Run return; any goroutine may
	// call it.
	Stop()
}

// steps are the parts of the program that the stages put in order; tests replace them.
var steps = struct {
	resolve   func(*conf.Options) (*hostinfo.Network, []string, error)
	describe  func(*hostinfo.Network, io.Writer, *conf.Options)
	createTap func(name string, queues int) ([]int, tap.Features, string, error)
	configure func(n *hostinfo.Network, ifname string, o *conf.Options) ([]string, error)
	mac       func(ifname string) (net.HardwareAddr, error)
	newEngine func(engineParams) (runner, error)
	control   func(pid int) (path string, fd int, err error)
	watch     func(*slog.Logger) *hostwatch.Watch
	again     func(prev *hostinfo.Network, o *conf.Options) (*hostinfo.Network, error)
	update    func(old, now *hostinfo.Network, ifname string, o *conf.Options) ([]string, error)
	filter    func() error
}{
	resolve:   hostinfo.Resolve,
	describe:  (*hostinfo.Network).Describe,
	createTap: tap.Create,
	configure: netns.Configure,
	mac:       netns.MAC,
	newEngine: newEngine,
	control:   control.Listen,
	watch:     watchHost,
	again:     hostinfo.Again,
	update:    netns.Update,
	filter:    sandbox.Filter,
}

// newEngine makes the devices and the engine on top of them.
func newEngine(p engineParams) (runner, error) {
	var devices []link.Device
	var capture *os.File
	if p.PcapFD >= 0 {
		capture = os.NewFile(uintptr(p.PcapFD), "capture")
	}
	var stats any
	links := make([]link.Device, 0, 1)
	for _, fd := range p.TapFDs {
		d := tap.New(fd, p.TapFeatures)
		links, stats = append(links, d), &d.Stats
	}
	if d, ok := p.Link.(*stream.Dev); ok {
		stats = &d.Stats
	}
	if p.Link != nil {
		links = append(links, p.Link)
	}
	if p.Options.SpliceOnly {
		fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
		if err != nil {
			return nil, err
		}
		links = append(links, engine.NewNoLink(fd))
	}
	for _, dev := range links {
		if capture != nil {
			dev = pcap.New(dev, capture, time.Now, func(err error) { p.Log.Warn(err.Error()) })
		}
		if p.Options.Trace {
			dev = trace.New(dev, p.Log, logx.LevelTrace)
		}
		devices = append(devices, dev)
	}
	ep := engine.Params{
		Options: p.Options, Network: p.Network, Devices: devices, GuestMAC: p.GuestMAC,
		Socket: p.Socket, Clients: p.Clients, Privileged: p.Privileged, LinkStats: stats, Log: p.Log,
	}
	if p.NetNS > 0 {
		in, err := inside.Open(p.NetNS)
		if err != nil {
			return nil, err
		}
		unix.Close(p.NetNS)
		ep.Inside = in
	}
	e, err := engine.New(ep)
	if err != nil {
		return nil, err
	}
	if capture != nil { // only now is it ours
		if err := empty(p.PcapFD); err != nil {
			return nil, fmt.Errorf("--pcap %s: %w", p.Options.Pcap, err)
		}
		if err := pcap.WriteHeader(capture); err != nil {
			return nil, err
		}
	}
	return e, nil
}
