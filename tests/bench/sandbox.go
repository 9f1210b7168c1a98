package main

// Around everything there are PID, mount and network namespaces. The process in them is
// the first of its PID namespace, so whatever it has started, translators that went to the
// background included, ends with it, and with them the network namespaces.

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// insideArg is the first argument of the process in the namespaces.
const insideArg = "inside"

// patience is how long the process in the namespaces may take to end when told to.
const patience = 15 * time.Second

// outside makes the namespaces, runs this program in them, and returns its exit status. The
// first signal lets it print what it has, the second one ends it at once.
func outside(args []string) int {
	runtime.LockOSThread() // the child ends with the thread that started it
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	cmd := exec.Command(self, append([]string{insideArg}, args...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET,
		Pdeathsig:  syscall.SIGKILL,
	}
	sigs := make(chan os.Signal, 2)
	signal.Notify(sigs, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "bench: make namespaces:", err)
		return 1
	}
	go func() {
		<-sigs
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-sigs:
		case <-time.After(patience):
		}
		cmd.Process.Kill()
	}()
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return max(exit.ExitCode(), 1)
	}
	return 0
}

const (
	tun = "/dev/net/tun"
	// ownDir is where this run keeps its files, in the file system that holds its own tun,
	// so that they go with the mount namespace.
	ownDir = "/dev/net/bench"
)

// prepare gives this process, in new namespaces, a /proc of its own, a /dev/net/tun that
// everybody may open, as distributions have it, and ownDir.
func prepare() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts to itself: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Stat(tun, &st); err != nil {
		return fmt.Errorf("%s: %w: is the module tun loaded?", tun, err)
	}
	dir := filepath.Dir(tun)
	if err := unix.Mount("bench", dir, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount over %s: %w", dir, err)
	}
	if err := unix.Mknod(tun, unix.S_IFCHR, int(st.Rdev)); err != nil {
		return fmt.Errorf("make %s: %w", tun, err)
	}
	if err := os.Chmod(tun, 0o666); err != nil {
		return err
	}
	return os.Mkdir(ownDir, 0o755)
}
