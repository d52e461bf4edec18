package evaluate

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate/lookup"
	"github.com/crosscheck-dev/crosscheck/evaluate/plan"
	"github.com/crosscheck-dev/crosscheck/evaluate/vm"
)

// AllReads tells what each control reads for each exact type it names.
func (e *Engine) AllReads(ctx context.Context, yield func(c audit.Control, source, typ string, r plan.Reads)) error {
	for _, c := range e.lib.Catalog.Controls {
		for _, want := range c.AppliesTo {
			source, typ, _ := strings.Cut(want, "/")
			r, err := e.Reads(ctx, c.ID, source, typ)
			if err != nil {
				return err
			}
			yield(c, source, typ, r)
		}
	}
	return nil
}

// DecideAlone decides one document by one control against an estate given as
// data.estate is read: source → kind → key → array of {id, origin, value}.
// Every source counts as present, and nothing may be missing from any.
func (e *Engine) DecideAlone(ctx context.Context, control string, line []byte, given map[string]map[string]map[string][]audit.Hit, asOf time.Time) (d audit.Decision, err error) {
	lib := e.library(e.lib.Catalog.Controls)
	est := newEstate(e.estate, []audit.Snapshot{{Origin: "aws/"}, {Origin: "kubernetes/"}, {Origin: "terraform/"}, {Origin: "netbox/"}})
	defer func() { err = errors.Join(err, est.close()) }()
	for source, kinds := range given {
		for k, keys := range kinds {
			for key, hits := range keys {
				for _, h := range hits {
					v, err := audit.Canonical(h.Value)
					if err != nil {
						return audit.Decision{}, err
					}
					if err := est.index.Add(lookup.Entry{Source: source, Kind: k, Key: key, ID: h.ID, Origin: h.Origin, Value: v}); err != nil {
						return audit.Decision{}, err
					}
				}
			}
		}
	}
	if err := est.seal(nil); err != nil {
		return audit.Decision{}, err
	}
	v, err := e.alone(ctx, lib, est, line, asOf)
	for _, d := range v.Decisions {
		if d.Control == control {
			return d, err
		}
	}
	return audit.Decision{}, cmp.Or(err, errors.New("control does not apply"))
}

// alone decides one document, by both the machine and the referee.
func (e *Engine) alone(ctx context.Context, lib *library, est *estate, line []byte, asOf time.Time) (audit.Verdict, error) {
	cancel, stop := newCancel(ctx)
	defer stop()
	s := newStore(lib.params, audit.Stamp(asOf), cancel)
	j := &judging{
		lib: lib, store: s, data: vm.NewData(s.base, true), estate: est, request: audit.Judgement{AsOf: asOf},
		limits: e.limits, opa: e.opa,
	}
	w := j.worker()
	v, _, err := w.verdict(ctx, line)
	if err != nil {
		return v, err
	}
	return v, w.referee(ctx, &queued{sample: math.MaxInt64}, []audit.Verdict{v})
}

// DecideUnreadable decides one document against an estate that cannot be read,
// because nobody has sealed it.
func (e *Engine) DecideUnreadable(ctx context.Context, line []byte) ([]audit.Decision, error) {
	est := newEstate(e.estate, []audit.Snapshot{{Origin: "aws/"}, {Origin: "netbox/"}})
	v, err := e.alone(ctx, e.library(e.lib.Catalog.Controls), est, line, time.Time{})
	return v.Decisions, err
}

// Declares lists the estate kinds that resources of a type declare.
func (e *Engine) Declares(source, typ string) ([]string, error) {
	return e.library(e.lib.Catalog.Controls).declares(source, typ)
}

// AnythingReads tells whether a control or an estate rule reads at or below a pointer.
func (e *Engine) AnythingReads(ctx context.Context, source, typ, pointer string) (bool, error) {
	p, err := e.library(e.lib.Catalog.Controls).program(ctx, plan.Kind{Source: source, Type: typ})
	if err != nil {
		return false, err
	}
	for _, r := range p.parts {
		if len(r.reads().all.Touched([]string{pointer})) > 0 {
			return true, nil
		}
	}
	for k := range p.declares {
		if len(p.kindReads(k).Touched([]string{pointer})) > 0 {
			return true, nil
		}
	}
	return false, nil
}

// Shares deals the sample out to blocks of so many decisions, of which some are
// taken over.
func Shares(digests []string, sizes []int64, takenOver []bool) []int64 {
	list, sure := make([]queued, len(sizes)), int64(0)
	for i := range list {
		list[i].Digest, list[i].carry = digests[i], takenOver[i]
		if !takenOver[i] {
			sure += sizes[i]
		}
	}
	shares(list, sizes, sure, together(0))
	out := make([]int64, len(list))
	for i := range list {
		out[i] = list[i].sample
	}
	return out
}

// Choose takes a sample from documents with so many decisions each.
func Choose(decisions []int, sample int64) []int {
	list := make([]candidate, len(decisions))
	for i, n := range decisions {
		list[i] = candidate{lot: uint64(i) * mix, decisions: n, line: []byte{byte(i)}}
	}
	choose(list, sample)
	out := make([]int, len(list))
	for _, c := range list {
		out[c.line[0]] = c.takes
	}
	return out
}

// Mislead gives OPA another text of one module.
func (e *Engine) Mislead(file, text string) error {
	m, err := ast.ParseModuleWithOpts(file, text, ast.ParserOptions{RegoVersion: ast.RegoV1})
	if err != nil {
		return err
	}
	lib := e.library(e.lib.Catalog.Controls)
	modules := maps.Clone(e.lib.Modules())
	modules[file] = m
	lib.stock.compiler = ast.NewCompiler()
	if lib.stock.compiler.Compile(modules); lib.stock.compiler.Failed() {
		return lib.stock.compiler.Errors
	}
	return nil
}

// PartOf reads the plan for a type for a control that may not be of the library.
func (e *Engine) PartOf(ctx context.Context, c audit.Control, source, typ string) error {
	p, err := e.library(e.lib.Catalog.Controls).program(ctx, plan.Kind{Source: source, Type: typ})
	if err != nil {
		return err
	}
	_, err = p.part(c)
	return err
}
