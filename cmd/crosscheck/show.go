package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
)

func (a *app) decisionsShowCmd() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "show DECISION", Short: "Show one decision: what was asked, what was seen, and what to do", Args: wanted(1, 1, "one decision"),
		Long: `Shows a decision by its id, or by the beginning of it: failed ones of any run,
passes and exclusions of the latest ones. Of several runs the latest that has such a
decision answers; a beginning is ambiguous if that run has two.`,
		Example: "  crosscheck decisions show 3f9a2c\n  crosscheck decisions show 3f9a2c -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkWord("output", output, "table", "json"); err != nil {
				return err
			}
			return a.showDecision(cmd.Context(), args[0], output)
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

// shown is a decision with all that a person asks of it.
type shown struct {
	Decision     audit.Found      `json:"decision"`
	Control      audit.Control    `json:"control"`
	Requirements []string         `json:"requirements"`
	Run          shownRun         `json:"run"`
	Document     json.RawMessage  `json:"document"`
	Slice        *audit.Slice     `json:"slice,omitempty"`
	Exception    *audit.Exception `json:"exception,omitempty"`
	Replaces     string           `json:"replaces,omitempty"` // the decision that this one judged again
	ReplacedBy   *replacement     `json:"replaced_by,omitempty"`
	Pack         *ledger.Pack     `json:"pack,omitempty"`
	repairs      []string         // the runbooks in use that are made for it
}

type shownRun struct {
	ID        string `json:"id"`
	Evaluated string `json:"evaluated_in,omitempty"` // the earlier run that the outcome was taken over from
	AsOf      string `json:"as_of"`
	Collected string `json:"collected"`
	Identity  string `json:"identity"`
	Endpoint  string `json:"endpoint"`
}

func (a *app) showDecision(ctx context.Context, prefix, output string) (err error) {
	in, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	d, rec, err := in.find(ctx, prefix)
	if err != nil {
		return err
	}
	s, err := in.explain(ctx, d, rec)
	if err != nil {
		return err
	}
	if output == "json" {
		return a.json(s)
	}
	if s.repairs, err = a.repairsOf(in, d); err != nil {
		return err
	}
	var buf bytes.Buffer
	s.print(&buf, a.command)
	_, err = a.out.Write(buf.Bytes())
	return err
}

// repairsOf names the runbooks in use that are made for a decision.
func (a *app) repairsOf(in *installation, d audit.Found) (out []string, err error) {
	if in.cfg.Remediation == nil {
		return nil, nil
	}
	e, err := a.repairEngine(in)
	if err != nil {
		return nil, err
	}
	for _, r := range e.Candidates(d) {
		out = append(out, r.ID)
	}
	return out, nil
}

// runsBack is how many runs are searched for a pass, which takes their snapshots.
const runsBack = 10

// find finds a decision by the beginning of its id.
func (in *installation) find(ctx context.Context, prefix string) (audit.Found, audit.Record, error) {
	d, rec, err := in.ledger.Decision(ctx, in.record, prefix)
	if !errors.As(err, new(*ledger.NotFoundError)) {
		return d, rec, err
	}
	runs, rerr := in.ledger.Runs(ctx, ledger.Filter{Limit: runsBack})
	if rerr != nil {
		return d, audit.Record{}, rerr
	}
	for _, run := range runs {
		rec, err := in.record(ctx, run)
		if err != nil {
			return d, audit.Record{}, err
		}
		found, err := findIn(ctx, rec, prefix)
		switch {
		case err != nil:
			return d, audit.Record{}, err
		case len(found) > 1:
			return d, audit.Record{}, &ledger.AmbiguousError{Kind: "decision", ID: prefix, Run: run.ID, Of: []string{found[0].ID, found[1].ID}}
		case len(found) == 1:
			return found[0], rec, nil
		}
	}
	return d, audit.Record{}, fmt.Errorf("%w in %s: failed ones were looked for in every run, passes in the latest %d", err, in.cfg.DataDir, len(runs))
}

func findIn(ctx context.Context, rec audit.Record, prefix string) (found []audit.Found, err error) {
	err = rec.Verdicts(ctx, func(v audit.Verdict) error {
		for _, d := range v.Decisions {
			if strings.HasPrefix(d.ID, prefix) {
				if found = append(found, rec.Found(v, d)); len(found) > 1 {
					return errEnough
				}
			}
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return found, err
}

// explain gathers what a decision rests on, from what is kept of its run.
func (in *installation) explain(ctx context.Context, d audit.Found, rec audit.Record) (shown, error) {
	c, ok := rec.Catalog.Control(d.Control)
	if !ok {
		return shown{}, fmt.Errorf("the library of run %s has no control %s", short(rec.Run.ID), d.Control)
	}
	s := shown{Decision: d, Control: c, Requirements: rec.Catalog.Requirements(d.Control), Replaces: rec.Run.Relinked[d.ID]}
	s.Run = shownRun{ID: rec.Run.ID, AsOf: audit.Stamp(rec.Run.AsOf)}
	for _, snap := range rec.Run.Snapshots {
		if snap.Origin != d.Origin {
			continue
		}
		s.Run.Collected, s.Run.Identity, s.Run.Endpoint = audit.Stamp(snap.Ended), snap.Identity, snap.Endpoint
		line, err := document(ctx, rec.Vault, snap.Digest, d)
		if err != nil {
			return s, err
		}
		s.Document = line
	}
	var err error
	if s.Run.Evaluated, err = evaluatedIn(ctx, d, rec); err != nil {
		return s, err
	}
	if d.SliceDigest != "" {
		if s.Slice, err = in.slice(ctx, d, rec); err != nil {
			return s, err
		}
	}
	if s.Exception, err = exceptionOf(ctx, rec, d); err != nil {
		return s, err
	}
	if s.ReplacedBy, err = in.replaced(ctx, d.ID); err != nil {
		return s, err
	}
	pack, ok, err := in.ledger.Pack(ctx, rec.Run.ID)
	if ok {
		s.Pack = &pack
	}
	return s, err
}

// evaluatedIn names the earlier run that an outcome was taken over from, if it was.
func evaluatedIn(ctx context.Context, d audit.Found, rec audit.Record) (run string, err error) {
	if d.Outcome == audit.NotEvaluated {
		return "", nil
	}
	err = rec.Run.CarriedBlocks(ctx, rec.Vault, func(b audit.CarriedBlock) error {
		if b.Origin == d.Origin && b.First <= d.Resource && d.Resource <= b.Last {
			run = b.Run
		}
		return nil
	})
	return run, err
}

// document finds the document that a decision was made on.
func document(ctx context.Context, v audit.Vault, digest string, d audit.Found) ([]byte, error) {
	var out []byte
	err := audit.Documents(ctx, v, digest, func(line []byte) error {
		if bytes.Contains(line, []byte(`"id":`)) && audit.Digest(line) == d.InputDigest {
			out = bytes.Clone(line)
			return errEnough
		}
		return nil
	})
	switch {
	case err != nil && !errors.Is(err, errEnough):
		return nil, err
	case out == nil:
		return nil, fmt.Errorf("the snapshot of %s does not hold the document of %s", d.Origin, d.Resource)
	}
	return out, nil
}

// slice judges again, from the run's own snapshots, to see what was looked up.
func (in *installation) slice(ctx context.Context, d audit.Found, rec audit.Record) (*audit.Slice, error) {
	decider, err := in.decider(ctx, rec.Run)
	if err != nil {
		return nil, err
	}
	j := audit.Judgement{
		AsOf: rec.Run.AsOf, Snapshots: rec.Run.Snapshots, Vault: rec.Vault,
		Scope: audit.Scope{Controls: []string{d.Control}, Resources: []string{d.Resource}, Origins: []string{d.Origin}},
	}
	var out *audit.Slice
	err = decider.Decide(ctx, j, func(v audit.Verdict) error {
		for _, again := range v.Decisions {
			if again.Control != d.Control {
				continue
			}
			c, _ := decider.Catalog().Control(d.Control)
			if id := audit.DecisionID(c, v.Resource, v.InputDigest, again.SliceDigest, j.AsOf); id != d.ID {
				return fmt.Errorf("decision %s comes to %s when it is judged again: see `crosscheck evidence verify`", short(d.ID), short(id))
			}
			out = again.Slice
		}
		return nil
	})
	return out, err
}

func exceptionOf(ctx context.Context, rec audit.Record, d audit.Found) (*audit.Exception, error) {
	ids := []string{d.Exception}
	for _, v := range d.Violations {
		ids = append(ids, v.Exception)
	}
	i := slices.IndexFunc(ids, func(id string) bool { return id != "" })
	if i < 0 {
		return nil, nil
	}
	b, err := read(ctx, rec.Vault, rec.Run.Exceptions)
	if err != nil {
		return nil, err
	}
	list, err := parseExceptions(b)
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		if e.ID == ids[i] {
			return &e, nil
		}
	}
	return nil, fmt.Errorf("the exceptions of run %s have no %s", short(rec.Run.ID), ids[i])
}

func (s shown) print(w *bytes.Buffer, command func(string) string) {
	line := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	d := s.Decision
	outcome := strings.ToUpper(strings.ReplaceAll(string(d.Outcome), "_", " "))
	if d.Excepted() {
		outcome += ", accepted"
	}
	line("%s  %s  %s  %s", outcome, d.Control, s.Control.Severity, s.Control.Title)
	line("%s", printable(d.Resource))
	if d.Name != "" && !strings.Contains(d.Resource, d.Name) {
		line("named %s", printable(d.Name))
	}
	if d.Owner != "" {
		line("owner %s", printable(d.Owner))
	}
	line("\nWHAT WAS ASKED\n%s", indent(s.Control.Description))
	for _, name := range slices.Sorted(maps.Keys(s.Control.Parameters)) {
		line("  parameter %s = %s", name, inline(s.Control.Parameters[name].Value))
	}
	line("\nWHAT WAS SEEN")
	s.printSeen(w)
	if s.Slice != nil && len(s.Slice.Lookups) > 0 {
		line("\nWHAT WAS LOOKED UP")
		s.printLookups(w)
	}
	line("\nWHY IT MATTERS\n%s", indent(s.Control.Why))
	if d.Outcome == audit.Fail {
		line("\nHOW TO FIX IT")
		for _, tool := range slices.Sorted(maps.Keys(s.Control.Fix)) {
			line("  %s:\n%s", tool, indent(indent(s.Control.Fix[tool])))
		}
		line("  then: %s", command("reaudit "+short(d.ID)))
		if len(s.repairs) > 0 {
			line("  or, by runbook %s: %s", strings.Join(s.repairs, " or "), command("repairs suggest "+short(d.ID)))
		}
	}
	if e := s.Exception; e != nil {
		line("\nACCEPTED RISK\n  %s until %s, %s\n  %s\n  asked for by %s, approved by %s on %s", e.ID, e.Expires.Format(time.DateOnly), printable(e.Ticket),
			printable(e.Justification), printable(e.RequestedBy), printable(e.ApprovedBy), e.ApprovedOn.Format(time.DateOnly))
		if e.Compensating != "" {
			line("  compensating control: %s", printable(e.Compensating))
		}
	}
	s.printGround(w)
}

// printGround prints what a decision rests on.
func (s shown) printGround(w *bytes.Buffer) {
	line := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	d := s.Decision
	line("\nWHAT IT RESTS ON")
	line("  decision  %s\n  document  %s\n  control   %s", d.ID, d.InputDigest, d.ControlDigest)
	if d.SliceDigest != "" {
		line("  look-ups  %s", d.SliceDigest)
	}
	line("  run       %s, as of %s", s.Run.ID, s.Run.AsOf)
	if s.Run.Evaluated != "" {
		line("  evaluated in run %s: nothing that it rests on has changed since", s.Run.Evaluated)
	}
	line("  collected %s by %s from %s", s.Run.Collected, printable(s.Run.Identity), printable(s.Run.Endpoint))
	if s.Replaces != "" {
		line("  replaces  %s", s.Replaces)
	}
	if r := s.ReplacedBy; r != nil {
		line("  replaced by %s (%s)", r.ID, r.Outcome)
	}
	if s.Pack != nil {
		line("  pack      %s", s.Pack.Path)
	}
	if len(s.Requirements) > 0 {
		line("  evidence for %s", strings.Join(s.Requirements, ", "))
	}
}

func (s shown) printSeen(w *bytes.Buffer) {
	d := s.Decision
	if len(d.Violations)+len(d.Reasons) == 0 {
		fmt.Fprintln(w, "  nothing that the control objects to")
	}
	for _, v := range d.Violations {
		fmt.Fprintf(w, "  %s\n    observed  %s\n    expected  %s\n", printable(v.Message), inline(v.Observed), inline(v.Expected))
		if v.Path != "" {
			fmt.Fprintf(w, "    at        %s\n", printable(v.Path))
		}
		if v.Exception != "" {
			fmt.Fprintf(w, "    accepted  %s\n", printable(v.Exception))
		}
	}
	for _, r := range d.Reasons {
		fmt.Fprintf(w, "  %s\n", printable(because(r)))
	}
}

func (s shown) printLookups(w *bytes.Buffer) {
	for _, l := range s.Slice.Lookups {
		if l.Hits == nil {
			fmt.Fprintf(w, "  %s.%s %s: nothing\n", l.Source, l.Kind, printable(l.Key))
		}
		for _, h := range l.Hits {
			fmt.Fprintf(w, "  %s.%s %s: %s %s\n", l.Source, l.Kind, printable(l.Key), printable(h.ID), inline(h.Value))
		}
	}
}

func indent(s string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i, l := range lines {
		if l != "" {
			lines[i] = "  " + l
		}
	}
	return strings.Join(lines, "\n")
}
