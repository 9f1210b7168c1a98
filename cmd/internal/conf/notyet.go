package conf

// What the option table promises and the program can't do yet is here, and only here: to
// support something, take it out of this file.

import (
	"fmt"

	"passt/nat/portspec"
)

// Notice is about an option that is not supported yet.
type Notice struct {
	Text  string // one line, without the program's name
	Fatal bool   // there is no sense in going on without it
}

var notYetHelp = [...]string{
	ModePasst: "This version runs no virtual machines yet: it reads all of these options, and then says so.",
	ModePasta: "Not supported yet in this version: joining an existing namespace (PID, --netns, --userns), --conf-path, " +
		"--runas and --splice-only are refused; -T, -U, the port specification auto, --host-lo-to-ns-lo, --log-file, " +
		"--stats and --chroot-fallback are read and have no effect. Ports left out will default to auto once there is that.",
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
	}{{"--tcp-ns", &o.TCPNsPorts}, {"--udp-ns", &o.UDPNsPorts}} {
		if len(p.spec.Rules) > 0 {
			ignore(fmt.Sprintf("%s %s", p.option, p.spec))
			*p.spec = portspec.Spec{}
		}
	}
	for _, p := range []struct {
		option string
		spec   *portspec.Spec
	}{{"--tcp-ports", &o.TCPPorts}, {"--udp-ports", &o.UDPPorts}} {
		if dropAuto(p.spec) {
			ignore(p.option + " auto")
		}
	}
	if o.HostLoToNsLo {
		ignore("--host-lo-to-ns-lo")
		o.HostLoToNsLo = false
	}
	if o.LogFile != "" {
		ignore("--log-file")
		o.LogFile = ""
	}
	if o.Stats != 0 {
		ignore("--stats")
		o.Stats = 0
	}
	if o.ChrootFallback {
		ignore("--chroot-fallback")
		o.ChrootFallback = false
	}
	return ns
}

// refused returns notices of what can't be ignored.
func (o *Options) refused() (ns []Notice) {
	for _, r := range []struct {
		given bool
		what  string
	}{
		{o.Mode == ModePasst, "passt for virtual machines is not supported yet; pasta, for namespaces, is"},
		{o.PrintCaps, "--print-capabilities is not supported yet"},
		{o.VhostUser, "--vhost-user is not supported yet"},
		{o.RepairPath != "" && o.RepairPath != "none", "--repair-path is not supported yet"},
		{o.PID != 0, fmt.Sprintf("joining the namespace of a process (PID %d) is not supported yet; give a command to run instead", o.PID)},
		{o.NetNS != "", "--netns is not supported yet; give a command to run in a new namespace instead"},
		{o.ConfPath != "", "--conf-path (-c) is not supported yet; leave it out, and give ports on the command line"},
		{o.RunAs != "", "--runas is not supported yet; start the program as that user"},
		{o.SpliceOnly, "--splice-only is not supported yet"},
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
