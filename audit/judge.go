package audit

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
)

// decide has every resource in scope judged, and stores what is not a plain
// pass. last is the run that this one probably resembles.
func (a *Auditor) decide(ctx context.Context, run *Run, last Run, o Order) error {
	id, err := runID(*run)
	if err != nil {
		return err
	}
	run.ID = id
	t := &tally{
		run: run, order: o, catalog: a.Decider.Catalog(), counts: map[countKey]*Count{}, rows: map[rowKey][]*Count{},
		exceptions: NewExceptions(a.Exceptions, run.AsOf), tell: a.tell,
	}
	for _, s := range run.Snapshots {
		if o.Scope.Judges(s.Origin, "") || len(o.Scope.Resources) > 0 {
			t.total += s.Resources
		}
	}
	carry := a.carry(ctx, run, last, o, t)
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		out := bufio.NewWriterSize(pw, 64<<10)
		t.out = out
		j := Judgement{AsOf: run.AsOf, Scope: o.Scope, Snapshots: run.Snapshots, Vault: a.Vault, Carry: carry, Reuse: true, Refereed: func(n int64) { run.Refereed += n }}
		if !o.Overlay {
			j.Kept = a.Kept
		}
		err := Guarded(func() error { return a.Decider.Decide(ctx, j, t.add) })()
		err = cmp.Or(err, out.Flush())
		pw.CloseWithError(err)
		done <- err
	}()
	run.Verdicts, err = a.Vault.PutLines(ctx, pr, last.Verdicts)
	pr.CloseWithError(errStopped)
	if err := why(<-done, err); err != nil {
		return fmt.Errorf("deciding: %w", err)
	}
	if err := a.noteCarried(ctx, run, t); err != nil {
		return err
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

var errStopped = errors.New("vault stopped reading")

// why is what ended deciding, or storing where that ended it.
func why(decided, stored error) error {
	if errors.Is(decided, errStopped) {
		return cmp.Or(stored, decided)
	}
	return cmp.Or(decided, stored)
}

// tally counts verdicts and writes the segment.
type tally struct {
	run        *Run
	order      Order
	catalog    Catalog
	counts     map[countKey]*Count
	rows       map[rowKey][]*Count
	exceptions *Exceptions
	out        *bufio.Writer
	line       []byte // of the segment, the last that was written
	tell       func(Event)
	before     map[string]string // origin and block → in which run it was evaluated, if not in the last
	carried    []CarriedBlock
	done       int64
	total      int64
	failed     int64
}

// rowKey names what mostly has the same controls, in the same order.
type rowKey struct{ typ, origin string }

func (t *tally) add(v Verdict) error {
	t.exceptions.Apply(&v)
	if v.Carried {
		t.countCarried(v)
	} else {
		t.countAll(v)
	}
	t.run.Refereed += v.Refereed
	if len(t.order.Relink) > 0 {
		t.relink(v)
	}
	if !v.Carried {
		t.progress(1)
	}
	var err error
	if t.line, _, err = appendStored(t.line[:0], v); err == nil {
		_, err = t.out.Write(t.line)
	}
	return err
}

// countAll counts the decisions of a resource that was evaluated.
func (t *tally) countAll(v Verdict) {
	key := rowKey{v.Type, v.Origin}
	row := t.rows[key]
	for i, d := range v.Decisions {
		if i >= len(row) || row[i].Control != d.Control {
			row = append(row[:i:i], countOf(t.counts, countKey{d.Control, v.Type, v.Origin}))
			t.rows[key] = row
		}
		t.count(row[i], d)
	}
}

// countCarried counts those that were taken over and are no plain pass: took has
// counted them as one.
func (t *tally) countCarried(v Verdict) {
	for _, d := range v.Decisions {
		c := countOf(t.counts, countKey{d.Control, v.Type, v.Origin})
		c.Listed--
		c.Pass--
		t.count(c, d)
	}
}

// progress tells whoever watches about every hundred resources.
func (t *tally) progress(n int64) {
	before := t.done
	if t.done += n; before/100 != t.done/100 || t.done == t.total {
		t.tell(Event{Stage: "deciding", Done: t.done, Total: t.total, Violation: t.failed})
	}
}

// noteCarried records in which runs what was taken over was evaluated.
func (a *Auditor) noteCarried(ctx context.Context, run *Run, t *tally) error {
	if len(t.carried) == 0 {
		return nil
	}
	var buf bytes.Buffer
	for _, b := range t.carried {
		line, err := Canonical(b)
		if err != nil {
			return err
		}
		buf.Write(append(line, '\n'))
	}
	run.Evaluated = evaluated(t.carried)
	var err error
	run.Carried, err = a.Vault.Put(ctx, &buf)
	return err
}

// relink notes which decisions are judged again, by the IDs that they have in this run.
func (t *tally) relink(v Verdict) {
	for _, d := range v.Decisions {
		old, ok := t.order.Relink[d.Control+" "+v.Resource]
		if !ok {
			continue
		}
		if t.run.Relinked == nil {
			t.run.Relinked = map[string]string{}
		}
		c, _ := t.catalog.Control(d.Control)
		t.run.Relinked[DecisionID(c, v.Resource, v.InputDigest, d.SliceDigest, t.run.AsOf)] = old
	}
}

func (t *tally) count(c *Count, d Decision) {
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
