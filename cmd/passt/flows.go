package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"passt/cmd/internal/control"
)

// flowsCommand is "passt flows".
func (p *program) flowsCommand() *cobra.Command {
	var a asker
	cmd := &cobra.Command{
		Use:   "flows",
		Short: "Print the flows of a running instance",
		Long: "Prints what passes through a running passt or pasta of this user: the only one, or the one that the options name.\n" +
			"Each flow is shown as the guest's side sees it, from GUEST to REMOTE or the other way around, and by the end that it has\n" +
			"on the host's side. TCP is counted in bytes, other protocols in datagrams.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			r, err := a.ask(&control.Request{Cmd: control.CmdFlows})
			if err != nil {
				return err
			}
			if r.Flows == nil {
				r.Flows = []control.Flow{}
			}
			slices.SortStableFunc(r.Flows, func(a, b control.Flow) int { return cmp.Compare(b.Age, a.Age) })
			return a.print(p.stdout, r.Flows, func(w io.Writer) { flowTable(w, r.Flows) })
		},
	}
	a.flags(cmd)
	return cmd
}

// flowTable writes fs, of which the longest lived stand first.
func flowTable(w io.Writer, fs []control.Flow) {
	fmt.Fprintln(w, "PROTOCOL\tGUEST\t\tREMOTE\tHOST SIDE\tSTATE\tAGE\tIDLE\tTO HOST\tTO GUEST")
	for i := range fs {
		f := &fs[i]
		arrow, remote, guest, state, idle := "→", f.Remote, f.Guest, f.State, "-"
		if f.FromHost {
			arrow = "←"
		}
		if remote == "" {
			remote = "-"
		}
		if f.ID != 0 {
			guest += fmt.Sprintf(" id %d", f.ID)
		}
		if f.Bypass {
			state += " bypass"
		}
		if f.Idle >= 0 {
			idle = span(f.Idle)
		}
		if state == "" {
			state = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\n", f.Protocol, guest, arrow, remote, f.Host, state, span(f.Age), idle, f.ToHost, f.ToGuest)
	}
}

// span is a time in seconds as people read it.
func span(s float64) string {
	d := time.Duration(s * float64(time.Second))
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// statsCommand is "passt stats".
func (p *program) statsCommand() *cobra.Command {
	var a asker
	var all bool
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "Print the counters of a running instance",
		Long: "Prints the counters of all layers of a running passt or pasta of this user: the only one, or the one that the options\n" +
			"name. Counters that are 0 are left out.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			r, err := a.ask(&control.Request{Cmd: control.CmdStats})
			if err != nil {
				return err
			}
			if !all {
				r.Stats = slices.DeleteFunc(r.Stats, func(c control.Counter) bool { return c.Value == 0 })
			}
			values := make(map[string]uint64, len(r.Stats))
			for _, c := range r.Stats {
				values[c.Name] = c.Value
			}
			return a.print(p.stdout, values, func(w io.Writer) {
				for _, c := range r.Stats {
					fmt.Fprintf(w, "%s\t%d\n", c.Name, c.Value)
				}
			})
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "also those that are 0")
	a.flags(cmd)
	return cmd
}
