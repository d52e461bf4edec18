package evaluate

import (
	"context"
	"errors"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate/vm"
)

// Touched tells of each control whether gaps or tokens of a document touch what
// it reads, and whether they touch what tells that it applies.
func (e *Engine) Touched(ctx context.Context, line []byte) (all, applies map[string]bool, err error) {
	lib := e.library(e.lib.Catalog.Controls)
	s := newStore(lib.params, "", nil)
	w := (&judging{lib: lib, store: s, data: vm.NewData(s.base, true)}).worker()
	doc, err := w.read(line)
	if err != nil {
		return nil, nil, err
	}
	p, err := lib.program(ctx, doc.kind)
	if err != nil {
		return nil, nil, err
	}
	all, applies = map[string]bool{}, map[string]bool{}
	holes := w.holes(p, doc)
	for i, pt := range p.parts {
		all[pt.ID], applies[pt.ID] = len(holeReasons(holes, i, readsAll)) > 0, len(holeReasons(holes, i, readsToApply)) > 0
	}
	return all, applies, nil
}

// DecideAmong decides documents, none of which declares anything, against the
// estate of a judgement.
func (e *Engine) DecideAmong(ctx context.Context, request audit.Judgement, lines [][]byte, yield func(i int, v audit.Verdict)) (err error) {
	j, end, err := e.begin(ctx, request)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	if err := j.index(ctx, 1); err != nil {
		return err
	}
	w := j.worker()
	for i, line := range lines {
		v, _, err := w.verdict(ctx, line)
		if err != nil {
			return err
		}
		yield(i, v)
	}
	return nil
}
