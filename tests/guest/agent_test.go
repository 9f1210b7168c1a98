package guest

// The agent is the first process of a guest. It makes the guest ready, says so on the virtio
// serial port, and then runs the shell scripts that requests carry. Requests and answers are
// lines of JSON; scripts run concurrently, and answers come as they end.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// request asks the agent to run a script.
type request struct {
	ID      int
	Script  string
	Timeout time.Duration
}

// answer is how a script ended. With an ID of 0 it says that the guest is up.
type answer struct {
	ID   int
	Out  string // standard output and error
	Code int    // exit status, -1 if it was killed
}

// runAgent never returns: the end of the first process is the end of the guest.
func runAgent() {
	err := prepareGuest()
	if err == nil {
		err = serveRequests()
	}
	fmt.Println("agent:", err) // on the console
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {} // until the power is off
}

// prepareGuest mounts, loads the modules, installs busybox under its names, and starts the
// servers that the tests connect to.
func prepareGuest() error {
	for _, m := range [][2]string{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"}, {"tmpfs", "/run"}} {
		if err := unix.Mount(m[0], m[1], m[0], 0, ""); err != nil {
			return fmt.Errorf("mounting %s: %w", m[1], err)
		}
	}
	files, err := filepath.Glob("/modules/*")
	if err != nil {
		return err
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		f.Close()
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("loading %s: %w", name, err)
		}
	}
	os.Setenv("PATH", "/bin")
	os.Setenv("HOME", "/tmp")
	if out, err := exec.Command("/bin/busybox", "--install", "-s", "/bin").CombinedOutput(); err != nil {
		return fmt.Errorf("installing busybox: %w: %s", err, out)
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("lo: %w: %s", err, out)
	}
	return serveAll(guestPort)
}

// serveRequests runs what comes on the serial port.
func serveRequests() error {
	port, err := os.OpenFile("/dev/vport0p1", os.O_RDWR, 0)
	for i := 0; errors.Is(err, os.ErrNotExist) && i < 100; i++ { // the host's part of it is asynchronous
		time.Sleep(20 * time.Millisecond)
		if found, _ := filepath.Glob("/dev/vport*"); len(found) > 0 {
			port, err = os.OpenFile(found[0], os.O_RDWR, 0)
		}
	}
	if err != nil {
		return err
	}
	var mu sync.Mutex
	out := json.NewEncoder(port)
	send := func(a answer) {
		mu.Lock()
		defer mu.Unlock()
		if err := out.Encode(a); err != nil {
			fmt.Println("agent:", err)
		}
	}
	up, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return err
	}
	send(answer{Out: string(up)})
	for in := json.NewDecoder(port); ; {
		var r request
		if err := in.Decode(&r); err != nil {
			return err
		}
		go func() { send(runScript(r)) }()
	}
}

func runScript(r request) answer {
	ctx, cancel := context.WithTimeout(context.Background(), r.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", r.Script)
	cmd.WaitDelay = 500 * time.Millisecond // a daemon left behind keeps the pipe open
	out, err := cmd.CombinedOutput()
	a := answer{ID: r.ID, Out: string(out), Code: cmd.ProcessState.ExitCode()}
	if err != nil && a.Code <= 0 && !errors.Is(err, exec.ErrWaitDelay) {
		a.Code = -1
		a.Out += err.Error()
	}
	return a
}
