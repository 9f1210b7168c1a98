package conf

// What documents other than the help are made from: the manual pages and the completions of
// shells. Like the help they come from the option table, so that none of them can say
// anything else.

// Section is a group of options, as a document shows them.
type Section struct {
	Title   string
	Options []Doc
	Ports   bool // the options take port specifications: PortExamples belongs here
}

// Doc is what a document says of an option.
type Doc struct {
	Short byte     // 0 if none
	Long  []string // one or two names, without dashes
	Arg   string   // what the argument stands for; empty: it takes none
	Help  string   // sentences, those of the help
	More  string   // further paragraphs, separated by empty lines; often none
}

// Document returns the options of mode, in the order of the help.
func Document(mode Mode) []Section {
	var out []Section
	for g := range numGroups {
		s := Section{Title: groupTitle[g], Ports: g == portGroup}
		for i := range table {
			if o := &table[i]; o.group == g && o.modes.has(mode) {
				s.Options = append(s.Options, Doc{Short: o.short, Long: o.names(), Arg: o.arg, Help: o.help, More: manual[o.long]})
			}
		}
		if len(s.Options) > 0 {
			out = append(out, s)
		}
	}
	return out
}

// Unsupported says what of the options of mode this version can't do yet; empty if nothing.
func Unsupported(mode Mode) string { return notYetHelp[mode] }

// PortExample is a port specification, or a part of one, and what it means.
type PortExample struct{ Spec, Means string }

// PortExamples are all forms of port specifications.
func PortExamples() []PortExample { return portExamples }

var portExamples = []PortExample{
	{"22", "port 22"},
	{"22:2222", "port 22 to port 2222 of the guest"},
	{"8000-8010", "a range"},
	{"8000-8010:80-90", "a range to another one"},
	{"80:192.0.2.9/8080", "port 80 to port 8080 of an address behind the guest"},
	{"2000-3000,~2500-2510", "a range without some ports"},
	{"~25", "all ports but 25"},
	{"all", "all ports but the ephemeral ones, as far as they are free"},
	{"auto", "those that are bound on the other side, looked up every second"},
	{"127.0.0.1/22,80", "bound to an address; IPv6 may stand in brackets, */ is any"},
	{"%eth0/22", "bound to an interface; ADDR%eth0/ to both"},
}
