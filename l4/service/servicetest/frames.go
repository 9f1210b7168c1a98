package servicetest

import (
	"bufio"
	"encoding/hex"
	"os"
	"strings"
	"testing"
)

// NamedFrame is a frame of a real client.
type NamedFrame struct {
	Name string
	B    []byte
}

// Frames reads the frames in testdata/frames.txt of the test's package.
func Frames(t testing.TB) (frames []NamedFrame) {
	f, err := os.Open("testdata/frames.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		name, digits, ok := strings.Cut(s.Text(), " ")
		if !ok || name == "#" {
			continue
		}
		b, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		frames = append(frames, NamedFrame{name, b})
	}
	return frames
}
