package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// TestRenderer: what is written is what encoding/json writes of all that is no pass.
func TestRenderer(t *testing.T) {
	t.Parallel()
	full := audit.Decision{
		ID: "i", Control: "A-1", ControlDigest: "d", Outcome: audit.Fail, SliceDigest: "s", Exception: "EX-1",
		Violations: []audit.Violation{
			{Message: "<b> \"quoted\"\n\u2028 \x01é", Observed: json.RawMessage(`{"a":[1,"<"]}`), Expected: map[string]any{"b": 1, "a": "<"}, Path: "/data/x"},
			{Message: "m", Path: "/", Exception: "EX-2"},
		},
	}
	reasons := audit.Decision{
		Control: "A-2", Outcome: audit.NotEvaluated,
		Reasons: []audit.Reason{{Code: "gap", Where: "/data", Detail: "x"}, {Code: "error"}},
	}
	pass := audit.Decision{Control: "A-3", Outcome: audit.Pass}
	tests := map[string]audit.Verdict{
		"of every kind": {Resource: "r", Name: "n", Type: "t", Origin: "o", Owner: "w", InputDigest: "x", Decisions: []audit.Decision{pass, full, reasons, pass}},
		"no owner":      {Resource: "r", Decisions: []audit.Decision{{Control: "A-4", Outcome: audit.Excluded}}},
		"passes alone":  {Resource: "r", Decisions: []audit.Decision{pass}},
	}
	for name, v := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r renderer
			if err := r.emit(v); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(r.buf), rendered(t, v)); diff != "" {
				t.Errorf("emit() writes what encoding/json does not (-got +want):\n%s", diff)
			}
		})
	}
}

// rendered is what encoding/json makes of a verdict without its passes.
func rendered(t *testing.T, v audit.Verdict) string {
	t.Helper()
	kept := v
	kept.Decisions = nil
	for _, d := range v.Decisions {
		if d.Outcome != audit.Pass {
			kept.Decisions = append(kept.Decisions, d)
		}
	}
	if len(kept.Decisions) == 0 {
		return ""
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(kept); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
