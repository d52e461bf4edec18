package evaluate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/crosscheck-dev/crosscheck/evaluate/plan"
)

// residual asks OPA's own evaluator, by partial evaluation, what a program asks
// the machine. It decides what the machine cannot, and checks it on a sample.
// Its queries are prepared when they are first needed.
type residual struct {
	plan.Kind
	modules func() (map[string]*ast.Module, error)
	params  map[string]any
	parts   []part
	kinds   map[string][]string
	referee *referee // decides what no partial evaluation can be had of

	mu        sync.Mutex // preparing is serial
	aggregate *prepared  // all controls that cannot read the estate
	singles   map[int]prepared
	declares  *prepared
}

// prepared is a query, or why there is none: what is known of a kind may be
// enough for an error. It is not tried again for every document.
type prepared struct {
	*query
	err error
}

// ask decides every control for a document, those that cannot read the estate in
// one query. An error in one of them would empty the answer of all: then each is
// asked alone, and keeps its own error.
func (r *residual) ask(ctx context.Context, s *store, e *estate, doc *document) ([]answer, error) {
	input, err := doc.value()
	if err != nil {
		return nil, err
	}
	out := make([]answer, len(r.parts))
	together, err := r.together(ctx, s, input, out)
	if err != nil {
		return nil, err
	}
	for i, pt := range r.parts {
		if together && len(pt.estate) == 0 {
			continue
		}
		if out[i], err = r.control(ctx, s, e, input, i); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// alone asks one control about a document.
func (r *residual) alone(ctx context.Context, s *store, e *estate, doc *document, i int) (answer, error) {
	input, err := doc.value()
	if err != nil {
		return answer{}, err
	}
	return r.control(ctx, s, e, input, i)
}

func (r *residual) control(ctx context.Context, s *store, e *estate, input ast.Value, i int) (answer, error) {
	asWritten := func() (answer, error) { return r.referee.control(ctx, s, e, input, &r.parts[i]) }
	q, err := r.single(ctx, i)
	switch {
	case errors.As(err, new(*topdown.Error)): // of this control, whatever the document
		return asWritten()
	case err != nil:
		return answer{}, err
	}
	v := s.view(nil)
	if len(r.parts[i].estate) > 0 {
		v = s.view(e)
	}
	values, err := q.eval(ctx, input, v)
	if err := cmp.Or(ctx.Err(), v.failed); err != nil {
		return answer{}, err
	}
	if err != nil { // it names what partial evaluation made of the library, and no place in it
		return asWritten()
	}
	a, defined := answer{}, map[string]bool{}
	if len(r.parts[i].estate) > 0 {
		a.view = v
	}
	a.err = share(values, map[string]*answer{r.parts[i].ID: &a}, defined)
	a.undefined = r.parts[i].without(defined)
	return a, nil
}

// together asks the controls that cannot read the estate. ok is false if the
// answer is none, because of an error in one of them.
func (r *residual) together(ctx context.Context, s *store, input ast.Value, out []answer) (ok bool, err error) {
	q, err := r.all(ctx)
	switch {
	case errors.As(err, new(*topdown.Error)):
		return false, nil
	case err != nil:
		return false, err
	case q == nil:
		return true, nil
	}
	values, err := q.eval(ctx, input, s.view(nil))
	if err != nil {
		return false, ctx.Err()
	}
	by, defined := map[string]*answer{}, map[string]bool{}
	for i, pt := range r.parts {
		if len(pt.estate) == 0 {
			by[pt.ID] = &out[i]
		}
	}
	if err := share(values, by, defined); err != nil {
		return false, err
	}
	for i, pt := range r.parts {
		if by[pt.ID] != nil {
			out[i].undefined = pt.without(defined)
		}
	}
	return true, nil
}

// without are the attributes that a control reads and that are not defined.
func (p part) without(defined map[string]bool) (out []string) {
	for _, a := range p.attributes {
		if !defined[a] {
			out = append(out, a)
		}
	}
	return out
}

var (
	controlTerm   = ast.StringTerm("control")
	violationTerm = ast.StringTerm("violation")
	definedTerm   = ast.StringTerm("defined")
)

// share sorts the objects of the entry set by the control they belong to.
func share(values []ast.Value, by map[string]*answer, defined map[string]bool) error {
	for _, v := range values {
		obj := v.(ast.Object) // built by entryModule
		if d := obj.Get(definedTerm); d != nil {
			defined[string(d.Value.(ast.String))] = true
			continue
		}
		a := by[string(obj.Get(controlTerm).Value.(ast.String))]
		if x := obj.Get(violationTerm); x != nil {
			v, err := violationOf(x.Value)
			if err != nil {
				return err
			}
			a.violations = append(a.violations, v)
		} else {
			a.applies = true
		}
	}
	return nil
}

// all is the query of the controls that cannot read the estate, nil if there are none.
func (r *residual) all(ctx context.Context) (*query, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.aggregate != nil {
		return r.aggregate.query, r.aggregate.err
	}
	var parts []part
	for _, pt := range r.parts {
		if len(pt.estate) == 0 {
			parts = append(parts, pt)
		}
	}
	if len(parts) == 0 {
		return nil, nil
	}
	q, err := r.prepare(ctx, parts)
	if ctx.Err() == nil {
		r.aggregate = &prepared{q, err}
	}
	return q, err
}

// single is the query of one control alone.
func (r *residual) single(ctx context.Context, i int) (*query, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p, ok := r.singles[i]; ok {
		return p.query, p.err
	}
	q, err := r.prepare(ctx, []part{r.parts[i]})
	if r.singles == nil {
		r.singles = map[int]prepared{}
	}
	if ctx.Err() == nil {
		r.singles[i] = prepared{q, err}
	}
	return q, err
}

// declared are the estate entries that a document declares.
func (r *residual) declared(ctx context.Context, s *store, doc *document) ([][]byte, error) {
	input, err := doc.value()
	if err != nil {
		return nil, err
	}
	q, err := r.declaring(ctx)
	if err != nil {
		return nil, err
	}
	values, err := q.eval(ctx, input, s.view(nil))
	if err != nil {
		return nil, err
	}
	out := make([][]byte, len(values))
	for i, v := range values {
		if out[i], err = canonicalValue(v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (r *residual) declaring(ctx context.Context) (*query, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.declares != nil {
		return r.declares.query, r.declares.err
	}
	var b strings.Builder
	b.WriteString("package crosscheck.entry\n\n")
	for _, k := range sortedKeys(r.kinds) {
		for _, path := range r.kinds[k] {
			fmt.Fprintf(&b, "out contains e if some e in data.%s\n", path)
		}
	}
	entry, err := parse("crosscheck/entry.rego", b.String())
	if err != nil {
		return nil, err
	}
	q, err := r.withEntry(ctx, entry)
	if ctx.Err() == nil {
		r.declares = &prepared{q, err}
	}
	return q, err
}

func (r *residual) prepare(ctx context.Context, parts []part) (*query, error) {
	entry, err := entryModule(parts)
	if err != nil {
		return nil, err
	}
	return r.withEntry(ctx, entry)
}

func (r *residual) withEntry(ctx context.Context, entry *ast.Module) (*query, error) {
	written, err := r.modules()
	if err != nil {
		return nil, err
	}
	modules := maps.Clone(written)
	modules["crosscheck/entry.rego"] = entry
	return prepare(ctx, modules, "data.crosscheck.entry.out = x", r.Kind, r.params)
}

// eval asks a query about a document. What it returns is the elements of one set.
func (q *query) eval(ctx context.Context, input ast.Value, v *view) ([]ast.Value, error) {
	x, err := q.value(ctx, input, v)
	if err != nil || x == nil {
		return nil, err
	}
	set, ok := x.(ast.Set)
	if !ok {
		return nil, fmt.Errorf("the residual answered %v, not a set", x)
	}
	out := make([]ast.Value, set.Len())
	for i, t := range set.Slice() {
		out[i] = t.Value
	}
	return out, nil
}

// value asks a query about a document, and unites the sets of its parts. It is
// nil if the query is undefined.
func (q *query) value(ctx context.Context, input ast.Value, v *view) (out ast.Value, _ error) {
	for _, p := range q.prepared {
		rs, err := surviving(func() (rego.ResultSet, error) {
			return p.Eval(ctx, rego.EvalParsedInput(input), rego.EvalTransaction(v), rego.EvalExternalCancel(v.cancel))
		})
		if err != nil {
			return nil, err
		}
		for _, r := range rs {
			x, _ := r.Bindings["x"].(ast.Value) // keepValue
			if set, ok := out.(ast.Set); ok {
				if more, ok := x.(ast.Set); ok {
					x = set.Union(more)
				}
			}
			out = x
		}
	}
	return out, nil
}

// surviving has a panic of OPA's evaluator be an error as its others are: of one
// control and one document.
func surviving[T any](f func() (T, error)) (out T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &topdown.Error{Code: topdown.InternalErr, Message: fmt.Sprintf("OPA's evaluator panicked: %v", p)}
		}
	}()
	return f()
}

// keepValue hands results over as OPA holds them.
func keepValue(t *ast.Term, _ *rego.EvalContext) (any, error) { return t.Value, nil }

// newCancel makes what ends every evaluation when ctx ends.
func newCancel(ctx context.Context) (c topdown.Cancel, stop func() bool) {
	c = topdown.NewCancel()
	return c, context.AfterFunc(ctx, c.Cancel)
}
