package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"passt/tests/bench/load"
)

func main() {
	args := os.Args[1:]
	switch {
	case len(args) > 0 && args[0] == "load":
		os.Exit(load.Main(args[1:]))
	case len(args) > 0 && args[0] == insideArg:
		os.Exit(inside(args[1:]))
	}
	_, err := parse(args) // the process in the namespaces parses them again
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err == nil && os.Geteuid() != 0:
		err = errors.New("only root can make the namespaces; run it by sudo")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	os.Exit(outside(args))
}

// config is the command line.
type config struct {
	rounds int
	time   time.Duration // of each measurement
	rows   []row
	json   string   // file for all figures; empty: none
	guest  string   // the passt that is "passt guest"
	extra  []string // options for each pasta and passt
	tools  []tool
}

// parse parses the command line.
func parse(args []string) (c config, err error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.Usage = func() {
		fmt.Fprintln(f.Output(), "usage: bench [FLAG]... [NAME=PATH]...\nPATH: a pasta or passt, slirp4netns, or direct. Flags:")
		f.PrintDefaults()
		fmt.Fprintln(f.Output(), "Rows:", strings.Join(rowNames(), " "))
	}
	f.IntVar(&c.rounds, "rounds", 3, "how often each figure is taken; the median counts")
	secs := f.Float64("secs", 1, "seconds of each measurement")
	only := f.String("rows", "*", "rows to measure, separated by commas; may be patterns, such as vm-*")
	f.StringVar(&c.json, "json", "", "write every figure to this file")
	f.StringVar(&c.guest, "guest", "bin/passt", "program for \"passt guest\"")
	extra := f.String("args", "", "options for each pasta and passt, separated by blanks")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	c.extra = strings.Fields(*extra)
	c.time = time.Duration(*secs * float64(time.Second))
	if c.rounds < 1 {
		return c, fmt.Errorf("--rounds %d: at least 1", c.rounds)
	}
	if *secs < 0.1 || *secs > 3600 {
		return c, fmt.Errorf("--secs %v: from 0.1 to 3600", *secs)
	}
	if c.rows, err = chooseRows(strings.Split(*only, ",")); err != nil {
		return c, fmt.Errorf("--rows %s: %w", *only, err)
	}
	if c.guest, err = filepath.Abs(c.guest); err != nil {
		return c, fmt.Errorf("--guest: %w", err)
	}
	c.tools, err = chooseTools(f.Args())
	return c, err
}

// inside measures, in the namespaces that outside has made.
func inside(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	signal.Ignore(syscall.SIGINT) // comes to all processes of a terminal; outside passes it on
	c, err := parse(args)
	if err == nil {
		err = prepare()
	}
	var all []sample
	if err == nil {
		all, err = measureAll(ctx, c)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	writeTable(os.Stdout, c, all)
	if c.json != "" {
		if err := writeJSON(c, all); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			return 1
		}
	}
	if ctx.Err() != nil {
		return 1 // interrupted: the table is not complete
	}
	return 0
}

// writeJSON writes every sample to the file that c names.
func writeJSON(c config, all []sample) error {
	var names []string
	for _, t := range c.tools {
		names = append(names, t.name)
	}
	b, err := json.MarshalIndent(struct {
		Tools   []string `json:"tools"`
		Rounds  int      `json:"rounds"`
		Seconds float64  `json:"seconds"`
		Samples []sample `json:"samples"`
	}{names, c.rounds, c.time.Seconds(), all}, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(c.json, append(b, '\n'), 0o644)
}
