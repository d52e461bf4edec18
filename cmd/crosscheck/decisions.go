package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
)

func (a *app) decisionsCmd() *cobra.Command {
	return group(&cobra.Command{
		Use: "decisions", Short: "Read what was decided",
		Example: "  crosscheck decisions list --outcome fail\n  crosscheck decisions show 3f9a2c",
	}, a.decisionsListCmd(), a.decisionsShowCmd())
}

// listFlags narrow what decisions are listed.
type listFlags struct {
	run      string
	control  string
	outcome  string
	resource string
	excepted string
	limit    int
	after    string
	output   string
}

func (a *app) decisionsListCmd() *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use: "list", Short: "List the decisions of a run", Args: cobra.NoArgs,
		Long: `Lists the decisions of the latest run that is complete, of everything and not
simulated, or of another: what failed and what was not evaluated, unless --outcome
asks for something else.`,
		Example: `  crosscheck decisions list
  crosscheck decisions list --control STO-001 --outcome fail --excepted no
  crosscheck decisions list --resource '*nordhafen-www*' --outcome all
  crosscheck decisions list --run 51c0de -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.listDecisions(cmd.Context(), f) },
	}
	cmd.Flags().StringVar(&f.run, "run", "", "id of a run, or its beginning, or latest: the latest of any kind (default: the latest complete one of everything)")
	cmd.Flags().StringVar(&f.control, "control", "", "only this control")
	cmd.Flags().StringVar(&f.outcome, "outcome", "", "fail, not_evaluated, pass, excluded or all (default: fail and not_evaluated)")
	cmd.Flags().StringVar(&f.resource, "resource", "", "only resources whose id has this form; * stands for anything")
	cmd.Flags().StringVar(&f.excepted, "excepted", "", "yes: only accepted failures, no: only others")
	cmd.Flags().IntVar(&f.limit, "limit", 100, "how many at most")
	cmd.Flags().StringVar(&f.after, "after", "", "continue after this one, as the page before says")
	outputFlag(cmd, &f.output)
	complete(cmd, "outcome", "fail", "not_evaluated", "pass", "excluded", "all")
	complete(cmd, "excepted", "yes", "no")
	return cmd
}

func (f listFlags) check() error {
	if f.limit < 1 {
		return fmt.Errorf("--limit %d: expected at least 1", f.limit)
	}
	return errors.Join(
		checkWord("output", f.output, "table", "json"),
		checkWord("outcome", f.outcome, "", "fail", "not_evaluated", "pass", "excluded", "all"),
		checkWord("excepted", f.excepted, "", "yes", "no"),
	)
}

func (a *app) listDecisions(ctx context.Context, f listFlags) (err error) {
	if err := f.check(); err != nil {
		return err
	}
	in, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	run, err := in.listed(ctx, f.run)
	if err != nil {
		return err
	}
	rec, err := in.record(ctx, run)
	if err != nil {
		return err
	}
	if _, ok := rec.Catalog.Control(f.control); !ok && f.control != "" {
		return audit.UnknownError{Kind: "control", Name: f.control}
	}
	page, err := page(ctx, rec, f)
	if err != nil {
		return err
	}
	if f.output == "json" {
		return a.json(map[string]any{"run": run.ID, "as_of": audit.Stamp(run.AsOf), "decisions": append([]audit.Found{}, page.Decisions...), "next": page.Next})
	}
	return a.printDecisions(rec, page)
}

func (a *app) printDecisions(rec audit.Record, page audit.Page) error {
	t := newTable(a.out, "DECISION", "OUTCOME", "SEVERITY", "CONTROL", "RESOURCE", "WHAT")
	for _, d := range page.Decisions {
		severity := "-"
		if c, ok := rec.Catalog.Control(d.Control); ok {
			severity = string(c.Severity)
		}
		outcome := string(d.Outcome)
		if d.Excepted() {
			outcome += " (accepted)"
		}
		t.row(short(d.ID), outcome, severity, d.Control, d.Resource, summary(d.Decision))
	}
	if err := t.flush(); err != nil {
		return err
	}
	if page.Next != "" {
		_, err := fmt.Fprintf(a.out, "\nMore: --after %q\n", page.Next)
		return err
	}
	_, err := fmt.Fprintf(a.out, "\n%s of run %s%s, as of %s\n", plural(int64(len(page.Decisions)), "decision"), short(rec.Run.ID),
		special(rec.Run), audit.Stamp(rec.Run.AsOf))
	return err
}

// special says what makes a run another than a complete one of everything.
func special(run audit.Run) string {
	var out string
	switch s := run.Scope; {
	case run.Trigger == audit.Reaudit && len(s.Resources) > 0:
		out += ", re-audit of " + plural(int64(len(s.Resources)), "resource")
	case run.Trigger == audit.Reaudit:
		out += ", re-audit of " + plural(int64(len(s.Controls)), "control")
	case !s.Whole():
		out += ", of a part"
	}
	if run.Simulated {
		out += ", SIMULATED"
	}
	if run.Status != audit.Complete {
		out += ", INCOMPLETE"
	}
	return out
}

// listed is the run that decisions are listed of: without a name the one that tells of everything.
func (in *installation) listed(ctx context.Context, name string) (audit.Run, error) {
	if name == "" {
		if run, ok, err := in.ledger.LastComplete(ctx); ok || err != nil {
			return run, err
		}
	}
	if name == "latest" {
		name = ""
	}
	return in.run(ctx, name)
}

// summary is one line on why a decision is what it is.
func summary(d audit.Decision) string {
	switch {
	case len(d.Violations) == 1:
		return d.Violations[0].Message
	case len(d.Violations) > 1:
		return fmt.Sprintf("%s (and %d more)", d.Violations[0].Message, len(d.Violations)-1)
	case len(d.Reasons) > 0:
		return because(d.Reasons[0])
	}
	return ""
}

func because(r audit.Reason) string {
	out := r.Code
	if r.Where != "" {
		out += " " + r.Where
	}
	if r.Detail != "" {
		out += ": " + r.Detail
	}
	return out
}

// run finds a run by the beginning of its id; without one it is the latest.
func (in *installation) run(ctx context.Context, prefix string) (audit.Run, error) {
	if prefix != "" {
		return in.ledger.Run(ctx, prefix)
	}
	runs, err := in.ledger.Runs(ctx, ledger.Filter{Limit: 1})
	switch {
	case err != nil:
		return audit.Run{}, err
	case len(runs) == 0:
		return audit.Run{}, errors.New("no run is on record: run `crosscheck audit` first")
	}
	return runs[0], nil
}

// page reads what failed or was not evaluated from the run's verdict segment
// alone, and passes and exclusions from its snapshots too.
func page(ctx context.Context, rec audit.Record, f listFlags) (audit.Page, error) {
	q := audit.Query{Control: f.control, Resource: f.resource, After: f.after, Limit: f.limit}
	if f.excepted != "" {
		yes := f.excepted == "yes"
		q.Excepted, q.Outcome = &yes, audit.Fail
	}
	switch f.outcome {
	case "pass", "excluded", "all":
		return derived(ctx, rec, q, f.outcome)
	case "":
	default:
		q.Outcome = audit.Outcome(f.outcome)
	}
	return rec.Find(ctx, q)
}

var errEnough = errors.New("enough")

// derived lists decisions in the order of their resources.
func derived(ctx context.Context, rec audit.Record, q audit.Query, outcome string) (audit.Page, error) {
	var page audit.Page
	skipping := q.After != ""
	err := rec.Verdicts(ctx, func(v audit.Verdict) error {
		if q.Resource != "" && !audit.Matches(q.Resource, v.Resource) {
			return nil
		}
		for _, d := range v.Decisions {
			at := d.Control + " " + v.Resource
			switch {
			case skipping:
				skipping = at != q.After
			case q.Control != "" && d.Control != q.Control,
				outcome != "all" && string(d.Outcome) != outcome,
				q.Excepted != nil && (d.Outcome != audit.Fail || d.Excepted() != *q.Excepted):
			case len(page.Decisions) == q.Limit:
				last := page.Decisions[q.Limit-1]
				page.Next = last.Control + " " + last.Resource
				return errEnough
			default:
				page.Decisions = append(page.Decisions, rec.Found(v, d))
			}
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	if skipping && err == nil {
		err = &audit.PageError{After: q.After, Of: "decisions"}
	}
	return page, err
}
