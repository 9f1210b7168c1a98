package stage

import (
	"encoding/json"
	"fmt"
	"io"
	"net"

	"golang.org/x/sys/unix"

	"passt/cmd/internal/hostinfo"
	"passt/cmd/internal/netns"
	"passt/link/tap"
)

// kind says what a message means.
type kind string

const (
	kindConfigured kind = "configured" // namespace → translator: the namespace is set up; the tap's queues and the network namespace come with it
	kindGo         kind = "go"         // start → translator → namespace: become the command
	kindFailed     kind = "failed"     // upwards: it did not work; Text says why, Code is the exit status
	kindConnected  kind = "connected"  // translator → start: the command may run, once start says go
	kindReady      kind = "ready"      // upwards: all is connected, and the command runs; with --config-net, the network namespace comes with it
	kindDetach     kind = "detach"     // start → translator: let go of standard error, in the background
	kindNetwork    kind = "network"    // start → translator: Network is what the guest gets from now on; Text says it for the log
	kindBind       kind = "bind"       // translator → start: bind the socket that comes with it to Name
	kindBound      kind = "bound"      // start → translator: the answer to bind; Code is an error number, 0 if it is bound
	kindNote       kind = "note"       // start → translator: Warnings are for the log
	kindExit       kind = "exit"       // translator → start: the command is gone; Code is the exit status
)

// message is what stages tell each other, one in each packet of a SOCK_SEQPACKET pair. A
// stage that is gone is an end of file; the start stage asks the translator to stop by
// shutting down its side.
type message struct {
	Kind     kind
	Text     string            `json:",omitempty"`
	Code     int               `json:",omitempty"`
	PID      int               `json:",omitempty"` // the command's, in the PID namespace of the host's /proc
	IfName   string            `json:",omitempty"` // the interface's name in the namespace
	MAC      net.HardwareAddr  `json:",omitempty"` // and its hardware address
	Features tap.Features      `json:",omitzero"`
	Warnings []string          `json:",omitempty"`
	Network  *hostinfo.Network `json:",omitempty"`
	Name     []byte            `json:",omitempty"` // an address as bind(2) has it
	Taps     int               `json:",omitempty"` // descriptors of the tap; that of the network namespace follows
	Watch    *netns.Watch      `json:",omitempty"` // of the namespace, if it could not be opened before; its descriptors follow
}

func failed(code int, err error) message {
	return message{Kind: kindFailed, Text: err.Error(), Code: code}
}

// pair makes the two ends of a connection between stages.
func pair() (ours, theirs int, err error) {
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, -1, fmt.Errorf("create a socket pair: %w", err)
	}
	return p[0], p[1], nil
}

// send sends m and duplicates of fds.
func send(sock int, m message, fds ...int) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	return unix.Sendmsg(sock, b, oob, nil, unix.MSG_NOSIGNAL)
}

// maxPassed is the most descriptors in one message, as the kernel has it (SCM_MAX_FD).
const maxPassed = 253

// recv waits for a message; io.EOF says that the other side is gone. The descriptors
// belong to the caller.
func recv(sock int) (m message, fds []int, err error) {
	var n int
	for {
		// The length first, since a list of warnings has no limit.
		n, _, err = unix.Recvfrom(sock, nil, unix.MSG_PEEK|unix.MSG_TRUNC)
		if err != unix.EINTR {
			break
		}
	}
	if err == unix.ECONNRESET || err == nil && n == 0 {
		return m, nil, io.EOF
	}
	if err != nil {
		return m, nil, err
	}
	b, oob := make([]byte, n), make([]byte, unix.CmsgSpace(4*maxPassed))
	n, oobn, _, _, err := unix.Recvmsg(sock, b, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return m, nil, err
	}
	cmsgs, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return m, nil, err
	}
	for i := range cmsgs {
		if f, err := unix.ParseUnixRights(&cmsgs[i]); err == nil {
			fds = append(fds, f...)
		}
	}
	return m, fds, json.Unmarshal(b[:n], &m)
}
