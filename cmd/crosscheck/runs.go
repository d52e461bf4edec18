package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
	"github.com/crosscheck-dev/crosscheck/web"
)

func (a *app) runsCmd() *cobra.Command {
	return group(&cobra.Command{
		Use: "runs", Short: "Read which audits ran, and what they came to",
		Example: "  crosscheck runs list\n  crosscheck runs show 51c0de",
	}, a.runsListCmd(), a.runsShowCmd())
}

// runFlags narrow what runs are listed.
type runFlags struct {
	trigger string
	status  string
	audit   string
	before  string
	limit   int
	output  string
}

func (a *app) runsListCmd() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use: "list", Short: "List the runs on record, the latest first", Args: cobra.NoArgs,
		Long: `Lists the runs on record. Without a filter it also says which of the latest audits
were begun and never recorded: they were stopped, killed, or are under way.`,
		Example: `  crosscheck runs list
  crosscheck runs list --audit nightly --status incomplete
  crosscheck runs list --trigger reaudit -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := errors.Join(
				checkWord("output", f.output, "table", "json"), checkWord("trigger", f.trigger, "", "schedule", "manual", "reaudit", "gate"),
				checkWord("status", f.status, "", "complete", "incomplete"),
			)
			if f.limit < 1 {
				err = errors.Join(err, fmt.Errorf("--limit %d: expected at least 1", f.limit))
			}
			if err != nil {
				return err
			}
			return a.listRuns(cmd.Context(), f)
		},
	}
	cmd.Flags().StringVar(&f.trigger, "trigger", "", "only runs that this started: schedule, manual, reaudit or gate")
	cmd.Flags().StringVar(&f.status, "status", "", "complete or incomplete")
	cmd.Flags().StringVar(&f.audit, "audit", "", "only runs of this scheduled audit")
	cmd.Flags().StringVar(&f.before, "before", "", "only runs recorded before this one (id, or its beginning)")
	cmd.Flags().IntVar(&f.limit, "limit", 30, "how many at most")
	outputFlag(cmd, &f.output)
	complete(cmd, "trigger", "schedule", "manual", "reaudit", "gate")
	complete(cmd, "status", "complete", "incomplete")
	return cmd
}

func (a *app) listRuns(ctx context.Context, f runFlags) (err error) {
	in, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	list, next := []web.RunSummary{}, ""
	q := web.RunQuery{Trigger: audit.Trigger(f.trigger), Status: audit.Status(f.status), Audit: f.audit, Before: f.before, Limit: f.limit + 1}
	err = apiRuns{in}.Each(ctx, q, func(run audit.Run) error {
		if len(list) == f.limit {
			next = list[f.limit-1].ID
		} else {
			list = append(list, web.Summarise(run))
		}
		return nil
	})
	if err != nil {
		return err
	}
	if f.output == "json" {
		return a.json(map[string]any{"runs": list, "next": next})
	}
	t := newTable(a.out, "RUN", "ENDED", "TRIGGER", "STATUS", "RESOURCES", "FAIL", "ACCEPTED", "NOT EVALUATED", "GAPS")
	for _, s := range list {
		n := func(n int64) string { return strconv.FormatInt(n, 10) }
		t.row(short(s.ID), audit.Stamp(s.Ended), started(s), runState(s), n(s.Resources), n(s.Fail), n(s.Excepted), n(s.NotEvaluated), strconv.Itoa(s.Gaps))
	}
	if err := t.flush(); err != nil {
		return err
	}
	if next != "" {
		_, err = fmt.Fprintf(a.out, "\nMore: --before %s\n", short(next))
		return err
	}
	if _, err := fmt.Fprintf(a.out, "\n%s\n", plural(int64(len(list)), "run")); err != nil || f.narrow() {
		return err
	}
	return a.printAttempts(ctx, in)
}

func (f runFlags) narrow() bool { return f.trigger+f.status+f.audit+f.before != "" }

// started says what started a run.
func started(s web.RunSummary) string {
	if s.Audit != "" {
		return string(s.Trigger) + " " + s.Audit
	}
	return string(s.Trigger)
}

// runState says what a run is evidence of.
func runState(s web.RunSummary) string {
	out := string(s.Status)
	if !s.Scope.Whole() {
		out += ", of a part"
	}
	if s.Simulated {
		out += ", simulated"
	}
	return out
}

// printAttempts says which of the latest audits left no run.
func (a *app) printAttempts(ctx context.Context, in *installation) error {
	list, err := in.ledger.Attempts(ctx, 10)
	if err != nil {
		return err
	}
	for _, t := range list {
		var what string
		switch {
		case t.Run != "":
			continue
		case t.Status == audit.Running:
			what = "was begun by process " + strconv.Itoa(t.PID) + " and is not recorded: it is under way, or was killed"
		default:
			what = "was interrupted: nothing of it is recorded"
		}
		if _, err := fmt.Fprintf(a.out, "An audit begun %s %s\n", t.Started, what); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) runsShowCmd() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "show [RUN]", Short: "Show one run: what it read, what it came to, what it did not see, and where it was delivered", Args: wanted(0, 1, "one run"),
		Long:    "Shows a run by its id, or the beginning of it; without one the latest.",
		Example: "  crosscheck runs show\n  crosscheck runs show 51c0de -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkWord("output", output, "table", "json"); err != nil {
				return err
			}
			return a.showRun(cmd.Context(), strings.Join(args, ""), output)
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) showRun(ctx context.Context, prefix, output string) (err error) {
	in, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	run, err := in.run(ctx, prefix)
	if err != nil {
		return err
	}
	owed, err := in.ledger.Deliveries(ctx, ledger.DeliveryQuery{Subject: run.ID, Limit: 1000})
	if err != nil {
		return err
	}
	pack, _, err := in.ledger.Pack(ctx, run.ID)
	if err != nil {
		return err
	}
	if output == "json" {
		return a.json(map[string]any{"run": run, "deliveries": append([]audit.Delivery{}, owed...), "pack": pack.Path})
	}
	var buf bytes.Buffer
	if err := printRun(&buf, run, owed, pack); err != nil {
		return err
	}
	_, err = a.out.Write(buf.Bytes())
	return err
}

func printRun(w *bytes.Buffer, run audit.Run, owed []audit.Delivery, pack ledger.Pack) error {
	line := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	s := web.Summarise(run)
	line("run       %s%s\nstarted   %s by %s, ended %s\nas of     %s", run.ID, special(run), audit.Stamp(run.Started), printable(started(s)), audit.Stamp(run.Ended), audit.Stamp(run.AsOf))
	line("library   %s\nengine    %s\nby        %s on %s", run.Revision, run.Engine, printable(run.Provenance.User), printable(run.Provenance.Host))
	if pack.Path != "" {
		line("pack      %s", pack.Path)
	}
	line("\n%s: %d pass, %d fail (%d accepted), %d not evaluated, %d excluded\n", plural(s.Listed, "decision"), s.Pass, s.Fail, s.Excepted, s.NotEvaluated, s.Excluded)
	t := newTable(w, "ORIGIN", "RESOURCES", "COLLECTED", "IDENTITY", "GAPS")
	for _, o := range run.Snapshots {
		t.row(o.Origin, strconv.FormatInt(o.Resources, 10), audit.Stamp(o.Ended), o.Identity, strconv.Itoa(len(o.Gaps)))
	}
	if err := t.flush(); err != nil {
		return err
	}
	if gaps := run.Gaps(); len(gaps) > 0 {
		line("\nWHAT WAS NOT SEEN")
		for _, g := range gaps {
			line("  %s %s: %s", printable(g.Origin), printable(g.Type), printable(g.Code.Reason(g.Operation)))
		}
	}
	if len(run.Notices) > 0 {
		line("\nNOTICES")
		for _, n := range run.Notices {
			line("  %s %s: %s", n.Code, printable(n.Subject), printable(n.Message))
		}
	}
	if len(owed) > 0 {
		line("\nDELIVERED TO")
		for _, d := range owed {
			line("  %s: %s%s", d.Sink, d.Status, detail(d))
		}
	}
	return nil
}

func detail(d audit.Delivery) string {
	if d.Detail == "" {
		return ""
	}
	return ", " + printable(d.Detail)
}
