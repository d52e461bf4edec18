package audit

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
)

// decide has every resource in scope judged, and stores what is not a plain pass.
func (a *Auditor) decide(ctx context.Context, run *Run, o Order) error {
	id, err := runID(*run)
	if err != nil {
		return err
	}
	run.ID = id
	t := &tally{run: run, order: o, counts: map[countKey]*Count{}, exceptions: NewExceptions(a.Exceptions, run.AsOf), tell: a.tell}
	for _, s := range run.Snapshots {
		if o.Scope.Judges(s.Origin, "") || len(o.Scope.Resources) > 0 {
			t.total += s.Resources
		}
	}
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		t.out = json.NewEncoder(pw)
		t.out.SetEscapeHTML(false)
		err := a.Decider.Decide(ctx, Judgement{AsOf: run.AsOf, Scope: o.Scope, Snapshots: run.Snapshots, Vault: a.Vault}, t.add)
		pw.CloseWithError(err)
		done <- err
	}()
	run.Verdicts, err = a.Vault.Put(ctx, pr)
	pr.CloseWithError(errors.New("vault stopped reading"))
	if err := cmp.Or(<-done, err); err != nil {
		return fmt.Errorf("deciding: %w", err)
	}
	controls, err := a.Decider.Catalog().Select(o.Scope)
	if err != nil {
		return err
	}
	if run.Counts, err = populations(*run, controls, t.counts); err != nil {
		return err
	}
	if run.Status == Complete && o.Scope.Whole() && !run.Simulated {
		origins := make([]string, len(run.Snapshots))
		for i, s := range run.Snapshots {
			origins[i] = s.Origin
		}
		run.Notices = append(run.Notices, t.exceptions.Notices(run.Counts, origins)...)
	}
	slices.SortFunc(run.Notices, func(x, y Notice) int {
		return cmp.Or(cmp.Compare(x.Code, y.Code), cmp.Compare(x.Subject, y.Subject), cmp.Compare(x.Message, y.Message))
	})
	return nil
}

// tally counts verdicts and writes the segment.
type tally struct {
	run        *Run
	order      Order
	counts     map[countKey]*Count
	exceptions *Exceptions
	out        *json.Encoder
	tell       func(Event)
	done       int64
	total      int64
	failed     int64
}

func (t *tally) add(v Verdict) error {
	t.exceptions.Apply(&v)
	for _, d := range v.Decisions {
		t.count(v, d)
		if old, ok := t.order.Relink[d.Control+" "+v.Resource]; ok {
			if t.run.Relinked == nil {
				t.run.Relinked = map[string]string{}
			}
			t.run.Relinked[d.ID] = old
		}
	}
	if t.done++; t.done%100 == 0 || t.done == t.total {
		t.tell(Event{Stage: "deciding", Done: t.done, Total: t.total, Violation: t.failed})
	}
	if kept, ok := compact(v); ok {
		return t.out.Encode(kept)
	}
	return nil
}

func (t *tally) count(v Verdict, d Decision) {
	c := countOf(t.counts, countKey{d.Control, v.Type, v.Origin})
	c.Listed++
	switch d.Outcome {
	case Pass:
		c.Pass++
	case Fail:
		c.Fail++
		t.failed++
		if d.Excepted() {
			c.Excepted++
		}
	case NotEvaluated:
		c.NotEvaluated++
	case Excluded:
		c.Excluded++
	}
}

type atomicCount struct{ n atomic.Int64 }

func (c *atomicCount) add() int64 { return c.n.Add(1) }

type firstError struct {
	mu  sync.Mutex
	err error
}

func (f *firstError) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = cmp.Or(f.err, err)
}

func (f *firstError) get() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}
