package evaluate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// DisagreementError says that the engine and OPA's own evaluator do not agree.
// One is enough: nothing that the run decided counts as evidence.
type DisagreementError struct {
	Control, Resource string
	Engine, OPA       string // what each said
}

func (e *DisagreementError) Error() string {
	return fmt.Sprintf("control %s on %s: the engine and OPA's own evaluator differ, so nothing of this run is evidence; please report it, and use --engine opa meanwhile\n  engine: %s\n  opa:    %s",
		e.Control, e.Resource, e.Engine, e.OPA)
}

// stand has a document stand for the sample.
func (w *worker) stand(doc *document, answers []answer) {
	c := candidate{line: doc.line, lot: bits64(doc.digest) * mix}
	for i := range answers {
		if answers[i].comparable() {
			c.decisions++
		}
	}
	w.candidates = append(w.candidates, c)
}

// referee has OPA make a block's sample of its decisions too, or all there are, and
// wants the same to the byte. Each verdict is told how many were of its own.
func (w *worker) referee(ctx context.Context, q *queued, list []audit.Verdict) error {
	choose(w.candidates, q.sample)
	q.made, q.left = 0, 0
	for i := range w.candidates {
		c := &w.candidates[i]
		q.left += int64(c.decisions - c.takes)
		if c.takes == 0 {
			continue
		}
		resource, made, err := w.compare(ctx, c)
		if err != nil {
			return err
		}
		if at := slices.IndexFunc(list, func(v audit.Verdict) bool { return v.Resource == resource }); at >= 0 {
			list[at].Refereed = made
		}
		q.made += made
	}
	return nil
}

// refereeMore has OPA make more decisions too, where less than the least came of the
// sample: what exceeds limits, or was left to OPA anyway, may have been most of it.
func (j *judging) refereeMore(ctx context.Context, list []queued) error {
	missing := int64(sampleAtLeast)
	for i := range list {
		missing -= list[i].made
	}
	before := missing
	for _, i := range byLot(list) {
		q := &list[i]
		if missing <= 0 || j.opa || q.takenOver() || q.left == 0 {
			continue
		}
		made := q.made
		q.sample = made + missing // the same, and more
		do := func(ctx context.Context, w *worker, _ int, read func() ([]byte, error)) (struct{}, error) {
			_, err := w.block(ctx, q, read)
			return struct{}{}, err
		}
		if err := ordered(ctx, j, 1, []audit.Block{q.Block}, do, func(struct{}) error { return nil }); err != nil {
			return err
		}
		missing -= q.made - made
	}
	if more := before - missing; more > 0 && j.request.Refereed != nil {
		j.request.Refereed(more)
	}
	return nil
}

// compare has OPA make what is taken of a document's decisions.
func (w *worker) compare(ctx context.Context, c *candidate) (resource string, made int64, err error) {
	doc, err := w.read(c.line)
	if err != nil {
		return "", 0, err
	}
	p, err := w.program(ctx, doc.kind)
	if err != nil {
		return "", 0, err
	}
	answers, err := w.answers(ctx, p, doc)
	if err != nil {
		return "", 0, fmt.Errorf("resource %s: %w", doc.id, err)
	}
	for _, i := range taken(p, answers, c) {
		alike, err := w.alike(ctx, &p.parts[i], doc, &answers[i])
		if err != nil {
			return "", 0, err
		}
		if alike {
			made++
		}
	}
	return doc.id, made, nil
}

// alike compares one answer with OPA's. It is false where that has none, since its
// steps are others and exceed the limit.
func (w *worker) alike(ctx context.Context, pt *part, doc *document, ours *answer) (bool, error) {
	theirs, err := w.lib.stock.control(ctx, w.store, w.estate, doc, pt)
	if err != nil {
		return false, fmt.Errorf("asking OPA too: %w", err)
	}
	if theirs.limit {
		return false, nil
	}
	if a, b := ours.text(pt), theirs.text(pt); a != b {
		return false, &DisagreementError{Control: pt.ID, Resource: doc.id, Engine: a, OPA: b}
	}
	if k, ok := missing(ours.view, theirs.view); ok {
		return false, &DisagreementError{Control: pt.ID, Resource: doc.id, Engine: "does not look up " + k, OPA: "looks it up"}
	}
	return true, nil
}

// missing names a look-up of theirs that is not among ours.
func missing(ours, theirs *view) (string, bool) {
	if theirs == nil {
		return "", false
	}
	for _, k := range theirs.lookups.sorted() {
		if _, ok := ours.lookups.get(k.lookupKey); !ok {
			return k.source + "." + k.kind + "[" + k.key + "]", true
		}
	}
	return "", false
}

// text is the whole answer, the same for equal ones. Of an error it says only
// that there is one: of several, which comes first is nobody's promise.
func (a *answer) text(pt *part) string {
	if a.err != nil {
		return "error"
	}
	list := make([]string, len(a.violations))
	for i, v := range a.violations {
		list[i] = string(v.raw)
	}
	slices.Sort(list)
	return fmt.Sprintf("violations [%s], applies %t, undefined %v", strings.Join(list, ","), a.applies || !pt.applies, a.undefined)
}
