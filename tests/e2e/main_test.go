package e2e

import (
	"fmt"
	"os"
	"testing"

	"passt/tests/world"
)

// stageVar tells this binary, in the part of the COMMAND given to pasta, what to do: "hold"
// keeps the namespace open (hold_test.go).
const stageVar = "E2E_STAGE"

// command is this binary, at a path that any user may execute.
const command = world.Scratch + "/command"

// direct is true with PASTA=direct: H stands in for N, with no pasta in between. What fails
// then is wrong with the test. It leaves out all that is not traffic.
var direct bool

func TestMain(m *testing.M) {
	if os.Getenv(stageVar) == "hold" {
		hold()
	}
	world.Enter(world.Config{Name: "e2e", Variable: "PASTA", Default: "../../bin/pasta", None: "direct"})
	direct = world.Binary == ""
	if err := world.CopyFile("/proc/self/exe", command); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
