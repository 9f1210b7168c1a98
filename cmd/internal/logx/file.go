package logx

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"
)

// A log file of limited size. When a line would make it too large, its newest three quarters
// are copied to its beginning, from the start of a line on, and the rest is cut off: the file
// stays the same one, since in the sandbox none can be created, renamed or removed, and no
// line is cut. A log at its limit costs three bytes of copying for each byte of new lines.
//
// The size is asked for before each line and not kept, so several processes may have the
// file open one after the other, and an administrator may empty it.

// OpenFile opens the log file path, which it makes if there is none, for NewFile. It is
// closed on exec.
func OpenFile(path string) (fd int, err error) {
	// Not O_APPEND: that would send to the end what is to be copied to the beginning.
	fd, err = unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC|unix.O_NOCTTY|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		unix.Close(fd)
		return -1, fmt.Errorf("not a regular file, whose size could be limited")
	}
	return fd, nil
}

// NewFile returns a writer of lines to fd, which never makes the file larger than limit
// bytes. Each Write must be one whole line. A line longer than all of the limit loses its
// end.
func NewFile(fd int, limit int64) io.Writer { return &file{fd, limit} }

type file struct {
	fd    int
	limit int64
}

// Write implements io.Writer.
func (f *file) Write(line []byte) (int, error) {
	n := len(line)
	if int64(n) > f.limit {
		line = append(line[:f.limit-1:f.limit-1], '\n')
	}
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return 0, err
	}
	size := st.Size
	if size+int64(len(line)) > f.limit {
		var err error
		keep := min(f.limit*3/4, f.limit-int64(len(line)))
		if size, err = f.shrink(size, keep); err != nil {
			return 0, err
		}
	}
	return n, f.writeAt(line, size)
}

// shrink drops the oldest lines so that at most keep of the file's size bytes stay, and
// returns the new size.
func (f *file) shrink(size, keep int64) (int64, error) {
	var buf [32 << 10]byte
	to, started := int64(0), false
	// One byte more, since a line may begin exactly where we start.
	for from := max(0, size-keep-1); from < size; {
		n, err := unix.Pread(f.fd, buf[:], from)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return size, err
		}
		if n == 0 {
			break
		}
		from += int64(n)
		b := buf[:n]
		if !started {
			i := bytes.IndexByte(b, '\n')
			if i < 0 {
				continue
			}
			b, started = b[i+1:], true
		}
		if err := f.writeAt(b, to); err != nil {
			return size, err
		}
		to += int64(len(b))
	}
	return to, unix.Ftruncate(f.fd, to)
}

func (f *file) writeAt(b []byte, off int64) error {
	for len(b) > 0 {
		n, err := unix.Pwrite(f.fd, b, off)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		b, off = b[n:], off+int64(n)
	}
	return nil
}

// FileHead is the Config.Head for a log file: date and time, and how bad it is.
func FileHead(b []byte, t time.Time, l slog.Level) []byte {
	b = t.AppendFormat(b, "2006-01-02T15:04:05.000Z07:00")
	switch {
	case l >= slog.LevelError:
		b = append(b, " error:"...)
	case l >= slog.LevelWarn:
		b = append(b, " warning:"...)
	}
	return append(b, ' ')
}
