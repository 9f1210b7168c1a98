package sock

import (
	"net"
	"testing"
)

func TestIfIndex(t *testing.T) {
	all, err := net.Interfaces()
	if err != nil || len(all) == 0 {
		t.Skip("no interfaces:", err)
	}
	for _, i := range all {
		if got := IfIndex(i.Name); got != uint32(i.Index) {
			t.Errorf("%s: got %d, want %d", i.Name, got, i.Index)
		}
	}
	for _, name := range []string{"", "no such one", "a name that is longer than any can be"} {
		if got := IfIndex(name); got != 0 {
			t.Errorf("%q: got %d, want 0", name, got)
		}
	}
}
