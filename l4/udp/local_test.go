package udp

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"passt/l3/inet"
	"passt/l4/sock"
	"passt/link"
)

// TestLocal has datagrams from the host's loopback, and only those, take another way.
func TestLocal(t *testing.T) {
	var local []string
	r := newRig(t, func(c *Config, _ *link.Caps) {
		c.Local = func(l *Listener, ds []sock.Datagram, _ int64) {
			for _, d := range ds {
				local = append(local, fmt.Sprintf("%d %v>%v %s", l.FD, d.From, l.Bound, d.Body[0][:d.Len]))
			}
		}
	})
	r.AddListener(Listener{FD: 5, Bound: ep("0.0.0.0:7"), To: inet.Endpoint{Port: 7}})
	long := strings.Repeat("x", 65500) // goes to the guest in fragments, through memory of ours
	r.hostSends(5, from("127.0.0.1:4000", "a"), from("198.51.100.7:4000", "b"), from("127.0.0.1:4000", "c"),
		from("198.51.100.7:4000", "d"))
	r.hostSends(5, from("198.51.100.7:4000", long), from("127.0.0.1:4000", "e"))
	if want := []string{"5 127.0.0.1:4000>0.0.0.0:7 a", "5 127.0.0.1:4000>0.0.0.0:7 c", "5 127.0.0.1:4000>0.0.0.0:7 e"}; !slices.Equal(local, want) {
		t.Errorf("diverted: %q, want %q", local, want)
	}
	var link []string
	for _, b := range r.net.packet[:2] {
		src, _, data := seen(t, b, false)
		link = append(link, fmt.Sprintf("%v %s", src, data))
	}
	if want := []string{"198.51.100.7:4000 b", "198.51.100.7:4000 d"}; !slices.Equal(link, want) {
		t.Errorf("over the link: %q, want %q", link, want)
	}

	// An answer to the guest's own datagram is the guest's.
	local = nil
	r.guestSends("192.0.2.2:7", "192.0.2.1:53", "question")
	peer := r.host.sent[len(r.host.sent)-1].dest.To
	r.hostSends(r.host.sent[len(r.host.sent)-1].fd, sock.Datagram{From: peer, Body: [][]byte{[]byte("answer")}})
	if len(local) > 0 || !peer.Addr.IsLoopback() {
		t.Errorf("diverted an answer from %v: %q", peer, local)
	}
}
