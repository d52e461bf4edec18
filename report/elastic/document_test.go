package elastic_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/report/elastic"
)

// render gives the documents of a run by id.
func render(t *testing.T, cfg elastic.Config, rec audit.Record) map[string]map[string]any {
	t.Helper()
	out := map[string]map[string]any{}
	err := elastic.Documents(cfg, rec, func(id string, doc []byte) error {
		if out[id] != nil {
			t.Errorf("two documents have the id %s", id)
		}
		var o map[string]any
		if err := json.Unmarshal(doc, &o); err != nil {
			t.Fatalf("%v: %s", err, doc)
		}
		if at(o, "event.id") != id {
			t.Errorf("document %s says that it is %s", id, at(o, "event.id"))
		}
		out[id] = o
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// at reads a field by its path, of lists the first.
func at(o map[string]any, path string) string {
	var v any = o
	for _, p := range strings.Split(path, ".") {
		if list, ok := v.([]any); ok && len(list) > 0 {
			v = list[0]
		}
		m, _ := v.(map[string]any)
		v = m[p]
	}
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// lines gives fields of the documents that are about resources, sorted.
func lines(docs map[string]map[string]any, fields ...string) (out []string) {
	for _, o := range docs {
		if at(o, "resource.id") == "" {
			continue
		}
		var row []string
		for _, f := range fields {
			row = append(row, at(o, f))
		}
		out = append(out, strings.Join(row, " "))
	}
	slices.Sort(out)
	return out
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	type nights []audittest.Night
	show := strings.Fields("rule.id resource.name crosscheck.kind result.evaluation event.outcome crosscheck.open crosscheck.closed.how")
	fail, unknown := audit.Fail, audit.NotEvaluated
	type outcomes = map[string]audit.Outcome
	tests := map[string]struct {
		nights nights
		passes bool
		want   []string // of the last night
	}{
		"first": {
			nights{{Listed: "abc", Not: outcomes{"STO a": fail, "NET b": unknown, "STO c": audit.Excluded}}},
			false,
			[]string{"NET-001 b decision unknown unknown true ", "STO-001 a decision failed failure true ", "STO-001 c decision not_applicable unknown false "},
		},
		"all is well": {nights{{Listed: "abc"}}, false, nil},
		"passes too": {
			nights{{Listed: "a", Not: outcomes{"STO a": fail}}, {Listed: "a"}},
			true,
			[]string{"NET-001 a decision passed success false ", "STO-001 a closing passed success false fixed"},
		},
		"still open": {
			nights{{Listed: "a", Not: outcomes{"STO a": fail}}, {Listed: "a", Not: outcomes{"STO a": unknown}}},
			false,
			[]string{"STO-001 a decision unknown unknown true "},
		},
		"closed in every way": {
			nights{
				{Listed: "abcd", Not: outcomes{"STO a": fail, "STO b": unknown, "STO c": fail, "STO d": fail}},
				{Listed: "abd", Not: outcomes{"STO d": audit.Excluded}},
			},
			false,
			[]string{
				"STO-001 a closing passed success false fixed", "STO-001 b closing passed success false cleared",
				"STO-001 c closing not_applicable unknown false gone", "STO-001 d closing not_applicable unknown false not_applicable",
			},
		},
		"between what stays": {
			nights{
				{Listed: "abcd", Not: outcomes{"NET a": fail, "STO a": fail, "NET b": fail, "STO b": fail, "NET d": fail}},
				{Listed: "abd", Not: outcomes{"STO a": fail, "NET d": fail}},
			},
			false,
			[]string{
				"NET-001 a closing passed success false fixed", "NET-001 b closing passed success false fixed", "NET-001 d decision failed failure true ",
				"STO-001 a decision failed failure true ", "STO-001 b closing passed success false fixed",
			},
		},
		"cannot be told": {
			nights{{Listed: "a", Not: outcomes{"STO a": fail}}, {Unread: true}},
			false,
			[]string{"STO-001 a unconfirmed unknown unknown true "},
		},
		"still cannot": {nights{{Listed: "a", Not: outcomes{"STO a": fail}}, {Unread: true}, {Unread: true}}, false, nil},
		"a narrowed run says nothing of the rest": {
			nights{
				{Listed: "ab", Not: outcomes{"STO a": fail, "NET b": fail}},
				{Listed: "ab", Not: outcomes{"STO a": fail}, Change: func(r *audit.Run) { r.Scope.Controls = []string{"STO-001"} }},
			},
			false,
			[]string{"STO-001 a decision failed failure true "},
		},
		"simulated": {
			nights{{Listed: "a"}, {Listed: "a", Not: outcomes{"STO a": fail}, Change: func(r *audit.Run) { r.Simulated = true }}},
			false,
			[]string{"STO-001 a decision failed failure false "},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			var docs map[string]map[string]any
			for day, n := range tt.nights {
				rec := d.night(t, day, n)
				docs = render(t, elastic.Config{Passes: tt.passes}, rec)
			}
			if diff := cmp.Diff(lines(docs, show...), tt.want); diff != "" {
				t.Errorf("documents (-got +want):\n%s", diff)
			}
		})
	}
}

// TestDecisionIDs: a decision's document has the decision's id, a re-audit's is
// linked to the one that was judged again, also where it passes now.
func TestDecisionIDs(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	first := d.night(t, 0, audittest.Night{Listed: "ab", Not: map[string]audit.Outcome{"STO a": audit.Fail, "STO b": audit.Fail}})
	ids := map[string]string{}
	if err := first.Stored(t.Context(), func(v audit.Verdict) error {
		ids[v.Name] = v.Decisions[0].ID
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	docs := render(t, elastic.Config{}, first)
	for name, id := range ids {
		if docs[id] == nil || at(docs[id], "crosscheck.decision") != id || at(docs[id], "resource.name") != name {
			t.Errorf("decision %s on %s has the document %v", id, name, docs[id])
		}
	}
	again := audittest.Night{Listed: "ab", Not: map[string]audit.Outcome{"STO b": audit.Fail}, Change: func(r *audit.Run) {
		r.Trigger, r.Repair, r.Scope.Resources = audit.Reaudit, "R", []string{audittest.Bucket("a"), audittest.Bucket("b")}
	}}
	rec := again.Record(t, 1)
	rec.Run.Relinked = map[string]string{}
	if err := rec.Verdicts(t.Context(), func(v audit.Verdict) error {
		for _, d := range v.Decisions {
			if d.Control == "STO-001" {
				rec.Run.Relinked[d.ID] = ids[v.Name]
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	got := lines(render(t, elastic.Config{}, d.record(t, rec)), "resource.name", "crosscheck.outcome", "crosscheck.earlier_decision", "crosscheck.repair.id", "crosscheck.run.repair")
	want := []string{"a pass " + ids["a"] + " R R", "b fail " + ids["b"] + "  R"}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("re-audit (-got +want):\n%s", diff)
	}
}

// TestMapped: every field of every document is in the mappings, by the type that
// its values have, and every field that is mapped and ours is written somewhere.
func TestMapped(t *testing.T) {
	t.Parallel()
	fields := mapped(t)
	fields["data_stream.type"], fields["data_stream.dataset"], fields["data_stream.namespace"] = "keyword", "keyword", "keyword"
	seen := map[string]bool{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		typ, ok := fields[path]
		switch v := v.(type) {
		case map[string]any:
			if typ == "disabled" {
				seen[path] = true
				return
			}
			for _, key := range slices.Sorted(maps.Keys(v)) {
				walk(strings.TrimPrefix(path+"."+key, "."), v[key])
			}
			return
		case []any:
			for _, e := range v {
				walk(path, e)
			}
			return
		case bool:
			ok = ok && typ == "boolean"
		case float64:
			ok = ok && (typ == "long" || typ == "float")
		case string:
			ok = ok && (typ == "keyword" || typ == "text" || typ == "date")
		}
		if seen[path] = true; !ok {
			t.Errorf("%s is %v, and mapped as %q", path, v, typ)
		}
	}
	for _, doc := range everything(t) {
		walk("", doc)
	}
	for path := range fields {
		if strings.HasPrefix(path, "crosscheck.") && !seen[path] && !strings.HasSuffix(path, ".keyword") {
			t.Errorf("%s is mapped, and no document has it", path)
		}
	}
}

// everything is documents that have every field.
func everything(t *testing.T) (out []map[string]any) {
	t.Helper()
	d := newDesk(t)
	add := func(docs map[string]map[string]any) { out = append(out, slices.Collect(maps.Values(docs))...) }
	n := audittest.Night{Listed: "abc", Owner: "payments", Accept: "E-1", Not: map[string]audit.Outcome{"STO a": audit.Fail, "STO b": audit.NotEvaluated, "NET c": audit.Fail}}
	full := func(day int, n audittest.Night) {
		rec := n.Record(t, day)
		var err error
		if rec.Run.Exceptions, err = rec.Vault.Put(t.Context(), strings.NewReader(accepted)); err != nil {
			t.Fatal(err)
		}
		rec.Run.Counts = []audit.Count{{Control: "STO-001", Type: audittest.Type, Origin: "kubernetes/prod", Listed: 3, Pass: 1}}
		rec.Run.Notices = notices(1)
		rec.Run.Previous, rec.Run.Engine, rec.Run.Audit, rec.Run.Repair = "P", "vm", "nightly", "R"
		rec.Run.Entity, rec.Run.System, rec.Run.ConfigDigest = "E", "S", "C"
		rec.Catalog.Frameworks = []audit.Framework{{
			ID: "soc2", Title: "SOC 2", Requirements: []audit.Requirement{{ID: "CC6.1", Evidence: []audit.Evidence{{Control: "STO-001"}}}},
		}}
		for i := range rec.Catalog.Controls {
			c := &rec.Catalog.Controls[i]
			c.Severity, c.Description, c.Why, c.Digest, c.Fix, c.Package = "high", "d", "w", "x", map[string]string{"aws": "f"}, "controls.storage.x"
		}
		rec = d.record(t, rec)
		rec.Run.Relinked = map[string]string{}
		_ = rec.Verdicts(t.Context(), func(v audit.Verdict) error {
			for _, d := range v.Decisions {
				rec.Run.Relinked[d.ID] = "D1"
			}
			return nil
		})
		// What the scope was is only shown here: the ledger would be moved by less.
		rec.Run.Scope = audit.Scope{Controls: []string{"NET-001", "STO-001"}, Severity: "low", Origins: []string{audittest.Origin}}
		add(render(t, elastic.Config{Namespace: "default"}, rec))
		rec.Run.Scope, rec.Run.Counts = audit.Scope{Resources: []string{audittest.Bucket("a")}, Frameworks: []string{"soc2"}}, nil
		rec.Run.Relinked = nil
		add(render(t, elastic.Config{Namespace: "default"}, rec))
	}
	full(0, n)
	full(1, audittest.Night{Unread: true})
	full(2, audittest.Night{Listed: "ab", Not: n.Not})
	step := &audit.RepairStep{At: audittest.Moment, By: "jo", Output: "o", Run: "r", Decision: "d", Outcome: audit.Pass}
	r := audit.Repair{
		ID: "R", Runbook: "b", Version: "1", Digest: "x", Runner: "ssm", Control: "STO-001", Resource: audittest.Bucket("a"), Name: "a", Type: audittest.Type,
		Origin: audittest.Origin, Owner: "o", Decision: "D1", Run: "r", Mode: audit.ModeAuto, State: audit.RepairVerified, Reason: "why",
		Requested: step, Decided: step, Acted: step, Verified: step, Undone: step, Settled: step, Updated: audittest.Moment,
	}
	out = append(out, repairDoc(t, audit.Announcement{Kind: audit.OfRepair, Key: "k", At: audittest.Moment, Repair: &r}), odd(t))
	return out
}

func repairDoc(t *testing.T, a audit.Announcement) (o map[string]any) {
	t.Helper()
	if err := elastic.RepairDocument(a, func(_ string, doc []byte) error { return json.Unmarshal(doc, &o) }); err != nil {
		t.Fatal(err)
	}
	return o
}

// odd is a decision with more than a document holds, and names that are no text.
func odd(t *testing.T) map[string]any {
	t.Helper()
	rec := wide(t, "odd", 0)
	many := make([]audit.Violation, 101)
	for i := range many {
		many[i] = audit.Violation{Message: strings.Repeat("ü", 9000), Observed: strings.Repeat("x", 9000), Path: fmt.Sprint("/data/", i), Exception: "E-2"}
	}
	v := audit.Verdict{
		Resource: audit.ResourceID(audittest.Origin, audittest.Type, "x\u2028\"}<b>"), Name: "\xff\"}\n{", Type: audittest.Type, Origin: audittest.Origin, InputDigest: "i",
		Decisions: []audit.Decision{
			{ID: "D-odd", Control: "STO-001", Outcome: audit.Fail, Violations: many, SliceDigest: "s", Reasons: []audit.Reason{{Code: "gap", Where: "/data", Detail: "AccessDenied"}}},
		},
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if rec.Run.Verdicts, err = rec.Vault.Put(t.Context(), strings.NewReader(string(b)+"\n")); err != nil {
		t.Fatal(err)
	}
	return render(t, elastic.Config{}, rec)["D-odd"]
}

// TestOdd: hostile names stay values, and what is left out is said.
func TestOdd(t *testing.T) {
	t.Parallel()
	o := odd(t)
	for field, want := range map[string]string{
		"resource.name": "\ufffd\"}\n{", "crosscheck.violations": "101", "crosscheck.violations_left_out": "1",
		"crosscheck.exception.id": "E-2", "crosscheck.excepted": "true", "event.severity": "99",
	} {
		if got := at(o, field); got != want {
			t.Errorf("%s is %q, want %q", field, got, want)
		}
	}
	if got := at(o, "result.evidence.left_out"); !strings.Contains(got, "crosscheck decisions show") {
		t.Errorf("result.evidence is %q", got)
	}
	if b, err := json.Marshal(o); err != nil || len(b) > 2<<20 {
		t.Errorf("the document has %d bytes", len(b))
	}
}

// TestSame: the same run gives the same bytes in the same order.
func TestSame(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	rec := d.night(t, 0, audittest.Night{Listed: "abc", Not: map[string]audit.Outcome{"STO a": audit.Fail, "NET b": audit.NotEvaluated}})
	read := func() (out []string) {
		if err := elastic.Documents(elastic.Config{}, rec, func(_ string, doc []byte) error {
			out = append(out, string(doc))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return out
	}
	if a, b := read(), read(); !reflect.DeepEqual(a, b) || len(a) != 3 {
		t.Errorf("%d and %d documents:\n%v\n%v", len(a), len(b), a, b)
	}
}
