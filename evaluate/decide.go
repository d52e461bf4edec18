package evaluate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate/plan"
)

// judge makes the decision of control i. What cannot be told comes before what was told.
func (w *worker) judge(p *program, i int, a *answer, doc *document, holes []hole) audit.Decision {
	pt, e := &p.parts[i], w.estate
	if missing := needsSources(pt.estate, e); len(missing) > 0 {
		return audit.Decision{Outcome: audit.Excluded, Reasons: missing}
	}
	if pt.applies {
		reasons := holeReasons(holes, i, readsToApply)
		if len(reasons) == 0 && a.err == nil && !a.applies {
			unclear := append(undefinedReasons(a, doc.kind), lookupReasons(pt, a.view)...)
			if len(unclear) > 0 {
				return notEvaluated(unclear)
			}
			return audit.Decision{Outcome: audit.Excluded, Reasons: []audit.Reason{{Code: "not_applicable", Detail: pt.Excludes}}}
		}
	}
	reasons := holeReasons(holes, i, readsAll)
	reasons = append(reasons, lookupReasons(pt, a.view)...)
	if a.err != nil {
		code := "error"
		if a.limit {
			code = "limit"
		}
		return notEvaluated(append(reasons, audit.Reason{Code: code, Detail: firstLine(a.err)}))
	}
	reasons = append(reasons, undefinedReasons(a, doc.kind)...)
	violations, err := sorted(a.violations)
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

// undefinedReasons: an attribute without a value must not pass for a benign one.
func undefinedReasons(a *answer, k plan.Kind) []audit.Reason {
	var out []audit.Reason
	for _, attr := range a.undefined {
		out = append(out, audit.Reason{Code: "undefined", Where: attr, Detail: "attribute " + attr + " undefined for type " + k.String()})
	}
	return out
}

// lookupReasons: a miss proves nothing where something could be hidden.
func lookupReasons(pt *part, v *view) []audit.Reason {
	if v == nil {
		return nil
	}
	var out []audit.Reason
	for _, k := range v.lookups.sorted() {
		gaps := v.estate.gaps[k.source+"."+k.kind]
		if len(gaps) == 0 || k.hits != nil && !pt.NeedsAll {
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
