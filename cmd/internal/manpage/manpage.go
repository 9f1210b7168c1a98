package manpage

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"passt/cmd/internal/conf"
)

// Build says which build of the program a page describes.
type Build struct {
	Version string
	Date    string // YYYY-MM-DD; empty if it is not known
}

// Pages are the names of the pages, all of section 1.
func Pages() []string {
	return []string{"passt", "pasta", "qrap", "passt-run", "passt-guest", "passt-ports", "passt-flows", "passt-stats"}
}

// Write writes the page called name to w. commands are the subcommands that have a page.
func Write(w io.Writer, name string, build Build, commands []Command) error {
	p := &page{}
	p.b.WriteString(".\\\" Made by \"passt man\" from the table of options: changes belong there.\n")
	p.request("TH", strings.ToUpper(name), "1", build.Date, "passt "+build.Version, "User Commands")
	switch name {
	case "passt":
		p.passt()
	case "pasta":
		p.pasta()
	case "qrap":
		p.qrap()
	default:
		i := slices.IndexFunc(commands, func(c Command) bool { return pageOf(c.Name) == name && slices.Contains(Pages(), name) })
		if i >= 0 {
			p.command(&commands[i])
			break
		}
		return fmt.Errorf("no manual page %q; there are: %s", name, strings.Join(Pages(), ", "))
	}
	_, err := io.WriteString(w, p.b.String())
	return err
}

// options writes the options of mode.
func (p *page) options(mode conf.Mode) {
	p.section("Options")
	p.text(`Long options can be shortened as long as they are unique; --name=VALUE and --name VALUE mean the same, and so do
-nVALUE and -n VALUE. Options end at the first word that is none. Of options that contradict each other the last one
holds, unless said otherwise. Guest stands for the virtual machine or the namespace, whichever it is.`)
	for _, s := range conf.Document(mode) {
		p.subsection(s.Title)
		for i := range s.Options {
			p.option(&s.Options[i])
		}
		if s.Ports {
			p.ports()
		}
	}
	if s := conf.Unsupported(mode); s != "" {
		p.subsection("Not supported yet")
		p.text(s)
	}
}

// option writes what there is to know about one option.
func (p *page) option(d *conf.Doc) {
	var forms []string
	if d.Short != 0 {
		forms = append(forms, bold("-"+string(d.Short)))
	}
	for _, n := range d.Long {
		forms = append(forms, bold("--"+n))
	}
	tag := strings.Join(forms, ", ")
	if d.Arg != "" {
		tag += " " + italic(d.Arg)
	}
	s := d.Help
	if d.More != "" {
		s += "\n\n" + d.More
	}
	p.tagged(tag, s, placeholders(d.Arg)...)
}

// placeholders are the words of an option's argument that its text refers to.
func placeholders(arg string) []string {
	words := strings.FieldsFunc(arg, func(r rune) bool { return r < 'A' || r > 'Z' })
	return append(words, arg)
}

// ports explains port specifications.
func (p *page) ports() {
	p.subsection("Port specifications")
	p.text(`A port specification (SPEC) is none, or a list of items separated by commas, perhaps behind an address and a slash
that the ports are bound to. Options with specifications may be repeated, and add up. Exclusions alone mean all other ports. Where a
specification does not name its ports, those that the system gives to clients are left out (the sysctl
net.ipv4.ip_local_port_range), and so are those that can't be had: in use, below 1024, or beyond three quarters of the descriptors
that a process may have (ulimit -n), of which a port takes one or two. It is an error if nothing is left.`)
	for _, e := range conf.PortExamples() {
		p.tagged(bold(e.Spec), upper(e.Means)+".")
	}
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// seeAlso writes the last section.
func (p *page) seeAlso(pages ...string) {
	p.section("See also")
	p.text(strings.Join(pages, ", "))
}
