package guest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"passt/tests/world"
)

// The test binary plays more parts than those of package world:
//
//	/init:   the first process of a guest (agent_test.go)
//	tool:    one end of a transfer, in a guest (traffic_test.go)

var (
	noGuest   string                         // why no real guest can be started; empty if one can
	kernel    kernelFiles                    // what guests boot
	initramfs = world.Scratch + "/initramfs" // their first file system
	qrapPath  = world.Scratch + "/qrap"      // the binary under test, as that program
)

func TestMain(m *testing.M) {
	switch {
	case os.Args[0] == "/init":
		runAgent()
	case filepath.Base(os.Args[0]) == "tool":
		os.Exit(runTool(os.Args[1:]))
	}
	world.Enter(world.Config{Name: "guest", Variable: "PASST", Default: "../../bin/passt"})
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// guestDir is where the kernel is.
func guestDir() string {
	if dir := os.Getenv("GUEST_DIR"); dir != "" {
		return dir
	}
	return "../../out/guest"
}

// prepare makes what the tests share.
func prepare() error {
	var err error
	if kernel, err = findKernel(guestDir()); err != nil {
		noGuest = err.Error()
	} else {
		noGuest = world.MissingTool("qemu-system-x86_64", "busybox")
	}
	if noGuest == "" {
		if err := makeInitramfs(initramfs); err != nil {
			return fmt.Errorf("making the guests' initramfs: %w", err)
		}
	}
	if err := os.Symlink(world.Binary, qrapPath); err != nil {
		return err
	}
	if err := world.Peer.Do(func() error { return serveAll(peerPort) }); err != nil {
		return err
	}
	return serveAll(hostPort)
}
