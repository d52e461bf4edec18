package evaluate

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate/plan"
)

// A decision that a gap or a token touches by what its control *can* read may
// still be the same whatever the source would have answered. This is told by an
// evaluation in which nothing is known at those pointers: see inquiry.

const (
	maxWays  = 256     // ways to answer what depends on a hole
	maxSteps = 500_000 // statements run for one decision, over all its ways
)

// settle decides again what only gaps and tokens kept from being decided, if the
// decision is the same whatever stands there. d and a are the decision and what
// it was made of; without certainty d is returned as it is.
func (w *worker) settle(ctx context.Context, p *program, i int, a *answer, doc *document, d audit.Decision) (audit.Decision, error) {
	hidden := func(r audit.Reason) bool { return r.Code == "gap" || r.Code == "redacted" }
	if p.policy == nil || d.Outcome != audit.NotEvaluated || slices.ContainsFunc(d.Reasons, func(r audit.Reason) bool { return !hidden(r) }) {
		return d, nil
	}
	pointers := doc.gapped()
	for _, r := range d.Reasons {
		pointers = append(pointers, r.Where)
	}
	input := w.punched(doc, pointers)
	left := w.limits
	q := &inquiry{
		plan: p.plan, part: p.parts[i], input: input, view: w.store.view(w.estate),
		builtin: func(name string, args []ast.Value) (ast.Value, error) {
			return w.machine.Builtin(ctx, name, args, &left)
		},
	}
	said, err := q.always()
	if err := cmp.Or(ctx.Err(), q.view.failed); err != nil {
		return d, err
	}
	if err == nil && said.is(a) && q.view.within(a.view) {
		return w.judge(p, i, a, doc, nil), nil
	}
	return d, nil
}

// within tells whether all that was looked up is in the slice of another view: a
// decision rests on nothing that its record does not show.
func (v *view) within(o *view) bool {
	return !slices.ContainsFunc(v.lookups.list, func(k looked) bool {
		if o == nil {
			return true
		}
		_, ok := o.lookups.get(k.lookupKey)
		return !ok
	})
}

// errUnclear ends an inquiry: what it would say depends on a hole, or cannot be told.
var errUnclear = errors.New("it depends on what stands at a hole")

// told is what one control says of one document.
type told struct {
	violations ast.Set
	applies    bool
}

// is tells whether a plain evaluation said the same, and all attributes are defined in it.
func (t told) is(a *answer) bool {
	if t.applies != a.applies || len(a.undefined) > 0 || t.violations.Len() != len(a.violations) {
		return false
	}
	plain := map[string]bool{}
	for _, v := range a.violations {
		plain[string(v.raw)] = true
	}
	for _, term := range t.violations.Slice() {
		raw, err := canonicalValue(term.Value)
		if err != nil || !plain[string(raw)] {
			return false
		}
		delete(plain, string(raw))
	}
	return len(plain) == 0
}

// inquiry asks a control about a document with holes. Wherever the evaluation
// turns on what stands at a hole, it takes one way; always takes them all. Holes
// are variables in the document: see punch.
type inquiry struct {
	plan    *plan.Plan
	part    part
	input   ast.Value
	view    *view
	builtin func(name string, args []ast.Value) (ast.Value, error) // within the limits of all of it
	steps   int                                                    // statements run, or what takes as long

	way     []bool // how the questions are answered, in the order of asking
	answers map[string]bool
	memo    map[string]ast.Value // rules without arguments; nil is undefined
}

// always is what the control says on every way, or errUnclear.
func (q *inquiry) always() (told, error) {
	first, err := q.once()
	if err != nil {
		return told{}, err
	}
	for range maxWays {
		for len(q.way) > 0 && q.way[len(q.way)-1] {
			q.way = q.way[:len(q.way)-1]
		}
		if len(q.way) == 0 {
			return first, nil
		}
		q.way[len(q.way)-1] = true
		next, err := q.once()
		if err != nil {
			return told{}, err
		}
		if next.applies != first.applies || next.violations.Compare(first.violations) != 0 {
			return told{}, errUnclear
		}
	}
	return told{}, errUnclear
}

// once evaluates the control along one way, and goes on with false where it ends.
func (q *inquiry) once() (told, error) {
	q.answers, q.memo = map[string]bool{}, map[string]ast.Value{}
	for _, attr := range q.part.attributes {
		if v, err := q.rule(attr); err != nil || v == nil {
			return told{}, cmp.Or(err, errUnclear)
		}
	}
	out := told{violations: ast.NewSet()}
	v, err := q.rule(q.part.Package + ".violation")
	if err != nil {
		return told{}, err
	}
	if set, ok := solid(v).(ast.Set); ok {
		out.violations = set
	}
	if q.part.applies {
		v, err := q.rule(q.part.Package + ".applies")
		if err != nil {
			return told{}, err
		}
		v = solid(v)
		out.applies = v != nil && ast.Compare(v, ast.Boolean(false)) != 0
		if v != nil && !v.IsGround() {
			return told{}, errUnclear
		}
	}
	if !out.violations.IsGround() {
		return told{}, errUnclear
	}
	return out, nil
}

// spend counts what takes longer than a statement as so many.
func (q *inquiry) spend(n int) { q.steps += n }

// ask is the answer to a question about what stands at a hole, on this way. The
// same question has the same answer.
func (q *inquiry) ask(question string) bool {
	q.spend(len(question) / 64) // which somebody wrote
	if a, ok := q.answers[question]; ok {
		return a
	}
	n := len(q.answers)
	if n == len(q.way) {
		q.way = append(q.way, false)
	}
	q.answers[question] = q.way[n]
	return q.way[n]
}
