package guest

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/tests/world"
)

// bootTime is the longest that a guest may take to be up, emulated on a busy machine.
const bootTime = 60 * time.Second

// vm is a running guest.
type vm struct {
	qemu     *world.Process // nil if somebody else has started it
	dir      string
	listener *net.UnixListener
	ended    <-chan struct{}
	up       chan struct{}
	mu       sync.Mutex
	port     net.Conn
	out      *json.Encoder
	last     int
	waiting  map[int]chan answer
}

// streamTo is the QEMU option for a network that is the other end of a UNIX socket.
func streamTo(socket string) string {
	return "stream,id=s,server=off,addr.type=unix,addr.path=" + socket
}

// qemuCmd is the command to start a guest with. netdev is the value of -netdev, with id=s, or
// empty for no network; QEMU connects to the UNIX socket port for the agent, and writes what
// the guest's kernel prints to the file console.
func qemuCmd(netdev, port, console string) *exec.Cmd {
	args := []string{
		"-accel", "tcg", "-cpu", "max", "-m", "256", "-display", "none", "-nodefaults", "-no-user-config", "-monitor", "none",
		"-kernel", kernel.image, "-initrd", initramfs,
		"-append", guestCmdline,
		"-chardev", "file,id=console,path=" + console, "-serial", "chardev:console",
		"-chardev", "socket,id=agent,path=" + port, "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent",
	}
	if netdev != "" {
		args = append(args, "-device", "virtio-net-pci,netdev=s,romfile=,mac="+guestMAC, "-netdev", netdev)
	}
	return exec.Command("qemu-system-x86_64", args...)
}

// guestCmdline is what the guest's kernel is told.
const guestCmdline = "console=ttyS0 quiet panic=-1 no5lvl mitigations=off tsc=reliable no_timer_check"

// guestMAC is the guest's hardware address.
const guestMAC = "52:54:00:12:34:56"

// needsGuest skips a test where no guest can be started.
func needsGuest(t *testing.T) {
	t.Helper()
	if noGuest != "" {
		t.Skip(noGuest)
	}
}

// boot starts a guest, and waits until it is up. change, if not nil, may alter the command.
func boot(t *testing.T, netdev string, change func(*exec.Cmd)) *vm {
	t.Helper()
	needsGuest(t)
	v := newVM(t)
	cmd := qemuCmd(netdev, v.dir+"/port", v.dir+"/console")
	if change != nil {
		change(cmd)
	}
	v.qemu = world.StartProcess(t, world.Host, cmd, v.dir+"/log")
	v.connect(t, v.qemu.Ended)
	return v
}

// newVM prepares for a guest whose agent connects to the UNIX socket "port" in v.dir, and
// whose kernel prints to the file "console" there.
func newVM(t *testing.T) *vm {
	t.Helper()
	v := &vm{dir: world.ScratchDir(t), up: make(chan struct{}, 8), waiting: make(map[int]chan answer)}
	var err error
	if v.listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: v.dir + "/port", Net: "unix"}); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(v.dir+"/port", 0o777); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // runs after that of the process
		v.listener.Close()
		if b, err := os.ReadFile(v.dir + "/console"); err == nil && t.Failed() {
			t.Logf("the guest's console:\n%s", world.Tail(string(b), 40))
		}
	})
	return v
}

// connect waits until a guest that was started is up. ended says that it will never be.
func (v *vm) connect(t *testing.T, ended <-chan struct{}) {
	t.Helper()
	v.ended = ended
	v.listener.SetDeadline(time.Now().Add(10 * time.Second))
	go func() { // no use in waiting for a QEMU that gave up
		<-ended
		v.listener.Close()
	}()
	var err error
	if v.port, err = v.listener.Accept(); err != nil {
		t.Fatalf("QEMU did not start: %v", err)
	}
	v.out = json.NewEncoder(v.port)
	go v.receive()
	v.waitUp(t)
}

// waitUp waits for the end of a boot.
func (v *vm) waitUp(t *testing.T) {
	t.Helper()
	begin := time.Now()
	select {
	case <-v.up:
		t.Logf("up after %v", time.Since(begin).Round(time.Millisecond))
	case <-v.ended:
		t.Fatal("QEMU ended")
	case <-time.After(bootTime):
		t.Fatalf("the guest is not up after %v", bootTime)
	}
}

// receive hands answers to those who wait for them.
func (v *vm) receive() {
	for in := json.NewDecoder(v.port); ; {
		var a answer
		if err := in.Decode(&a); err != nil {
			v.mu.Lock()
			for id, c := range v.waiting {
				c <- answer{Out: "the guest is gone: " + err.Error(), Code: -1}
				delete(v.waiting, id)
			}
			v.mu.Unlock()
			return
		}
		if a.ID == 0 {
			v.up <- struct{}{}
			continue
		}
		v.mu.Lock()
		if c := v.waiting[a.ID]; c != nil {
			c <- a
			delete(v.waiting, a.ID)
		}
		v.mu.Unlock()
	}
}

// begin starts a script in the guest. The channel gets one answer.
func (v *vm) begin(timeout time.Duration, script string) <-chan answer {
	c := make(chan answer, 1)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last++
	v.waiting[v.last] = c
	if err := v.out.Encode(request{ID: v.last, Script: script, Timeout: timeout}); err != nil {
		delete(v.waiting, v.last)
		c <- answer{Out: err.Error(), Code: -1}
	}
	return c
}

// try runs a script in the guest and returns what it printed; an error if it failed.
func (v *vm) try(timeout time.Duration, script string) (string, error) {
	select {
	case a := <-v.begin(timeout, script):
		if a.Code != 0 {
			return a.Out, fmt.Errorf("%s: exit status %d: %s", script, a.Code, strings.TrimSpace(a.Out))
		}
		return a.Out, nil
	case <-time.After(timeout + 10*time.Second):
		return "", fmt.Errorf("%s: no answer from the guest", script)
	}
}

// sh is try, and fails the test on an error.
func (v *vm) sh(t *testing.T, timeout time.Duration, script string) string {
	t.Helper()
	out, err := v.try(timeout, script)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// kill ends QEMU as a crash would.
func (v *vm) kill(t *testing.T) {
	t.Helper()
	if !v.qemu.Terminate(unix.SIGKILL, 5*time.Second) {
		t.Fatal("QEMU does not end")
	}
}
