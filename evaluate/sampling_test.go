package evaluate_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate"
)

// TestSample: of many decisions about one in a thousand is made by OPA too, of
// fewer about two hundred, and of few all.
func TestSample(t *testing.T) {
	t.Parallel()
	for documents, want := range map[int64]int64{10: 140, 100: 200, 10_000: 200, 100_000: 1400} {
		var controls []audit.Control
		for i := range 14 {
			controls = append(controls, audit.Control{ID: fmt.Sprint(i), AppliesTo: []string{"aws/T"}, Digest: audit.Digest(fmt.Append(nil, "control", i))})
		}
		takes := evaluate.Sample(controls, []audit.Snapshot{{Origin: "aws/1/eu", Documents: []audit.TypeCount{{Type: "T", Listed: documents}}}})
		got := int64(0)
		for d := range documents {
			for _, c := range controls {
				if takes(audit.Digest(fmt.Append(nil, d)), c.Digest) {
					got++
				}
			}
		}
		if got < want*7/10 || got > want*14/10 || got < 100 {
			t.Errorf("of %d documents with 14 decisions each %d decisions are chosen, want about %d", documents, got, want)
		}
	}
}

// TestDisagreement: where OPA's own evaluator says something else than the engine
// of one decision, be it one byte, the run ends and names it.
func TestDisagreement(t *testing.T) {
	t.Parallel()
	rego := func(message string) string {
		return control("DIS-001", "controls.a.b", `"aws/T"`, `violation contains {"message": "`+message+`", "observed": 1, "expected": 2, "path": "/data"} if input.data.n == 7`+"\n")
	}
	e := engine(t, library(t, map[string]string{"lib/none.rego": "package lib.none\n", "controls/a/b.rego": rego("seven")}))
	if err := e.Mislead("controls/a/b.rego", rego("sevem")); err != nil {
		t.Fatal(err)
	}
	j := judgement(t, doc("aws/1/eu", "T", "six", `{"n":6}`), doc("aws/1/eu", "T", "seven", `{"n":7}`))
	err := e.Decide(t.Context(), j, func(audit.Verdict) error { return nil })
	var differ *evaluate.DisagreementError
	if !errors.As(err, &differ) || differ.Control != "DIS-001" || differ.Resource != "aws/1/eu/T/seven" || !strings.Contains(err.Error(), "--engine opa") {
		t.Errorf("Decide() = %v, want an error that names control and resource", err)
	}
}
