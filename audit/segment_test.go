package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
)

// storedVerdicts are lines of a segment, as the pipeline writes them.
func storedVerdicts(t testing.TB) [][]byte {
	t.Helper()
	var out [][]byte
	for _, v := range []audit.Verdict{
		{Resource: "aws/1/eu/T/a", Name: "a", Type: "T", Origin: "aws/1/eu", InputDigest: "d", Decisions: []audit.Decision{{Control: "C", Outcome: audit.Pass, SliceDigest: "s"}}},
		{
			Resource: `aws/1/eu/T/"\n\\<é>"`, Name: "\u2028", Type: "T", Origin: "aws/1/eu", Owner: "me", InputDigest: "d",
			Decisions: []audit.Decision{
				{Control: "C", Outcome: audit.Fail, Exception: "E", Violations: []audit.Violation{
					{Message: "is <open>", Observed: []any{json.Number("1.50"), nil, map[string]any{"b": "x", "a": true}}, Expected: nil, Path: "/data/a", Exception: "F"},
					{Message: "", Observed: "\x7f", Expected: json.RawMessage(`{"a":[]}`), Path: ""},
				}},
				{Control: "D", Outcome: audit.NotEvaluated, Reasons: []audit.Reason{{Code: "gap"}, {Code: "gap", Where: "/data/x", Detail: "AccessDenied <s3>"}}},
			},
		},
	} {
		var buf bytes.Buffer
		enc := json.NewEncoder(&buf)
		enc.SetEscapeHTML(false)
		if ok, err := audit.StoreVerdict(enc, v); err != nil || !ok {
			t.Fatal(ok, err)
		}
		out = append(out, bytes.TrimSuffix(buf.Bytes(), []byte("\n")))
	}
	return append(out, []byte(`{"resource":"aws/1/eu/T/old","name":"","type":"","origin":"","input_digest":"","decisions":[{"id":"i","control":"C","control_digest":"d","outcome":"fail"}]}`))
}

func TestStoredVerdictsReadBothWays(t *testing.T) {
	t.Parallel()
	for i, line := range storedVerdicts(t) {
		fast, slow, err := audit.ParseVerdict(line)
		if err != nil {
			t.Fatal(err)
		}
		if old := i == 2; (fast == nil) != old {
			t.Errorf("%s: read without encoding/json: %v", line, fast != nil)
		}
		if fast != nil {
			if diff := cmp.Diff(*fast, slow); diff != "" {
				t.Errorf("%s (-fast +slow):\n%s", line, diff)
			}
		}
		if d := slow.Decisions[0]; i == 2 { // of an earlier version
			if d.ID != "i" || d.ControlDigest != "d" {
				t.Errorf("%s: read as %+v", line, d)
			}
			continue
		}
		var again bytes.Buffer
		enc := json.NewEncoder(&again)
		enc.SetEscapeHTML(false)
		if _, err := audit.StoreVerdict(enc, slow); err != nil || again.String() != string(line)+"\n" {
			t.Errorf("read %s and wrote %s, %v", line, again.String(), err)
		}
	}
}

func FuzzParseVerdict(f *testing.F) {
	for _, line := range storedVerdicts(f) {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		fast, slow, err := audit.ParseVerdict(line)
		if fast == nil {
			return
		}
		if err != nil {
			t.Fatalf("%s: read, but encoding/json says %v", line, err)
		}
		if diff := cmp.Diff(*fast, slow); diff != "" {
			t.Fatalf("%s (-fast +slow):\n%s", line, diff)
		}
	})
}

// undecided gives decisions neither IDs nor digests, which Record fills in.
type undecided struct{ byName }

func (u undecided) Decide(ctx context.Context, j audit.Judgement, emit func(audit.Verdict) error) error {
	return u.byName.Decide(ctx, j, func(v audit.Verdict) error {
		for i := range v.Decisions {
			v.Decisions[i].ID, v.Decisions[i].ControlDigest = "", ""
		}
		return emit(v)
	})
}

// TestSegmentsTellNothingOfTheMoment: what is stored of an unchanged estate is
// the same at any time, and what is read has the IDs of its run.
func TestSegmentsTellNothingOfTheMoment(t *testing.T) {
	t.Parallel()
	a := auditor(t, things("aws/1/eu", "f1", "n1", "p1"))
	a.Decider = undecided{}
	var segments, ids []string
	for day := range 2 {
		at := audittest.Moment.AddDate(0, 0, day)
		run, err := a.Run(t.Context(), audit.Order{Trigger: audit.Manual, At: at, Relink: map[string]string{"C-001 aws/1/eu/T/f1": "old"}})
		if err != nil {
			t.Fatal(err)
		}
		segments = append(segments, run.Verdicts)
		rec := audit.Record{Run: run, Catalog: byName{}.Catalog(), Vault: a.Vault}
		all := map[string]string{}
		read := func(v audit.Verdict) error {
			d := v.Decisions[0]
			want := audit.DecisionID(byName{}.Catalog().Controls[0], v.Resource, v.InputDigest, "", run.AsOf)
			if d.ID != want || d.ControlDigest != "d" {
				t.Errorf("%s: id %q, control digest %q, want %q", v.Name, d.ID, d.ControlDigest, want)
			}
			all[v.Name] = d.ID
			return nil
		}
		for _, reader := range []func(context.Context, func(audit.Verdict) error) error{rec.Stored, rec.Verdicts} {
			if err := reader(t.Context(), read); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(run.Relinked, map[string]string{all["f1"]: "old"}); diff != "" {
			t.Errorf("relinked (-got +want):\n%s", diff)
		}
		ids = append(ids, all["f1"])
	}
	if segments[0] != segments[1] || ids[0] == ids[1] {
		t.Errorf("segments %q, ids %q: want the same segment and other ids", segments, ids)
	}
	rec := audit.Record{Run: audit.Run{Verdicts: segments[0]}, Vault: a.Vault}
	err := rec.Stored(t.Context(), func(audit.Verdict) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "C-001") {
		t.Errorf("Stored() without the library: %v, want an error that names the control", err)
	}
}

func TestDecisionID(t *testing.T) {
	t.Parallel()
	c := audit.Control{ID: "C", Digest: "d"}
	for _, resource := range []string{"plain", "a\"b\\c\n", "é\u2028<>", "\xff"} {
		want, err := audit.DigestOf([]any{"crosscheck/decision/1", "C", "d", resource, "in", "", audit.Stamp(audittest.Moment)})
		if err != nil {
			t.Fatal(err)
		}
		if got := audit.DecisionID(c, resource, "in", "", audittest.Moment); got != want {
			t.Errorf("DecisionID(%q) = %s, want %s", resource, got, want)
		}
	}
}

// TestSpillOfARecording: lines that come in order and ready made are stored as
// they come, and what breaks the order costs nothing but time.
func TestSpillOfARecording(t *testing.T) {
	t.Parallel()
	line := func(i, version int) audit.Resource {
		r := thing("aws/1/eu", fmt.Sprintf("p%04d", i))
		r.Data = map[string]any{"version": version}
		b, err := r.Line()
		if err != nil {
			t.Fatal(err)
		}
		if r, err = audit.ParseLine(b); err != nil {
			t.Fatal(err)
		}
		return r
	}
	sorted := make([]audit.Resource, 0, 300)
	for i := range 300 {
		sorted = append(sorted, line(i, 1))
	}
	unsorted := append(append([]audit.Resource{}, sorted[100:]...), sorted[:100]...)
	twice := append(append([]audit.Resource{}, sorted...), line(299, 0), line(7, 2), sorted[3])
	for name, tt := range map[string]struct {
		resources []audit.Resource
		want      []audit.Resource
		twice     int
	}{
		"in order":               {sorted, sorted, 0},
		"order broken later":     {unsorted, sorted, 0},
		"documents with one id":  {twice, append(append([]audit.Resource{}, sorted[:299]...), line(299, 0)), 1},
		"not ready made at last": {append(append([]audit.Resource{}, sorted[:299]...), thing("aws/1/eu", "q")), append(append([]audit.Resource{}, sorted[:299]...), thing("aws/1/eu", "q")), 0},
	} {
		var want bytes.Buffer
		for _, r := range tt.want {
			b, err := r.Line()
			if err != nil {
				t.Fatal(err)
			}
			want.Write(append(bytes.Clone(b), '\n'))
		}
		for _, limit := range []int{1, 5000, 1 << 30} {
			digest, types, duplicates, err := audit.SpillAll(t.Context(), t.TempDir(), limit, &audittest.Vault{}, "aws/1/eu", tt.resources)
			if err != nil || digest != audit.Digest(want.Bytes()) || types["T"] != int64(len(tt.want)) || len(duplicates) != tt.twice {
				t.Errorf("%s, limit %d: %v documents, duplicates %q, %v", name, limit, types, duplicates, err)
			}
		}
	}
}
