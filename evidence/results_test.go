package evidence_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evidence"
)

// The word of a requirement never says more than was tested.
func TestResultWords(t *testing.T) {
	t.Parallel()
	catalog := audit.Catalog{
		Controls: []audit.Control{{ID: "A-001"}, {ID: "B-001"}},
		Frameworks: []audit.Framework{{ID: "f", Requirements: []audit.Requirement{
			{ID: "both", Evidence: []audit.Evidence{{Control: "A-001"}, {Control: "B-001"}}},
			{ID: "one", Evidence: []audit.Evidence{{Control: "A-001"}}},
			{ID: "none"},
		}}},
	}
	gap := []audit.Gap{{Origin: "aws/1/x", Type: "T", Code: audit.AccessDenied}}
	tests := map[string]struct {
		a, b  audit.Count
		scope audit.Scope
		one   string
		both  string
	}{
		"all pass":          {a: audit.Count{Listed: 3, Pass: 3}, b: audit.Count{Listed: 1, Pass: 1}, one: "no deviations noted", both: "no deviations noted"},
		"a deviation":       {a: audit.Count{Listed: 3, Pass: 2, Fail: 1}, b: audit.Count{Listed: 1, Pass: 1}, one: "deviations noted", both: "deviations noted"},
		"an accepted risk":  {a: audit.Count{Listed: 3, Pass: 2, Fail: 1, Excepted: 1}, b: audit.Count{Listed: 1, Pass: 1}, one: "deviations noted", both: "deviations noted"},
		"not evaluated":     {a: audit.Count{Listed: 3, Pass: 3}, b: audit.Count{Listed: 1, NotEvaluated: 1}, one: "no deviations noted", both: "not fully tested"},
		"deviation and gap": {a: audit.Count{Listed: 3, Fail: 3}, b: audit.Count{Listed: 1, Pass: 1, Gaps: gap}, one: "deviations noted", both: "not fully tested"},
		"population gap":    {a: audit.Count{Listed: 3, Pass: 3, Gaps: gap}, b: audit.Count{Listed: 1, Pass: 1}, one: "not fully tested", both: "not fully tested"},
		"nothing listed":    {a: audit.Count{}, b: audit.Count{Listed: 1, Pass: 1}, one: "not fully tested", both: "not fully tested"},
		"all excluded":      {a: audit.Count{Listed: 2, Excluded: 2}, b: audit.Count{Listed: 1, Pass: 1}, one: "not fully tested", both: "not fully tested"},
		"out of scope":      {a: audit.Count{Listed: 1, Pass: 1}, b: audit.Count{Listed: 1, Pass: 1}, scope: audit.Scope{Controls: []string{"A-001"}}, one: "no deviations noted", both: "not fully tested"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.a.Control, tt.b.Control = "A-001", "B-001"
			got, err := evidence.ResultWords(audit.Run{Scope: tt.scope, Counts: []audit.Count{tt.a, tt.b}}, catalog, "f")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(map[string]string{"one": tt.one, "both": tt.both, "none": "not testable here"}, got); diff != "" {
				t.Errorf("words (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	wrap, err := evidence.NewWrap()
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		in    string
		width float64
		want  []string
	}{
		"empty":         {"", 30, []string{""}},
		"fits":          {"a few words", 60, []string{"a few words"}},
		"at spaces":     {"several words that do not fit", 25, []string{"several words", "that do not fit"}},
		"at slashes":    {"aws/111122223333/eu-west-1/bucket", 32, []string{"aws/111122223333/", "eu-west-1/bucket"}},
		"anywhere":      {strings.Repeat("x", 20), 16, []string{"xxxxxxxxx", "xxxxxxxxx", "xx"}},
		"too narrow":    {"abc", 0.1, []string{"a", "b", "c"}},
		"no glyph":      {"名", 60, []string{`\u{540d}`}},
		"beyond 0xffff": {"😀", 60, []string{`\u{1f600}`}},
		"bidi override": {"a\u202eb", 60, []string{`a\u{202e}b`}},
		"newline":       {"a\nb\tc", 60, []string{`a\nb\tc`}},
		"not UTF-8":     {"a\xffb", 60, []string{"a\ufffdb"}},
		"accents":       {"Größe ≥ 3 → ok", 60, []string{"Größe ≥ 3 → ok"}},
	}
	for name, tt := range tests {
		if diff := cmp.Diff(tt.want, wrap(tt.in, tt.width)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
