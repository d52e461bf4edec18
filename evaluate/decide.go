package evaluate

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// answer is what the runner says of one control and one document.
type answer struct {
	violations []ast.Value
	applies    bool
	defined    map[string]bool // attributes that have a value
	view       *view           // what was looked up, nil for a control that cannot
	err        error
}

// run asks every control of a program about a document. This is the seam: a
// faster engine replaces what happens below it, not what is made of the answers.
func (p *program) run(ctx context.Context, s *store, e *estate, doc document) ([]answer, error) {
	out := make([]answer, len(p.parts))
	together, err := p.runAggregate(ctx, s, doc, out)
	if err != nil {
		return nil, err
	}
	for i, pt := range p.parts {
		if together && !pt.estate {
			continue
		}
		q, err := p.single(ctx, i)
		if err != nil {
			return nil, err
		}
		var v *view
		if pt.estate {
			v = s.view(e)
		}
		values, err := q.eval(ctx, doc.value, cmp.Or(v, s.view(nil)))
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		out[i] = answer{view: v, err: err, defined: map[string]bool{}}
		if err == nil {
			share(values, map[string]*answer{pt.ID: &out[i]}, out[i].defined)
		}
	}
	return out, nil
}

// runAggregate asks the controls that cannot read the estate in one query. ok is
// false if an error in one of them emptied the answer of all.
func (p *program) runAggregate(ctx context.Context, s *store, doc document, out []answer) (ok bool, err error) {
	if p.aggregate == nil {
		return true, nil
	}
	values, err := p.aggregate.eval(ctx, doc.value, s.view(nil))
	if err != nil { // each control is asked alone, and keeps its own error
		return false, ctx.Err()
	}
	by, defined := map[string]*answer{}, map[string]bool{}
	for i, pt := range p.parts {
		if !pt.estate {
			out[i].defined = defined
			by[pt.ID] = &out[i]
		}
	}
	share(values, by, defined)
	return true, nil
}

var (
	controlTerm   = ast.StringTerm("control")
	violationTerm = ast.StringTerm("violation")
	definedTerm   = ast.StringTerm("defined")
)

// share sorts the objects of the entry set by the control they belong to.
func share(values []ast.Value, by map[string]*answer, defined map[string]bool) {
	for _, v := range values {
		obj := v.(ast.Object) // built by entryModule
		if d := obj.Get(definedTerm); d != nil {
			defined[string(d.Value.(ast.String))] = true
			continue
		}
		a := by[string(obj.Get(controlTerm).Value.(ast.String))]
		if x := obj.Get(violationTerm); x != nil {
			a.violations = append(a.violations, x.Value)
		} else {
			a.applies = true
		}
	}
}

// decide turns the answers about a document into decisions.
func (p *program) decide(ctx context.Context, s *store, e *estate, asOf judgedBy, doc document) ([]audit.Decision, error) {
	answers, err := p.run(ctx, s, e, doc)
	if err != nil {
		return nil, fmt.Errorf("resource %s: %w", doc.head.ID, err)
	}
	out := make([]audit.Decision, len(p.parts))
	for i, pt := range p.parts {
		d, err := p.settle(ctx, s, e, i, answers[i], doc, p.judge(i, answers[i], e, doc))
		if err != nil {
			return nil, fmt.Errorf("resource %s: %w", doc.head.ID, err)
		}
		d.Control, d.ControlDigest = pt.ID, pt.Digest
		if pt.estate {
			d.Slice = answers[i].view.slice()
			if d.SliceDigest, err = audit.DigestOf(d.Slice); err != nil {
				return nil, err
			}
		}
		d.ID = audit.DecisionID(pt.Control, doc.head.ID, doc.digest, d.SliceDigest, asOf.time)
		out[i] = d
	}
	return out, nil
}

// judge makes one decision. What cannot be told comes before what was told.
func (p *program) judge(i int, a answer, e *estate, doc document) audit.Decision {
	pt, reads := p.parts[i], p.reads[i]
	if missing := needsSources(reads.all().Estate, e); len(missing) > 0 {
		return audit.Decision{Outcome: audit.Excluded, Reasons: missing}
	}
	if pt.applies {
		reasons := doc.gapReasons(reads.applies)
		reasons = append(reasons, doc.redactedReasons(reads.applies, reads.secret)...)
		if len(reasons) == 0 && a.err == nil && !a.applies {
			unclear := append(undefinedReasons(pt, a, doc.kind()), lookupReasons(pt, a.view)...)
			if len(unclear) > 0 {
				return notEvaluated(unclear)
			}
			return audit.Decision{Outcome: audit.Excluded, Reasons: []audit.Reason{{Code: "not_applicable", Detail: pt.Excludes}}}
		}
	}
	all := reads.all()
	reasons := doc.gapReasons(all)
	reasons = append(reasons, doc.redactedReasons(all, reads.secret)...)
	reasons = append(reasons, lookupReasons(pt, a.view)...)
	if a.err != nil {
		return notEvaluated(append(reasons, audit.Reason{Code: "error", Detail: firstLine(a.err)}))
	}
	reasons = append(reasons, undefinedReasons(pt, a, doc.kind())...)
	violations, err := readViolations(a.violations)
	if err != nil {
		reasons = append(reasons, audit.Reason{Code: "error", Detail: err.Error()})
	}
	switch {
	case len(reasons) > 0:
		return notEvaluated(reasons)
	case len(violations) > 0:
		return audit.Decision{Outcome: audit.Fail, Violations: violations}
	}
	return audit.Decision{Outcome: audit.Pass}
}

func notEvaluated(reasons []audit.Reason) audit.Decision {
	slices.SortFunc(reasons, func(x, y audit.Reason) int {
		return cmp.Or(cmp.Compare(x.Code, y.Code), cmp.Compare(x.Where, y.Where), cmp.Compare(x.Detail, y.Detail))
	})
	return audit.Decision{Outcome: audit.NotEvaluated, Reasons: slices.Compact(reasons)}
}

func (d document) kind() kind { return kind{d.head.Source, d.head.Type} }

func (d document) gapReasons(r Reads) []audit.Reason {
	var out []audit.Reason
	for _, p := range r.Touched(d.gapped()) {
		out = append(out, audit.Reason{Code: "gap", Where: p, Detail: d.head.Gaps[p]})
	}
	return out
}

// redactedReasons are the tokens that are read, less those that are only compared.
func (d document) redactedReasons(r, secret Reads) []audit.Reason {
	var out []audit.Reason
	for _, p := range r.Touched(secret.Touched(d.head.Redacted)) {
		out = append(out, audit.Reason{Code: "redacted", Where: p, Detail: "replaced by a token"})
	}
	return out
}

// undefinedReasons: an attribute without a value must not pass for a benign one.
func undefinedReasons(pt part, a answer, k kind) []audit.Reason {
	var out []audit.Reason
	for _, attr := range pt.attributes {
		if !a.defined[attr] {
			out = append(out, audit.Reason{Code: "undefined", Where: attr, Detail: "attribute " + attr + " undefined for type " + k.String()})
		}
	}
	return out
}

// lookupReasons: a miss proves nothing where something could be hidden.
func lookupReasons(pt part, v *view) []audit.Reason {
	if v == nil {
		return nil
	}
	var out []audit.Reason
	for _, k := range sortedLookups(v.lookups) {
		gaps := v.estate.gaps[k.source+"."+k.kind]
		if len(gaps) == 0 || v.lookups[k] != nil && !pt.NeedsAll {
			continue
		}
		detail := gaps[0]
		if len(gaps) > 1 {
			detail += fmt.Sprintf(" (and %d more)", len(gaps)-1)
		}
		out = append(out, audit.Reason{Code: "lookup", Where: k.source + "." + k.kind, Detail: detail})
	}
	return slices.Compact(out)
}

// needsSources are the exclusions of a control that looks up what was not among the inputs.
func needsSources(kinds []string, e *estate) []audit.Reason {
	var out []audit.Reason
	for _, k := range kinds {
		source, _, _ := strings.Cut(k, ".")
		if !e.sources[source] {
			out = append(out, audit.Reason{Code: "needs_estate", Where: source, Detail: "needs the live estate: " + source + " is not among the inputs"})
		}
	}
	return slices.Compact(out)
}

// readViolations checks and sorts the objects of a control's set.
func readViolations(values []ast.Value) ([]audit.Violation, error) {
	type rendered struct {
		raw []byte
		v   audit.Violation
	}
	var list []rendered
	for _, v := range values {
		raw, err := canonicalValue(v)
		if err != nil {
			return nil, err
		}
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		var keys map[string]any
		if err := dec.Decode(&keys); err != nil || !isViolation(keys) {
			return nil, fmt.Errorf("a violation must be {message, observed, expected, path}, not %.200s", raw)
		}
		list = append(list, rendered{raw, audit.Violation{
			Message: keys["message"].(string), Observed: keys["observed"], Expected: keys["expected"], Path: keys["path"].(string),
		}})
	}
	slices.SortFunc(list, func(a, b rendered) int { return bytes.Compare(a.raw, b.raw) })
	out := make([]audit.Violation, len(list))
	for i, r := range list {
		out[i] = r.v
	}
	return out, nil
}

func isViolation(keys map[string]any) bool {
	_, message := keys["message"].(string)
	_, path := keys["path"].(string)
	_, observed := keys["observed"]
	_, expected := keys["expected"]
	return message && path && observed && expected && len(keys) == 4
}
