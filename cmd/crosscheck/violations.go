package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/crosscheck-dev/crosscheck/audit"
)

func (a *app) violationsCmd() *cobra.Command {
	return group(&cobra.Command{
		Use: "violations", Short: "Read what is open, since when, and what became of it",
		Example: "  crosscheck violations list --owner payments\n  crosscheck violations show STO-001 aws/111122223333/eu-west-1/AWS::S3::Bucket/www",
	}, a.violationsListCmd(), a.violationsShowCmd())
}

// violationFlags narrow what violations are listed.
type violationFlags struct {
	closed   bool
	all      bool
	control  string
	outcome  string
	owner    string
	origin   string
	resource string
	since    string
	limit    int
	after    string
	output   string
}

func (a *app) violationsListCmd() *cobra.Command {
	var f violationFlags
	cmd := &cobra.Command{
		Use: "list", Short: "List what is open, and since when", Args: cobra.NoArgs,
		Long: `Lists the controls that do not pass on a resource, each since the run in which it
first did not. It stays open while it fails, while it cannot be evaluated, and while
nobody can tell: then it says when it was last seen. It closes in one of four ways:

  fixed           it passed after it had failed
  cleared         it could not be evaluated, then passed, and never failed
  gone            its resource is absent from a listing that has no gap
  not_applicable  the control now says that it does not apply to the resource

Every run that is not simulated moves what it judged, re-audits too.`,
		Example: `  crosscheck violations list
  crosscheck violations list --control STO-001 --owner payments
  crosscheck violations list --closed --since 2026-11-01
  crosscheck violations list --all --resource '*nordhafen-www*' -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.listViolations(cmd.Context(), f) },
	}
	cmd.Flags().BoolVar(&f.closed, "closed", false, "what is no longer open")
	cmd.Flags().BoolVar(&f.all, "all", false, "what is open and what is not")
	cmd.Flags().StringVar(&f.control, "control", "", "only this control")
	cmd.Flags().StringVar(&f.outcome, "outcome", "", "as it was last judged: fail or not_evaluated (default: both)")
	cmd.Flags().StringVar(&f.owner, "owner", "", "only resources of this owner")
	cmd.Flags().StringVar(&f.origin, "origin", "", "only resources of this origin")
	cmd.Flags().StringVar(&f.resource, "resource", "", "only resources whose id has this form; * stands for anything")
	cmd.Flags().StringVar(&f.since, "since", "", "only what was opened or closed since: a date, or a time (RFC 3339)")
	cmd.Flags().IntVar(&f.limit, "limit", 100, "how many at most")
	cmd.Flags().StringVar(&f.after, "after", "", "continue after this one, as the page before says")
	outputFlag(cmd, &f.output)
	complete(cmd, "outcome", "fail", "not_evaluated")
	return cmd
}

func (f violationFlags) query() (audit.SpellQuery, error) {
	q := audit.SpellQuery{Outcome: audit.Outcome(f.outcome), Owner: f.owner, Origin: f.origin, Resource: f.resource, After: f.after, Limit: f.limit}
	var errs []error
	switch {
	case f.closed && f.all:
		errs = append(errs, errors.New("--closed and --all: expected one of them"))
	case f.closed:
		q.State = audit.ClosedSpells
	case f.all:
		q.State = audit.AllSpells
	}
	if f.control != "" {
		q.Controls = []string{f.control}
	}
	if f.limit < 1 {
		errs = append(errs, fmt.Errorf("--limit %d: expected at least 1", f.limit))
	}
	if f.since != "" {
		var err error
		if q.Since, err = time.Parse(time.DateOnly, f.since); err != nil {
			q.Since, err = time.Parse(time.RFC3339, f.since)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("--since %q: expected a date such as 2026-11-21, or a time such as 2026-11-21T08:00:00Z", f.since))
		}
	}
	errs = append(errs, checkWord("output", f.output, "table", "json"), checkWord("outcome", f.outcome, "", "fail", "not_evaluated"))
	return q, errors.Join(errs...)
}

func (a *app) listViolations(ctx context.Context, f violationFlags) (err error) {
	q, err := f.query()
	if err != nil {
		return err
	}
	in, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	page, err := in.ledger.Violations(ctx, q)
	if err != nil {
		return err
	}
	// A control that the library no longer has may still have a history.
	if _, ok := in.library.Catalog.Control(f.control); !ok && f.control != "" && len(page.Spells) == 0 {
		return audit.UnknownError{Kind: "control", Name: f.control}
	}
	if f.output == "json" {
		return a.json(map[string]any{"violations": append([]audit.Spell{}, page.Spells...), "next": page.Next})
	}
	return a.printViolations(in.library.Catalog, q.State, page)
}

func (a *app) printViolations(catalog audit.Catalog, state audit.SpellState, page audit.SpellPage) error {
	heading := []string{"SINCE", "CONTROL", "SEVERITY", "STATE", "OWNER", "RESOURCE"}
	if state != audit.OpenSpells {
		heading = append([]string{"SINCE", "UNTIL"}, heading[1:]...)
	}
	t := newTable(a.out, heading...)
	for _, s := range page.Spells {
		row := []string{audit.Stamp(s.Opened.AsOf)}
		if state != audit.OpenSpells {
			row = append(row, until(s))
		}
		severity := "-"
		if c, ok := catalog.Control(s.Control); ok {
			severity = string(c.Severity)
		}
		owner := s.Owner
		if owner == "" {
			owner = "-"
		}
		t.row(append(row, s.Control, severity, stateOf(s), owner, s.Resource)...)
	}
	if err := t.flush(); err != nil {
		return err
	}
	if page.Next != "" {
		_, err := fmt.Fprintf(a.out, "\nMore: --after %q\n", page.Next)
		return err
	}
	kind := map[audit.SpellState]string{audit.OpenSpells: "open violation", audit.ClosedSpells: "closed violation", audit.AllSpells: "violation"}
	_, err := fmt.Fprintf(a.out, "\n%s\n", plural(int64(len(page.Spells)), kind[state]))
	return err
}

func until(s audit.Spell) string {
	if s.Closed == nil {
		return "-"
	}
	return audit.Stamp(s.Closed.AsOf)
}

// stateOf says in few words how it stands with a spell.
func stateOf(s audit.Spell) string {
	if s.Closed != nil {
		return string(s.How)
	}
	out := string(s.Outcome)
	if s.Excepted {
		out += " (accepted)"
	}
	if s.Lost != nil {
		out += ", last seen " + audit.Stamp(s.Seen.AsOf)
	}
	return out
}

func (a *app) violationsShowCmd() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "show CONTROL RESOURCE", Short: "Show when a control did not pass on a resource, and what ended it", Args: wanted(2, 2, "a control and a resource"),
		Long: `Shows every time in which a control did not pass on a resource (by its whole id):
the run that opened it, the run in which it first failed, and the run that closed it.`,
		Example: `  crosscheck violations show STO-001 aws/111122223333/eu-west-1/AWS::S3::Bucket/www
  crosscheck violations show STO-001 aws/111122223333/eu-west-1/AWS::S3::Bucket/www -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkWord("output", output, "table", "json"); err != nil {
				return err
			}
			return a.showViolation(cmd.Context(), args[0], args[1], output)
		},
		ValidArgsFunction: a.completeControl,
	}
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) showViolation(ctx context.Context, control, resource, output string) (err error) {
	in, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	spells, err := in.ledger.History(ctx, control, resource)
	if err != nil {
		return err
	}
	c, known := in.library.Catalog.Control(control)
	switch {
	case len(spells) == 0 && !known:
		return audit.UnknownError{Kind: "control", Name: control}
	case len(spells) == 0:
		return fmt.Errorf("no violation of %s by %s is on record: give a resource's whole id, as `%s` shows it",
			control, printable(resource), a.command("violations list --all"))
	}
	if output == "json" {
		return a.json(map[string]any{"control": control, "resource": resource, "violations": spells})
	}
	var buf bytes.Buffer
	if fmt.Fprint(&buf, control); known {
		fmt.Fprintf(&buf, "  %s  %s", c.Severity, c.Title)
	}
	last := spells[len(spells)-1]
	fmt.Fprintf(&buf, "\n%s\n", printable(resource))
	if last.Owner != "" {
		fmt.Fprintf(&buf, "owner %s\n", printable(last.Owner))
	}
	for _, s := range spells {
		printSpell(&buf, s)
	}
	if last.Closed == nil {
		from, err := in.seenBy(ctx, last)
		if err != nil {
			return err
		}
		fmt.Fprintf(&buf, "\nWhat was found: %s\n", a.command("decisions list "+from+"--control "+quoted(control)+" --resource "+quoted(printable(resource))))
	}
	_, err = a.out.Write(buf.Bytes())
	return err
}

// seenBy is the flag by which decisions are listed of a run that saw what is
// open: empty where the latest one of everything did, which is listed anyway.
func (in *installation) seenBy(ctx context.Context, s audit.Spell) (string, error) {
	if s.Lost != nil {
		return "--run " + short(s.Seen.Run) + " ", nil
	}
	run, ok, err := in.ledger.LastComplete(ctx)
	if err != nil || ok && !s.Opened.AsOf.After(run.AsOf) {
		return "", err
	}
	return "--run " + short(s.Opened.Run) + " ", nil
}

// closings say what ended a spell.
func closings(how audit.Closing) string {
	return map[audit.Closing]string{
		audit.Fixed:         "it passed",
		audit.Cleared:       "it passed, and was never seen to fail",
		audit.Gone:          "the resource is no longer there",
		audit.NotApplicable: "the control no longer applies to it",
	}[how]
}

func printSpell(w *bytes.Buffer, s audit.Spell) {
	line := func(word string, r *audit.RunAt, more string) {
		if r != nil {
			fmt.Fprintf(w, "  %-19s  %s  run %s%s\n", word, audit.Stamp(r.AsOf), short(r.Run), more)
		}
	}
	if s.Closed == nil {
		fmt.Fprintf(w, "\nOPEN  %s\n", stateOf(s))
	} else {
		fmt.Fprintf(w, "\nCLOSED  %s\n", stateOf(s))
	}
	line("opened", &s.Opened, "")
	if s.Failed != nil && *s.Failed != s.Opened {
		line("first failed", s.Failed, "")
	}
	line("last seen", s.Seen, "")
	line("not confirmed since", s.Lost, "")
	line("closed", s.Closed, ": "+closings(s.How))
}
