package main

// A subject is a tool that is running, with a namespace behind it.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"passt/tests/bench/load"
)

const (
	// holder is the command that keeps a namespace open, and its argument.
	holder, holderArg = "sleep", "1000000"
	// startTime is what a translator may take until it works.
	startTime = 10 * time.Second
	// waitIPv6 is how long to wait for IPv6 to work, which not everything has.
	waitIPv6 = 3 * time.Second
)

// errNone says that a tool has no such thing, which is no failure.
var errNone = errors.New("not available")

// subject is a tool that is running.
type subject struct {
	inside  network // behind the translator; the host itself if there is none
	root    int     // process whose tree is the translator; 0: there is none
	opened  []network
	running []*process
}

// stop ends everything, the last first.
func (s *subject) stop() {
	for i := range s.running {
		s.running[len(s.running)-1-i].stop()
	}
	for _, n := range s.opened {
		n.close()
	}
}

// bench is one run.
type bench struct {
	config
	world
	starter
}

// run starts a process that is a part of s.
func (b *bench) run(s *subject, n network, unprivileged bool, args ...string) (*process, error) {
	p, err := b.start(n, unprivileged, args...)
	if err == nil {
		s.running = append(s.running, p)
	}
	return p, err
}

// up starts t in the setup that is wanted, and a server behind it. If it fails, nothing is
// left running.
func (b *bench) up(ctx context.Context, t tool, want setup) (s *subject, err error) {
	s = new(subject)
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	switch {
	case t.kind == isDirect:
		s.inside = b.host
		return s, nil
	case want.guest && t.passt != "":
		err = b.upPasst(ctx, s, t, want.mtu)
	case !want.guest && t.pasta != "":
		err = b.upPasta(ctx, s, t, want.mtu)
	case !want.guest && t.slirp != "":
		err = b.upSlirp(ctx, s, t, want.mtu)
	default:
		err = errNone
	}
	if err != nil {
		return s, err
	}
	if _, err := b.run(s, s.inside, false, loadArgs("serve", ":"+innerPort)...); err != nil {
		return s, err
	}
	return s, b.works(ctx, s, want)
}

// works waits until the namespace is connected, and its server serves.
func (b *bench) works(ctx context.Context, s *subject, want setup) error {
	try := func(addr string, limit time.Duration) error {
		_, err := runLoad(ctx, s.inside, load.Config{Mode: load.Reachable, Addr: addr, Time: limit, Conns: 1, Size: 1})
		return err
	}
	if err := try(toLoopback, startTime); err != nil {
		return fmt.Errorf("no server behind it: %w", err)
	}
	if err := try(toPeer, startTime); err != nil {
		return fmt.Errorf("the peer is not reachable: %w; %s", err, s.lastWords())
	}
	if !want.guest {
		try(toPeer6, waitIPv6) // the rows show it if there is none
	}
	return nil
}

// lastWords tells why s does not work: what a process of it that has ended said at last, or
// else the translator.
func (s *subject) lastWords() string {
	told := s.running[0]
	for _, p := range s.running {
		if p.pid() == s.root {
			told = p
		}
	}
	for _, p := range s.running {
		select {
		case <-p.ended:
			return fmt.Sprintf("%s ended: %s", p.name, p.lastLine())
		default:
		}
	}
	return fmt.Sprintf("last words of %s: %s", told.name, told.lastLine())
}

// upPasta starts a pasta with all the forwarding that rows need.
func (b *bench) upPasta(ctx context.Context, s *subject, t tool, mtu int) error {
	args := []string{t.pasta, "-f", "--config-net", "-m", strconv.Itoa(mtu),
		"-t", innerPort, "-u", innerPort, "-T", outerPort, "-U", outerPort}
	args = append(append(args, b.extra...), "--", holder, holderArg)
	p, err := b.run(s, b.host, true, args...)
	if err != nil {
		return err
	}
	s.root = p.pid()
	return p.wait(ctx, startTime, func() bool {
		for _, q := range readProcesses().tree(p.pid()) {
			if q.comm == holder {
				return s.open(q.pid, b.host)
			}
		}
		return false
	})
}

// open makes the namespace of a process the one behind the translator, and says whether it
// is another one than the host's.
func (s *subject) open(pid int, host network) bool {
	n, err := openNetwork(pid)
	if err != nil {
		return false
	}
	if n.ns.Equal(host.ns) {
		n.close()
		return false
	}
	s.opened = append(s.opened, n)
	s.inside = n
	return true
}

// upSlirp starts slirp4netns for a namespace made for it. It has no forwarding without its
// control socket, and none is set up.
func (b *bench) upSlirp(ctx context.Context, s *subject, t tool, mtu int) (err error) {
	if err := s.make(); err != nil {
		return err
	}
	h, err := b.run(s, s.inside, false, holder, holderArg)
	if err != nil {
		return err
	}
	p, err := b.run(s, b.host, false, t.slirp, "-c", "--mtu="+strconv.Itoa(mtu), "--enable-ipv6", strconv.Itoa(h.pid()), "tap0")
	if err == nil {
		s.root = p.pid()
	}
	return err
}

// make makes a new namespace the one behind the translator.
func (s *subject) make() (err error) {
	if s.inside, err = newNetwork(); err == nil {
		s.opened = append(s.opened, s.inside)
	}
	return err
}

// upPasst starts a passt, and a stand-in guest that configures itself by DHCP.
func (b *bench) upPasst(ctx context.Context, s *subject, t tool, mtu int) error {
	dir := b.path("sockets")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := os.Chown(dir, nobody, nobody); err != nil {
		return err
	}
	socket := filepath.Join(dir, "guest")
	args := []string{t.passt, "-f", "-e", "-s", socket, "-m", strconv.Itoa(mtu), "-t", innerPort, "-u", innerPort}
	p, err := b.run(s, b.host, true, append(args, b.extra...)...)
	if err != nil {
		return err
	}
	s.root = p.pid()
	err = p.wait(ctx, startTime, func() bool {
		_, err := os.Stat(socket)
		return err == nil
	})
	if err != nil {
		return err
	}
	if err := s.make(); err != nil {
		return err
	}
	// A kernel of its own would have this, and not what the host has: best effort, as it may lack it.
	_ = s.inside.do(func() error {
		return os.WriteFile("/proc/sys/net/ipv4/tcp_congestion_control", []byte("cubic"), 0)
	})
	_, err = b.run(s, s.inside, false, b.guest, "guest", "--socket", socket, "--mtu", strconv.Itoa(mtu), "--config-net")
	return err
}

// startups is how often a start is timed; the median counts.
const startups = 9

// startTimes measures how long t takes to run a command that does nothing in a configured
// namespace; with no translator, in an unconfigured one. The result is in milliseconds.
func (b *bench) startTimes(ctx context.Context, t tool) (float64, error) {
	args := []string{t.pasta, "--config-net"}
	switch {
	case t.kind == isDirect:
		args = []string{"unshare", "-rUn"}
	case t.pasta == "":
		return 0, errNone
	default:
		args = append(args, b.extra...)
	}
	args = append(args, "--", "true")
	var times []float64
	for range startups {
		ctx, cancel := context.WithTimeout(ctx, startTime)
		var errs strings.Builder
		cmd := command(ctx, true, args...)
		cmd.Stderr = &errs
		begin := time.Now()
		err := b.host.do(cmd.Start)
		if err == nil {
			err = cmd.Wait()
		}
		took := time.Since(begin)
		late := ctx.Err() != nil
		cancel()
		if late {
			return 0, fmt.Errorf("had not ended after %v", startTime)
		}
		if err != nil {
			return 0, fmt.Errorf("%w: %s", err, lastLine(errs.String()))
		}
		times = append(times, float64(took)/1e6)
	}
	return median(times), nil
}
