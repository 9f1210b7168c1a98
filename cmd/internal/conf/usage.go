package conf

import (
	"fmt"
	"io"
	"strings"
)

const (
	helpWidth  = 96 // columns
	helpColumn = 30 // where descriptions begin
)

// Usage writes the help of mode's program to w, called as argv0 by its user. It is made
// from the option table.
func Usage(w io.Writer, mode Mode, argv0 string) error {
	var b strings.Builder
	writeIntro(&b, mode, argv0)
	for g := range numGroups {
		title := false
		for i := range table {
			o := &table[i]
			if o.group != g || !o.modes.has(mode) {
				continue
			}
			if !title {
				fmt.Fprintf(&b, "\n%s:\n", groupTitle[g])
				title = true
			}
			writeOption(&b, o)
		}
		if g == portGroup {
			writePorts(&b)
		}
	}
	if notYetHelp[mode] != "" {
		b.WriteString("\n")
		wrap(&b, notYetHelp[mode], 0)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeIntro(b *strings.Builder, mode Mode, argv0 string) {
	if mode == ModePasst {
		fmt.Fprintf(b, "Usage: %s [OPTION]...\n\n", argv0)
		wrap(b, "Gives a virtual machine the network of the host, without privileges: each connection of the guest becomes "+
			"a socket of this process.", 0)
	} else {
		fmt.Fprintf(b, "Usage: %s [OPTION]... [COMMAND [ARG]...]\n", argv0)
		fmt.Fprintf(b, "       %s [OPTION]... PID\n", argv0)
		fmt.Fprintf(b, "       %s [OPTION]... --netns PATH|NAME\n\n", argv0)
		wrap(b, "Gives a network namespace the network of the host, without privileges: each connection from inside becomes "+
			"a socket of this process. The first form runs COMMAND, or the user's shell, in a new user and network "+
			"namespace; the others join an existing one.", 0)
	}
	b.WriteString("\n")
	wrap(b, "Long options can be shortened while they are unique. Of options that contradict each other the last one "+
		"holds, unless said otherwise.", 0)
}

func writeOption(b *strings.Builder, o *option) {
	left := "      "
	if o.short != 0 {
		left = fmt.Sprintf("  -%c, ", o.short)
	}
	for i, n := range o.names() {
		if i > 0 {
			left += ", "
		}
		left += "--" + n
	}
	if o.arg != "" {
		left += " " + o.arg
	}
	b.WriteString(left)
	at := len(left)
	if at > helpColumn-2 {
		b.WriteString("\n")
		at = 0
	}
	b.WriteString(strings.Repeat(" ", helpColumn-at))
	wrap(b, o.help, helpColumn)
}

// wrap writes words from column on, where b stands already, and ends the line.
func wrap(b *strings.Builder, words string, column int) {
	at := column
	for i, word := range strings.Fields(words) {
		switch {
		case i == 0:
		case at+1+len(word) > helpWidth:
			b.WriteString("\n" + strings.Repeat(" ", column))
			at = column
		default:
			b.WriteString(" ")
			at++
		}
		b.WriteString(word)
		at += len(word)
	}
	b.WriteString("\n")
}

// writePorts explains port specifications.
func writePorts(b *strings.Builder) {
	b.WriteString("\n  SPEC is none, or a list of items separated by commas, perhaps behind a bound address:\n")
	for _, e := range portExamples {
		fmt.Fprintf(b, "      %-*s%s\n", helpColumn-6, e.Spec, e.Means)
	}
}
