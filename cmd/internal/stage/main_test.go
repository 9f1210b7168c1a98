package stage

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/cmd/internal/conf"
	"passt/cmd/internal/hostinfo"
	"passt/cmd/internal/hostwatch"
)

// asPasta is the first argument of the test binary when it is to be the program; the
// second is the options in JSON.
const asPasta = "-as-pasta"

// The stub steps do what Options.FQDN says, a field that nothing else here uses.
const (
	failResolve   = "fail-resolve"
	failConfigure = "fail-configure"
	failNew       = "fail-new"
	failRun       = "fail-run"
	crashNew      = "crash-new"
	crashNs       = "crash-namespace"
	hangNew       = "hang-new"
	hangStop      = "hang-stop"
	warn          = "warn"
	touchPcap     = "touch-pcap"
	readRoot      = "read-root"
	writeRoot     = "write-root"
)

var errStub = errors.New("stub says no")

func TestMain(m *testing.M) {
	steps.resolve = stubResolve
	steps.describe = func(*hostinfo.Network, io.Writer, *conf.Options) {}
	steps.configure = stubConfigure
	steps.newEngine = stubNew
	steps.watch = func(*slog.Logger) *hostwatch.Watch { return nil }
	steps.control = func(int) (string, int, error) { return "", -1, errStub } // nothing is to be left in the user's folder
	Dispatch()
	if len(os.Args) > 2 && os.Args[1] == asPasta {
		o := &conf.Options{}
		if err := json.Unmarshal([]byte(os.Args[2]), o); err != nil {
			panic(err)
		}
		os.Exit(Run(o))
	}
	os.Exit(m.Run())
}

func stubResolve(o *conf.Options) (*hostinfo.Network, []string, error) {
	switch o.FQDN {
	case failResolve:
		return nil, nil, errStub
	case warn:
		return &hostinfo.Network{IfName: "stub0"}, []string{"host warning"}, nil
	}
	return &hostinfo.Network{IfName: "stub0"}, nil, nil
}

func stubConfigure(_ *hostinfo.Network, _ string, o *conf.Options) ([]string, error) {
	switch o.FQDN {
	case failConfigure:
		return nil, errStub
	case crashNs:
		os.Exit(9)
	case warn:
		return []string{"namespace warning"}, nil
	}
	return nil, nil
}

type stubEngine struct {
	script string
	stop   chan struct{}
	once   sync.Once
}

func stubNew(p engineParams) (runner, error) {
	switch p.Options.FQDN {
	case failNew:
		return nil, errStub
	case crashNew:
		os.Exit(9)
	case hangNew:
		select {}
	case readRoot:
		steps.filter = func() error { return nil } // what is to be seen is what there would be without
	case touchPcap:
		if _, err := unix.Write(p.PcapFD, []byte("frame")); err != nil {
			return nil, err
		}
	}
	return &stubEngine{script: p.Options.FQDN, stop: make(chan struct{})}, nil
}

func (e *stubEngine) Run() error {
	switch e.script {
	case failRun:
		return errStub
	case readRoot:
		return lookAround()
	case writeRoot:
		return os.WriteFile("/x", nil, 0o600)
	}
	<-e.stop
	return nil
}

func (e *stubEngine) Stop() {
	if e.script == hangStop {
		select {}
	}
	e.once.Do(func() { close(e.stop) })
}

// lookAround reports, as an error, what the translator can still do inside its sandbox.
func lookAround() error {
	names, err := os.ReadDir("/")
	werr := os.WriteFile("/x", nil, 0o600)
	var caps []string
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	if err := unix.Capget(&h, &d[0]); err != nil {
		return err
	}
	for _, c := range d {
		caps = append(caps, fmt.Sprint(c.Effective|c.Permitted|c.Inheritable))
	}
	nnp, _ := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	bits, _ := unix.PrctlRetInt(unix.PR_GET_SECUREBITS, 0, 0, 0, 0)
	dump, _ := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	return fmt.Errorf("files=%d,%v write=%v caps=%v nnp=%d bits=%#x dumpable=%d", len(names), err, werr, caps, nnp, bits, dump)
}

// run is one run of the program, with its standard output and error.
type run struct {
	*exec.Cmd
	out, errs bytes.Buffer
}

// pasta prepares a run of the program as o says, with the command words. In words and in
// the environment the command can tell its processes by the string tag(t).
func pasta(t *testing.T, o conf.Options, words ...string) *run {
	t.Helper()
	if f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0); err != nil {
		t.Skip("needs /dev/net/tun:", err)
	} else {
		f.Close()
	}
	if _, _, e := syscall.AllThreadsSyscall(unix.SYS_GETPID, 0, 0, 0); e == unix.ENOTSUP {
		t.Skip("needs a build with CGO_ENABLED=0")
	}
	o.Mode, o.Command = conf.ModePasta, words
	if o.RunAs == "" && os.Getuid() == 0 {
		o.RunAs = "0" // nobody can't get into the tests' directories
	}
	b, err := json.Marshal(&o)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := &run{Cmd: exec.Command(self, asPasta, string(b))}
	r.Stdout, r.Stderr = &r.out, &r.errs
	r.WaitDelay = 5 * time.Second
	r.Env = append(os.Environ(), tag(t))
	t.Cleanup(func() {
		if r.Process != nil && r.ProcessState == nil {
			_ = r.Process.Kill()
			_ = r.Wait()
		}
		if left := tagged(t); len(left) > 0 {
			t.Errorf("processes left behind: %v", left)
		}
	})
	return r
}

// finish runs r to its end and returns the exit status.
func (r *run) finish(t *testing.T) int {
	t.Helper()
	if r.Process == nil {
		if err := r.Start(); err != nil {
			t.Fatal(err)
		}
	}
	timer := time.AfterFunc(20*time.Second, func() { _ = r.Process.Kill() })
	defer timer.Stop()
	_ = r.Wait() // the status says it all
	ws := r.ProcessState.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		t.Fatalf("killed by %v; stderr: %s", ws.Signal(), r.errs.String())
	}
	return ws.ExitStatus()
}

func tag(t *testing.T) string { return "STAGE_TEST=" + t.Name() }

// tagged finds the processes that have tag(t) in their environment. It waits a moment for
// them to be gone.
func tagged(t *testing.T) (pids []string) {
	for range 50 {
		pids = nil
		files, _ := filepath.Glob("/proc/[0-9]*/environ")
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err == nil && bytes.Contains(b, []byte(tag(t)+"\x00")) {
				pids = append(pids, strings.Split(f, "/")[2])
			}
		}
		if len(pids) == 0 {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return pids
}
