// Command passt connects virtual machines, and as pasta network namespaces, to the
// host's network without privileges.
//
// The name that it is called by decides: with "pasta" in front of it, it is pasta, with
// pasta's classic command line. Otherwise it is passt: subcommands if the first word is
// one of them, passt's classic command line if not. As "qrap", it starts an old QEMU.
//
// It imports what reads the command line and what runs it; it decides nothing else.
package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"passt/cmd/internal/conf"
	"passt/cmd/internal/logx"
	"passt/cmd/internal/stage"
)

// version is set by the linker: -X main.version=...
var version = "0.1.0-dev"

func main() {
	stage.Dispatch()
	p := &program{stdout: logx.Stdout, stderr: logx.Stderr, run: stage.Run}
	os.Exit(p.main(os.Args))
}

// program is main with what it needs of the world, for tests.
type program struct {
	stdout, stderr io.Writer
	run            func(*conf.Options) (exitCode int)
}

// main returns the exit status of the command line argv.
func (p *program) main(argv []string) int {
	name, args := "passt", []string(nil)
	if len(argv) > 0 {
		name, args = filepath.Base(argv[0]), argv[1:]
	}
	switch {
	case name == "qrap":
		return p.qrap(args)
	case strings.HasPrefix(name, "pasta") && len(args) > 0 && isCompletion(args[0]):
		return p.cobra(pastaCompletion(), args)
	case strings.HasPrefix(name, "pasta"):
		return p.classic(conf.ModePasta, name, args)
	case len(args) > 0 && isSubcommand(args[0]):
		return p.subcommand(args)
	}
	return p.classic(conf.ModePasst, name, args)
}

// classic reads args as the command line of mode, called as name, and runs it.
func (p *program) classic(mode conf.Mode, name string, args []string) int {
	log := logx.New(p.stderr, logx.Config{Name: mode.String()})
	o, err := conf.Parse(mode, name, args)
	switch {
	case errors.Is(err, conf.ErrHelp):
		return p.output(log, conf.Usage(p.stdout, mode, name))
	case errors.Is(err, conf.ErrVersion):
		return p.output(log, p.printVersion(mode))
	case err != nil:
		log.Error(err.Error())
		return 1
	}
	for _, w := range o.NoEffect() {
		log.Warn(w)
	}
	refused := false
	for _, n := range o.NotYet() {
		if n.Fatal {
			log.Error(n.Text)
			refused = true
		} else {
			log.Warn(n.Text)
		}
	}
	if refused {
		return 1
	}
	return p.run(o)
}

func (p *program) printVersion(mode conf.Mode) error {
	_, err := fmt.Fprintf(p.stdout, "%s %s\n", mode, version)
	return err
}

// output returns the exit status of printing to standard output with the result err. A
// reader that went away has read enough.
func (p *program) output(log *slog.Logger, err error) int {
	if err != nil && !errors.Is(err, syscall.EPIPE) {
		log.Error(fmt.Sprintf("write to standard output: %v", err))
		return 1
	}
	return 0
}
