package evaluate

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// referee decides as a person with the stock opa would: by OPA's own evaluator
// and the library as it is written, nothing specialised. So it holds against both
// the machine and what specialising made of the library.
type referee struct {
	compiler *ast.Compiler

	mu      sync.Mutex        // preparing is serial
	queries map[string]*query // by rule
}

// ask is the value of a rule for a document; nil if it is undefined.
func (r *referee) ask(ctx context.Context, rule string, s *store, input ast.Value, v *view) (ast.Value, error) {
	q, err := r.query(ctx, rule, s)
	if err != nil {
		return nil, err
	}
	return q.value(ctx, input, v)
}

func (r *referee) query(ctx context.Context, rule string, s *store) (*query, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if q := r.queries[rule]; q != nil {
		return q, nil
	}
	p, err := rego.New(
		rego.Query("data."+rule+" = x"), rego.Compiler(r.compiler), rego.SetRegoVersion(ast.RegoV1),
		rego.Store(s), rego.StrictBuiltinErrors(true), rego.GenerateJSON(keepValue),
	).PrepareForEval(ctx)
	if err != nil {
		return nil, err
	}
	r.queries[rule] = &query{prepared: []rego.PreparedEvalQuery{p}}
	return r.queries[rule], nil
}

// control is what the referee says of one control and one document.
func (r *referee) control(ctx context.Context, s *store, e *estate, input ast.Value, pt *part) (a answer, err error) {
	v := s.view(nil)
	if len(pt.estate) > 0 {
		v = s.view(e)
		a.view = v
	}
	var found, applies ast.Value
	if found, a.err = r.ask(ctx, pt.Package+".violation", s, input, v); a.err == nil && pt.applies {
		applies, a.err = r.ask(ctx, pt.Package+".applies", s, input, v)
	}
	a.applies = applies != nil && applies.Compare(ast.Boolean(true)) == 0
	if set, ok := found.(ast.Set); ok {
		for _, t := range set.Slice() {
			x, err := violationOf(t.Value)
			if err != nil {
				return a, err
			}
			a.violations = append(a.violations, x)
		}
	}
	for i := 0; i < len(pt.attributes) && a.err == nil; i++ {
		var value ast.Value
		if value, a.err = r.ask(ctx, pt.attributes[i], s, input, v); value == nil {
			a.undefined = append(a.undefined, pt.attributes[i])
		}
	}
	return a, cmp.Or(ctx.Err(), v.failed)
}

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

// compare has the referee answer a sample too, and wants the same to the byte.
func (w *worker) compare(ctx context.Context, p *program, doc *document, answers []answer) (made int64, err error) {
	chosen := bits64(doc.digest)
	for i := range p.parts {
		pt, ours := &p.parts[i], &answers[i]
		if ours.limit || !w.sample.takes(chosen, pt.chosen) { // OPA's evaluator has no such limits
			continue
		}
		input, err := doc.value()
		if err != nil {
			return made, err
		}
		made++
		theirs, err := w.lib.referee.control(ctx, w.store, w.estate, input, pt)
		if err != nil {
			return made, fmt.Errorf("asking OPA too: %w", err)
		}
		if a, b := ours.text(pt), theirs.text(pt); a != b {
			return made, &DisagreementError{Control: pt.ID, Resource: doc.id, Engine: a, OPA: b}
		}
		if k, ok := missing(ours.view, theirs.view); ok {
			return made, &DisagreementError{Control: pt.ID, Resource: doc.id, Engine: "does not look up " + k, OPA: "looks it up"}
		}
	}
	return made, nil
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

// sampling chooses the decisions that the referee makes too.
type sampling struct{ below uint64 }

// The share of decisions that the referee makes too, and how many at least.
const (
	sampleOneIn   = 1000
	sampleAtLeast = 100
)

// newSampling takes one in a thousand of the decisions to be made. Twice the
// least number is aimed at, since the choice is by digest: where few are made,
// all are made twice.
func newSampling(controls []audit.Control, snapshots []audit.Snapshot) sampling {
	total := uint64(0)
	for _, s := range snapshots {
		source := audit.SourceOf(s.Origin)
		for _, t := range s.Documents {
			for _, c := range controls {
				if c.AppliesToType(source, t.Type) {
					total += uint64(max(t.Listed, 0))
				}
			}
		}
	}
	in := min(total/(2*sampleAtLeast), sampleOneIn)
	if in <= 1 {
		return everything
	}
	return sampling{math.MaxUint64 / in}
}

var everything = sampling{math.MaxUint64}

// ofOneDocument decisions are chosen together, rather than as many documents:
// most of what the referee costs is to read a document once more.
const ofOneDocument = 4

// takes tells whether a decision is in the sample, by the first bits of the
// digests of document and control.
func (s sampling) takes(input, control uint64) bool {
	const mix = 0x9e3779b97f4a7c15
	if s.below > math.MaxUint64/ofOneDocument { // most are
		return s == everything || (input^control)*mix < s.below
	}
	return input*mix < s.below*ofOneDocument && (input^control)*mix < math.MaxUint64/ofOneDocument
}

// bits64 are the first 64 bits of a hex digest.
func bits64(digest string) (n uint64) {
	for i := range min(len(digest), 16) {
		c := digest[i] - '0'
		if c > 9 {
			c -= 'a' - '0' - 10
		}
		n = n<<4 | uint64(c)
	}
	return n
}
