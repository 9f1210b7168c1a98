package main

import (
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"passt/cmd/internal/conf"
	"passt/cmd/internal/logx"
)

// isSubcommand says whether a first word of passt calls for cobra. The list stands here,
// so that the classic command line costs no set-up of cobra.
func isSubcommand(word string) bool {
	return slices.Contains([]string{
		"run", "guest", "ports", "flows", "stats", "version", "help", "completion", "man", cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd,
	}, word)
}

// subcommand runs passt's subcommands and returns the exit status.
func (p *program) subcommand(args []string) (code int) {
	log := logx.New(p.stderr, logx.Config{Name: "passt"})
	root := &cobra.Command{
		Use:   "passt",
		Short: "Network connectivity for virtual machines and namespaces, without privileges",
		Long: "passt gives a virtual machine, or as pasta a network namespace, the network of the host, without privileges.\n" +
			"Without a command, it has passt's classic command line: see passt --help.",
		SilenceErrors: true,
		SilenceUsage:  true,
		// The options of the classic command line, for completion only: nothing is run here.
		DisableFlagParsing: true,
		ValidArgsFunction:  completeOptions(conf.ModePasst),
		CompletionOptions:  cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.AddCommand(p.guestCommand(&code), p.portsCommand(), p.flowsCommand(), p.statsCommand(), &cobra.Command{
		Use:   "run [--pasta] [OPTION]... [COMMAND [ARG]...]",
		Short: "Connect a virtual machine, or with --pasta first, a namespace",
		Long: "Does what passt does with the same options or, with --pasta first, what pasta does: for callers that would rather not\n" +
			"depend on the name that the program is called by. The options are those of passt(1) and pasta(1).",
		// The option table of conf is the only one.
		DisableFlagParsing: true,
		ValidArgsFunction:  completeRun,
		Run: func(_ *cobra.Command, args []string) {
			code = p.runCommand(args)
		},
	}, p.manCommand(), p.completionCommand(), &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run: func(*cobra.Command, []string) {
			code = p.output(log, p.printVersion(conf.ModePasst))
		},
	})
	if c := p.cobra(root, args); c != 0 {
		return c
	}
	return code
}

// cobra runs root with args, and returns 1 if that fails.
func (p *program) cobra(root *cobra.Command, args []string) int {
	root.SetArgs(args)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	if err := root.Execute(); err != nil {
		text := err.Error()
		if !errors.As(err, new(refusal)) {
			text += "; try 'passt help'"
		}
		logx.New(p.stderr, logx.Config{Name: root.Name()}).Error(text)
		return 1
	}
	return 0
}

// runCommand is "passt run": the first argument may say which of the two programs it is.
func (p *program) runCommand(args []string) int {
	if len(args) > 0 {
		switch args[0] {
		case "--pasta":
			return p.classic(conf.ModePasta, "passt run --pasta", args[1:])
		case "--passt":
			return p.classic(conf.ModePasst, "passt run --passt", args[1:])
		}
	}
	return p.classic(conf.ModePasst, "passt run", args)
}
