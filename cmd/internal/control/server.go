package control

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"passt/l4/fwd"
)

// Limits of what clients may take.
const (
	patience    = 5 * time.Second // for a client that says nothing, or reads nothing
	maxRequest  = 256 << 10       // bytes of a request
	maxSessions = 16              // clients at once, of one socket
	retryAccept = 100 * time.Millisecond
)

// Server serves the clients of an instance.
type Server struct {
	inst Instance
	id   Identity
	log  *slog.Logger
	mu   sync.Mutex // held for a change, from looking at the rules to having new ones
}

// NewServer makes a Server of inst, which says of itself what id says.
func NewServer(inst Instance, id Identity, log *slog.Logger) *Server {
	return &Server{inst: inst, id: id, log: log}
}

// Serve serves clients of our own protocol that connect to the listening socket fd, which
// becomes the Server's. It returns at once.
func (s *Server) Serve(fd int) error { return s.listen(fd, s.serveJSON) }

// ServeConf serves existing clients, which --conf-path is for.
func (s *Server) ServeConf(fd int) error { return s.listen(fd, s.serveConf) }

func (s *Server) listen(fd int, serve func(net.Conn) error) error {
	f := os.NewFile(uintptr(fd), "control socket")
	l, err := net.FileListener(f) // has a duplicate
	f.Close()
	if err != nil {
		return fmt.Errorf("serve the control socket: %w", err)
	}
	go s.accept(l, serve)
	return nil
}

// accept serves whoever connects to l.
func (s *Server) accept(l net.Listener, serve func(net.Conn) error) {
	sessions := make(chan struct{}, maxSessions)
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no descriptors left, say
			time.Sleep(retryAccept)
			continue
		}
		select {
		case sessions <- struct{}{}:
		default:
			c.Close() // those that are there have a few seconds at most
			continue
		}
		go func() {
			defer func() { <-sessions }()
			defer c.Close()
			if err := serve(c); err != nil {
				s.log.Debug("control socket", "error", err)
			}
		}()
	}
}

// serveConf serves one existing client. It has the protocol's one exchange and no more time
// than for that.
func (s *Server) serveConf(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	can := s.inst.Can()
	ts := tablesOf(s.rules(), can)
	if _, err := c.Write(encodeTables(ts, can)); err != nil {
		return err
	}
	diff, err := readAnswer(bufio.NewReader(c), ts)
	if err != nil {
		return err
	}
	if len(diff.add)+len(diff.remove) == 0 {
		return nil
	}
	warnings, err := s.change(func(rules []fwd.Forward) ([]fwd.Forward, error) { return diff.apply(rules, can) })
	if err != nil {
		// The protocol has no way to tell the client.
		s.log.Warn("ports stay as they are", "error", err)
	}
	for _, w := range warnings {
		s.log.Warn(w)
	}
	return nil
}

// serveJSON serves one client of our own.
func (s *Server) serveJSON(c net.Conn) error {
	in := bufio.NewScanner(c)
	in.Buffer(nil, maxRequest)
	out := bufio.NewWriter(c)
	for {
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		if !in.Scan() {
			return in.Err()
		}
		var r Response
		var q Request
		wrong := json.Unmarshal(in.Bytes(), &q)
		if wrong != nil {
			r.Error = "this is no request: " + wrong.Error()
		} else {
			r = s.answer(&q)
		}
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		if err := json.NewEncoder(out).Encode(&r); err != nil {
			return err
		}
		if err := out.Flush(); err != nil || wrong != nil {
			return err
		}
	}
}

// answer does what q asks for.
func (s *Server) answer(q *Request) (r Response) {
	var edit func(rules, some []fwd.Forward) ([]fwd.Forward, error)
	switch q.Cmd {
	case CmdList:
		r.Instance, r.Ports = &s.id, ports(s.inst)
		return r
	case CmdFlows:
		r.Flows = s.inst.Flows()
		return r
	case CmdStats:
		r.Stats = s.inst.Counters()
		return r
	case CmdAdd:
		edit = add
	case CmdDelete:
		edit = remove
	default:
		r.Error = fmt.Sprintf("unknown command %q", q.Cmd)
		return r
	}
	some, err := q.forwards()
	if err == nil && q.Cmd == CmdAdd {
		err = s.inst.Can().check(some)
	}
	if err == nil {
		r.Warnings, err = s.change(func(rules []fwd.Forward) ([]fwd.Forward, error) { return edit(rules, some) })
	}
	if err != nil {
		return Response{Error: err.Error()}
	}
	r.Ports = ports(s.inst)
	return r
}

// rules are those that are in force.
func (s *Server) rules() (out []fwd.Forward) {
	s.inst.EachForward(func(f fwd.Forward, _ []fwd.Listener) { out = append(out, f) })
	return out
}

// change makes the rules that edit makes of those in force, or none.
func (s *Server) change(edit func([]fwd.Forward) ([]fwd.Forward, error)) (warnings []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next, err := edit(s.rules())
	if err != nil {
		return nil, err
	}
	if warnings, err = s.inst.Apply(next); err == nil {
		s.log.Debug("ports changed", "rules", len(next))
	}
	return warnings, err
}
