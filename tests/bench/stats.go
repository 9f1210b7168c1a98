package main

import "slices"

// median is that of values, 0 of none. Of an even number, it is the mean of the middle two.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(values))
	m := len(s) / 2
	if len(s)%2 == 1 {
		return s[m]
	}
	return (s[m-1] + s[m]) / 2
}

// cell is what the rounds give for one figure of one row and one tool.
type cell struct {
	value    float64 // median
	ratio    float64 // median of those to the base, round by round; 0: there are none
	rounds   int     // that have a value
	failed   int     // rounds that failed
	remarked bool
}

// summarize makes a cell of the samples of a row and a tool, and those of the base.
func summarize(figure string, of, base []sample) (c cell) {
	inBase := make(map[int]float64) // by round
	for _, s := range base {
		if v, ok := s.Figures[figure]; ok {
			inBase[s.Round] = v
		}
	}
	var values, ratios []float64
	for _, s := range of {
		c.remarked = c.remarked || s.Remark != ""
		if s.Failure != "" {
			c.failed++
		}
		v, ok := s.Figures[figure]
		if !ok {
			continue
		}
		values = append(values, v)
		if b := inBase[s.Round]; b != 0 {
			ratios = append(ratios, v/b)
		}
	}
	c.value, c.ratio, c.rounds = median(values), median(ratios), len(values)
	return c
}
