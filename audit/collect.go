package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

// staleAfter is the age from which an overlaid snapshot no longer proves an absence.
const staleAfter = 24 * time.Hour

type reading struct {
	collector Collector
	origin    string
}

// collect fills run.Snapshots, one for each origin, whatever happens to the
// sources. last is the last complete run, if there is one.
func (a *Auditor) collect(ctx context.Context, run *Run, last Run, o Order) error {
	var todo []reading
	for _, c := range a.Collectors {
		for _, origin := range c.Origins() {
			if !o.Overlay || slices.Contains(o.Scope.Origins, origin) {
				todo = append(todo, reading{c, origin})
			}
		}
	}
	dir, err := a.tempDir()
	if err != nil {
		return fmt.Errorf("making room for snapshots: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	out := make([]Snapshot, len(todo))
	notices := make([][]Notice, len(todo))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(cmp.Or(a.Parallel, 4))
	for i, r := range todo {
		var like string
		for _, s := range last.Snapshots {
			if s.Origin == r.origin {
				like = s.Digest
			}
		}
		g.Go(Guarded(func() error {
			return a.observed(o, "collect", r.origin, func() (err error) {
				out[i], notices[i], err = a.snapshot(gctx, r, filepath.Join(dir, strconv.Itoa(i)), like, o.Scope.Resources)
				return err
			})
		}))
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, n := range notices {
		run.Notices = append(run.Notices, n...)
	}
	if o.Overlay {
		old, err := a.overlay(run, last, out)
		if err != nil {
			return err
		}
		out = append(out, old...)
	}
	slices.SortFunc(out, func(x, y Snapshot) int { return cmp.Compare(x.Origin, y.Origin) })
	run.Snapshots = out
	run.Status = Complete
	for _, s := range out {
		for _, g := range s.Gaps {
			if g.Type == AllTypes && g.Code != Stale {
				run.Status = Incomplete
			}
		}
	}
	return nil
}

// snapshot reads one origin. Only what crosscheck itself cannot do is an error:
// a full disk, a cancelled run. What the source refuses is a gap. dir is its own,
// where it does not fit into memory.
func (a *Auditor) snapshot(ctx context.Context, r reading, dir, like string, resources []string) (Snapshot, []Notice, error) {
	a.tell(Event{Stage: "collecting", Origin: r.origin})
	w := &counting{next: newSpill(ctx, dir, r.origin, a.Vault, like), tell: func(n int64) { a.tell(Event{Stage: "collecting", Origin: r.origin, Done: n}) }}
	defer w.next.discard()
	started := a.Now()
	col, cerr := r.collector.Collect(ctx, Request{Origin: r.origin, Resources: resources}, w)
	if err := cmp.Or(w.failed(), ctx.Err()); err != nil {
		return Snapshot{}, nil, fmt.Errorf("collecting %s: %w", r.origin, err)
	}
	if cerr != nil {
		a.Log.WarnContext(ctx, "origin could not be read", "origin", r.origin, "error", cerr.Error())
		col.Gaps = append(col.Gaps, originGap(r.origin, cerr))
	}
	m, err := w.next.commit(ctx)
	if err != nil {
		return Snapshot{}, nil, err
	}
	s := newSnapshot(r.origin, col, m, started, a.Now())
	a.tell(Event{Stage: "collected", Origin: r.origin, Done: s.Resources, Gaps: len(s.Gaps), Err: cerr})
	return s, col.Notices, nil
}

func originGap(origin string, err error) Gap {
	var se *SourceError
	if errors.As(err, &se) {
		return Gap{Origin: origin, Type: AllTypes, Code: se.Code, Operation: se.Operation}
	}
	return Gap{Origin: origin, Type: AllTypes, Code: Failed, Operation: "collect"}
}

func newSnapshot(origin string, col Collection, m merged, started, ended time.Time) Snapshot {
	s := Snapshot{
		Origin: origin, Digest: m.digest, Resources: m.resources, Bytes: m.bytes, Identity: col.Identity, Endpoint: col.Endpoint,
		Started: started, Ended: ended, Recorded: !col.Ended.IsZero(), Exhaustive: col.Exhaustive,
		Answers: slices.Sorted(slices.Values(col.Answers)),
		Types:   slices.Clone(col.Types), Gaps: slices.Clone(col.Gaps), Calls: slices.Clone(col.Calls),
	}
	if s.Recorded {
		s.Started, s.Ended = col.Started, col.Ended
	}
	s.Started, s.Ended = s.Started.UTC().Truncate(time.Second), s.Ended.UTC().Truncate(time.Second)
	for _, t := range slices.Sorted(maps.Keys(m.types)) {
		s.Documents = append(s.Documents, TypeCount{Type: t, Listed: m.types[t]})
	}
	for _, t := range col.Types {
		if t.Listed > m.types[t.Type] {
			s.Gaps = append(s.Gaps, Gap{Origin: origin, Type: t.Type, Code: Truncated, Operation: fmt.Sprintf("%d of %d documents", m.types[t.Type], t.Listed)})
		}
	}
	for _, t := range m.duplicates {
		s.Gaps = append(s.Gaps, Gap{Origin: origin, Type: t, Code: Failed, Operation: "two documents with one id"})
	}
	slices.SortFunc(s.Types, func(x, y TypeCount) int { return cmp.Compare(x.Type, y.Type) })
	slices.SortFunc(s.Gaps, Gap.compare)
	s.Gaps = slices.Compact(s.Gaps)
	slices.SortFunc(s.Calls, func(x, y Call) int {
		return cmp.Or(cmp.Compare(x.Operation, y.Operation), cmp.Compare(fmt.Sprint(x.Parameters), fmt.Sprint(y.Parameters)))
	})
	return s
}

// overlay takes from the last complete run the snapshots of the origins that were not read afresh.
func (a *Auditor) overlay(run *Run, last Run, fresh []Snapshot) ([]Snapshot, error) {
	switch {
	case a.Ledger == nil:
		return nil, errors.New("a re-audit needs a ledger")
	case last.ID == "":
		return nil, errors.New("no complete run to lay this one over: run `crosscheck audit` first")
	}
	var out []Snapshot
	for _, s := range last.Snapshots {
		if slices.ContainsFunc(fresh, func(f Snapshot) bool { return f.Origin == s.Origin }) {
			continue
		}
		age := run.Started.Sub(s.Ended)
		if age > staleAfter && !s.Recorded {
			s.Gaps = append(slices.Clone(s.Gaps), Gap{Origin: s.Origin, Type: AllTypes, Code: Stale, Operation: "snapshot of " + Stamp(s.Ended)})
			run.Notices = append(run.Notices, Notice{Code: "stale_snapshot", Subject: s.Origin, Message: "collected " + Stamp(s.Ended) + ", more than a day before this run"})
		}
		out = append(out, s)
	}
	return out, nil
}

// counting passes documents on and remembers the first failure to store one.
type counting struct {
	next *spill
	tell func(int64)
	n    atomicCount
	err  firstError
}

func (c *counting) Write(r Resource) error {
	if err := c.next.Write(r); err != nil {
		if errors.As(err, new(*StorageError)) {
			c.err.set(err)
		}
		return err
	}
	if n := c.n.add(); n%100 == 0 {
		c.tell(n)
	}
	return nil
}

// Seal implements Sealer.
func (c *counting) Seal() (string, error) {
	m, err := c.next.commit(c.next.ctx)
	if err != nil {
		c.err.set(err) // crosscheck's own failure, not the source's
	}
	return m.digest, err
}

func (c *counting) failed() error { return c.err.get() }
