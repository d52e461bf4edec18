package audit_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
)

func decided(control, resource string, outcome audit.Outcome) audit.Decision {
	d := audit.Decision{ID: audit.Digest([]byte(control + resource)), Control: control, ControlDigest: audit.Digest([]byte(control)), Outcome: outcome}
	switch outcome {
	case audit.Fail:
		d.Violations = []audit.Violation{{Message: "open", Observed: json.RawMessage(`{"port":22}`), Expected: json.RawMessage(`[]`), Path: "/data/x"}}
	case audit.NotEvaluated, audit.Excluded:
		d.Reasons = []audit.Reason{{Code: "gap", Where: "/data/y", Detail: "AccessDenied s3:GetY"}}
	case audit.Pass:
		d.SliceDigest = audit.Digest([]byte("slice"))
	}
	return d
}

func resource(id string, decisions ...audit.Decision) audit.Verdict {
	return audit.Verdict{
		Resource: id, Name: "n", Type: "T", Origin: "aws/1/x", Owner: "payments", InputDigest: audit.Digest([]byte(id)), Decisions: decisions,
	}
}

// found is a run to find decisions in, one of them accepted.
func found(t *testing.T) (rec audit.Record, accepted audit.Decision) {
	t.Helper()
	accepted = decided("STO-001", "aws/1/x/T/c?[1]", audit.Fail)
	accepted.Exception = "EXC-1"
	return audittest.Ran(t, "run",
		resource("aws/1/x/T/a", decided("NET-001", "aws/1/x/T/a", audit.Fail), decided("STO-001", "aws/1/x/T/a", audit.NotEvaluated)),
		resource("aws/1/x/T/b", decided("NET-001", "aws/1/x/T/b", audit.Excluded), decided("STO-001", "aws/1/x/T/b", audit.Pass)),
		resource("aws/1/x/T/c?[1]", decided("NET-001", "aws/1/x/T/c?[1]", audit.Fail), accepted)), accepted
}

func TestFind(t *testing.T) {
	t.Parallel()
	rec, _ := found(t)
	yes, no := true, false
	tests := map[string]struct {
		query audit.Query
		want  []string
	}{
		"all":          {audit.Query{}, []string{"NET-001 a", "NET-001 c?[1]", "STO-001 a", "STO-001 c?[1]"}},
		"control":      {audit.Query{Control: "STO-001"}, []string{"STO-001 a", "STO-001 c?[1]"}},
		"outcome":      {audit.Query{Outcome: audit.NotEvaluated}, []string{"STO-001 a"}},
		"glob":         {audit.Query{Resource: "*/a"}, []string{"NET-001 a", "STO-001 a"}},
		"glob escapes": {audit.Query{Resource: "aws*c?[1]"}, []string{"NET-001 c?[1]", "STO-001 c?[1]"}},
		"excepted":     {audit.Query{Excepted: &yes}, []string{"STO-001 c?[1]"}},
		"not excepted": {audit.Query{Excepted: &no, Outcome: audit.Fail}, []string{"NET-001 a", "NET-001 c?[1]"}},
		"none":         {audit.Query{Control: "NET-002"}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, size := range []int{1, 2, 100} {
				var got []string
				q := tt.query
				q.Limit = size
				for {
					page, err := rec.Find(t.Context(), q)
					if err != nil {
						t.Fatal(err)
					}
					for _, d := range page.Decisions {
						got = append(got, d.Control+" "+strings.TrimPrefix(d.Resource, "aws/1/x/T/"))
					}
					if q.After = page.Next; q.After == "" {
						break
					}
				}
				if diff := cmp.Diff(got, tt.want); diff != "" {
					t.Errorf("pages of %d (-got +want):\n%s", size, diff)
				}
			}
		})
	}
	if _, err := rec.Find(t.Context(), audit.Query{After: "nonsense"}); err == nil {
		t.Error("Find() after what is no page succeeded")
	}
}

func TestFindID(t *testing.T) {
	t.Parallel()
	rec, accepted := found(t)
	got, err := rec.FindID(t.Context(), accepted.ID[:12])
	if err != nil {
		t.Fatal(err)
	}
	want := []audit.Found{{
		Decision: accepted, Run: rec.Run.ID, Resource: "aws/1/x/T/c?[1]", Name: "n", Type: "T", Origin: "aws/1/x", Owner: "payments",
		InputDigest: audit.Digest([]byte("aws/1/x/T/c?[1]")),
	}}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("FindID() (-got +want):\n%s", diff)
	}
	if got, err := rec.FindID(t.Context(), decided("STO-001", "aws/1/x/T/b", audit.Pass).ID); err != nil || len(got) > 0 {
		t.Errorf("FindID() of a pass = %v, %v; want none", got, err)
	}
	if got, err := rec.FindID(t.Context(), ""); err != nil || len(got) != 2 {
		t.Errorf("FindID() of every id = %d, %v; want 2", len(got), err)
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true},
		{"", "a", false},
		{"a", "a", true},
		{"a", "ab", false},
		{"*", "", true},
		{"*", "a/b", true},
		{"a*", "ab/c", true},
		{"*c", "ab/c", true},
		{"*b*", "ab/c", true},
		{"a*a", "a", false},
		{"ab*ba", "aba", false},
		{"ab*ba", "abba", true},
		{"*ab*ab", "abcab", true},
		{"*ab*ab", "cab", false},
		{"a*b*c*", "a-b-c", true},
		{"a*b*c*", "a-c-b", false},
		{"**", "x", true},
		{"a.c", "abc", false},
		{"[a]?", "[a]?", true},
	} {
		if got := audit.Matches(tt.pattern, tt.s); got != tt.want {
			t.Errorf("Matches(%q, %q) = %v, want %v", tt.pattern, tt.s, got, tt.want)
		}
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	const origin = "aws/1/x"
	var want []string
	var lines bytes.Buffer
	for i, data := range []any{
		map[string]any{},
		map[string]any{"id": "aws/1/x/T/other"},
		map[string]any{"a": 1, "id": "aws/1/x/T/other"},
		[]any{map[string]any{"a": `,"id":"aws/1/x/`, "id": "aws/1/x/T/other"}},
		`,"id":"aws/1/x/T/text"`,
	} {
		for _, native := range []string{"plain", `with "quotes"`, `back\slash`, "ünïcode"} {
			r := audit.Resource{Data: data, ID: audit.ResourceID(origin, "T", fmt.Sprint(i, native)), Origin: origin, Source: audit.AWS, Type: "T"}
			r.Tags = map[string]string{"a": "b", "id": "aws/1/x/T/tag"}
			if native == "plain" {
				r.Tags = nil
			}
			line, err := r.Line()
			if err != nil {
				t.Fatal(err)
			}
			lines.Write(append(line, '\n'))
			want = append(want, r.ID)
		}
	}
	v := &audittest.Vault{}
	digest, err := v.Put(t.Context(), &lines)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	err = audit.IDs(t.Context(), v, audit.Snapshot{Origin: origin, Digest: digest}, func(id string) error {
		got = append(got, id)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("IDs() (-got +want):\n%s", diff)
	}
}

func TestSnapshotComplete(t *testing.T) {
	t.Parallel()
	gap := func(typ string) []audit.Gap {
		return []audit.Gap{{Origin: "aws/1/x", Type: typ, Code: audit.AccessDenied, Operation: "List"}}
	}
	listed := []audit.TypeCount{{Type: "T"}}
	for name, tt := range map[string]struct {
		snapshot audit.Snapshot
		want     bool
	}{
		"listed":                        {audit.Snapshot{Types: listed}, true},
		"exhaustive":                    {audit.Snapshot{Exhaustive: true}, true},
		"not answered for":              {audit.Snapshot{Documents: listed}, false},
		"a gap":                         {audit.Snapshot{Types: listed, Gaps: gap("T")}, false},
		"a gap of another type":         {audit.Snapshot{Types: listed, Gaps: gap("U")}, true},
		"a gap of all":                  {audit.Snapshot{Exhaustive: true, Gaps: gap(audit.AllTypes)}, false},
		"a gap where it cannot be":      {audit.Snapshot{Exhaustive: true, Answers: []string{"U"}, Gaps: gap(audit.AllTypes)}, true},
		"stale, so a gap of everything": {audit.Snapshot{Types: listed, Gaps: []audit.Gap{{Origin: "aws/1/x", Type: audit.AllTypes, Code: audit.Stale}}}, false},
	} {
		if got := tt.snapshot.Complete("T"); got != tt.want {
			t.Errorf("%s: Complete() = %v, want %v", name, got, tt.want)
		}
	}
}
