package stage

import (
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"passt/cmd/internal/conf"
	"passt/cmd/internal/engine"
	"passt/cmd/internal/hostinfo"
	"passt/cmd/internal/netns"
	"passt/link"
	"passt/link/pcap"
	"passt/link/tap"
)

type engineParams struct {
	Options     *conf.Options
	Network     *hostinfo.Network
	TapFDs      []int
	TapFeatures tap.Features
	GuestMAC    net.HardwareAddr
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
}{
	resolve:   hostinfo.Resolve,
	describe:  (*hostinfo.Network).Describe,
	createTap: tap.Create,
	configure: netns.Configure,
	mac:       netns.MAC,
	newEngine: newEngine,
}

// newEngine makes the devices and the engine on top of them.
func newEngine(p engineParams) (runner, error) {
	var devices []link.Device
	var capture *os.File
	if p.PcapFD >= 0 {
		capture = os.NewFile(uintptr(p.PcapFD), "capture")
		if err := pcap.WriteHeader(capture); err != nil {
			return nil, err
		}
	}
	for _, fd := range p.TapFDs {
		var dev link.Device = tap.New(fd, p.TapFeatures)
		if capture != nil {
			dev = pcap.New(dev, capture, time.Now, func(err error) { p.Log.Warn(err.Error()) })
		}
		devices = append(devices, dev)
	}
	e, err := engine.New(engine.Params{
		Options: p.Options, Network: p.Network, Devices: devices, GuestMAC: p.GuestMAC, Log: p.Log,
	})
	if err != nil {
		return nil, err
	}
	return e, nil
}
