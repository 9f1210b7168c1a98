package manpage

// The roff language (groff(7), mandoc roff(7)) as far as manual pages need it: a line that
// begins with a dot or a quote is a request, and a backslash begins an escape. Plain "-" may
// become a hyphen in print, and so may quotes and the like become typographic ones, which
// would spoil what a reader copies; literals are written with escapes that forbid it.

import (
	"regexp"
	"strings"
)

// page is a manual page in the making.
type page struct {
	b     strings.Builder
	title bool // a title is the last thing that was written: a paragraph begins by itself
}

// escape protects characters of s from roff.
var escape = strings.NewReplacer(`\`, `\e`)

// literalEscape protects s as text to be typed.
var literalEscape = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `'`, `\(aq`, "`", `\(ga`, `~`, `\(ti`, `^`, `\(ha`)

// request writes a macro with its arguments, which it quotes.
func (p *page) request(name string, args ...string) {
	p.b.WriteString("." + name)
	for _, a := range args {
		p.b.WriteString(` "` + strings.ReplaceAll(a, `"`, `\(dq`) + `"`)
	}
	p.b.WriteByte('\n')
}

// line writes a line of text, in which escapes are meant.
func (p *page) line(s string) {
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	p.b.WriteString(s + "\n")
}

func (p *page) section(title string) {
	p.request("SH", strings.ToUpper(title))
	p.title = true
}

func (p *page) subsection(title string) {
	p.request("SS", title)
	p.title = true
}

func (p *page) paragraph() {
	if !p.title {
		p.request("PP")
	}
	p.title = false
}

// text writes paragraphs, which empty lines separate. names are placeholders to be set in
// italics.
func (p *page) text(s string, names ...string) {
	for _, par := range strings.Split(s, "\n\n") {
		p.paragraph()
		p.words(par, names)
	}
}

// tagged writes an item of a list: a tag and the paragraphs about it.
func (p *page) tagged(tag, s string, names ...string) {
	p.title = false
	p.request("TP")
	p.line(tag)
	for i, par := range strings.Split(s, "\n\n") {
		if i > 0 {
			p.request("IP")
		}
		p.words(par, names)
	}
}

// example writes lines to be copied as they are.
func (p *page) example(s string) {
	p.paragraph()
	p.request("RS", "4")
	p.request("EX")
	for line := range strings.SplitSeq(strings.Trim(s, "\n"), "\n") {
		p.line(literalEscape.Replace(line))
	}
	p.request("EE")
	p.request("RE")
}

const textWidth = 80 // columns, as lints of manual pages have it

// words writes one paragraph, filled to lines.
func (p *page) words(par string, names []string) {
	line := ""
	for _, w := range strings.Fields(par) {
		w = markWord(w, names)
		if line != "" && len(line)+1+len(w) > textWidth {
			p.line(line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += w
	}
	if line != "" {
		p.line(line)
	}
}

var (
	optionWord  = regexp.MustCompile(`^([("]*)(--?[a-zA-Z0-9][a-zA-Z0-9-]*)(.*)$`)
	sectionWord = regexp.MustCompile(`^([("]*)([a-z_][a-z0-9_.-]*)(\([1-8]\).*)$`)
	programWord = regexp.MustCompile(`^([("]*)(passt|pasta|qrap)(\W.*)?$`)
)

// markWord sets what has a meaning of its own in another font: options, manual pages and the
// programs in bold, placeholders in italics.
func markWord(w string, names []string) string {
	for _, re := range []*regexp.Regexp{optionWord, sectionWord, programWord} {
		if m := re.FindStringSubmatch(w); m != nil {
			return escape.Replace(m[1]) + bold(m[2]) + escape.Replace(m[3])
		}
	}
	for _, n := range names {
		if strings.TrimRight(w, ".,;:)") == n {
			return italic(n) + escape.Replace(w[len(n):])
		}
	}
	return escape.Replace(w)
}

func bold(s string) string   { return `\fB` + literalEscape.Replace(s) + `\fR` }
func italic(s string) string { return `\fI` + literalEscape.Replace(s) + `\fR` }
