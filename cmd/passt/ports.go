package main

// Looking at a running instance and changing its ports. The work is done by the instance;
// see package control.

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"passt/cmd/internal/control"
)

// asker is what commands that ask an instance have in common.
type asker struct {
	which control.Which
	json  bool
}

// flags adds the flags to cmd, and to all of its subcommands.
func (a *asker) flags(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.IntVar(&a.which.PID, "pid", 0, "the instance with the process number `PID`")
	f.StringVarP(&a.which.Socket, "socket", "s", "", "the instance with the control socket `PATH`, or the one that was given it by --socket or --conf-path")
	f.StringVarP(&a.which.Name, "name", "n", "", "the instance whose namespace, socket of a guest, or command is `NAME`")
	f.BoolVar(&a.json, "json", false, "print JSON")
}

// ask finds the instance and has it do what q says.
func (a *asker) ask(q *control.Request) (*control.Response, error) {
	f, err := control.Find(a.which)
	if err != nil {
		return nil, refusal{err}
	}
	r, err := control.Call(f.Path, q)
	if err != nil {
		return nil, refusal{err}
	}
	return r, nil
}

// refusal is the reason of an instance, or why there is none: reading the help would not help.
type refusal struct{ error }

// print prints v as JSON, or else what table writes to a table.
func (a *asker) print(w io.Writer, v any, table func(io.Writer)) error {
	if a.json {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(v)
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	table(t)
	return t.Flush()
}

// portsCommand is "passt ports".
func (p *program) portsCommand() *cobra.Command {
	var a asker
	list := func(*cobra.Command, []string) error { return p.ports(&a, &control.Request{Cmd: control.CmdList}) }
	cmd := &cobra.Command{
		Use:   "ports list|add|delete",
		Short: "Look at the forwarded ports of a running instance, and change them",
		Long: "Lists, adds and deletes forwarded ports of a running passt or pasta of this user: the only one, or the one that the\n" +
			"options name. A change is made as a whole, or refused with the reason and exit status 1. With none of the three, it lists.",
		Example: "  passt ports list\n  passt ports add -t 8080:80 -u 5353\n  passt ports delete --pid 1234 -t 8080",
		Args:    cobra.NoArgs,
		RunE:    list,
	}
	a.flags(cmd)
	cmd.AddCommand(
		&cobra.Command{
			Use: "list", Short: "List the forwarded ports", Args: cobra.NoArgs,
			RunE: list,
		},
		p.changeCommand(&a, "add", "Forward more ports", control.CmdAdd),
		p.changeCommand(&a, "delete", "Forward ports no longer: rules of the list, or some of their ports", control.CmdDelete),
	)
	return cmd
}

// changeCommand is "passt ports add" or "passt ports delete".
func (p *program) changeCommand(a *asker, name, short, what string) *cobra.Command {
	q := &control.Request{Cmd: what}
	cmd := &cobra.Command{
		Use: name + " [-t SPEC]... [-u SPEC]... [-T SPEC]... [-U SPEC]...", Short: short, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return p.ports(a, q) },
	}
	f := cmd.Flags()
	f.StringArrayVarP(&q.TCP, "tcp-ports", "t", nil, "TCP ports of the host, into the guest, as `SPEC`")
	f.StringArrayVarP(&q.UDP, "udp-ports", "u", nil, "UDP ports of the host, into the guest, as `SPEC`")
	f.StringArrayVarP(&q.TCPOut, "tcp-ns", "T", nil, "TCP ports of the namespace, out to the host, as `SPEC`")
	f.StringArrayVarP(&q.UDPOut, "udp-ns", "U", nil, "UDP ports of the namespace, out to the host, as `SPEC`")
	return cmd
}

// ports does what q says, and prints the ports that are forwarded then.
func (p *program) ports(a *asker, q *control.Request) error {
	r, err := a.ask(q)
	if err != nil {
		return err
	}
	for _, w := range r.Warnings {
		fmt.Fprintln(p.stderr, "passt: "+w)
	}
	if r.Ports == nil {
		r.Ports = []control.Port{}
	}
	return a.print(p.stdout, r.Ports, func(w io.Writer) {
		fmt.Fprintln(w, "PROTOCOL\tFROM\tRULE\tBOUND NOW")
		for i := range r.Ports {
			f := &r.Ports[i]
			from, note := "host", ""
			if f.Out {
				from = "namespace"
			}
			if f.Implied {
				note = " (as TCP)"
			}
			fmt.Fprintf(w, "%s\t%s\t%s%s\t%s\n", f.Protocol, from, f.Rule, note, abridged(f.Bound))
		}
	})
}

// abridged is a list of ranges that does not fill the screen.
func abridged(ranges []string) string {
	const most = 8
	switch n := len(ranges); {
	case n == 0:
		return "-"
	case n > most:
		return fmt.Sprintf("%s,… %d more", strings.Join(ranges[:most], ","), n-most)
	}
	return strings.Join(ranges, ",")
}
