package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"passt/cmd/internal/conf"
	"passt/cmd/internal/guest"
	"passt/cmd/internal/logx"
	"passt/cmd/internal/qrap"
	"passt/link/vsock"
)

// guestCommand is "passt guest". Its exit status goes to code.
func (p *program) guestCommand(code *int) *cobra.Command {
	var c guest.Config
	var at string
	var debug bool
	cmd := &cobra.Command{
		Use:   "guest (--vsock [CID:]PORT | --socket PATH) [OPTION]...",
		Short: "Inside of a virtual machine or namespace, connect an interface to passt outside",
		Example: "  passt --vsock 1024                    # on the host\n" +
			"  passt guest --vsock 1024 --config-net # in the virtual machine",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			switch {
			case (at == "") == (c.Socket == ""):
				return errors.New("give either --vsock or --socket: where passt listens")
			case at != "":
				v, err := conf.ParseVSock(at, vsock.Host)
				if err != nil {
					return fmt.Errorf("--vsock %q: %w", at, err)
				}
				c.VSock = &v
			}
			c.Log = logx.New(p.stderr, logx.Config{Name: "passt guest", Debug: debug, Start: time.Now()})
			*code = runGuest(c)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&at, "vsock", "", "connect to this vsock port, `[CID:]PORT`; the context ID is by default the host's, 2")
	f.StringVarP(&c.Socket, "socket", "s", "", "connect to the UNIX socket `PATH`")
	f.StringVarP(&c.IfName, "ifname", "I", "", "`NAME` of the interface to make; by default the kernel chooses")
	f.IntVarP(&c.MTU, "mtu", "m", 0, fmt.Sprintf("MTU of the interface in `BYTES`; by default %d, or what DHCP says with --config-net", guest.DefaultMTU))
	f.BoolVar(&c.ConfigNet, "config-net", false, "bring the interface up, and configure it by DHCP and router advertisements")
	f.BoolVarP(&debug, "debug", "d", false, "print what is being done")
	return cmd
}

// runGuest returns the exit status.
func runGuest(c guest.Config) int {
	sigs := make(chan os.Signal, 1)
	signal.Notify(sigs, syscall.SIGTERM, syscall.SIGINT)
	failed := make(chan error, 1)
	go func() { failed <- guest.Run(c) }()
	select {
	case <-sigs:
		return 0 // the interface goes with the process
	case err := <-failed:
		c.Log.Error(err.Error())
		return 1
	}
}

// qrap is the program of that name. It returns the exit status of a failure.
func (p *program) qrap(args []string) int {
	log := logx.New(p.stderr, logx.Config{Name: "qrap"})
	err := qrap.Run(args, func(path string) { log.Info("Connected to " + path) })
	log.Error(err.Error())
	return 1
}
