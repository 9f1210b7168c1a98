package guest

import (
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"passt/tests/world"
)

// instance is a running passt.
type instance struct {
	*world.Process
	socket string // the path to connect guests to
}

// startPasst runs "passt -f ARGS" on a socket of its own and waits for the socket.
func startPasst(t *testing.T, args ...string) *instance {
	t.Helper()
	return startPasstAt(t, world.ScratchDir(t)+"/socket", args...)
}

// startPasstAt is startPasst with a given path for the socket.
func startPasstAt(t *testing.T, socket string, args ...string) *instance {
	t.Helper()
	in := &instance{socket: socket}
	in.Process = world.StartProcess(t, world.Host, passtCmd(nil, append([]string{"--socket", socket}, args...)...), world.ScratchDir(t)+"/log")
	world.Eventually(t, 5*time.Second, func() error {
		if in.WaitEnd(0) {
			t.Fatal("passt ended")
		}
		_, err := os.Stat(in.socket)
		return err
	})
	return in
}

// passtCmd is the command to run passt in the foreground, with a descriptor 3 if one is given.
func passtCmd(three *os.File, args ...string) *exec.Cmd {
	full := []string{"-f"}
	for _, opt := range []string{"-t", "-u"} {
		if !slices.Contains(args, opt) {
			full = append(full, opt, "none")
		}
	}
	cmd := exec.Command(world.Binary, append(full, args...)...)
	world.AsUser(cmd)
	if three != nil {
		cmd.ExtraFiles = []*os.File{three}
	}
	return cmd
}
