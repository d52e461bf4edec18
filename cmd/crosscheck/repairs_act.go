package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/remediate"
)

// withEngine opens the installation with what repairs.
func (a *app) withEngine(ctx context.Context, do func(*installation, *remediate.Engine) error) (err error) {
	in, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	e, err := a.repairEngine(in)
	if err != nil {
		return err
	}
	return do(in, e)
}

func (a *app) suggestCmd() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "suggest DECISION", Short: "Say what would be done about a decision; nothing is", Args: wanted(1, 1, "a decision's id"),
		Example: "  crosscheck repairs suggest 3f9a2c",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkWord("output", output, "table", "json"); err != nil {
				return err
			}
			return a.withEngine(cmd.Context(), func(_ *installation, e *remediate.Engine) error {
				list, err := e.Suggest(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if output == "json" {
					return a.json(map[string]any{"repairs": append([]audit.Repair{}, list...)})
				}
				if len(list) == 0 {
					_, err := fmt.Fprintln(a.out, "No runbook in use is made for it.")
					return err
				}
				for _, r := range list {
					if err := a.printRepair(r, nil, ""); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) requestCmd() *cobra.Command {
	var runbook, output string
	cmd := &cobra.Command{
		Use: "request DECISION", Short: "Ask for a repair of a violated decision", Args: wanted(1, 1, "a decision's id"),
		Long: `Asks for a repair. Where the runbook has a dry run, the runner is asked now what it
would do, and what it says is on record for whoever approves. Asked for twice, it is
one repair. Who asks is the user that logged in, whatever sudo says.`,
		Example: "  crosscheck repairs request 3f9a2c\n  crosscheck repairs request 3f9a2c --runbook s3-block-public-access",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.moveRepair(cmd.Context(), output, func(ctx context.Context, e *remediate.Engine, by string) (audit.Repair, error) {
				return e.Request(ctx, args[0], runbook, by)
			})
		},
	}
	cmd.Flags().StringVar(&runbook, "runbook", "", "which runbook, where several are made for it")
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) approveCmd() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "approve REPAIR", Short: "Let a requested repair act", Args: wanted(1, 1, "a repair's id"),
		Long: `Approves a repair that somebody else requested. It acts at the next
"crosscheck repairs run", or when the daemon takes repairs further, unless a guard
stops it or the approval expires first. remediation.approvers names who may approve.`,
		Example: "  crosscheck repairs approve 81bc07",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.moveRepair(cmd.Context(), output, func(ctx context.Context, e *remediate.Engine, by string) (audit.Repair, error) {
				return e.Approve(ctx, args[0], by)
			})
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) denyCmd() *cobra.Command {
	var reason, output string
	cmd := &cobra.Command{
		Use: "deny REPAIR", Short: "Keep a repair from acting, for good", Args: wanted(1, 1, "a repair's id"),
		Long: `Keeps a requested or approved repair from acting, for good. What a later run finds on
the resource is not asked for again by itself: a person has to request it.`,
		Example: "  crosscheck repairs deny 81bc07 --reason 'the bucket is our website'",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.moveRepair(cmd.Context(), output, func(ctx context.Context, e *remediate.Engine, by string) (audit.Repair, error) {
				return e.Deny(ctx, args[0], by, reason)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the record")
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) settleCmd() *cobra.Command {
	var note, output string
	cmd := &cobra.Command{
		Use: "settle REPAIR", Short: "Say what was done about a repair that is stuck", Args: wanted(1, 1, "a repair's id"),
		Long: `Notes what a person did about a repair that is stuck: one that did not work and could
not be undone. The next "crosscheck repairs run", or the daemon, has a re-audit tell how
the resource stands now. Note and re-audit are on record and in the packs; that the
runbook did not work stays on record too.`,
		Example: "  crosscheck repairs settle 81bc07 --note 'put the old bucket policy back by hand'",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.moveRepair(cmd.Context(), output, func(ctx context.Context, e *remediate.Engine, by string) (audit.Repair, error) {
				return e.Settle(ctx, args[0], by, note)
			})
		},
	}
	cmd.Flags().StringVar(&note, "note", "", "what was done, for the record (required)")
	outputFlag(cmd, &output)
	return cmd
}

// moveRepair does what a person asks for, as that person.
func (a *app) moveRepair(ctx context.Context, output string, do func(context.Context, *remediate.Engine, string) (audit.Repair, error)) error {
	if err := checkWord("output", output, "table", "json"); err != nil {
		return err
	}
	by, err := whoami()
	if err != nil {
		return err
	}
	return a.withEngine(ctx, func(in *installation, e *remediate.Engine) error {
		r, err := do(ctx, e, by)
		if err != nil {
			return err
		}
		if err := a.deliverOwed(ctx, in); err != nil {
			a.note("warning: %v", err) // it is on record, and stays owed
		}
		if output == "json" {
			return a.json(r)
		}
		return a.printRepairs([]audit.Repair{r})
	})
}

func (a *app) repairsRunCmd() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "run", Short: "Take every repair as far as it goes now", Args: cobra.NoArgs,
		Long: `Requests what the last complete run found and a runbook in mode approve or auto is
made for, does what is approved, verifies what was done, rolls back what did not
work, and settles by a re-audit what a process that is gone left behind, which is never
done again by itself, and what was stuck and a person dealt with. One process at a time does this; the daemon does it
after each run.

Exit codes: 0 done; 1 error; 2 a repair failed, was rolled back or is stuck.`,
		Example: "  crosscheck repairs run\n  crosscheck repairs run -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkWord("output", output, "table", "json"); err != nil {
				return err
			}
			return a.runRepairs(cmd.Context(), output)
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) runRepairs(ctx context.Context, output string) (err error) {
	in, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	moved, err := a.takeFurther(ctx, in)
	if errors.Is(err, audit.ErrElsewhere) {
		return fmt.Errorf("repairs are run by another process now: %w", err)
	}
	if err != nil && len(moved) == 0 {
		return err
	}
	if output == "json" {
		err = errors.Join(err, a.json(map[string]any{"repairs": append([]audit.Repair{}, moved...)}))
	} else {
		err = errors.Join(err, a.printRepairs(moved))
	}
	if err != nil {
		return err
	}
	bad := int64(0)
	for _, r := range moved {
		if r.State == audit.RepairFailed || r.State == audit.RepairRolledBack || r.State == audit.RepairStuck {
			bad++
		}
	}
	if bad > 0 {
		return &exit{exitViolations, fmt.Errorf("%s did not work: `%s` tells why", plural(bad, "repair"), a.command("repairs list"))}
	}
	return nil
}

func (a *app) stopCmd() *cobra.Command {
	return &cobra.Command{
		Use: "stop", Short: "Stop all repairs now, until somebody resumes them", Args: cobra.NoArgs,
		Long: `Turns the kill switch: no repair begins to act any more, in any process that uses
this data directory. What acts already is finished and verified. A file named
repairs.stop in the data directory (or remediation.stop_file) does the same.`,
		Example: "  crosscheck repairs stop",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.turn(cmd.Context(), remediate.StopSwitch, remediate.Stopped, "repairs are stopped")
		},
	}
}

func (a *app) resumeCmd() *cobra.Command {
	return &cobra.Command{
		Use: "resume [RUNBOOK]", Short: "Let repairs act again, or a runbook after failures", Args: wanted(0, 1, "a runbook's id, or nothing"),
		Long: `Without an argument it turns the kill switch back. With a runbook it closes the
runbook's circuit breaker, which opens after a number of failures in a row.`,
		Example: "  crosscheck repairs resume\n  crosscheck repairs resume s3-block-public-access",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.turn(cmd.Context(), remediate.StopSwitch, "on", "repairs may act again")
			}
			return a.turn(cmd.Context(), remediate.Breaker(args[0]), "reset", "runbook "+args[0]+" may act again")
		},
	}
}

// turn turns a switch, as a person who may decide on repairs; anybody may stop them.
func (a *app) turn(ctx context.Context, name, value, said string) (err error) {
	by, err := whoami()
	if err != nil {
		return err
	}
	in, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	if value != remediate.Stopped {
		e, err := a.repairEngine(in)
		if err != nil {
			return err
		}
		if err := e.MayResume(by, name); err != nil {
			return err
		}
	}
	if err := in.ledger.Turn(ctx, audit.Switch{Name: name, Value: value, By: by, At: a.now().UTC()}); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s (%s)\n", said, by)
	return err
}
