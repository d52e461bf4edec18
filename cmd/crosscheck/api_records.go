package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evidence"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
	"github.com/crosscheck-dev/crosscheck/web"
)

// apiRuns implements web.Runs.
type apiRuns struct{ in *installation }

// Each implements web.Runs.
func (r apiRuns) Each(ctx context.Context, q web.RunQuery, yield func(audit.Run) error) error {
	f := ledger.Filter{Trigger: q.Trigger, Status: q.Status, Audit: q.Audit, Limit: q.Limit}
	if q.Before != "" {
		before, err := r.in.ledger.Run(ctx, q.Before)
		if err != nil {
			return forWeb(err)
		}
		f.Before = before.ID
	}
	return r.in.ledger.EachRun(ctx, f, yield)
}

// Run implements web.Runs.
func (r apiRuns) Run(ctx context.Context, id string) (audit.Run, error) {
	run, err := r.in.ledger.Run(ctx, id)
	return run, forWeb(err)
}

// apiDecisions implements web.Decisions.
type apiDecisions struct{ in *installation }

// List implements web.Decisions.
func (d apiDecisions) List(ctx context.Context, q web.DecisionQuery) (audit.Run, audit.Page, error) {
	run, err := d.run(ctx, q.Run)
	if err != nil {
		return run, audit.Page{}, forWeb(err)
	}
	rec, err := d.in.record(ctx, run)
	if err != nil {
		return run, audit.Page{}, err
	}
	if _, ok := rec.Catalog.Control(q.Control); !ok && q.Control != "" {
		return run, audit.Page{}, audit.UnknownError{Kind: "control", Name: q.Control}
	}
	f := listFlags{control: q.Control, outcome: q.Outcome, resource: q.Resource, limit: q.Limit, after: q.After}
	if q.Excepted != nil {
		f.excepted = map[bool]string{true: "yes", false: "no"}[*q.Excepted]
	}
	list, err := page(ctx, rec, f)
	return run, list, forWeb(err)
}

// run is the run that decisions are listed of, as for the command.
func (d apiDecisions) run(ctx context.Context, name string) (audit.Run, error) {
	if name != "" && name != "latest" {
		return d.in.ledger.Run(ctx, name)
	}
	if runs, err := d.in.ledger.Runs(ctx, ledger.Filter{Limit: 1}); err != nil {
		return audit.Run{}, err
	} else if len(runs) == 0 {
		return audit.Run{}, &web.NotFound{Message: "no run is on record yet"}
	}
	return d.in.listed(ctx, name)
}

// Decision implements web.Decisions.
func (d apiDecisions) Decision(ctx context.Context, id string) (web.Decision, error) {
	found, rec, err := d.in.find(ctx, id)
	if err != nil {
		return web.Decision{}, forWeb(err)
	}
	s, err := d.in.explain(ctx, found, rec)
	if err != nil {
		return web.Decision{}, err
	}
	out := web.Decision{
		Decision: s.Decision, Control: s.Control, Requirements: s.Requirements, Document: s.Document, Slice: s.Slice, Exception: s.Exception, Replaces: s.Replaces,
		Run: web.DecisionRun{ID: s.Run.ID, Evaluated: s.Run.Evaluated, AsOf: s.Run.AsOf, Collected: s.Run.Collected, Identity: s.Run.Identity},
	}
	if s.ReplacedBy != nil {
		out.ReplacedBy = s.ReplacedBy.ID
	}
	if s.Pack != nil {
		out.Pack = s.Pack.ID
	}
	return out, nil
}

// apiViolations implements web.Violations.
type apiViolations struct{ in *installation }

// Violations implements web.Violations.
func (v apiViolations) Violations(ctx context.Context, q audit.SpellQuery) (audit.SpellPage, error) {
	page, err := v.in.ledger.Violations(ctx, q)
	return page, forWeb(err)
}

// History implements web.Violations.
func (v apiViolations) History(ctx context.Context, control, resource string) ([]audit.Spell, error) {
	return v.in.ledger.History(ctx, control, resource)
}

// apiPacks implements web.Packs.
type apiPacks struct{ in *installation }

// List implements web.Packs.
func (p apiPacks) List(ctx context.Context, limit int) ([]web.Pack, error) {
	list, err := p.in.ledger.Packs(ctx, limit)
	if err != nil {
		return nil, err
	}
	out := make([]web.Pack, len(list))
	for i, pack := range list {
		run, err := p.in.ledger.Run(ctx, pack.Run)
		if err != nil {
			return nil, err
		}
		out[i] = web.Pack{ID: pack.ID, Run: pack.Run, AsOf: audit.Stamp(run.AsOf)}
	}
	return out, nil
}

// Pack implements web.Packs.
func (p apiPacks) Pack(ctx context.Context, prefix string) (web.Pack, error) {
	run, err := p.in.ledger.Run(ctx, prefix)
	if err != nil {
		return web.Pack{}, forWeb(err)
	}
	pack, ok, err := p.in.ledger.Pack(ctx, run.ID)
	switch {
	case err != nil:
		return web.Pack{}, err
	case !ok:
		return web.Pack{}, &web.NotFound{Message: "run " + short(run.ID) + " has no pack: `crosscheck evidence export` makes one"}
	}
	if _, err := os.Stat(pack.Path); errors.Is(err, fs.ErrNotExist) {
		return web.Pack{}, &web.NotFound{Message: "the pack of run " + short(run.ID) + " was moved away: `crosscheck evidence export` makes it again"}
	}
	return web.Pack{ID: pack.ID, Run: pack.Run, AsOf: audit.Stamp(run.AsOf)}, nil
}

// Export implements web.Packs.
func (p apiPacks) Export(ctx context.Context, pack web.Pack, w io.Writer) error {
	on, ok, err := p.in.ledger.Pack(ctx, pack.Run)
	switch {
	case err != nil:
		return err
	case !ok || on.ID != pack.ID:
		return fmt.Errorf("the pack of run %s is not %s any more", pack.Run, pack.ID)
	}
	return evidence.Export(ctx, on.Path, w)
}

// apiDeliveries implements web.Deliveries.
type apiDeliveries struct {
	in   *installation
	app  *app
	wake func() // may be nil
}

// List implements web.Deliveries.
func (d apiDeliveries) List(ctx context.Context, q web.DeliveryQuery) ([]audit.Delivery, error) {
	return d.in.ledger.Deliveries(ctx, ledger.DeliveryQuery{Sink: q.Sink, Status: q.Status, Subject: q.Subject, Limit: q.Limit})
}

// Retry implements web.Deliveries.
func (d apiDeliveries) Retry(ctx context.Context, q web.DeliveryQuery, again bool) (int64, error) {
	n, err := d.in.ledger.Retry(ctx, ledger.DeliveryQuery{Sink: q.Sink, Status: q.Status, Subject: q.Subject}, d.app.now(), again)
	if err == nil && n > 0 && d.wake != nil {
		d.wake()
	}
	return n, err
}
