package tap

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"passt/link"
	"passt/link/linktest"
)

const allOffloads = link.OffloadCsum | link.OffloadTSO4 | link.OffloadTSO6 | link.OffloadUSO4 | link.OffloadUSO6

func TestTap(t *testing.T) {
	needNamespace(t)
	open := func(t *testing.T) (link.Device, linktest.Peer) {
		d, p := newTap(t, 1)
		return d[0], p
	}
	linktest.Run(t, open)
	linktest.Allocs(t, open)
}

func TestStandIn(t *testing.T) {
	for name, f := range map[string]Features{
		"with headers":    {VnetHdr: vnetHdrLen, Offload: allOffloads},
		"without headers": {},
	} {
		t.Run(name, func(t *testing.T) {
			open := func(t *testing.T) (link.Device, linktest.Peer) {
				d, p := newPair(t, f)
				return d, p
			}
			linktest.Run(t, open)
			linktest.Allocs(t, open)
		})
	}
}

func TestCreate(t *testing.T) {
	needNamespace(t)
	fds, f, name, err := Create("eth7", 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("features: %+v", f)
	if name != "eth7" || len(fds) != 1 || f.VnetHdr != 10 || f.Offload&link.OffloadTSO4 == 0 {
		t.Errorf("Create = %v, %+v, %q", fds, f, name)
	}
	flags, err := unix.FcntlInt(uintptr(fds[0]), unix.F_GETFL, 0)
	if fdflags, _ := unix.FcntlInt(uintptr(fds[0]), unix.F_GETFD, 0); err != nil || flags&unix.O_NONBLOCK == 0 || fdflags&unix.FD_CLOEXEC == 0 {
		t.Errorf("descriptor flags %#x, %#x: want non-blocking and close-on-exec", flags, fdflags)
	}
	if _, _, _, err := Create("eth7", 1); !errors.Is(err, unix.EBUSY) || !strings.Contains(err.Error(), "-I") {
		t.Errorf("the same name again: %v", err)
	}
	if _, _, _, err := Create("lo", 1); !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "another kind") {
		t.Errorf("the name of another interface: %v", err)
	}
	unix.Close(fds[0])
	if fds, _, _, err = Create("eth7", 1); err != nil {
		t.Fatalf("the same name once it is free: %v", err)
	}
	unix.Close(fds[0])
	if fds, _, name, err = Create("", 1); err != nil || name != "tap0" {
		t.Fatalf("no name: %q, %v", name, err)
	}
	unix.Close(fds[0])
}

func TestCreateBadNames(t *testing.T) {
	for _, name := range []string{"sixteen-letters-", "a/b", "a b", "a:b", "tap%d", ".", "..", "a\nb"} {
		if _, _, _, err := Create(name, 1); err == nil || !strings.Contains(err.Error(), "interface name") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := open(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "modprobe tun") {
		t.Errorf("no device: %v", err)
	}
	if _, err := open(dir); err == nil {
		t.Error("a directory was opened")
	}
}

// TestQueues makes an interface of two queues, both of which can send.
func TestQueues(t *testing.T) {
	devs, p := newTap(t, 2)
	if len(devs) != 2 {
		t.Fatalf("%d queues", len(devs))
	}
	for i, d := range devs {
		s := make([]link.Slot, 1)
		d.Reserve(s, 0)
		want := plain(60, byte(i))
		s[0].Head = s[0].Head[:copy(s[0].Head, want)]
		if n, err := d.Send(s); n != 1 || err != nil {
			t.Fatalf("queue %d: Send = %d, %v", i, n, err)
		}
		if b, _, err := p.Recv(); err != nil || !bytes.Equal(b, want) {
			t.Fatalf("queue %d: got %x, %v", i, b, err)
		}
	}
}

// TestDown sends while the interface is down: the frame is lost, the device goes on.
func TestDown(t *testing.T) {
	devs, p := newTap(t, 1)
	d := devs[0]
	ifr, _ := unix.NewIfreq("tap0")
	must(t, unix.IoctlIfreq(p.fd, unix.SIOCSIFFLAGS, ifr))
	s := make([]link.Slot, 2)
	for i := range s[:d.Reserve(s, 0)] {
		s[i].Head = s[i].Head[:copy(s[i].Head, plain(60, 1))]
	}
	if n, err := d.Send(s); n != 2 || err != nil || d.Stats.TxRefused != 2 {
		t.Errorf("Send = %d, %v, %d refused; want all taken and refused", n, err, d.Stats.TxRefused)
	}
	if n, err := d.Recv(make([]link.Frame, 1)); n != 0 || err != nil {
		t.Errorf("Recv = %d, %v", n, err)
	}
}

// plain makes a frame of n bytes, filled with v.
func plain(n int, v byte) []byte {
	b := append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5}, bytes.Repeat([]byte{v}, n-etherLen)...)
	return b[:n]
}

func TestReadVnetHdr(t *testing.T) {
	const csum = link.NeedsCsum
	for _, c := range []struct {
		name string
		in   link.Meta
		n    int
		want link.Meta
		ok   bool
	}{
		{"plain", link.Meta{}, 60, link.Meta{}, true},
		{"offsets without a checksum", link.Meta{CsumStart: 9999, CsumOff: 16}, 60, link.Meta{}, true},
		{"flags of later versions", link.Meta{Flags: 0xfe}, 60, link.Meta{Flags: link.DataValid}, true},
		{"checksum", link.Meta{Flags: csum, CsumStart: 34, CsumOff: 16}, 54, link.Meta{Flags: csum, CsumStart: 34, CsumOff: 16}, true},
		{"checksum field cut", link.Meta{Flags: csum, CsumStart: 34, CsumOff: 16}, 51, link.Meta{}, false},
		{"checksum beyond", link.Meta{Flags: csum, CsumStart: 65535, CsumOff: 65535}, 1500, link.Meta{}, false},
		{"checksum in the Ethernet header", link.Meta{Flags: csum, CsumStart: 13, CsumOff: 2}, 60, link.Meta{}, false},
		{"super-frame", link.Meta{Flags: csum, GSO: link.GSOTCPv4, HdrLen: 54, SegSize: 1448, CsumStart: 34, CsumOff: 16}, 9000,
			link.Meta{Flags: csum, GSO: link.GSOTCPv4, HdrLen: 54, SegSize: 1448, CsumStart: 34, CsumOff: 16}, true},
		{"super-frame with ECN", link.Meta{GSO: link.GSOTCPv6 | link.GSOECN, HdrLen: 74, SegSize: 1}, 9000,
			link.Meta{GSO: link.GSOTCPv6 | link.GSOECN, HdrLen: 74, SegSize: 1}, true},
		{"header longer than the frame", link.Meta{GSO: link.GSOUDPL4, HdrLen: 65535, SegSize: 10}, 100,
			link.Meta{GSO: link.GSOUDPL4, HdrLen: 100, SegSize: 10}, true},
		{"segments of no size", link.Meta{GSO: link.GSOTCPv4, HdrLen: 54}, 1500, link.Meta{}, true},
		{"fragments, never asked for", link.Meta{GSO: 3, SegSize: 10}, 1500, link.Meta{}, false},
		{"unknown type", link.Meta{GSO: 0x7f, SegSize: 10}, 1500, link.Meta{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b [vnetHdrLen]byte
			putVnetHdr(b[:], &c.in)
			var got link.Meta
			ok := readVnetHdr(&got, b[:], c.n)
			if ok != c.ok || ok && got != c.want {
				t.Errorf("got %+v, %v; want %+v, %v", got, ok, c.want, c.ok)
			}
		})
	}
}

func FuzzReadVnetHdr(f *testing.F) {
	f.Add([]byte{1, 1, 54, 0, 168, 5, 34, 0, 16, 0}, 1500)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		if len(b) < vnetHdrLen || n < etherLen || n > link.MaxFrame {
			return
		}
		var m link.Meta
		if !readVnetHdr(&m, b, n) {
			return
		}
		if m.Flags&link.NeedsCsum != 0 && int(m.CsumStart)+int(m.CsumOff)+2 > n || int(m.HdrLen) > n || m.GSO != 0 && m.SegSize == 0 {
			t.Errorf("%x in a frame of %d bytes: %+v", b, n, m)
		}
	})
}

// TestBadFrames sends what no kernel would: it is counted, and costs no other frame.
func TestBadFrames(t *testing.T) {
	d, p := newPair(t, Features{VnetHdr: vnetHdrLen, Offload: allOffloads})
	must(t, p.Send(plain(60, 1), link.Meta{}))
	must(t, p.Send(plain(14, 1)[:13], link.Meta{}))
	must(t, p.Send(plain(60, 1), link.Meta{Flags: link.NeedsCsum, CsumStart: 60}))
	must(t, p.Send(make([]byte, link.MaxFrame+1), link.Meta{}))
	must(t, p.Send(make([]byte, link.MaxFrame+1000), link.Meta{}))
	_, err := unix.Write(p.fd, make([]byte, 3))
	must(t, err)
	must(t, p.Send(plain(60, 2), link.Meta{}))
	var got []byte
	dst := make([]link.Frame, 8)
	for range 8 {
		n, err := d.Recv(dst)
		must(t, err)
		for _, f := range dst[:n] {
			got = append(got, f.B[20])
		}
	}
	if !bytes.Equal(got, []byte{1, 2}) || d.Stats.RxBad != 3 || d.Stats.RxTooLong != 2 {
		t.Errorf("got %v, %+v; want frames 1 and 2, 3 bad and 2 too long", got, d.Stats)
	}
}

// TestNoHeader sends a frame that needs a header on a link that has none.
func TestNoHeader(t *testing.T) {
	d, _ := newPair(t, Features{})
	s := make([]link.Slot, 1)
	d.Reserve(s, 0)
	s[0].Head = s[0].Head[:copy(s[0].Head, plain(60, 1))]
	s[0].Meta = link.Meta{Flags: link.NeedsCsum, CsumStart: 34, CsumOff: 16}
	if n, err := d.Send(s); n != 1 || err != nil || d.Stats.TxRefused != 1 {
		t.Errorf("Send = %d, %v, %d refused", n, err, d.Stats.TxRefused)
	}
}
