package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/configs"
	"github.com/crosscheck-dev/crosscheck/remediate"
	"github.com/crosscheck-dev/crosscheck/web/metrics"
)

// app is what every command has: the streams, the clock and the global flags.
type app struct {
	in     io.Reader
	out    io.Writer
	err    io.Writer
	now    func() time.Time
	config string
	engine string // vm or opa

	measured *metrics.Metrics    // nil: nothing is measured
	patience *remediate.Patience // of who looks at repairs often; nil: of a person who asks once
}

// defaultConfig is read where it exists and nothing else is named.
const defaultConfig = "crosscheck.yaml"

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "crosscheck",
		Short: "Audit AWS, Kubernetes, Terraform and NetBox against each other, with evidence",
		Long: `crosscheck reads what runs (AWS, Kubernetes), what should run (Terraform) and
what is documented (NetBox), judges all of it by controls written in Rego, and
leaves a signed pack that anyone can verify and re-perform.

Without a configuration it audits the recorded estate of an invented company,
which needs no network and no credentials.`,
		Example: `  crosscheck audit
  crosscheck decisions list
  crosscheck --config prod.yaml audit --fail-on high
  terraform show -json plan.bin | crosscheck gate -`,
		SilenceUsage: true, SilenceErrors: true,
		Version: title(), // with a template of our own the linker would keep every method there is: twice the program
	}
	root.PersistentFlags().StringVar(&a.config, "config", "", "configuration file (default $CROSSCHECK_CONFIG, else ./"+defaultConfig+" if there is one, else the demo)")
	root.PersistentFlags().StringVar(&a.engine, "engine", "vm", "vm decides by the compiled plan and has OPA decide a sample too; opa has OPA's own evaluator decide everything")
	complete(root, "engine", "vm", "opa")
	root.AddCommand(
		a.auditCmd(),
		a.reauditCmd(),
		a.gateCmd(),
		a.runsCmd(),
		a.decisionsCmd(),
		a.violationsCmd(),
		a.deliveriesCmd(),
		a.repairsCmd(),
		a.evidenceCmd(),
		a.elasticCmd(),
		a.controlsCmd(),
		a.configCmd(),
		a.daemonCmd(),
		a.schedulesCmd(),
		a.versionCmd(),
	)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w: see `%s --help`", err, cmd.CommandPath())
	})
	return root
}

// group is a command that has only others below it.
func group(cmd *cobra.Command, below ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(below...)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("unknown command %q for %q: see `%s --help`", args[0], cmd.CommandPath(), cmd.CommandPath())
		}
		return cmd.Help()
	}
	return cmd
}

// load reads the configuration that is in force and says what is unwise in it.
func (a *app) load() (configs.Config, error) {
	cfg, err := a.read()
	for _, w := range cfg.Warnings {
		a.note("warning: %s", w)
	}
	return cfg, err
}

// read reads the configuration that is in force.
func (a *app) read() (configs.Config, error) {
	path := a.config
	if path == "" {
		path = os.Getenv("CROSSCHECK_CONFIG")
	}
	if path == "" {
		switch _, err := os.Stat(defaultConfig); {
		case err == nil:
			path = defaultConfig
		case !errors.Is(err, fs.ErrNotExist):
			return configs.Config{}, fmt.Errorf("configuration: %w", err)
		}
	}
	if path == "" {
		return configs.Demo()
	}
	return configs.Load(path)
}

// command is how a command is typed so that it finds what this one found.
func (a *app) command(rest string) string {
	if a.config == "" {
		return "crosscheck " + rest
	}
	return "crosscheck --config " + quoted(a.config) + " " + rest
}

// plain is what a shell takes as it is.
var plain = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// quoted renders a word for a shell.
func quoted(word string) string {
	if plain.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// note tells a person something beside what the command is asked for.
func (a *app) note(format string, args ...any) {
	_, _ = fmt.Fprintf(a.err, "crosscheck: "+format+"\n", args...)
}

func (a *app) logger(l configs.Log) *slog.Logger {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	opts := &slog.HandlerOptions{Level: levels[l.Level]}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(a.err, opts))
	}
	return slog.New(slog.NewTextHandler(a.err, opts))
}

// scopeFlags are those by which audit and gate are narrowed.
type scopeFlags struct {
	controls   []string
	frameworks []string
	severity   string
}

func (s *scopeFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&s.controls, "control", nil, "judge only these controls (ids)")
	cmd.Flags().StringSliceVar(&s.frameworks, "framework", nil, "judge only controls that a framework refers to")
	cmd.Flags().StringVar(&s.severity, "severity", "", "judge only controls of this severity and worse")
	complete(cmd, "severity", "critical", "high", "medium", "low")
}

func (s *scopeFlags) scope() audit.Scope {
	sorted := func(list []string) []string {
		out := slices.Clone(list)
		slices.Sort(out)
		return slices.Compact(out)
	}
	return audit.Scope{Controls: sorted(s.controls), Frameworks: sorted(s.frameworks), Severity: audit.Severity(s.severity)}
}

// outputFlag adds -o.
func outputFlag(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVarP(into, "output", "o", "table", "table or json")
	complete(cmd, "output", "table", "json")
}

func complete(cmd *cobra.Command, flag string, words ...string) {
	// The only error is a flag that does not exist, which every test would see.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}

// wanted replaces a count of arguments by what is wanted.
func wanted(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return fmt.Errorf("expected %s, got %s: see `%s --help`", what, plural(int64(len(args)), "argument"), cmd.CommandPath())
		}
		return nil
	}
}

// checkWord refuses a flag's value that is none of a few words.
func checkWord(flag, value string, words ...string) error {
	if !slices.Contains(words, value) {
		words = slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "" })
		return fmt.Errorf("--%s %q: expected %s", flag, value, strings.Join(words, " or "))
	}
	return nil
}
