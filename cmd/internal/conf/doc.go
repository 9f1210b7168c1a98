// Package conf is the command line: one table of options, from which parsing and the help
// text (and later the manual page) are made, and the Options that come out, checked.
//
// Parsing has the habits of GNU getopt_long: --name=value and --name value, -nVALUE,
// clusters of short options, abbreviations of long ones as long as they are unique, and
// an end at the first word that is no option. Nothing of the host is looked at: whether
// an interface or a file exists is for others to find out.
//
// Callers: main parses, every stage of the process reads Options.
//
// Imports: nat/portspec and the standard library; no cobra, no other package of this
// program.
package conf
