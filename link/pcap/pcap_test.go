package pcap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gopacket/gopacket/pcapgo"

	"passt/link"
	"passt/link/linktest"
	"passt/link/mem"
)

var caps = link.Caps{Batch: 64, Body: 65535, Offload: link.OffloadCsum | link.OffloadTSO4 | link.OffloadTSO6 | link.OffloadUSO4 | link.OffloadUSO6}

func clock() time.Time { return time.Unix(1_700_000_000, 123456789) }

// file is a capture in memory.
type file struct {
	bytes.Buffer
	fail error
}

func (f *file) Write(b []byte) (int, error) {
	if f.fail != nil {
		return 0, f.fail
	}
	return f.Buffer.Write(b)
}

// open makes a captured link in memory.
func open(t *testing.T) (*Dev, *mem.Dev, *file) {
	f := new(file)
	if err := WriteHeader(f); err != nil {
		t.Fatal(err)
	}
	m := mem.New(caps)
	return New(m, f, clock, func(err error) { t.Error(err) }), m, f
}

func TestLink(t *testing.T) {
	captured := func(t *testing.T) (link.Device, linktest.Peer) {
		d, m, f := open(t)
		f.Grow(1 << 20)
		m.SetLimit(200)
		return d, m.Peer()
	}
	linktest.Run(t, captured)
	linktest.Allocs(t, captured)
}

// records reads a capture back.
func records(t *testing.T, f *file) (frames [][]byte) {
	t.Helper()
	r, err := pcapgo.NewReader(bytes.NewReader(f.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if r.Snaplen() != snapLen {
		t.Errorf("snaplen %d", r.Snaplen())
	}
	for {
		b, ci, err := r.ReadPacketData()
		if err != nil {
			return frames
		}
		if !ci.Timestamp.Equal(clock()) || ci.Length != len(b) {
			t.Errorf("record %d: %+v", len(frames), ci)
		}
		frames = append(frames, bytes.Clone(b))
	}
}

// send sends frames of these lengths, filled with their index from first, and returns how
// many went.
func send(t *testing.T, d link.Device, first int, lengths ...int) int {
	t.Helper()
	s := make([]link.Slot, len(lengths))
	if n := d.Reserve(s, 65535-14); n != len(s) {
		t.Fatalf("Reserve = %d", n)
	}
	for i, n := range lengths {
		s[i].Head = s[i].Head[:14]
		s[i].Len = n - 14
		for j := range s[i].Head {
			s[i].Head[j] = byte(first + i)
		}
		for j := range s[i].Len {
			s[i].Body[0][j] = byte(first + i)
		}
	}
	n, err := d.Send(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestShortSend(t *testing.T) {
	d, m, f := open(t)
	m.SetLimit(5)
	if n := send(t, d, 0, 100, 14, 65535, 100); n != 4 {
		t.Fatalf("Send = %d", n)
	}
	if n := send(t, d, 4, 100, 200, 300); n != 1 {
		t.Fatalf("Send = %d, want 1", n)
	}
	if n := send(t, d, 5, 60); n != 0 {
		t.Fatalf("Send = %d, want 0", n)
	}
	m.Take()
	if n := send(t, d, 5, 60); n != 1 {
		t.Fatalf("Send = %d", n)
	}
	d.Flush()
	got := records(t, f)
	want := []int{100, 14, 65535, 100, 100, 60}
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i, b := range got {
		if len(b) != want[i] || b[0] != byte(i) || b[len(b)-1] != byte(i) {
			t.Errorf("record %d: %d bytes of %d, want %d", i, len(b), b[0], want[i])
		}
	}
}

// TestBig sends more than the buffer holds in one call.
func TestBig(t *testing.T) {
	d, m, f := open(t)
	lengths := make([]int, 40)
	for i := range lengths {
		lengths[i] = 65535
	}
	m.SetLimit(35)
	if n := send(t, d, 0, lengths...); n != 35 {
		t.Fatalf("Send = %d", n)
	}
	d.Close()
	got := records(t, f)
	if len(got) != 35 {
		t.Fatalf("%d records", len(got))
	}
	for i, b := range got {
		if len(b) != 65535 || b[0] != byte(i) {
			t.Errorf("record %d: %d bytes of %d", i, len(b), b[0])
		}
	}
}

func TestWriteError(t *testing.T) {
	t.Run("at Flush", func(t *testing.T) { writeError(t, true) })
	t.Run("on the way", func(t *testing.T) { writeError(t, false) })
}

func writeError(t *testing.T, useFlush bool) {
	d, m, f := open(t)
	var errs []error
	d.failed = func(err error) { errs = append(errs, err) }
	full := errors.New("no space left on device")
	f.fail = full
	for range 30 {
		send(t, d, 0, 65535)
		m.Inject(make([]byte, 65535), link.Meta{})
		if n, err := d.Recv(make([]link.Frame, 4)); n != 1 || err != nil {
			t.Fatalf("Recv = %d, %v", n, err)
		}
		if useFlush {
			if err := d.Flush(); err != nil {
				errs = append(errs, err)
			}
		}
	}
	if len(m.Take()) != 30 {
		t.Error("the traffic suffered")
	}
	if len(errs) != 1 || !errors.Is(errs[0], full) {
		t.Errorf("reported: %v; want one error", errs)
	}
	f.fail = nil
	if got := records(t, f); len(got) != 0 {
		t.Errorf("%d records after the failure", len(got))
	}
}

// disk is a file on a disk with so much room left.
type disk struct {
	*os.File
	room int
}

func (d *disk) Write(b []byte) (int, error) {
	if n := min(len(b), d.room); n < len(b) {
		d.room = 0
		n, err := d.File.Write(b[:n])
		return n, errors.Join(err, syscall.ENOSPC)
	}
	d.room -= len(b)
	return d.File.Write(b)
}

// TestDiskFull: a capture that could not go on ends with a whole record.
func TestDiskFull(t *testing.T) {
	const header, record = 24, recordHeader + 100
	for _, tt := range []struct {
		name string
		room int // for records
		want int // of them
	}{
		{"no room", 0, 0},
		{"half a header", 8, 0},
		{"a header alone", recordHeader, 0},
		{"all but a byte", record - 1, 0},
		{"one", record, 1},
		{"one and a header", record + recordHeader, 1},
		{"two and a half", 5 * record / 2, 2},
		{"a flush and a half of the next", 9 * record / 2, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := os.Create(filepath.Join(t.TempDir(), "capture.pcap"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			w := &disk{f, header + tt.room}
			if err := WriteHeader(w); err != nil {
				t.Fatal(err)
			}
			d := New(mem.New(caps), w, clock, func(err error) { t.Error(err) })
			var failure error
			for range 2 {
				send(t, d, 0, 100, 100, 100)
				failure = errors.Join(failure, d.Flush())
			}
			if !errors.Is(failure, syscall.ENOSPC) {
				t.Errorf("told %v", failure)
			}
			b, err := os.ReadFile(f.Name())
			if err != nil {
				t.Fatal(err)
			}
			if got := len(b) - header; got != tt.want*record {
				t.Errorf("%d bytes of records, want %d of %d", got, tt.want, record)
			}
		})
	}
	t.Run("a pipe stays as it is", func(t *testing.T) {
		r, p, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		defer p.Close()
		d := New(mem.New(caps), &disk{p, 10}, clock, func(err error) { t.Error(err) })
		send(t, d, 0, 100)
		if err := d.Flush(); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("told %v", err)
		}
	})
}

// TestComplete checks completed checksums by the rule that a receiver uses.
func TestComplete(t *testing.T) {
	for _, c := range []struct {
		name    string
		n       int
		csumOff uint16
	}{
		{"even", 64, 16}, {"odd", 65, 16}, {"of 4", 63, 16}, {"nothing behind", 18, 16}, {"UDP", 64, 6}, {"long", 65535 - 34, 16},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := make([]byte, 34+c.n)
			for i := range b {
				b[i] = byte(i * 7)
			}
			field := b[34+int(c.csumOff):]
			binary.BigEndian.PutUint16(field, 0x1234) // what the pseudo-header sums up to
			complete(b, &link.Meta{Flags: link.NeedsCsum, CsumStart: 34, CsumOff: c.csumOff})
			s := uint32(0x1234)
			for i := 34; i < len(b); i += 2 {
				s += uint32(b[i]) << 8
				if i+1 < len(b) {
					s += uint32(b[i+1])
				}
				s = s>>16 + s&0xffff
			}
			if s != 0xffff {
				t.Errorf("sum with the checksum is %#x, want 0xffff", s)
			}
		})
	}
	b := make([]byte, 50)
	binary.BigEndian.PutUint16(b[40:], 0xffff)
	complete(b, &link.Meta{Flags: link.NeedsCsum, CsumStart: 34, CsumOff: 6})
	if binary.BigEndian.Uint16(b[40:]) != 0xffff {
		t.Error("a UDP checksum of 0 was written, which says that there is none")
	}
	before := bytes.Clone(b)
	complete(b, &link.Meta{CsumStart: 34, CsumOff: 6})
	complete(b, &link.Meta{Flags: link.NeedsCsum, CsumStart: 49, CsumOff: 6})
	if !bytes.Equal(b, before) {
		t.Error("a frame that needs nothing was changed")
	}
}

// TestOriginalKept makes sure that only the copy is completed.
func TestOriginalKept(t *testing.T) {
	d, m, _ := open(t)
	m.Inject(make([]byte, 60), link.Meta{Flags: link.NeedsCsum, CsumStart: 34, CsumOff: 16})
	dst := make([]link.Frame, 1)
	d.Recv(dst)
	if binary.BigEndian.Uint16(dst[0].B[50:]) != 0 {
		t.Error("the frame itself was changed")
	}
}

func TestAllocs(t *testing.T) {
	d, m, f := open(t)
	f.Grow(1 << 24)
	dst, s, b := make([]link.Frame, 8), make([]link.Slot, 8), make([]byte, 1000)
	run := func() {
		for range 8 {
			m.Inject(b, link.Meta{})
		}
		d.Recv(dst)
		d.Reserve(s, 900)
		for i := range s {
			s[i].Head, s[i].Len = s[i].Head[:54], 900
		}
		d.Send(s)
		m.Take()
		d.Flush()
	}
	run()
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestTshark has tshark check a capture of a super-frame whose checksum was left to the link.
func TestTshark(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("no tshark")
	}
	d, m, f := open(t)
	// TCP, 192.0.2.1:12345 to 192.0.2.2:80, 50000 bytes in segments of 1448.
	h := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0,
		0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
		0x30, 0x39, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0}
	const n = 50000
	binary.BigEndian.PutUint16(h[16:], 40+n)
	meta := link.Meta{Flags: link.NeedsCsum, CsumStart: 14, CsumOff: 10}
	complete(h[:34], &meta) // the IP header's own
	meta = link.Meta{Flags: link.NeedsCsum, GSO: link.GSOTCPv4, SegSize: 1448, HdrLen: 54, CsumStart: 34, CsumOff: 16}
	pseudo := uint32(192<<8 + 2<<8 + 1 + 192<<8 + 2<<8 + 2 + 6 + 20 + n)
	binary.BigEndian.PutUint16(h[50:], uint16(pseudo>>16+pseudo&0xffff))
	m.Inject(append(h, bytes.Repeat([]byte{'x'}, n)...), meta)
	d.Recv(make([]link.Frame, 1))
	d.Close()
	path := filepath.Join(t.TempDir(), "capture.pcap")
	if err := os.WriteFile(path, f.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tshark, "-r", path, "-o", "tcp.check_checksum:TRUE", "-T", "fields",
		"-e", "frame.len", "-e", "tcp.len", "-e", "tcp.checksum.status").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "50054\t50000\t1") {
		t.Errorf("tshark: %v\n%s", err, out)
	}
}
