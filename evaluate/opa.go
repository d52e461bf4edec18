package evaluate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/crosscheck-dev/crosscheck/evaluate/vm"
)

// stock decides as a person with the stock opa would: by OPA's own evaluator and
// the library as it is written, each rule asked alone and nothing specialised.
// Partial evaluation would save a third of the time or so, and not always say the same:
// where OPA stops at the first answer it does not see that a rule has another value.
type stock struct {
	compiler *ast.Compiler
	steps    int64 // that one rule may take: see meter

	mu      sync.Mutex // preparing is serial
	queries map[string]rego.PreparedEvalQuery
}

func newStock(c *ast.Compiler, steps int64) *stock {
	return &stock{compiler: c, steps: steps, queries: map[string]rego.PreparedEvalQuery{}}
}

// control is what OPA says of one control and one document.
func (o *stock) control(ctx context.Context, s *store, e *estate, doc *document, pt *part) (a answer, err error) {
	input, err := doc.value()
	if err != nil {
		return a, err
	}
	v := s.view(nil)
	if len(pt.estate) > 0 {
		v = s.view(e)
		a.view = v
	}
	var found, applies ast.Value
	if found, a.err = o.ask(ctx, pt.Package+".violation", input, v); a.err == nil && pt.applies {
		applies, a.err = o.ask(ctx, pt.Package+".applies", input, v)
	}
	is, boolean := applies.(ast.Boolean)
	if a.applies = bool(is); applies != nil && !boolean && a.err == nil {
		a.err = errApplies
	}
	for _, x := range elements(found) {
		w, err := violationOf(x)
		if err != nil {
			return a, err
		}
		a.violations = append(a.violations, w)
	}
	for i := 0; i < len(pt.attributes) && a.err == nil; i++ {
		var value ast.Value
		if value, a.err = o.ask(ctx, pt.attributes[i], input, v); value == nil {
			a.undefined = append(a.undefined, pt.attributes[i])
		}
	}
	a.limit = limits(a.err)
	return a, cmp.Or(ctx.Err(), v.failed)
}

// declared are the estate entries that a document declares by rules of some packages.
func (o *stock) declared(ctx context.Context, s *store, doc *document, packages []string) (out [][]byte, err error) {
	input, err := doc.value()
	if err != nil {
		return nil, err
	}
	for _, pkg := range packages {
		set, err := o.ask(ctx, pkg+".estate", input, s.view(nil))
		if err != nil {
			return nil, err
		}
		for _, x := range elements(set) {
			raw, err := canonicalValue(x)
			if err != nil {
				return nil, err
			}
			out = append(out, raw)
		}
	}
	return out, nil
}

// elements are those of a set; an undefined one has none.
func elements(v ast.Value) (out []ast.Value) {
	if set, ok := v.(ast.Set); ok {
		for _, t := range set.Slice() {
			out = append(out, t.Value)
		}
	}
	return out
}

// ask is the value of a rule for a document; nil if it is undefined.
func (o *stock) ask(ctx context.Context, rule string, input ast.Value, v *view) (x ast.Value, err error) {
	q, err := o.query(ctx, rule, v)
	if err != nil {
		return nil, err
	}
	defer func() {
		if p := recover(); p != nil { // an error as OPA's others are: of one control and one document
			err = &topdown.Error{Code: topdown.InternalErr, Message: fmt.Sprintf("OPA's evaluator panicked: %v", p)}
		}
	}()
	m := meter{v.cancel, o.steps}
	eval := func(indexed bool) (rego.ResultSet, error) {
		return q.Eval(ctx, rego.EvalParsedInput(input), rego.EvalTransaction(v), rego.EvalExternalCancel(&m), rego.EvalRuleIndexing(indexed))
	}
	rs, err := eval(true)
	if of := (*storage.Error)(nil); errors.As(err, &of) && of.Code == storage.InternalErr {
		rs, err = eval(false) // OPA's index of rules may read all of data.estate before a rule looks up one key of it
	}
	switch {
	case m.left < 0:
		return nil, vm.ErrSteps
	case err != nil || len(rs) == 0:
		return nil, err
	}
	x, _ = rs[0].Bindings["x"].(ast.Value) // keepValue
	return x, nil
}

func (o *stock) query(ctx context.Context, rule string, v *view) (rego.PreparedEvalQuery, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if q, ok := o.queries[rule]; ok {
		return q, nil
	}
	q, err := rego.New(
		rego.Query("data."+rule+" = x"), rego.Compiler(o.compiler), rego.SetRegoVersion(ast.RegoV1),
		rego.Store(v.store), rego.StrictBuiltinErrors(true), rego.GenerateJSON(keepValue),
	).PrepareForEval(ctx)
	if err == nil {
		o.queries[rule] = q
	}
	return q, err
}

// keepValue hands results over as OPA holds them.
func keepValue(t *ast.Term, _ *rego.EvalContext) (any, error) { return t.Value, nil }

// meter counts the steps of OPA's evaluator, and ends it after too many: before every
// expression it asks whether it is cancelled, on every machine as often.
type meter struct {
	run  topdown.Cancel
	left int64
}

// Cancel implements topdown.Cancel.
func (m *meter) Cancel() { m.run.Cancel() }

// Cancelled implements topdown.Cancel.
func (m *meter) Cancelled() bool {
	m.left--
	return m.left < 0 || m.run.Cancelled()
}

// newCancel makes what ends every evaluation when ctx ends.
func newCancel(ctx context.Context) (c topdown.Cancel, stop func() bool) {
	c = topdown.NewCancel()
	return c, context.AfterFunc(ctx, c.Cancel)
}
