package control

// Our own protocol: a client sends requests and gets a response to each, in turn. Each is
// one JSON object on a line. A request that can't be read is answered with the reason, unless
// it is too long, and is the last one of its client.

import (
	"passt/l3"
	"passt/l4/fwd"
	"passt/nat/portspec"
)

// Commands of a Request.
const (
	CmdList   = "list"   // the ports that are forwarded
	CmdAdd    = "add"    // forward more ports
	CmdDelete = "delete" // no longer forward some
	CmdFlows  = "flows"
	CmdStats  = "stats"
)

// Request is what a client asks for. The port specifications are for CmdAdd and CmdDelete,
// which take effect as a whole or not at all.
type Request struct {
	Cmd    string   `json:"cmd"`
	TCP    []string `json:"tcp,omitempty"` // of the host, into the guest, as with --tcp-ports
	UDP    []string `json:"udp,omitempty"`
	TCPOut []string `json:"tcp_out,omitempty"` // of the namespace, out to the host, as with --tcp-ns
	UDPOut []string `json:"udp_out,omitempty"`
}

// Response is the answer to a Request: Error says why it was refused, empty if it was not.
type Response struct {
	Error    string    `json:"error,omitempty"`
	Warnings []string  `json:"warnings,omitempty"`
	Instance *Identity `json:"instance,omitempty"`
	Ports    []Port    `json:"ports,omitempty"` // of CmdList, and the new ones of CmdAdd and CmdDelete
	Flows    []Flow    `json:"flows,omitempty"`
	Stats    []Counter `json:"stats,omitempty"`
}

// Port is a rule that is in force.
type Port struct {
	Protocol string   `json:"protocol"`          // "tcp" or "udp"
	Out      bool     `json:"out"`               // from the namespace to the host
	Rule     string   `json:"rule"`              // as a port specification
	Bound    []string `json:"bound"`             // ports that are bound now, as ranges
	Sockets  int      `json:"sockets"`           // how many sockets that takes
	Implied  bool     `json:"implied,omitempty"` // made up from the TCP ports, as far as they are free
}

// forwards reads the port specifications of r.
func (r *Request) forwards() (out []fwd.Forward, err error) {
	for _, l := range []struct {
		option string
		specs  []string
		dir    fwd.Direction
		proto  uint8
	}{
		{"tcp", r.TCP, fwd.In, l3.ProtoTCP}, {"udp", r.UDP, fwd.In, l3.ProtoUDP},
		{"tcp_out", r.TCPOut, fwd.Out, l3.ProtoTCP}, {"udp_out", r.UDPOut, fwd.Out, l3.ProtoUDP},
	} {
		var all portspec.Spec
		for _, s := range l.specs {
			spec, err := portspec.Parse(s)
			if err == nil && spec.None {
				err = errNone
			}
			if err == nil {
				all, err = all.Merge(spec)
			}
			if err != nil {
				return nil, &specError{l.option, s, err}
			}
		}
		for _, rule := range all.Rules {
			out = append(out, fwd.Forward{Dir: l.dir, Proto: l.proto, Rule: rule})
		}
	}
	return out, nil
}

// ports are the rules of i as clients see them.
func ports(i Instance) (out []Port) {
	i.EachForward(func(f fwd.Forward, ls []fwd.Listener) {
		out = append(out, Port{
			Protocol: protocol(f.Proto), Out: f.Dir == fwd.Out, Rule: shown(&f), Bound: ranges(ls), Sockets: len(ls), Implied: f.Optional,
		})
	})
	return out
}

// shown is the rule of f as a specification. What is made up of TCP's rules is weak without
// being "all".
func shown(f *fwd.Forward) string {
	r := f.Rule
	if r.Weak && !everything(&r) {
		r.Weak = false
	}
	return r.String()
}

func protocol(proto uint8) string {
	if proto == l3.ProtoUDP {
		return "udp"
	}
	return "tcp"
}

// ranges are the ports of ls, which are in order.
func ranges(ls []fwd.Listener) []string {
	out := []string{}
	var r portspec.Range
	for i := range ls {
		switch p := ls[i].Bound.Port; {
		case r.First != 0 && (p == r.Last || p == r.Last+1):
			r.Last = p
		default:
			if r.First != 0 {
				out = append(out, r.String())
			}
			r = portspec.Range{First: p, Last: p}
		}
	}
	if r.First != 0 {
		out = append(out, r.String())
	}
	return out
}
