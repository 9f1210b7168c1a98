package logx

import (
	"io"
	"log/slog"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// The system's log: a datagram for each line, to the UNIX socket that every syslog daemon
// has (RFC 3164, section 4.1, as syslog(3) and its readers have it: without a host name).

// devLog is where syslog daemons listen.
const devLog = "/dev/log"

// OpenSyslog connects to the system's log, for NewSyslog. The socket is closed on exec.
func OpenSyslog() (fd int, err error) { return openSyslog(devLog) }

func openSyslog(path string) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// NewSyslog returns a writer of lines to fd. A daemon that does not keep up or is gone costs
// lines, and never makes anybody wait.
func NewSyslog(fd int) io.Writer { return syslogWriter(fd) }

type syslogWriter int

// Write implements io.Writer.
func (w syslogWriter) Write(line []byte) (int, error) {
	b := line
	if n := len(b); n > 0 && b[n-1] == '\n' {
		b = b[:n-1]
	}
	err := unix.Sendto(int(w), b, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
	return len(line), err
}

// Facility and severities (RFC 3164, section 4.1.1).
const (
	facilityDaemon = 3 << 3

	severityError   = 3
	severityWarning = 4
	severityInfo    = 6
	severityDebug   = 7
)

// SyslogHead makes the Config.Head for the system's log: name is the program's, pid its
// number as the system's administrator sees it.
func SyslogHead(name string, pid int) func([]byte, time.Time, slog.Level) []byte {
	tag := " " + name + "[" + strconv.Itoa(pid) + "]: "
	return func(b []byte, t time.Time, l slog.Level) []byte {
		severity := severityDebug
		switch {
		case l >= slog.LevelError:
			severity = severityError
		case l >= slog.LevelWarn:
			severity = severityWarning
		case l >= slog.LevelInfo:
			severity = severityInfo
		}
		b = append(b, '<')
		b = strconv.AppendInt(b, int64(facilityDaemon|severity), 10)
		b = append(b, '>')
		b = t.AppendFormat(b, time.Stamp)
		return append(b, tag...)
	}
}

// LoadZone reads the local time zone. It belongs before a sandbox without files; the
// package time would look for the zone at the first line.
func LoadZone() { _ = time.Now().Format(time.Stamp) }
