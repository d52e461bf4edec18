package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
	"github.com/crosscheck-dev/crosscheck/report/console"
)

// auditFlags are those of one audit.
type auditFlags struct {
	scopeFlags
	at     string
	failOn string
	output string
	quiet  bool
	full   bool
	within time.Duration
}

func (a *app) auditCmd() *cobra.Command {
	var f auditFlags
	cmd := &cobra.Command{
		Use: "audit", Short: "Collect, judge, record and deliver", Args: cobra.NoArgs,
		Long: `Reads every configured source, judges what it found by the library, records the
run in the ledger and delivers it: a summary here, files, and a signed evidence
pack. What could not be read is a gap, and what rests on it is not evaluated.

Exit codes: 0 the run is complete and recorded, whatever it found; 1 error; 2 with
--fail-on, violations that no exception covers; 3 the run is recorded, but an
origin could not be read at all.`,
		Example: `  crosscheck audit
  crosscheck audit --framework soc2-2017 --severity high
  crosscheck audit --control STO-001,NET-001 --fail-on critical
  crosscheck audit --at 2026-11-20T00:00:00Z -o json
  crosscheck audit --full`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("output") {
				f.output = ""
			}
			ctx := cmd.Context()
			if f.within > 0 {
				var stop context.CancelFunc
				ctx, stop = context.WithTimeoutCause(ctx, f.within, fmt.Errorf("the audit took longer than --timeout %s: nothing of it is recorded", f.within))
				defer stop()
			}
			err := a.audit(ctx, f)
			if cause := context.Cause(ctx); err != nil && cause != nil && cmd.Context().Err() == nil {
				return cause
			}
			return err
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&f.at, "at", "", "the moment to judge by (RFC 3339); one that the data is not of marks the run simulated")
	cmd.Flags().StringVar(&f.failOn, "fail-on", "", "exit 2 on violations of this severity and worse that no exception covers")
	cmd.Flags().BoolVar(&f.full, "full", false, "evaluate everything: take over no outcome of the last run, also where nothing that it rests on has changed")
	cmd.Flags().DurationVar(&f.within, "timeout", 0, "end, without a record, a run that takes longer, such as 2h; no limit by default")
	cmd.Flags().BoolVarP(&f.quiet, "quiet", "q", false, "print one line")
	outputFlag(cmd, &f.output)
	complete(cmd, "fail-on", "critical", "high", "medium", "low")
	return cmd
}

func (f auditFlags) order() (audit.Order, error) {
	o := audit.Order{Trigger: audit.Manual, Scope: f.scope(), Full: f.full}
	if f.failOn != "" && !audit.Severity(f.failOn).Valid() {
		return o, audit.UnknownError{Kind: "severity", Name: f.failOn}
	}
	if f.at != "" {
		at, err := time.Parse(time.RFC3339, f.at)
		if err != nil {
			return o, fmt.Errorf("--at %q: expected a time such as 2026-11-21T08:00:00Z", f.at)
		}
		o.At = at
	}
	return o, checkWord("output", f.output, "", "table", "json")
}

func (a *app) audit(ctx context.Context, f auditFlags) (err error) {
	order, err := f.order()
	if err != nil {
		return err
	}
	in, err := a.prepare()
	if err != nil {
		return err
	}
	if in.cfg.File == "" && !f.quiet {
		a.note("no configuration: auditing the recorded demo estate")
	}
	defer func() {
		if in.ledger != nil {
			err = errors.Join(err, in.close())
		}
	}()
	run, err := a.perform(ctx, in, order, show{f.output, f.quiet})
	if err != nil {
		return err
	}
	return verdict(run, in.library.Catalog, audit.Severity(f.failOn))
}

// perform runs one audit with the configured sinks, and says where the pack is.
// It opens the ledger where that is not open, and leaves it open.
func (a *app) perform(ctx context.Context, in *installation, order audit.Order, how show) (audit.Run, error) {
	tell, stop := console.Progress(a.err)
	if how.quiet {
		tell = nil
	}
	defer stop()
	auditor, err := a.auditor(ctx, in)
	if err != nil {
		return audit.Run{}, err
	}
	made := &packs{}
	if auditor.Sinks, err = a.shown(in, how, stop); err != nil {
		return audit.Run{}, err
	}
	box, err := a.outbox(in, made, tell)
	if err != nil {
		return audit.Run{}, err
	}
	auditor.Outbox = byHand{box, in, a.now}
	auditor.Progress = tell
	auditor.Ledger = began{in.ledger, a}
	run, err := auditor.Run(ctx, order)
	stop()
	if err != nil {
		return run, naming(in.library.Catalog, err)
	}
	if made.dir != "" && made.run == run.ID && !how.quiet {
		to := a.out
		if c := in.cfg.Sinks.Console; c != nil && how.format(c.Format) == console.JSON {
			to = a.err
		}
		_, err = fmt.Fprintf(to, "\nEvidence pack  %s\nVerify it      %s\n", made.dir, a.command("evidence verify "+quoted(made.dir)))
	}
	return run, err
}

// began is a ledger that tells of audits that were interrupted when the next one begins.
type began struct {
	*ledger.Ledger
	app *app
}

// Begin implements audit.Ledger. Once it succeeded no other process audits:
// what ran before and is marked now ended without a record. The next one finds
// it marked, and does not say it again.
func (b began) Begin(ctx context.Context, started time.Time) (string, error) {
	before, err := b.Attempts(ctx, 10)
	if err != nil {
		return "", err
	}
	attempt, err := b.Ledger.Begin(ctx, started)
	if err != nil {
		return "", err
	}
	after, err := b.Attempts(ctx, 11)
	for _, t := range after {
		if t.Status == audit.Interrupted && slices.ContainsFunc(before, func(x ledger.Attempt) bool { return x.ID == t.ID && x.Status == audit.Running }) {
			b.app.note("an audit that began at %s was interrupted: nothing of it was recorded", t.Started)
		}
	}
	return attempt, err
}

// verdict turns what a run came to into an exit code.
func verdict(run audit.Run, catalog audit.Catalog, failOn audit.Severity) error {
	if failOn != "" {
		var open int64
		for _, c := range run.Counts {
			if ctl, ok := catalog.Control(c.Control); ok && ctl.Severity.Rank() <= failOn.Rank() {
				open += c.Fail - c.Excepted
			}
		}
		if open > 0 {
			return &exit{exitViolations, fmt.Errorf("%d failed decisions of severity %s and worse that no exception covers", open, failOn)}
		}
	}
	if run.Status != audit.Complete {
		return &exit{exitNotEvaluated, fmt.Errorf("run %s is recorded, but not complete: see its gaps", short(run.ID))}
	}
	return nil
}
