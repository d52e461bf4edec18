package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// reauditFlags say what is judged again, and how it is shown.
type reauditFlags struct {
	asked
	show
}

func (a *app) reauditCmd() *cobra.Command {
	var f reauditFlags
	cmd := &cobra.Command{
		Use: "reaudit [DECISION|RESOURCE|CONTROL…]", Short: "Collect again only what is concerned, and judge it again",
		Long: `Judges again a decision (by its id, or the beginning of it), a resource (by its
whole id), a control, all that an owner answers for, or the controls of a
requirement. What is judged is read again, resource by resource, and with it what
its controls look up, where that takes list calls alone. Everything else is of the
last complete run; where that is more than a day old, a look-up that finds nothing
is not evaluated.

Controls and requirements say what to judge by, resources and owners what to
judge: several of a kind are judged all, and where both kinds are given, these
resources are judged by these controls. A decision is both. Without a resource all
those that a control applies to are read, new ones too.

New decisions are linked to those that they replace. What the source says is no
longer there is gone; what it refuses is not evaluated, and stays open.

Exit codes: 0 complete and recorded; 1 error, also a resource that was never seen;
3 recorded, but what was to be judged again could not be read.`,
		Example: `  crosscheck reaudit 3f9a2c
  crosscheck reaudit aws/111122223333/eu-west-1/AWS::S3::Bucket/www
  crosscheck reaudit STO-001
  crosscheck reaudit --owner payments
  crosscheck reaudit --owner payments --requirement soc2-2017/CC6.1
  crosscheck reaudit --requirement iso27001-2022/A.8.24`,
		ValidArgsFunction: a.completeControl,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkWord("output", f.output, "table", "json"); err != nil {
				return err
			}
			if len(args)+len(f.owners)+len(f.requirements) == 0 {
				return fmt.Errorf("expected a decision, a resource or a control, or --owner or --requirement: see `%s --help`", cmd.CommandPath())
			}
			f.args = args
			return a.reaudit(cmd.Context(), f)
		},
	}
	cmd.Flags().StringSliceVar(&f.owners, "owner", nil, "judge again what these owners answer for")
	cmd.Flags().StringSliceVar(&f.requirements, "requirement", nil, "judge again by the controls of these requirements, such as soc2-2017/CC6.1")
	cmd.Flags().BoolVarP(&f.quiet, "quiet", "q", false, "print one line")
	outputFlag(cmd, &f.output)
	_ = cmd.RegisterFlagCompletionFunc("requirement", a.completeRequirement)
	_ = cmd.RegisterFlagCompletionFunc("owner", cobra.NoFileCompletions)
	return cmd
}

// completeRequirement completes the last of several requirements.
func (a *app) completeRequirement(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	lib, err := a.library()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var out []string
	for _, f := range lib.Catalog.Frameworks {
		for _, r := range f.Requirements {
			if len(r.Evidence) > 0 {
				out = append(out, f.ID+"/"+r.ID+"\t"+r.Title)
			}
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) reaudit(ctx context.Context, f reauditFlags) (err error) {
	in, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	run, c, err := a.judge(ctx, in, f.asked, f.show)
	if err != nil {
		return err
	}
	if !f.quiet && f.output == "table" {
		if err := a.printRelinked(ctx, in, run); err != nil {
			return err
		}
	}
	gone, err := c.lost(ctx, run)
	if err != nil {
		return err
	}
	to := a.out
	if f.quiet || f.output == "json" {
		to = a.err
	}
	if err := printLost(to, gone); err != nil {
		return err
	}
	return verdict(run, in.library.Catalog, "")
}

func (a *app) judge(ctx context.Context, in *installation, what asked, how show) (audit.Run, *concern, error) {
	c, err := a.concerned(ctx, in, what)
	if err != nil {
		return audit.Run{}, nil, err
	}
	order, err := c.order(ctx)
	if err != nil {
		return audit.Run{}, nil, naming(in.library.Catalog, err)
	}
	run, err := a.perform(ctx, in, order, how)
	return run, c, err
}

// concerned finds out what a re-audit is of. The ledger is open.
func (a *app) concerned(ctx context.Context, in *installation, what asked) (*concern, error) {
	last, ok, err := in.ledger.LastComplete(ctx)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, fmt.Errorf("no complete run to lay this one over: run `%s` first", a.command("audit"))
	}
	c, err := in.concerned(ctx, last, what)
	if err != nil {
		return nil, naming(in.library.Catalog, err)
	}
	return c, nil
}

// became tells what a re-audit made of a decision: the decision in its place, or
// that its resource is gone; neither where that could not be told.
func (in *installation) became(ctx context.Context, run audit.Run, old audit.Found) (now *audit.Found, gone bool, err error) {
	rec, err := in.record(ctx, run)
	if err != nil {
		return nil, false, err
	}
	for id, was := range run.Relinked {
		if was == old.ID {
			found, err := findIn(ctx, rec, id)
			if err != nil || len(found) == 0 {
				return nil, false, err
			}
			return &found[0], false, nil
		}
	}
	there, err := in.present(ctx, run, []string{old.Resource})
	if err != nil || there[old.Resource] {
		return nil, false, err
	}
	i := slices.IndexFunc(run.Snapshots, func(s audit.Snapshot) bool { return s.Origin == old.Origin })
	return nil, i >= 0 && run.Snapshots[i].Lacks(old.Type, old.Resource), nil
}

// printRelinked says what became of each decision that was judged again.
func (a *app) printRelinked(ctx context.Context, in *installation, run audit.Run) error {
	if len(run.Relinked) == 0 {
		return nil
	}
	rec, err := in.record(ctx, run)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(a.out); err != nil {
		return err
	}
	t := newTable(a.out, "WAS", "IS", "OUTCOME", "CONTROL", "RESOURCE")
	err = rec.Verdicts(ctx, func(v audit.Verdict) error {
		for _, d := range v.Decisions {
			if old, ok := run.Relinked[d.ID]; ok {
				t.row(short(old), short(d.ID), string(d.Outcome), d.Control, v.Resource)
			}
		}
		return nil
	})
	return errors.Join(err, t.flush())
}
