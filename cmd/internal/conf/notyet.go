package conf

// What the option table promises and the program can't do yet is here, and only here: to
// support something, take it out of this file.

import (
	"passt/nat/portspec"
)

// Notice is about an option that is not supported yet.
type Notice struct {
	Text  string // one line, without the program's name
	Fatal bool   // there is no sense in going on without it
}

var notYetHelp = [...]string{
	ModePasst: "Not supported in this version: the port specification auto is read and has no effect.",
	ModePasta: "",
}

// NotYet returns what o asks for and is not supported yet, and takes out of o what can be
// ignored, so that no later step comes across it. Call it once, after Parse.
func (o *Options) NotYet() []Notice {
	ns := o.refused()
	ignore := func(option string) {
		ns = append(ns, Notice{Text: option + " is not supported yet; ignored"})
	}
	for _, p := range []struct {
		option string
		spec   *portspec.Spec
	}{{"--tcp-ports", &o.TCPPorts}, {"--udp-ports", &o.UDPPorts}} {
		if o.Mode == ModePasst && dropAuto(p.spec) {
			ignore(p.option + " auto")
		}
	}
	return ns
}

// refused returns notices of what can't be ignored.
func (o *Options) refused() (ns []Notice) {
	for _, r := range []struct {
		given bool
		what  string
	}{
		{o.PrintCaps, "--print-capabilities is not supported yet"},
		{o.VhostUser, "--vhost-user is not supported yet"},
		{o.RepairPath != "" && o.RepairPath != "none", "--repair-path is not supported yet"},
	} {
		if r.given {
			ns = append(ns, Notice{Text: r.what, Fatal: true})
		}
	}
	return ns
}

// dropAuto takes the rules of "auto" out of s, and says whether there were any.
func dropAuto(s *portspec.Spec) bool {
	var keep []portspec.Rule
	for _, r := range s.Rules {
		if !r.Auto {
			keep = append(keep, r)
		}
	}
	dropped := len(keep) < len(s.Rules)
	s.Rules, s.Auto = keep, false
	return dropped
}
