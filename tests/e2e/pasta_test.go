package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"passt/tests/world"
)

// withDefaults adds to a command line the port options that every test wants unless it
// names them: none.
func withDefaults(args []string) []string {
	var out []string
	for _, opt := range []string{"-t", "-u", "-T", "-U"} {
		if !slices.Contains(args, opt) {
			out = append(out, opt, "none")
		}
	}
	return append(out, args...)
}

// result is how a run of pasta ended.
type result struct {
	code           int // exit status, -1 if killed by a signal
	stdout, stderr string
	took           time.Duration
}

// runPasta runs pasta to its end in H, with exactly these arguments.
func runPasta(t *testing.T, timeout time.Duration, args ...string) result {
	t.Helper()
	if direct {
		t.Skip("there is no pasta to run")
	}
	return runPastaIn(t, world.Host, timeout, args...)
}

// runPastaIn is runPasta with another namespace as the host.
func runPastaIn(t *testing.T, n *world.NS, timeout time.Duration, args ...string) result {
	t.Helper()
	return runCommand(t, n, timeout, world.AsUser, append([]string{world.Binary}, args...)...)
}

// runCommand runs a command line that starts pasta in n, as somebody, to its end and to the
// end of its output.
func runCommand(t *testing.T, n *world.NS, timeout time.Duration, as func(*exec.Cmd), argv ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	as(cmd)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = time.Second
	begin := time.Now()
	err := n.Do(cmd.Run)
	r := result{stdout: stdout.String(), stderr: stderr.String(), took: time.Since(begin)}
	if ctx.Err() != nil {
		t.Fatalf("%s did not end in %v\n%s", strings.Join(argv, " "), timeout, r.stderr)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", strings.Join(argv, " "), err)
	}
	r.code = cmd.ProcessState.ExitCode()
	return r
}

// instance is a running pasta with a namespace that stays until the end of the test.
type instance struct {
	*world.Process
	t      *testing.T
	ns     *world.NS // N
	holder *holder
	ifname string // of the tap
}

// needsPasta skips a test that means nothing without a pasta in between.
func needsPasta(t *testing.T) {
	t.Helper()
	if direct {
		t.Skip("there is no pasta to look at")
	}
}

// start runs "pasta -f ARGS -- hold" and waits until the namespace is there and, with
// --config-net, its addresses are usable.
func start(t *testing.T, args ...string) *instance {
	t.Helper()
	return startBy(t, nil, args...)
}

// startBy is start by way of another program, which executes what follows its own arguments.
func startBy(t *testing.T, by []string, args ...string) *instance {
	t.Helper()
	if direct {
		return &instance{t: t, ns: world.Host, ifname: "eth0"}
	}
	dir := world.ScratchDir(t)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dir + "/hold", Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Chmod(dir+"/hold", 0o777); err != nil {
		t.Fatal(err)
	}
	full := append([]string{"-f"}, withDefaults(args)...)
	full = append(full, "--", command)
	argv := slices.Concat(by, []string{world.Binary}, full)
	cmd := exec.Command(argv[0], argv[1:]...)
	world.AsUser(cmd)
	cmd.Env = append(cmd.Env, stageVar+"=hold", holdVar+"="+dir+"/hold")
	in := &instance{t: t, ifname: "eth0"}
	if i := slices.Index(args, "-I"); i >= 0 {
		in.ifname = args[i+1]
	}
	t.Cleanup(func() { // after the end of pasta
		if in.holder != nil {
			in.holder.conn.Close() // ends the command, wherever it is
		}
		if in.ns != nil {
			in.ns.Close()
		}
	})
	in.Process = world.StartProcess(t, world.Host, cmd, dir+"/log")
	go func() { // no use in waiting for the command of a pasta that gave up
		<-in.Ended
		l.Close()
	}()
	if in.holder, err = acceptHolder(l, 10*time.Second); err != nil {
		t.Fatalf("pasta %s did not start its command: %v", strings.Join(full, " "), err)
	}
	if in.ns, err = world.NSOf("N", in.holder.pid); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(args, "--config-net") {
		in.waitUsable()
	}
	return in
}

// waitUsable waits until no global address is tentative any more.
func (in *instance) waitUsable() {
	in.t.Helper()
	world.Eventually(in.t, 5*time.Second, func() error {
		addrs, err := addresses(in.ns, in.ifname)
		if err != nil {
			return err
		}
		for _, a := range addrs {
			if a.Tentative {
				return fmt.Errorf("%s is still tentative", a.Local)
			}
		}
		return nil
	})
}
