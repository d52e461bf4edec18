package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"os"
	"slices"
	"sync"

	"github.com/spf13/cobra"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evidence"
)

func (a *app) gateCmd() *cobra.Command {
	var f scopeFlags
	var output string
	cmd := &cobra.Command{
		Use: "gate FILE…", Short: "Judge files before they are applied", Args: wanted(1, math.MaxInt, "one file or folder, or more, or - for standard input"),
		Long: `Judges Terraform plans and states (JSON of ` + "`terraform show -json`" + `, or state files)
and Kubernetes manifests, by the same controls as an audit. Directories are read
for .json, .tfstate, .yaml and .yml files; - is standard input. Nothing is asked
of any source, and nothing is recorded. Controls that look up a source that is
not among the inputs are excluded, counted and said.

Exit codes: 0 clean; 1 error, also an input without a resource; 2 violations that
no exception covers; 3 something could not be evaluated, or nothing was judged:
no control in scope judges any of the resources.`,
		Example: `  terraform show -json plan.bin | crosscheck gate -
  crosscheck gate --severity high manifests/ plan.json
  crosscheck gate -o json terraform.tfstate`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkWord("output", output, "table", "json"); err != nil {
				return err
			}
			return a.gate(cmd.Context(), args, f.scope(), output)
		},
	}
	f.register(cmd)
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) gate(ctx context.Context, args []string, scope audit.Scope, output string) (err error) {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	lib, err := library(cfg)
	if err != nil {
		return err
	}
	engine, err := a.decides(lib)
	if err != nil {
		return err
	}
	x, err := exceptions(cfg, lib.Catalog)
	if err != nil {
		return err
	}
	red, err := passingRedactor()
	if err != nil {
		return err
	}
	log := slog.New(slog.DiscardHandler) // what cannot be read is the error
	cs, err := inputs(args, a.in, red, log)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "crosscheck-gate-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	vault, err := evidence.NewScratch(dir)
	if err != nil {
		return err
	}
	var unread unreadable
	auditor := &audit.Auditor{
		Collectors: cs, Decider: engine, Engine: engine.Name(), Vault: vault, Exceptions: accepted(x), Entity: cfg.Entity, System: cfg.System,
		Provenance: audit.Provenance{Version: version()}, TempDir: dir, Now: a.now,
		Log: log, Progress: unread.note,
	}
	run, err := auditor.Run(ctx, audit.Order{Trigger: audit.Gate, Scope: scope})
	if err != nil {
		return naming(lib.Catalog, err)
	}
	g, err := gated(ctx, audit.Record{Run: run, Catalog: lib.Catalog, Vault: vault})
	if err != nil {
		return err
	}
	if output == "json" {
		err = a.json(g)
	} else {
		err = a.printGate(g, lib.Catalog)
	}
	if err := errors.Join(err, unread.err()); err != nil {
		return err
	}
	return g.verdict()
}

// unreadable gathers why inputs could not be read.
type unreadable struct {
	mu   sync.Mutex
	errs map[string]error // by origin
}

// note is told of every step of a run.
func (u *unreadable) note(e audit.Event) {
	if e.Err == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.errs == nil {
		u.errs = map[string]error{}
	}
	u.errs[e.Origin] = e.Err
}

func (u *unreadable) err() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	var out []error
	for _, origin := range slices.Sorted(maps.Keys(u.errs)) {
		out = append(out, u.errs[origin])
	}
	return errors.Join(out...)
}

// gateResult is what a gate says, and its JSON.
type gateResult struct {
	Revision     string         `json:"revision"`
	AsOf         string         `json:"as_of"`
	Resources    int64          `json:"resources"`
	Failed       []gateDecision `json:"failed"`
	NotEvaluated []gateDecision `json:"not_evaluated"`
	Passed       int64          `json:"passed"`
	Accepted     int64          `json:"accepted"`     // a part of failed
	Excluded     int64          `json:"excluded"`     // controls that say that they do not apply
	NeedsEstate  map[string]int `json:"needs_estate"` // control → decisions that need the live estate
	Gaps         []audit.Gap    `json:"gaps"`
	Empty        []string       `json:"empty"` // inputs without a resource
}

type gateDecision struct {
	audit.Decision
	Resource string `json:"resource"`
	Accepted bool   `json:"accepted"`
}

func gated(ctx context.Context, rec audit.Record) (gateResult, error) {
	g := gateResult{
		Revision: rec.Run.Revision, AsOf: audit.Stamp(rec.Run.AsOf), NeedsEstate: map[string]int{},
		Failed: []gateDecision{}, NotEvaluated: []gateDecision{}, Gaps: append([]audit.Gap{}, rec.Run.Gaps()...), Empty: []string{},
	}
	for _, s := range rec.Run.Snapshots {
		if g.Resources += s.Resources; s.Resources == 0 {
			g.Empty = append(g.Empty, s.Origin)
		}
	}
	for _, c := range rec.Run.Counts {
		g.Passed += c.Pass
		g.Accepted += c.Excepted
		g.Excluded += c.Excluded
	}
	err := rec.Stored(ctx, func(v audit.Verdict) error {
		for _, d := range v.Decisions {
			switch d.Outcome {
			case audit.Fail:
				g.Failed = append(g.Failed, gateDecision{d, v.Resource, d.Excepted()})
			case audit.NotEvaluated:
				g.NotEvaluated = append(g.NotEvaluated, gateDecision{d, v.Resource, false})
			case audit.Excluded:
				if slices.ContainsFunc(d.Reasons, func(r audit.Reason) bool { return r.Code == "needs_estate" }) {
					g.NeedsEstate[d.Control]++
					g.Excluded--
				}
			case audit.Pass:
			}
		}
		return nil
	})
	for _, list := range [][]gateDecision{g.Failed, g.NotEvaluated} {
		slices.SortStableFunc(list, func(x, y gateDecision) int {
			return cmp.Compare(rank(rec.Catalog, x.Control), rank(rec.Catalog, y.Control))
		})
	}
	return g, err
}

// rank is that of a control's severity: worst first.
func rank(catalog audit.Catalog, control string) int {
	c, _ := catalog.Control(control)
	return c.Severity.Rank()
}

// judged counts the decisions that say something of a resource.
func (g gateResult) judged() int64 {
	return g.Passed + int64(len(g.Failed)+len(g.NotEvaluated))
}

func (g gateResult) needEstate() int {
	n := 0
	for _, of := range g.NeedsEstate {
		n += of
	}
	return n
}

// verdict is the exit code: error before violation before not evaluated.
func (g gateResult) verdict() error {
	for _, gap := range g.Gaps {
		if gap.Type == audit.AllTypes {
			return fmt.Errorf("%s could not be read whole: %s", gap.Origin, gap.Code.Reason(gap.Operation))
		}
	}
	if len(g.Empty) > 0 {
		return fmt.Errorf("%s holds no resource: there is nothing to judge", g.Empty[0])
	}
	if n := int64(len(g.Failed)) - g.Accepted; n > 0 {
		return &exit{exitViolations, fmt.Errorf("%s that no exception covers", plural(n, "failed decision"))}
	}
	if g.judged() == 0 {
		return &exit{exitNotEvaluated, errors.New("nothing was judged: " + g.unjudged())}
	}
	if n := len(g.NotEvaluated) + len(g.Gaps); n > 0 {
		return &exit{exitNotEvaluated, fmt.Errorf("%s could not be evaluated, with %s", plural(int64(len(g.NotEvaluated)), "decision"), plural(int64(len(g.Gaps)), "gap"))}
	}
	return nil
}

// unjudged says why nothing was judged.
func (g gateResult) unjudged() string {
	these := "this resource"
	if g.Resources != 1 {
		these = fmt.Sprintf("any of these %d resources", g.Resources)
	}
	switch {
	case g.needEstate() > 0:
		return "no control in scope judges " + these + " without the live estate"
	case g.Excluded > 0:
		return "no control in scope applies to " + these
	}
	return "no control in scope judges " + these
}

func (a *app) printGate(g gateResult, catalog audit.Catalog) error {
	say := func(format string, args ...any) error {
		_, err := fmt.Fprintf(a.out, format, args...)
		return err
	}
	var errs []error
	for _, d := range g.Failed {
		c, _ := catalog.Control(d.Control)
		word := "FAIL"
		if d.Accepted {
			word = "ACCEPTED"
		}
		errs = append(errs, say("%s  %s  %s  %s\n  %s\n", word, c.Severity, d.Control, c.Title, printable(d.Resource)))
		for _, v := range d.Violations {
			errs = append(errs, say("  %s\n    observed %s, expected %s, at %s\n", printable(v.Message), inline(v.Observed), inline(v.Expected), printable(v.Path)))
		}
		if fix := c.Fix[audit.SourceOf(d.Resource)]; fix != "" && !d.Accepted {
			errs = append(errs, say("  fix:\n%s\n", indent(indent(fix))))
		}
		errs = append(errs, say("\n"))
	}
	for _, d := range g.NotEvaluated {
		errs = append(errs, say("NOT EVALUATED  %s\n  %s\n  %s\n\n", d.Control, printable(d.Resource), printable(summary(d.Decision))))
	}
	for _, gap := range g.Gaps {
		errs = append(errs, say("GAP  %s  %s  %s\n", printable(gap.Origin), gap.Type, gap.Code.Reason(gap.Operation)))
	}
	errs = append(errs, say("%s\n", g.line()))
	for _, c := range catalog.Controls {
		if n := g.NeedsEstate[c.ID]; n > 0 {
			errs = append(errs, say("excluded: %s on %s needs the live estate\n", c.ID, plural(int64(n), "resource")))
		}
	}
	return errors.Join(errs...)
}

// line is the gate in one line.
func (g gateResult) line() string {
	out := fmt.Sprintf("%s on %s: %d passed, %d failed (%d accepted), %d not evaluated", plural(g.judged(), "decision"),
		plural(g.Resources, "resource"), g.Passed, len(g.Failed), g.Accepted, len(g.NotEvaluated))
	if g.Excluded > 0 {
		out += fmt.Sprintf("; %d excluded", g.Excluded)
	}
	if n := g.needEstate(); n > 0 {
		out += fmt.Sprintf("; %d more need the live estate", n)
	}
	return out
}
