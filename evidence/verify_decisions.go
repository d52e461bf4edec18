package evidence

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// lineReader gives the lines of decisions.ndjson one by one.
type lineReader struct {
	file   io.Closer
	sc     *bufio.Scanner
	number int64
}

func (v *verification) lines(ctx context.Context) (*lineReader, error) {
	f, ok := v.manifest.Find(decisionsFile)
	if !ok {
		return nil, fmt.Errorf("%s is missing", decisionsFile)
	}
	r, err := newPackVault(v.src, v.manifest).Open(ctx, f.SHA256)
	if err != nil {
		return nil, err
	}
	l := &lineReader{file: r, sc: bufio.NewScanner(r)}
	l.sc.Buffer(make([]byte, 64<<10), audit.MaxLine)
	return l, nil
}

func (l *lineReader) next() (Line, bool, error) {
	if !l.sc.Scan() {
		return Line{}, false, l.sc.Err()
	}
	l.number++
	line, err := parseLine(l.sc.Bytes())
	if err != nil {
		return Line{}, false, fmt.Errorf("line %d %w", l.number, err)
	}
	return line, true, nil
}

// decisions walks through snapshots and decisions.ndjson together: every
// document in scope must have its decisions, in order, and nothing else may.
func (v *verification) decisions(ctx context.Context) error {
	w, err := v.newWalk(ctx)
	if err != nil {
		v.r.problem(decisionsFile, "%v", err)
		return nil
	}
	defer func() { _ = w.lines.file.Close() }()
	vault := newPackVault(v.src, v.manifest)
	for _, s := range v.doc.Run.Snapshots {
		w.begin(s)
		err := audit.Documents(ctx, vault, s.Digest, w.document)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errStop):
			return nil
		case err != nil:
			v.r.problem(snapshotFile(s.Origin), "%v", err)
			return nil
		}
		w.end(s)
	}
	if l, ok, err := w.lines.next(); err != nil {
		v.r.problem(decisionsFile, "%v", err)
	} else if ok {
		v.r.problem(decisionsFile, "line %d: decision %s is of no document in the snapshots", w.lines.number, clip(l.ID))
	}
	return w.finish()
}

// errStop ends a walk that has nothing to go by any more; the problem is in the report.
var errStop = errors.New("stop")

// walk compares snapshots with decisions.
type walk struct {
	v         *verification
	lines     *lineReader
	controls  []audit.Control
	judged    *judged
	counts    map[populationKey]*audit.Count
	last      string // resource id
	file      string
	origin    string
	bytes     int64
	resources int64
	types     map[string]int64
	fresh     freshness
}

type populationKey struct{ control, typ, origin string }

func (v *verification) newWalk(ctx context.Context) (*walk, error) {
	list, err := newTested(v.doc.Run, v.doc.Catalog)
	if err != nil {
		return nil, err
	}
	w := &walk{v: v, counts: map[populationKey]*audit.Count{}}
	for _, t := range list {
		w.controls = append(w.controls, t.control)
	}
	if w.judged, err = newJudged(&build{}, list); err != nil {
		return nil, err
	}
	w.lines, err = v.lines(ctx)
	return w, err
}

func (w *walk) begin(s audit.Snapshot) {
	w.file, w.origin, w.last, w.bytes, w.resources, w.types = snapshotFile(s.Origin), s.Origin, "", 0, 0, map[string]int64{}
	w.fresh = newFreshness(s)
}

// document compares one document with the decisions on it.
func (w *walk) document(line []byte) error {
	h, err := audit.ParseHead(line)
	if err != nil {
		return err
	}
	if !canonical(line) { // a reader that forgives would see another document than the engine
		w.v.r.problem(w.file, "%s is not a resource document in canonical form", clip(h.ID))
	}
	if w.resources > 0 && h.ID <= w.last {
		w.v.r.problem(w.file, "%s is not after %s: documents are sorted by id", clip(h.ID), clip(w.last))
	}
	if h.Origin != w.origin || h.Source != audit.SourceOf(w.origin) {
		w.v.r.problem(w.file, "%s says it is of origin %s", clip(h.ID), clip(h.Origin))
	}
	if err := w.fresh.document(h, line); err != nil {
		w.v.r.problem(w.file, "%v", err)
	}
	w.last = h.ID
	w.resources++
	w.bytes += int64(len(line)) + 1
	w.types[h.Type]++
	if !w.v.doc.Run.Scope.Judges(h.Origin, h.ID) {
		return nil
	}
	digest := audit.Digest(line)
	for _, c := range w.controls {
		if !c.AppliesToType(h.Source, h.Type) {
			continue
		}
		l, ok, err := w.lines.next()
		switch {
		case err != nil:
			w.v.r.problem(decisionsFile, "%v", err)
			return errStop
		case !ok || l.Control != c.ID || l.Resource != h.ID || l.Origin != h.Origin:
			w.v.r.problem(decisionsFile, "line %d: the decision of %s on %s is not where it must be", w.lines.number, c.ID, clip(h.ID))
			return errStop
		}
		if err := w.decision(l, c, h, digest); err != nil {
			w.v.r.problem(decisionsFile, "line %d: %v", w.lines.number, err)
		}
	}
	return nil
}

// decision checks what a line says of itself.
func (w *walk) decision(l Line, c audit.Control, h audit.Head, digest string) error {
	id, err := l.recompute()
	switch {
	case err != nil:
		return err
	case l.InputDigest != digest:
		return fmt.Errorf("%s on %s was not judged by the document in %s", c.ID, clip(h.ID), w.file)
	case l.ControlDigest != c.Digest:
		return fmt.Errorf("%s on %s was not judged by the control in %s", c.ID, clip(h.ID), runFile)
	case l.AsOf != audit.Stamp(w.v.doc.Run.AsOf):
		return fmt.Errorf("%s on %s was judged as of %s, the run as of %s", c.ID, clip(h.ID), clip(l.AsOf), audit.Stamp(w.v.doc.Run.AsOf))
	case l.ID != id:
		return fmt.Errorf("%s on %s has id %s, its parts make %s", c.ID, clip(h.ID), clip(l.ID), id)
	case l.Name != h.Name || l.Type != h.Type || l.Owner != audit.Owner(h.Tags):
		return fmt.Errorf("%s on %s gives another name, type or owner than the document", c.ID, clip(h.ID))
	case (l.Outcome == audit.Fail) != (len(l.Violations) > 0):
		return fmt.Errorf("%s on %s is %s with %d violations", c.ID, clip(h.ID), clip(string(l.Outcome)), len(l.Violations))
	}
	if l.SliceDigest != "" {
		if err := w.v.sliced.add(l.SliceDigest); err != nil {
			return fmt.Errorf("%s on %s: slice: %w", c.ID, clip(h.ID), err)
		}
	}
	if err := w.count(l); err != nil {
		return err
	}
	w.v.r.Decisions++
	return w.judged.add(l)
}

func (w *walk) count(l Line) error {
	key := populationKey{l.Control, l.Type, l.Origin}
	c := w.counts[key]
	if c == nil {
		c = &audit.Count{Control: l.Control, Type: l.Type, Origin: l.Origin}
		w.counts[key] = c
	}
	c.Listed++
	switch l.Outcome {
	case audit.Pass:
		c.Pass++
	case audit.Fail:
		c.Fail++
		if l.excepted() {
			c.Excepted++
		}
	case audit.NotEvaluated:
		c.NotEvaluated++
	case audit.Excluded:
		c.Excluded++
	default:
		return fmt.Errorf("outcome %q is none", clip(string(l.Outcome)))
	}
	return nil
}

// end compares a snapshot with what the run says of it.
func (w *walk) end(s audit.Snapshot) {
	if id, ok := w.fresh.missing(); ok {
		w.v.r.problem(w.file, "%s is not there, though %s says that it was read", clip(id), runFile)
	}
	said := map[string]int64{}
	for _, d := range s.Documents {
		said[d.Type] = d.Listed
	}
	if w.resources != s.Resources || w.bytes != s.Bytes || !maps.Equal(w.types, said) {
		w.v.r.problem(w.file, "holds %d documents of %d bytes, %s says %d of %d, or the counts by type differ", w.resources, w.bytes, runFile, s.Resources, s.Bytes)
	}
}

// finish compares the sums: counts, populations, the pack's id.
func (w *walk) finish() error {
	w.populations()
	decisions, err := w.judged.close()
	if err != nil {
		return err
	}
	for _, t := range w.judged.files {
		if f, ok := w.v.manifest.Find(t.tested.populationFile()); !ok || f.SHA256 != w.judged.populations[t.tested.control.ID] {
			w.v.r.problem(t.tested.populationFile(), "does not say what %s says", decisionsFile)
		}
	}
	id, err := packID(w.v.doc.Run.ID, decisions, w.judged.populations)
	if err != nil {
		return err
	}
	if id != w.v.manifest.Pack {
		w.v.r.problem(manifestFile, "run, decisions and populations make the pack id %s, not %s", id, w.v.manifest.Pack)
	}
	slices.SortFunc(w.v.r.Problems, func(x, y Problem) int { return bytes.Compare([]byte(x.String()), []byte(y.String())) })
	w.v.r.checked("%d decisions: every document in scope has its own, every ID is the digest of what it names, counts and populations agree, the pack's id", w.v.r.Decisions)
	return nil
}

// populations compares what the run counts with what the decisions and gaps add up to.
func (w *walk) populations() {
	judged := make([]audit.Count, 0, len(w.counts))
	for _, c := range w.counts {
		judged = append(judged, *c)
	}
	want, err := audit.Populations(w.v.doc.Run, w.controls, judged)
	if err != nil {
		w.v.r.problem(runFile, "%v", err)
		return
	}
	got := map[populationKey]audit.Count{}
	for _, c := range w.v.doc.Run.Counts {
		got[populationKey{c.Control, c.Type, c.Origin}] = c
	}
	if len(want) != len(w.v.doc.Run.Counts) {
		w.v.r.problem(runFile, "counts %d populations, there are %d", len(w.v.doc.Run.Counts), len(want))
	}
	for _, c := range want {
		if !equalJSON(c, got[populationKey{c.Control, c.Type, c.Origin}]) {
			w.v.r.problem(runFile, "the counts or gaps of %s on %s of %s are not what decisions and snapshots add up to", clip(c.Control), clip(c.Type), clip(c.Origin))
		}
	}
}

func equalJSON(x, y any) bool {
	a, err := audit.Canonical(x)
	if err != nil {
		return false
	}
	b, err := audit.Canonical(y)
	return err == nil && bytes.Equal(a, b)
}

// canonical tells whether a line is a resource document, rendered as we render one.
func canonical(line []byte) bool {
	_, err := audit.ParseLine(line)
	return err == nil
}
