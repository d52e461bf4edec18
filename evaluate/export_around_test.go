package evaluate

import (
	"context"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Touched tells of each control whether gaps or tokens of a document touch what
// it reads, and whether they touch what tells that it applies.
func (e *Engine) Touched(ctx context.Context, line []byte) (all, applies map[string]bool, err error) {
	doc, err := parseDocument(line)
	if err != nil {
		return nil, nil, err
	}
	p, err := e.library(e.lib.Catalog.Controls).program(ctx, doc.kind())
	if err != nil {
		return nil, nil, err
	}
	all, applies = map[string]bool{}, map[string]bool{}
	for i, pt := range p.parts {
		r := p.reads[i]
		touched := func(x Reads) bool { return len(doc.gapReasons(x))+len(doc.redactedReasons(x, r.secret)) > 0 }
		all[pt.ID], applies[pt.ID] = touched(r.all()), touched(r.applies)
	}
	return all, applies, nil
}

// DecideAmong decides documents, none of which declares anything, against the
// estate of a judgement.
func (e *Engine) DecideAmong(ctx context.Context, j audit.Judgement, lines [][]byte, yield func(i int, v audit.Verdict)) error {
	lib := e.library(e.lib.Catalog.Controls)
	cancel, stop := newCancel(ctx)
	defer stop()
	s := newStore(lib.params, audit.Stamp(j.AsOf), cancel)
	est, err := e.index(ctx, lib, s, j)
	if err != nil {
		return err
	}
	for i, line := range lines {
		v, err := e.verdict(ctx, lib, s, est, j, line)
		if err != nil {
			return err
		}
		yield(i, v)
	}
	return nil
}
