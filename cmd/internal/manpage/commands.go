package manpage

import (
	"strings"

	"passt/cmd/internal/conf"
)

// Command is a subcommand of passt: what its own help says of it, and so the page too.
type Command struct {
	Name     string // after "passt"
	Args     string // what follows the name on the command line
	Short    string // one line, what it is for
	Long     string // sentences; often none
	Example  string
	Options  []conf.Doc
	Commands []Command
}

// pageOf is the name of the manual page of the subcommand called name.
func pageOf(name string) string { return "passt-" + name }

// more is the prose of a subcommand that its help has no room for: what comes after its
// description, and the last section.
var more = map[string]struct {
	text func(p *page)
	also []string
}{
	"run":   {func(*page) {}, []string{"passt(1)", "pasta(1)"}},
	"guest": {(*page).guest, []string{"passt(1)", "vsock(7)", "unix(7)", "resolv.conf(5)"}},
	"ports": {(*page).changes, []string{"passt(1)", "pasta(1)", "passt-flows(1)", "passt-stats(1)"}},
	"flows": {(*page).flows, []string{"passt(1)", "pasta(1)", "passt-ports(1)", "passt-stats(1)"}},
	"stats": {(*page).instances, []string{"passt(1)", "pasta(1)", "passt-ports(1)", "passt-flows(1)"}},
}

// command writes the page of a subcommand.
func (p *page) command(c *Command) {
	p.section("Name")
	p.line(literalEscape.Replace(pageOf(c.Name)) + ` \- ` + escape.Replace(strings.ToLower(c.Short[:1])+c.Short[1:]))
	p.section("Synopsis")
	p.synopsis(c, bold("passt"))
	p.section("Description")
	if c.Long != "" {
		p.text(upper(c.Long))
	} else {
		p.text(c.Short + ".")
	}
	if len(c.Options)+len(c.Commands) > 0 {
		p.section("Options")
		p.commandOptions(c)
	}
	for i := range c.Commands {
		sub := &c.Commands[i]
		p.subsection("passt " + c.Name + " " + sub.Name)
		p.text(sub.Short + ".")
		p.commandOptions(sub)
	}
	m := more[c.Name]
	m.text(p)
	if c.Example != "" {
		p.section("Examples")
		p.example(strings.ReplaceAll("\n"+c.Example, "\n  ", "\n"))
	}
	p.seeAlso(m.also...)
}

// synopsis writes a line for c, or for each of its own commands. before is what stands in
// front of its name.
func (p *page) synopsis(c *Command, before string) {
	line := before + " " + bold(c.Name)
	if len(c.Options) > 0 && !strings.Contains(c.Args, "[") {
		line += " [" + italic("OPTION") + "]..."
	}
	for i := range c.Commands {
		if i > 0 {
			p.request("br")
		}
		p.synopsis(&c.Commands[i], line)
	}
	if len(c.Commands) == 0 {
		p.line(strings.TrimSpace(line + " " + literalEscape.Replace(c.Args)))
	}
}

func (p *page) commandOptions(c *Command) {
	for i := range c.Options {
		p.option(&c.Options[i])
	}
}

func (p *page) guest() {
	p.subsection("What it does")
	p.text(`It makes a tap interface in its network namespace, and carries the interface's frames to a passt(1) outside: by vsock, for a
virtual machine whose monitor has no network device for passt, or by a UNIX socket. It needs the capability CAP_NET_ADMIN. As long as
it runs it connects again whenever the connection ends, and the interface stays.

With --config-net the interface is brought up, gets an address, routes and an MTU by DHCP, and IPv6 addresses by router
advertisements. Without, that is left to whatever configures networks in the guest. The resolver's configuration is not touched.`)
	p.section("Exit status")
	p.tagged("0", "A signal asked it to end. The interface goes with it.")
	p.tagged("1", "The interface can't be made or configured, or was taken away. Standard error says why.")
	p.section("Notes")
	p.subsection("Monitors with a vsock of their own")
	p.text(`Firecracker and Cloud Hypervisor carry vsock over UNIX sockets: what a guest connects to on port PORT of the host arrives at the
socket PATH_PORT, where PATH is what the monitor was told. There passt listens with --socket PATH_PORT; the guest uses
--vsock PORT all the same.`, "PATH_PORT,", "PATH_PORT;", "PATH", "PORT")
}

// instances says which instance a command is about.
func (p *page) instances() {
	p.section("Exit status")
	p.text("0; or 1, with the reason on standard error.")
	p.section("Notes")
	p.text(`Each instance has a socket for its user in the folder passt of XDG_RUNTIME_DIR or, where there is none, in /run/passt for root
and /tmp/passt-UID for others. Its name is the number of the process.`)
}

func (p *page) changes() {
	p.instances()
	p.subsection("Specifications")
	p.text(`SPEC is a port specification as passt(1) explains it. A rule that is added stays until it is deleted, or the instance ends.
Connections go on undisturbed whatever is changed, and so do the sockets of rules that stay.`, "SPEC")
}

func (p *page) flows() {
	p.section("Columns")
	p.tagged("GUEST, REMOTE", "Both ends as the guest sees them, with an arrow from the one that began.")
	p.tagged("HOST SIDE", "The end that the flow has on the host's side: other than REMOTE where an address is translated.")
	p.tagged("STATE", "Of a TCP connection; the word bypass behind it says that it goes from socket to socket, past the guest's interface.")
	p.tagged("AGE, IDLE", "How long ago it began, and when something passed for the last time.")
	p.tagged("TO HOST, TO GUEST", "What passed: bytes for TCP, datagrams for all others.")
	p.instances()
}
