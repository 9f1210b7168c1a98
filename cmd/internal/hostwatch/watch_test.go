package hostwatch

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"passt/cmd/internal/netns/nstest"
)

func TestFollow(t *testing.T) {
	nstest.Run(t, func(t *testing.T) {
		w, err := Open(filepath.Join(t.TempDir(), "resolv.conf"))
		if err != nil {
			t.Fatal(err)
		}
		looks := make(chan struct{}, 10)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			w.Follow(func() { looks <- struct{}{} })
		}()
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		for _, do := range []func(netlink.Link) error{netlink.LinkSetUp, netlink.LinkSetDown, netlink.LinkSetUp} {
			if err := do(lo); err != nil {
				t.Fatal(err)
			}
		}
		select {
		case <-looks:
			if d := time.Since(begin); d < quiet {
				t.Errorf("looked after %v", d)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("no look")
		}
		select {
		case <-looks:
			t.Error("looked twice")
		case <-time.After(2 * quiet):
		}
		w.Close()
		<-ended
	})
}
