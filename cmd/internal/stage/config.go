package stage

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"passt/cmd/internal/conf"
	"passt/cmd/internal/hostinfo"
	"passt/cmd/internal/logx"
	"passt/cmd/internal/netns"
)

// config is what a later stage is told at its start. It is encoded by encoding/gob, which, other
// than JSON, leaves arguments and paths as they are that are no UTF-8.
type config struct {
	Options conf.Options
	Network hostinfo.Network
	Before  *hostinfo.Network // what the namespace to be updated has
	Command command
	Words   []string  // the user's command line, by which others find the process
	Start   time.Time // when the start stage began; origin of the log's times
	Pcap    int       // descriptor of the capture file; -1 if none
	Link    int       // descriptor that leads to virtual machines; -1 if none
	Guests  string    // path of the socket that virtual machines connect to; empty if none
	LogFile int       // descriptor of --log-file; -1 if none
	Syslog  int       // socket to the system's log; -1 if none
	Control int       // our own control socket; -1 if none
	Conf    int       // that of --conf-path; -1 if none
	Binds   bool      // the start stage may bind ports below 1024
	RunAs   identity  // in the translator, Change says that it has yet to change

	// For a namespace that exists; without any descriptors otherwise.
	Target netns.Target
	NS     int // the translator's socket to the namespace stage; -1 if it starts that itself
}

// newConfig returns a config without any descriptors.
func newConfig(o *conf.Options) config {
	return config{
		Options: *o, Words: os.Args[1:], Start: time.Now(), Pcap: -1, Link: -1, LogFile: -1, Syslog: -1, Control: -1, Conf: -1, Target: netns.NoTarget, NS: -1,
	}
}

// descriptors returns where c has its descriptors, in an order that never changes.
func (c *config) descriptors() []*int {
	return append([]*int{&c.Pcap, &c.Link, &c.LogFile, &c.Syslog, &c.Control, &c.Conf, &c.NS}, c.Target.Descriptors()...)
}

// background says whether the first process ends once all is ready.
func (c *config) background() bool {
	return !c.Options.Foreground && (c.Options.Mode == conf.ModePasst || c.Options.Joins())
}

const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// seal writes c to a memfd that nobody can change any more, and returns its descriptor,
// which is closed on exec.
func (c *config) seal() (fd int, err error) {
	var buf bytes.Buffer
	if err := gob.NewEncoder(&buf).Encode(c); err != nil {
		return -1, fmt.Errorf("encode the configuration: %w", err)
	}
	b := buf.Bytes()
	fd, err = unix.MemfdCreate("pasta-config", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return -1, fmt.Errorf("create a file in memory: %w", err)
	}
	for off := 0; off < len(b) && err == nil; {
		var n int
		n, err = unix.Pwrite(fd, b[off:], int64(off))
		off += n
	}
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("write the configuration: %w", err)
	}
	return fd, nil
}

// unseal reads what seal wrote. It refuses a file that somebody could still change.
func unseal(fd int) (*config, error) {
	if s, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0); err != nil || s&seals != seals {
		return nil, fmt.Errorf("descriptor %d is no sealed configuration", fd)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	b := make([]byte, st.Size)
	for off := 0; off < len(b); {
		n, err := unix.Pread(fd, b[off:], int64(off))
		if err != nil || n == 0 {
			return nil, fmt.Errorf("read the configuration: %w", err)
		}
		off += n
	}
	c := &config{}
	if err := gob.NewDecoder(bytes.NewReader(b)).Decode(c); err != nil {
		return nil, fmt.Errorf("decode the configuration: %w", err)
	}
	return c, nil
}

// logger makes the logger of a stage: to standard error, which nobody reads in the
// background, and to what else there is.
func (c *config) logger() *slog.Logger {
	o := &c.Options
	lc := logx.Config{Name: o.Mode.String(), Debug: o.Debug, Trace: o.Trace, Quiet: o.Quiet, Start: c.Start}
	stderr := logx.New(logx.Stderr, lc)
	var w io.Writer
	switch {
	case c.LogFile >= 0:
		w, lc.Head = logx.NewFile(c.LogFile, o.LogSize), logx.FileHead
	case c.Syslog >= 0:
		w, lc.Head = logx.NewSyslog(c.Syslog), logx.SyslogHead(lc.Name, hostPID())
	default:
		return stderr
	}
	logx.LoadZone()
	return slog.New(slog.NewMultiHandler(stderr.Handler(), logx.New(w, lc).Handler()))
}
