package main

import (
	"context"
	"fmt"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/remediate"
	"github.com/crosscheck-dev/crosscheck/report"
)

// judgeAgain runs a re-audit that nobody watches, of the resource that a decision
// was made on, by all controls: a repair that breaks another one is none. What
// became of the decision tells became. The ledger is open, and stays open. The run is on record and owed
// to its sinks when it returns; it is delivered by whoever flushes the outbox, so
// that a repair's row can say first what the run proved.
func (a *app) judgeAgain(ctx context.Context, in *installation, d audit.Found, repair string) (run audit.Run, err error) {
	c, err := a.concerned(ctx, in, asked{args: []string{d.Resource}})
	if err != nil {
		return run, err
	}
	c.old[d.Control+" "+d.Resource] = d.ID
	order, err := c.order(ctx)
	if err != nil {
		return run, naming(in.library.Catalog, err)
	}
	order.Repair = repair
	auditor, err := a.auditor(ctx, in)
	if err != nil {
		return run, err
	}
	box, err := a.outbox(in, &packs{}, nil)
	if err != nil {
		return run, err
	}
	auditor.Outbox, auditor.Ledger = later{box}, began{in.ledger, a}
	if run, err = auditor.Run(ctx, order); err != nil {
		return run, naming(in.library.Catalog, err)
	}
	return run, nil
}

// later is an outbox that leaves what is owed for a flush.
type later struct{ *report.Outbox }

// Deliver implements audit.Outbox.
func (later) Deliver(context.Context, audit.Record) error { return nil }

// judge implements remediate.Judge.
type judge struct {
	app *app
	in  *installation
}

// Seen implements remediate.Judge.
func (j judge) Seen(ctx context.Context, decision string) (remediate.Judged, error) {
	d, rec, err := j.in.find(ctx, decision)
	if err != nil {
		return remediate.Judged{}, err
	}
	doc, err := documentOf(ctx, rec, d)
	return remediate.Judged{Run: rec.Run, Decision: d, Document: doc}, err
}

// Again implements remediate.Judge.
func (j judge) Again(ctx context.Context, d audit.Found, repair string) (remediate.Judged, error) {
	run, err := j.app.judgeAgain(ctx, j.in, d, repair)
	if err != nil {
		return remediate.Judged{}, err
	}
	out := remediate.Judged{Run: run, Failing: []string{}}
	now, gone, err := j.in.became(ctx, run, d)
	switch {
	case err != nil:
		return out, err
	case gone:
		out.Gone = true
		return out, nil
	case now == nil:
		return out, fmt.Errorf("what became of %s on %s cannot be told by run %s: see its gaps", d.Control, d.Resource, short(run.ID))
	}
	out.Decision = *now
	rec, err := j.in.record(ctx, run)
	if err != nil {
		return out, err
	}
	if out.Failing, err = failingOn(ctx, rec, d.Resource); err != nil {
		return out, err
	}
	out.Document, err = documentOf(ctx, rec, out.Decision)
	return out, err
}

// Failing implements remediate.Judge.
func (j judge) Failing(ctx context.Context, run, resource string) ([]string, error) {
	r, err := j.in.ledger.Run(ctx, run)
	if err != nil {
		return nil, err
	}
	rec, err := j.in.record(ctx, r)
	if err != nil {
		return nil, err
	}
	return failingOn(ctx, rec, resource)
}

// failingOn are the controls that failed on a resource in a run.
func failingOn(ctx context.Context, rec audit.Record, resource string) ([]string, error) {
	out := []string{}
	err := rec.Stored(ctx, func(v audit.Verdict) error {
		for _, d := range v.Decisions {
			if v.Resource == resource && d.Outcome == audit.Fail {
				out = append(out, d.Control)
			}
		}
		return nil
	})
	return out, err
}

// documentOf reads the resource that a decision was made on, with its values.
func documentOf(ctx context.Context, rec audit.Record, d audit.Found) (audit.Resource, error) {
	for _, s := range rec.Run.Snapshots {
		if s.Origin != d.Origin {
			continue
		}
		line, err := document(ctx, rec.Vault, s.Digest, d)
		if err != nil {
			return audit.Resource{}, err
		}
		return audit.ParseResource(line)
	}
	return audit.Resource{}, fmt.Errorf("run %s has no snapshot of %s", short(rec.Run.ID), d.Origin)
}
