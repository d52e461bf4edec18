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

type reading struct {
	collector Collector
	request   Request
	like      string    // digest of the last snapshot of the origin
	base      *Snapshot // what a narrowed reading is laid over
	judged    []string  // types of the request that are judged, not only looked up
}

// collect fills run.Snapshots, one for each origin, whatever happens to the
// sources. last is the last complete run, if there is one.
func (a *Auditor) collect(ctx context.Context, run *Run, last Run, o Order) error {
	if o.Overlay {
		if err := a.canOverlay(last); err != nil {
			return err
		}
	}
	dir, err := a.tempDir()
	if err != nil {
		return fmt.Errorf("making room for snapshots: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	todo := a.readings(run, last, o)
	out := make([]Snapshot, len(todo))
	notices := make([][]Notice, len(todo))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(cmp.Or(a.Parallel, 4))
	for i, r := range todo {
		g.Go(Guarded(func() error {
			return a.observed(o, "collect", r.request.Origin, func() (err error) {
				out[i], notices[i], err = a.snapshot(gctx, r, filepath.Join(dir, strconv.Itoa(i)))
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
		out = a.overlay(run, last, o, out)
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
func (a *Auditor) snapshot(ctx context.Context, r reading, dir string) (Snapshot, []Notice, error) {
	origin := r.request.Origin
	a.tell(Event{Stage: "collecting", Origin: origin})
	w := &counting{next: newSpill(ctx, dir, origin, a.Vault, r.like), tell: func(n int64) { a.tell(Event{Stage: "collecting", Origin: origin, Done: n}) }}
	defer w.next.discard()
	to, narrow := SnapshotWriter(w), (*Narrow)(nil)
	if !r.request.Whole() {
		narrow = NewNarrow(r.request, w)
		to = narrow
	}
	if a.Observer != nil {
		r.request.Watch = &Stopwatch{Observer: a.Observer, Origin: origin, Now: a.Now}
	}
	started := a.Now()
	col, cerr := r.collector.Collect(ctx, r.request, to)
	if err := cmp.Or(w.failed(), ctx.Err()); err != nil {
		return Snapshot{}, nil, fmt.Errorf("collecting %s: %w", origin, err)
	}
	if cerr != nil {
		a.Log.WarnContext(ctx, "origin could not be read", "origin", origin, "error", cerr.Error())
		col.Gaps = append(col.Gaps, originGap(origin, cerr))
	}
	var s Snapshot
	var err error
	if narrow == nil {
		var m merged
		if m, err = w.next.commit(ctx); err == nil {
			s = newSnapshot(origin, col, m, started, a.Now())
		}
	} else {
		s, err = a.layOver(ctx, r, narrow.found(), col, w.next, started)
	}
	if err != nil {
		return Snapshot{}, nil, err
	}
	a.tell(Event{Stage: "collected", Origin: origin, Done: s.Resources, Gaps: len(s.Gaps), Err: cerr})
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
