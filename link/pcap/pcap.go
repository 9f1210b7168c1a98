package pcap

// The capture file format (draft-ietf-opsawg-pcap), with nanoseconds.

import (
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"passt/link"
)

// snapLen is the longest frame that a reader has to expect, in bytes: the value that capture
// tools use for "whole frames".
const snapLen = 262144

const (
	recordHeader = 16
	bufferSize   = 512 << 10
)

// WriteHeader begins a capture file.
func WriteHeader(w io.Writer) error {
	if err := pcapgo.NewWriterNanos(w).WriteFileHeader(snapLen, layers.LinkTypeEthernet); err != nil {
		return fmt.Errorf("writing capture: %w", err)
	}
	return nil
}

// Dev is a device whose frames are captured. Like the device below, it belongs to one thread.
type Dev struct {
	link.Device
	w      io.Writer // nil once it failed
	now    func() time.Time
	failed func(error)
	buf    buffer
	rec    *pcapgo.Writer
	frame  []byte // the copy whose checksum is completed
}

var _ link.Device = (*Dev)(nil)

// New captures the frames of dev to w, which must have a header already (WriteHeader). Each
// write is a number of whole records, so devices on several threads can share a file. now is
// the time of day. If a write fails, the capture is over, but not the traffic: the error is
// told once, as Flush's result or to failed. Closing w is left to the caller, after Close.
func New(dev link.Device, w io.Writer, now func() time.Time, failed func(error)) *Dev {
	d := &Dev{Device: dev, w: w, now: now, failed: failed, frame: make([]byte, 0, link.MaxFrame)}
	d.buf.b = make([]byte, 0, bufferSize)
	d.rec = pcapgo.NewWriterNanos(&d.buf)
	return d
}

// Recv implements link.Device.
func (d *Dev) Recv(dst []link.Frame) (int, error) {
	n, err := d.Device.Recv(dst)
	if n == 0 || d.w == nil {
		return n, err
	}
	t := d.now()
	for i := range dst[:n] {
		d.frame = append(d.frame[:0], dst[i].B...)
		d.makeRoom()
		d.record(t, &dst[i].Meta)
	}
	return n, err
}

// Send implements link.Device. The memory of a slot is the device's again once it is sent,
// so frames are captured before, as many at a time as the buffer has room for, and the records
// of frames that the link did not take are removed.
func (d *Dev) Send(s []link.Slot) (int, error) {
	if d.w == nil {
		return d.Device.Send(s)
	}
	t := d.now()
	for done := 0; ; {
		d.makeRoom()
		first := done
		var ends [64]int // of the records in the buffer
		begin := len(d.buf.b)
		for done < len(s) && done-first < len(ends) && d.buf.room() {
			d.assemble(&s[done])
			d.record(t, &s[done].Meta)
			ends[done-first] = len(d.buf.b)
			done++
		}
		n, err := d.Device.Send(s[first:done])
		if n < done-first {
			if n > 0 {
				begin = ends[n-1]
			}
			d.buf.b = d.buf.b[:begin]
			return first + n, err
		}
		if err != nil || done == len(s) {
			return done, err
		}
	}
}

// Flush writes what is still in memory. An error ends the capture, with a whole record where
// that can be done, and is not repeated.
func (d *Dev) Flush() error {
	if d.w == nil || len(d.buf.b) == 0 {
		return nil
	}
	n, err := d.w.Write(d.buf.b)
	if err != nil {
		if f, ok := d.w.(shortener); ok {
			shorten(f, n-wholeRecords(d.buf.b[:n]))
		}
		d.w = nil
	}
	d.buf.b = d.buf.b[:0]
	if err != nil {
		return fmt.Errorf("writing capture, which ends here: %w", err)
	}
	return nil
}

// shortener is a file of which the end can be taken off; *os.File is one.
type shortener interface {
	Stat() (fs.FileInfo, error)
	Truncate(size int64) error
}

// shorten takes the last n bytes off f, if it can: a pipe has no size, and stays as it is.
func shorten(f shortener, n int) {
	if fi, err := f.Stat(); err == nil {
		_ = f.Truncate(fi.Size() - int64(n)) // best effort, after another failure
	}
}

// wholeRecords is how many bytes at the beginning of b, which begins with a record, are whole
// records.
func wholeRecords(b []byte) (n int) {
	for len(b)-n >= recordHeader {
		end := n + recordHeader + int(binary.LittleEndian.Uint32(b[n+8:]))
		if end > len(b) {
			break
		}
		n = end
	}
	return n
}

// Close implements link.Device.
func (d *Dev) Close() error {
	d.flush()
	return d.Device.Close()
}

// flush is Flush where nobody takes a result.
func (d *Dev) flush() {
	if err := d.Flush(); err != nil {
		d.failed(err)
	}
}

// makeRoom sees to it that the longest frame fits into the buffer.
func (d *Dev) makeRoom() {
	if !d.buf.room() {
		d.flush()
	}
}

// assemble makes d.frame the frame in s.
func (d *Dev) assemble(s *link.Slot) {
	d.frame = append(d.frame[:0], s.Head...)
	left := s.Len
	for _, p := range s.Body {
		n := min(left, len(p))
		d.frame = append(d.frame, p[:n]...)
		left -= n
	}
}

// record appends d.frame to the buffer.
func (d *Dev) record(t time.Time, m *link.Meta) {
	complete(d.frame, m)
	ci := gopacket.CaptureInfo{Timestamp: t, CaptureLength: len(d.frame), Length: len(d.frame)}
	if err := d.rec.WritePacket(ci, d.frame); err != nil {
		panic(err) // the buffer takes everything, and the lengths are equal
	}
}

// udpCsumOff is where UDP has its checksum; no other protocol has it there.
const udpCsumOff = 6

// complete fills in the checksum that m leaves to the link.
func complete(b []byte, m *link.Meta) {
	start, at := int(m.CsumStart), int(m.CsumStart)+int(m.CsumOff)
	if m.Flags&link.NeedsCsum == 0 || at+2 > len(b) {
		return
	}
	var s uint64
	p := b[start:]
	for ; len(p) >= 4; p = p[4:] {
		s += uint64(binary.BigEndian.Uint32(p))
	}
	if len(p) >= 2 {
		s += uint64(binary.BigEndian.Uint16(p))
		p = p[2:]
	}
	if len(p) == 1 {
		s += uint64(p[0]) << 8
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	c := ^uint16(s)
	if c == 0 && m.CsumOff == udpCsumOff {
		c = 0xffff // 0 would say that there is none (RFC 768)
	}
	binary.BigEndian.PutUint16(b[at:], c)
}

// buffer collects records. Its capacity is never exceeded, because room is asked for first.
type buffer struct{ b []byte }

func (b *buffer) Write(p []byte) (int, error) {
	b.b = append(b.b, p...)
	return len(p), nil
}

// room says whether a record of the longest frame fits.
func (b *buffer) room() bool { return cap(b.b)-len(b.b) >= recordHeader+link.MaxFrame }
