package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/remediate"
	"github.com/crosscheck-dev/crosscheck/report"
)

// judgeAgain runs a re-audit that nobody watches: of decisions, resources or
// controls, as `crosscheck reaudit` takes them. The run is on record and owed to
// its sinks when it returns; it is delivered by whoever flushes the outbox, so
// that a repair's row can say first what the run proved. gone is what was not
// found again.
func (a *app) judgeAgain(ctx context.Context, in *installation, repair string, args ...string) (run audit.Run, gone []lost, err error) {
	last, ok, err := in.ledger.LastComplete(ctx)
	switch {
	case err != nil:
		return run, nil, err
	case !ok:
		return run, nil, fmt.Errorf("no complete run to lay this one over: run `%s` first", a.command("audit"))
	}
	c, err := in.concerned(ctx, last, args)
	if err != nil {
		return run, nil, err
	}
	order, err := c.order(ctx)
	if err != nil {
		return run, nil, err
	}
	order.Repair = repair
	auditor, err := a.auditor(ctx, in)
	if err != nil {
		return run, nil, err
	}
	box, err := a.outbox(in, &packs{}, nil)
	if err != nil {
		return run, nil, err
	}
	auditor.Outbox, auditor.Ledger = later{box}, began{in.ledger, a}
	if run, err = auditor.Run(ctx, order); err != nil {
		return run, nil, naming(in.library.Catalog, err)
	}
	gone, err = c.lost(ctx, run)
	return run, gone, err
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

// Again implements remediate.Judge. All controls are judged on the resource: a
// repair that breaks another one is none.
func (j judge) Again(ctx context.Context, d audit.Found, repair string) (remediate.Judged, error) {
	run, gone, err := j.app.judgeAgain(ctx, j.in, repair, d.ID, d.Resource)
	if err != nil {
		return remediate.Judged{}, err
	}
	out := remediate.Judged{Run: run, Failing: []string{}}
	for _, l := range gone {
		switch {
		case l.resource != d.Resource:
		case l.gap != nil:
			return out, fmt.Errorf("%s could not be listed (%s)", d.Resource, l.gap.Code.Reason(l.gap.Operation))
		default:
			out.Gone = true
		}
	}
	if out.Gone {
		return out, nil
	}
	rec, err := j.in.record(ctx, run)
	if err != nil {
		return out, err
	}
	err = rec.Verdicts(ctx, func(v audit.Verdict) error {
		if v.Resource != d.Resource {
			return nil
		}
		for _, again := range v.Decisions {
			if again.Outcome == audit.Fail {
				out.Failing = append(out.Failing, again.Control)
			}
			if again.Control == d.Control {
				out.Decision = rec.Found(v, again)
			}
		}
		return errEnough
	})
	if err != nil && !errors.Is(err, errEnough) {
		return out, err
	}
	if out.Decision.ID == "" {
		return out, fmt.Errorf("%s was not judged on %s in run %s", d.Control, d.Resource, short(run.ID))
	}
	out.Document, err = documentOf(ctx, rec, out.Decision)
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
