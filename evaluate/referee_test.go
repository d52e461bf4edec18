package evaluate_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/policies"
)

// referee decides as a person with the stock opa would: the library as it is
// written, the estate as plain data, one query a control, nothing specialised.
type referee struct {
	lib      *policies.Library
	compiler *ast.Compiler
	store    storage.Store
	queries  map[string]rego.PreparedEvalQuery
}

// compile compiles a library as it is written.
func compile(t testing.TB, lib *policies.Library) *ast.Compiler {
	t.Helper()
	c := ast.NewCompiler()
	if c.Compile(lib.Modules()); c.Failed() {
		t.Fatal(c.Errors)
	}
	return c
}

func newReferee(t testing.TB, lib *policies.Library, docs []audit.Resource) *referee {
	t.Helper()
	r := &referee{lib: lib, compiler: compile(t, lib), queries: map[string]rego.PreparedEvalQuery{}}
	data := map[string]any{"parameters": lib.Parameters(), "run": map[string]any{"as_of": audit.Stamp(audittest.Moment)}}
	r.store = inmem.NewFromObject(data)
	estate := map[string]any{}
	for _, d := range docs {
		for _, pkg := range lib.EstateRules() {
			entries, err := r.ask(t, "data."+pkg+".estate", d)
			if err != nil {
				t.Fatalf("%s: %v", d.ID, err)
			}
			list, _ := entries.([]any)
			for _, e := range list {
				declare(estate, d, e.(map[string]any))
			}
		}
	}
	data["estate"] = estate
	r.store, r.queries = inmem.NewFromObject(data), map[string]rego.PreparedEvalQuery{}
	return r
}

// declare puts an entry where controls look for it, in order of id and value.
func declare(estate map[string]any, d audit.Resource, e map[string]any) {
	kinds, _ := estate[d.Source].(map[string]any)
	if kinds == nil {
		kinds = map[string]any{}
		estate[d.Source] = kinds
	}
	keys, _ := kinds[e["kind"].(string)].(map[string]any)
	if keys == nil {
		keys = map[string]any{}
		kinds[e["kind"].(string)] = keys
	}
	hits, _ := keys[e["key"].(string)].([]any)
	hits = append(hits, map[string]any{"id": d.ID, "origin": d.Origin, "value": e["value"]})
	slices.SortFunc(hits, func(a, b any) int {
		x, y := a.(map[string]any), b.(map[string]any)
		vx, _ := audit.Canonical(x["value"])
		vy, _ := audit.Canonical(y["value"])
		return cmp.Or(cmp.Compare(x["id"].(string), y["id"].(string)), bytes.Compare(vx, vy))
	})
	keys[e["key"].(string)] = hits
}

// ask evaluates a query; nil is undefined.
func (r *referee) ask(t testing.TB, text string, d audit.Resource) (any, error) {
	t.Helper()
	q, ok := r.queries[text]
	if !ok {
		var err error
		q, err = rego.New(rego.Query(text+" = x"), rego.Compiler(r.compiler), rego.SetRegoVersion(ast.RegoV1), rego.Store(r.store), rego.StrictBuiltinErrors(true)).PrepareForEval(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		r.queries[text] = q
	}
	line, err := d.Line()
	if err != nil {
		t.Fatal(err)
	}
	input, err := ast.ValueFromReader(bytes.NewReader(line))
	if err != nil {
		t.Fatal(err)
	}
	rs, err := q.Eval(context.Background(), rego.EvalParsedInput(input), rego.EvalSortSets(true))
	if err != nil || len(rs) == 0 {
		return nil, err
	}
	return rs[0].Bindings["x"], nil
}

var errPlain = errors.New("plain evaluation failed")

// decide is what a control says of a document that has neither gaps nor tokens.
func (r *referee) decide(t testing.TB, c audit.Control, d audit.Resource) (audit.Outcome, string, error) {
	t.Helper()
	found, err := r.ask(t, "data."+c.Package+".violation", d)
	if err != nil {
		return "", "", errors.Join(errPlain, err)
	}
	if c.Excludes != "" {
		applies, err := r.ask(t, "data."+c.Package+".applies", d)
		if err != nil {
			return "", "", errors.Join(errPlain, err)
		}
		if applies != true {
			return audit.Excluded, "null", nil
		}
	}
	list, _ := found.([]any)
	if len(list) == 0 {
		return audit.Pass, "null", nil
	}
	return audit.Fail, render(t, list), nil
}

// render sorts violations by their canonical bytes, as the engine does.
func render(t testing.TB, list []any) string {
	t.Helper()
	lines := make([]string, len(list))
	for i, v := range list {
		b, err := audit.Canonical(v)
		if err != nil {
			t.Fatal(err)
		}
		lines[i] = string(b)
	}
	slices.Sort(lines)
	return "[" + strings.Join(lines, ",") + "]"
}

func renderViolations(t testing.TB, violations []audit.Violation) string {
	t.Helper()
	if len(violations) == 0 {
		return "null"
	}
	list := make([]any, len(violations))
	for i, v := range violations {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if list[i], err = audit.DecodeJSON(b); err != nil {
			t.Fatal(err)
		}
	}
	return render(t, list)
}

// agree decides documents by the engine and by the referee, and wants the same.
// It returns how many decisions were compared.
func agree(t testing.TB, lib *policies.Library, docs []audit.Resource) int {
	t.Helper()
	ref, byID := newReferee(t, lib, docs), map[string]audit.Resource{}
	for _, d := range docs {
		byID[d.ID] = d
	}
	n := 0
	err := engine(t, lib).Decide(t.Context(), judgement(t, docs...), func(v audit.Verdict) error {
		for _, d := range v.Decisions {
			c, _ := lib.Catalog.Control(d.Control)
			if d.Outcome == audit.NotEvaluated && d.Reasons[0].Code != "error" || d.Outcome == audit.Excluded && d.Reasons[0].Code == "needs_estate" {
				continue // the referee knows nothing of what cannot be told
			}
			outcome, found, err := ref.decide(t, c, byID[v.Resource])
			n++
			switch {
			case err != nil || d.Outcome == audit.NotEvaluated:
				if err == nil || d.Outcome != audit.NotEvaluated {
					t.Errorf("%s on %s: %s %v, the referee says %s, %v", d.Control, v.Resource, d.Outcome, d.Reasons, outcome, err)
				}
			case outcome != d.Outcome || found != renderViolations(t, d.Violations):
				t.Errorf("%s on %s: %s %s, the referee says %s %s", d.Control, v.Resource, d.Outcome, renderViolations(t, d.Violations), outcome, found)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
