package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"passt/tests/bench/load"
)

// nobody is the user and group that translators run as: the way they are meant to be used.
const nobody = 65534

const (
	stopTime = 2 * time.Second  // for a process to end when it is told to
	loadTime = 15 * time.Second // for a load, beyond what it is meant to last
)

// process is one that runs in the background.
type process struct {
	name  string
	cmd   *exec.Cmd
	log   string // file with its output
	ended chan struct{}
}

// starter starts processes, and names their files.
type starter struct {
	count int // of the names given
}

// path is that of a new file or folder.
func (s *starter) path(name string) string {
	s.count++
	return filepath.Join(ownDir, fmt.Sprintf("%d-%s", s.count, name))
}

// command prepares to run args, as nobody if unprivileged.
func command(ctx context.Context, unprivileged bool, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = "/"
	cmd.WaitDelay = time.Second // what it leaves behind may hold its output
	if unprivileged {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	return cmd
}

// start starts args in n.
func (s *starter) start(n network, unprivileged bool, args ...string) (*process, error) {
	p := &process{name: filepath.Base(args[0]), ended: make(chan struct{})}
	p.log = s.path(p.name)
	out, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.cmd = command(context.Background(), unprivileged, args...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := n.do(p.cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	go func() {
		p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends the process and what it has started.
func (p *process) stop() {
	family := readProcesses().tree(p.pid())
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(stopTime):
	}
	for _, s := range family { // all PIDs are of this program's own namespace
		syscall.Kill(s.pid, syscall.SIGKILL)
	}
	<-p.ended
}

// wait calls ready until it is true, for at most limit, or until the process ends.
func (p *process) wait(ctx context.Context, limit time.Duration, ready func() bool) error {
	for begin := time.Now(); !ready(); time.Sleep(5 * time.Millisecond) {
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended: %s", p.name, p.lastLine())
		default:
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(begin) > limit {
			return fmt.Errorf("%s was not ready after %v: %s", p.name, limit, p.lastLine())
		}
	}
	return nil
}

// lastLine is the last one that the process has written.
func (p *process) lastLine() string {
	b, _ := os.ReadFile(p.log)
	return lastLine(string(b))
}

// lastLine is the last line of s that is not blank.
func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
		return last
	}
	return "it said nothing"
}

// loadArgs is the command line for a load.
func loadArgs(args ...string) []string { return append([]string{os.Args[0], "load"}, args...) }

// runLoad measures once from n. It takes no more than some seconds longer than it should.
func runLoad(ctx context.Context, n network, c load.Config) (r load.Result, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.Time+loadTime)
	defer cancel()
	var out, errs strings.Builder
	cmd := command(ctx, false, loadArgs(c.Args()...)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := n.do(cmd.Start); err != nil {
		return r, err
	}
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			return r, errors.New("hung")
		}
		return r, errors.New(lastLine(errs.String()))
	}
	return r, json.Unmarshal([]byte(out.String()), &r)
}

// holdConnections opens n connections to addr from net, calls held, and counts those that
// still work.
func holdConnections(ctx context.Context, net network, addr string, n int, held func() error) (r load.Result, err error) {
	c := load.Config{Mode: load.Idle, Addr: addr, Conns: n, Size: 1}
	ctx, cancel := context.WithTimeout(ctx, 2*loadTime)
	defer cancel()
	cmd := command(ctx, false, loadArgs(c.Args()...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		return r, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return r, err
	}
	if err := net.do(cmd.Start); err != nil {
		return r, err
	}
	defer func() {
		cancel()
		cmd.Wait()
	}()
	lines := bufio.NewReader(out)
	if _, err := lines.ReadString('\n'); err != nil {
		return r, errors.New("hung while opening connections")
	}
	if err := held(); err != nil {
		return r, err
	}
	in.Close()
	b, err := io.ReadAll(lines)
	if err != nil || len(b) == 0 {
		return r, errors.New("hung while trying the connections again")
	}
	return r, json.Unmarshal(b, &r)
}
