package conf

import (
	"errors"
	"fmt"
	"strings"
)

// What Parse returns when one of these two options comes before any error: print the
// help or the version to standard output and exit with status 0.
var (
	ErrHelp    = errors.New("help requested")
	ErrVersion = errors.New("version requested")
)

// parser is the state of one Parse.
type parser struct {
	o     *Options
	argv0 string

	cidr      [2]bool // the family's address came with a prefix length
	maskGiven bool    // -n with an IPv4 mask
	lastAddr6 bool    // the last -a was IPv6
	words     []string
}

// Parse reads args, the command line of mode without its first word, and checks it.
// argv0 is how the user calls the program, for hints. An error is one line without the
// program's name in front; ErrHelp and ErrVersion are no errors.
func Parse(mode Mode, argv0 string, args []string) (*Options, error) {
	p := &parser{argv0: argv0, o: &Options{
		Mode: mode, LogSize: defaultLogSize, MTU: -1, Mask: -1, FD: -1,
		DHCPDNS: mode == ModePasst, DHCPSearch: mode == ModePasst,
	}}
	if err := p.scan(args); err != nil {
		return nil, err
	}
	if err := p.finish(); err != nil {
		return nil, err
	}
	return p.o, nil
}

// hint ends a message about a command line that can't be read at all.
func (p *parser) hint() string { return fmt.Sprintf("; try '%s --help'", p.argv0) }

// scan takes options up to the first word that is none, and leaves the rest in p.words.
func (p *parser) scan(args []string) error {
	for len(args) > 0 {
		a := args[0]
		var err error
		switch {
		case a == "--":
			p.words = args[1:]
			return nil
		case strings.HasPrefix(a, "--"):
			args, err = p.long(a[2:], args[1:])
		case len(a) > 1 && a[0] == '-':
			args, err = p.cluster(a[1:], args[1:])
		default:
			p.words = args
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// long takes one long option, word without its dashes, and perhaps its value from rest.
func (p *parser) long(word string, rest []string) ([]string, error) {
	name, value, has := strings.Cut(word, "=")
	o, full, err := p.find(name)
	if err != nil {
		return nil, err
	}
	switch {
	case o.arg == "" && has:
		return nil, fmt.Errorf("option '--%s' doesn't allow an argument%s", full, p.hint())
	case o.arg != "" && !has && len(rest) == 0:
		return nil, fmt.Errorf("option '--%s' requires an argument, %s%s", full, o.arg, p.hint())
	case o.arg != "" && !has:
		value, rest = rest[0], rest[1:]
	}
	return rest, p.apply(o, "--"+full, value)
}

// find looks up a long option by its name or an abbreviation of it that no other option
// shares.
func (p *parser) find(name string) (o *option, full string, err error) {
	var names []string
	ambiguous := false
	for i := range table {
		for _, n := range table[i].names() {
			switch {
			case n == name:
				return &table[i], n, nil
			case name != "" && strings.HasPrefix(n, name):
				ambiguous = ambiguous || o != nil && o != &table[i]
				if o == nil {
					o, full = &table[i], n
				}
				names = append(names, "'--"+n+"'")
			}
		}
	}
	switch {
	case o == nil:
		return nil, "", fmt.Errorf("unrecognized option '--%s'%s", printable(name), p.hint())
	case ambiguous:
		return nil, "", fmt.Errorf("option '--%s' is ambiguous; possibilities: %s", name, strings.Join(names, " "))
	}
	return o, full, nil
}

// cluster takes the short options in word, which has no dash, and perhaps the value of
// the last one from rest.
func (p *parser) cluster(word string, rest []string) ([]string, error) {
	for i := range len(word) {
		o := findShort(word[i])
		if o == nil {
			return nil, fmt.Errorf("invalid option -- '%s'%s", printable(word[i:i+1]), p.hint())
		}
		name := "-" + word[i:i+1]
		if o.arg == "" {
			if err := p.apply(o, name, ""); err != nil {
				return nil, err
			}
			continue
		}
		value := word[i+1:]
		if value == "" {
			if len(rest) == 0 {
				return nil, fmt.Errorf("option requires an argument -- '%c', %s%s", word[i], o.arg, p.hint())
			}
			value, rest = rest[0], rest[1:]
		}
		return rest, p.apply(o, name, value)
	}
	return rest, nil
}

func findShort(c byte) *option {
	for i := range table {
		if table[i].short == c && c != 0 {
			return &table[i]
		}
	}
	return nil
}

// apply runs the setter of o, which the user wrote as name.
func (p *parser) apply(o *option, name, value string) error {
	if !o.modes.has(p.o.Mode) {
		other := ModePasst
		if p.o.Mode == ModePasst {
			other = ModePasta
		}
		return fmt.Errorf("option '%s' is for %s only, and this is %s", name, other, p.o.Mode)
	}
	err := o.set(p, value)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrHelp), errors.Is(err, ErrVersion):
		return err
	case o.arg == "":
		return fmt.Errorf("option '%s': %w", name, err)
	}
	return fmt.Errorf("option '%s', value %q: %w", name, value, err)
}

// printable makes s fit for a message of one line; what already is stays the same, since
// callers match it.
func printable(s string) string {
	q := fmt.Sprintf("%q", s)
	if strings.Contains(q, `\`) {
		return q[1 : len(q)-1]
	}
	return s
}
