package stage

// The control sockets: the start stage makes them, while there is a file system and a user
// to make them for, and the translator serves them. The start stage removes them at the end.
// If it can't, being killed or another user by then, the next instance replaces or removes
// what is left.

import (
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"

	"passt/cmd/internal/conf"
	"passt/cmd/internal/control"
)

// controls is the start stage's part of the control sockets.
type controls struct{ own, conf hostSocket }

// openControls makes the sockets. Our own is no condition for the rest; that of --conf-path is.
func (s *starter) openControls() (err error) {
	path, fd, err := steps.control(unix.Getpid())
	if err != nil {
		s.log.Debug("no control socket, and so no passt ports and passt flows", "error", err)
	} else {
		s.controls.own, s.c.Control = ownSocket(path), fd
	}
	if o := &s.c.Options; o.ConfPath != "" {
		if s.controls.conf, s.c.Conf, err = listenAt(o.ConfPath); err != nil {
			return fmt.Errorf("--conf-path: %w", err)
		}
		o.ConfPath = s.controls.conf.path
	}
	return nil
}

// remove removes the sockets.
func (c *controls) remove() {
	c.own.remove()
	c.conf.remove()
}

// serveControls serves the control sockets of e for as long as the process lives.
func (t *translator) serveControls(e runner) error {
	inst, ok := e.(control.Instance)
	if !ok {
		return nil
	}
	s := control.NewServer(inst, t.c.identity(), t.log)
	if t.c.Control >= 0 {
		if err := s.Serve(t.c.Control); err != nil {
			t.log.Debug("no control socket, and so no passt ports and passt flows", "error", err)
		}
	}
	if t.c.Conf >= 0 {
		return s.ServeConf(t.c.Conf)
	}
	return nil
}

// identity is what the instance says of itself.
func (c *config) identity() control.Identity {
	o := &c.Options
	id := control.Identity{
		Mode: o.Mode.String(), Start: c.Start, Socket: c.Guests, Conf: o.ConfPath, NetNS: o.NetNS,
	}
	if o.Mode == conf.ModePasta && !c.Options.Joins() {
		id.Command = filepath.Base(c.Command.Path)
	}
	return id
}

// absolute is path as any other process knows it, if that can be told.
func absolute(path string) string {
	if path == "" {
		return ""
	}
	if a, err := filepath.Abs(path); err == nil {
		return a
	}
	return path
}
