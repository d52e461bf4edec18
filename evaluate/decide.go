package evaluate

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// judge makes one decision. What cannot be told comes before what was told.
func judge(pt *part, a answer, e *estate, doc document) audit.Decision {
	if missing := needsSources(pt.estate, e); len(missing) > 0 {
		return audit.Decision{Outcome: audit.Excluded, Reasons: missing}
	}
	if pt.applies {
		reasons := doc.holeReasons(pt, true)
		if len(reasons) == 0 && a.err == nil && !a.applies {
			unclear := append(undefinedReasons(pt, a, doc.kind), lookupReasons(pt, a.view)...)
			if len(unclear) > 0 {
				return notEvaluated(unclear)
			}
			return audit.Decision{Outcome: audit.Excluded, Reasons: []audit.Reason{{Code: "not_applicable", Detail: pt.Excludes}}}
		}
	}
	reasons := doc.holeReasons(pt, false)
	reasons = append(reasons, lookupReasons(pt, a.view)...)
	if a.err != nil {
		code := "error"
		if a.limit {
			code = "limit"
		}
		return notEvaluated(append(reasons, audit.Reason{Code: code, Detail: firstLine(a.err)}))
	}
	reasons = append(reasons, undefinedReasons(pt, a, doc.kind)...)
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

// holeReasons are the gaps and tokens that a control reads, or only those that
// bear on whether it applies. A token that is only compared is none.
func (d document) holeReasons(pt *part, toApply bool) []audit.Reason {
	if len(d.gaps)+len(d.tokens) == 0 {
		return nil
	}
	r := pt.reads()
	read := r.all
	if toApply {
		read = r.toApply
	}
	var out []audit.Reason
	for _, p := range read.Touched(d.gapped()) {
		out = append(out, audit.Reason{Code: "gap", Where: p, Detail: d.gaps[p]})
	}
	for _, p := range read.Touched(r.secret.Touched(d.tokens)) {
		out = append(out, audit.Reason{Code: "redacted", Where: p, Detail: "replaced by a token"})
	}
	return out
}

// undefinedReasons: an attribute without a value must not pass for a benign one.
func undefinedReasons(pt *part, a answer, k kind) []audit.Reason {
	var out []audit.Reason
	for _, attr := range pt.attributes {
		if !a.defined[attr] {
			out = append(out, audit.Reason{Code: "undefined", Where: attr, Detail: "attribute " + attr + " undefined for type " + k.String()})
		}
	}
	return out
}

// lookupReasons: a miss proves nothing where something could be hidden.
func lookupReasons(pt *part, v *view) []audit.Reason {
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
func readViolations(list [][]byte) ([]audit.Violation, error) {
	if len(list) == 0 {
		return nil, nil
	}
	slices.SortFunc(list, bytes.Compare)
	out := make([]audit.Violation, len(list))
	for i, raw := range list {
		var v struct {
			Message  *string         `json:"message"`
			Observed json.RawMessage `json:"observed"`
			Expected json.RawMessage `json:"expected"`
			Path     *string         `json:"path"`
		}
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&v); err != nil || v.Message == nil || v.Path == nil || v.Observed == nil || v.Expected == nil {
			return nil, fmt.Errorf("a violation must be {message, observed, expected, path}, not %.200s", raw)
		}
		out[i] = audit.Violation{Message: *v.Message, Observed: v.Observed, Expected: v.Expected, Path: *v.Path}
	}
	return out, nil
}
