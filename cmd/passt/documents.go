package main

// Manual pages and completions of shells, for "make install" and for users. Both come from
// the option table of conf.

import (
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"passt/cmd/internal/conf"
	"passt/cmd/internal/manpage"
)

// manCommand is "passt man".
func (p *program) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:       "man PAGE",
		Short:     "Print a manual page in the man(7) macros",
		Hidden:    true,
		ValidArgs: manpage.Pages(),
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			return manpage.Write(p.stdout, args[0], manpage.Build{Version: version, Date: buildDate()}, describe(cmd.Root()))
		},
	}
}

// describe says of the subcommands of cmd what their help says.
func describe(cmd *cobra.Command) (out []manpage.Command) {
	for _, c := range cmd.Commands() {
		_, args, _ := strings.Cut(c.Use, " ")
		d := manpage.Command{Name: c.Name(), Args: args, Short: c.Short, Long: c.Long, Example: c.Example, Commands: describe(c)}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			arg, help := pflag.UnquoteUsage(f)
			doc := conf.Doc{Long: []string{f.Name}, Arg: arg, Help: strings.ToUpper(help[:1]) + help[1:] + "."}
			if f.Shorthand != "" {
				doc.Short = f.Shorthand[0]
			}
			d.Options = append(d.Options, doc)
		})
		out = append(out, d)
	}
	return out
}

// buildDate is the date of the commit that the program was built from; empty if it was built
// without one.
func buildDate() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			date, _, _ := strings.Cut(s.Value, "T")
			return date
		}
	}
	return ""
}

// completionCommand is "passt completion".
func (p *program) completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish [passt|pasta]",
		Short: "Print the completion script of a shell",
		Long: "Prints what makes a shell complete the options of passt or pasta. For the shell that runs now:\n" +
			"  bash:  source <(passt completion bash pasta)\n" +
			"  fish:  passt completion fish pasta | source",
		ValidArgs: []string{"bash", "zsh", "fish"},
		Args:      cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch {
			case len(args) == 2 && args[1] == "pasta":
				root = pastaCompletion()
			case len(args) == 2 && args[1] != "passt":
				return fmt.Errorf("%q: there are completions of passt and of pasta", args[1])
			}
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(p.stdout, true)
			case "zsh":
				return root.GenZshCompletion(p.stdout)
			case "fish":
				return root.GenFishCompletion(p.stdout, true)
			}
			return fmt.Errorf("%q: there are completions for bash, zsh and fish", args[0])
		},
	}
}

// isCompletion says whether a shell asks for completions of pasta, which has no other
// subcommands.
func isCompletion(word string) bool {
	return word == cobra.ShellCompRequestCmd || word == cobra.ShellCompNoDescRequestCmd
}

// pastaCompletion answers what a shell asks for completions of pasta's command line.
func pastaCompletion() *cobra.Command {
	return &cobra.Command{
		Use:                "pasta",
		DisableFlagParsing: true,
		ValidArgsFunction:  completeOptions(conf.ModePasta),
		CompletionOptions:  cobra.CompletionOptions{DisableDefaultCmd: true},
		Run:                func(*cobra.Command, []string) {},
	}
}

// completeRun completes the options of "passt run".
func completeRun(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	switch {
	case len(args) == 0 && strings.HasPrefix(word, "--p"):
		all, d := completeOptions(conf.ModePasst)(cmd, args, word)
		return append(all, "--pasta\tConnect a namespace"), d
	case len(args) > 0 && args[0] == "--pasta":
		return completeOptions(conf.ModePasta)(cmd, args[1:], word)
	}
	return completeOptions(conf.ModePasst)(cmd, args, word)
}

// completeOptions completes the classic command line of mode: the names of options, and
// files for the values that are some.
func completeOptions(mode conf.Mode) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		var out []cobra.Completion
		for _, s := range conf.Document(mode) {
			for _, d := range s.Options {
				if len(args) > 0 && takes(&d, args[len(args)-1]) {
					if strings.Contains(d.Arg, "FILE") || strings.Contains(d.Arg, "PATH") {
						return nil, cobra.ShellCompDirectiveDefault
					}
					return nil, cobra.ShellCompDirectiveNoFileComp
				}
				for _, n := range d.Long {
					if strings.HasPrefix("--"+n, word) && word != "" {
						short, _, _ := strings.Cut(d.Help, ". ")
						out = append(out, cobra.CompletionWithDesc("--"+n, strings.TrimSuffix(short, ".")))
					}
				}
			}
		}
		return out, cobra.ShellCompDirectiveDefault
	}
}

// takes says whether word is the option d, whose value is the next word.
func takes(d *conf.Doc, word string) bool {
	if d.Arg == "" {
		return false
	}
	if name, ok := strings.CutPrefix(word, "--"); ok {
		return slices.Contains(d.Long, name)
	}
	return d.Short != 0 && word == "-"+string(d.Short)
}
