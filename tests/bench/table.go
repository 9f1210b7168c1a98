package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// writeTable writes the table of everything measured, and notes on what went wrong.
func writeTable(w io.Writer, c config, all []sample) {
	by := make(map[[2]string][]sample) // row and tool
	for _, s := range all {
		key := [2]string{s.Row, s.Tool}
		by[key] = append(by[key], s)
	}
	head := []string{"row", "figure"}
	for _, t := range c.tools {
		head = append(head, t.name)
	}
	lines := [][]string{head}
	for _, r := range c.rows {
		name := r.name
		for _, f := range figuresOf(r.mode) {
			line := []string{name, f}
			for _, t := range c.tools {
				base := by[[2]string{r.name, c.tools[0].name}]
				line = append(line, summarize(f, by[[2]string{r.name, t.name}], base).String())
			}
			lines = append(lines, line)
			name = ""
		}
	}
	fmt.Fprintf(w, "rounds: %d, each of %v; medians, and those of the ratios to %s\n\n", c.rounds, c.time, c.tools[0].name)
	align(w, lines)
	writeNotes(w, all)
}

// String is the cell as in the table. An exclamation mark says that there is a note.
func (c cell) String() string {
	switch {
	case c.rounds == 0 && c.failed > 0:
		return "failed !"
	case c.rounds == 0:
		return "-"
	}
	s := number(c.value)
	if c.ratio != 0 {
		s += fmt.Sprintf(" x%-5.2f", c.ratio)
	} else {
		s += strings.Repeat(" ", 7)
	}
	if c.failed > 0 || c.remarked {
		return s + "!"
	}
	return s + " "
}

// number shows about three digits of v.
func number(v float64) string {
	switch {
	case v >= 100 || v <= -100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10 || v <= -10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// align writes lines with columns as wide as needed, the first two to the left.
func align(w io.Writer, lines [][]string) {
	var widths []int
	for _, l := range lines {
		for i, s := range l {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(s))
		}
	}
	for _, l := range lines {
		var b strings.Builder
		for i, s := range l {
			gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(s))
			if i < 2 {
				b.WriteString(s + gap + "  ")
			} else {
				b.WriteString(gap + s + "  ")
			}
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

// writeNotes writes what failed, and what was odd, each kind once for a row and tool.
func writeNotes(w io.Writer, all []sample) {
	var order []string
	rounds := make(map[string][]string)
	for _, s := range all {
		text := s.Failure
		if text == "" {
			text = s.Remark
		}
		if text == "" {
			continue
		}
		key := fmt.Sprintf("%s, %s: %s", s.Row, s.Tool, text)
		if rounds[key] == nil {
			order = append(order, key)
		}
		rounds[key] = append(rounds[key], fmt.Sprint(s.Round))
	}
	if len(order) > 0 {
		fmt.Fprintln(w)
	}
	for _, key := range order {
		fmt.Fprintf(w, "! %s (round %s)\n", key, strings.Join(rounds[key], ", "))
	}
}
