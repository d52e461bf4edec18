package main

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/policies"
)

// found are the violations that were found in a document, by control and text.
type found map[string][]string

func (f found) add(t *testing.T, control string, violation any) {
	t.Helper()
	b, err := json.Marshal(violation)
	if err != nil {
		t.Fatal(err)
	}
	v, err := audit.DecodeJSON(b)
	if err != nil {
		t.Fatal(err)
	}
	if b, err = audit.Canonical(v); err != nil {
		t.Fatal(err)
	}
	f[control] = append(f[control], string(b))
	slices.Sort(f[control])
}

// TestThePlainBundleFindsTheSame: what crosscheck is compared with does the same work.
func TestThePlainBundleFindsTheSame(t *testing.T) {
	t.Parallel()
	m, err := hold((&clusters{seed: seed, n: 200}).parts())
	if err != nil {
		t.Fatal(err)
	}
	lib := newLibrary(1)
	want := plainly(t, lib, m)
	d, err := newDecider(lib.FS(), m, 1)
	if err != nil {
		t.Fatal(err)
	}
	got, decisions := map[string]found{}, 0
	err = d.engine.Decide(t.Context(), audit.Judgement{AsOf: moment, Snapshots: m.snapshots, Vault: m}, func(v audit.Verdict) error {
		got[v.Resource] = found{}
		for _, d := range v.Decisions {
			decisions++
			if d.Outcome != audit.Pass && d.Outcome != audit.Fail {
				t.Errorf("%s on %s is %s: %v", d.Control, v.Resource, d.Outcome, d.Reasons)
			}
			for _, violation := range d.Violations {
				got[v.Resource].add(t, d.Control, violation)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, f := range want { // the engine is silent of what no control applies to
		if len(f) == 0 && got[id] == nil {
			delete(want, id)
		}
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("the engine and the plain bundle differ (-engine +plain):\n%s", diff)
	}
	if decisions < 1000 {
		t.Errorf("only %d decisions were compared", decisions)
	}
}

// plainly evaluates the bundle as opa exec does.
func plainly(t *testing.T, lib library, m *memory) map[string]found {
	t.Helper()
	dir := t.TempDir()
	if err := lib.Bundle(dir); err != nil {
		t.Fatal(err)
	}
	q, err := rego.New(rego.Query("data.bench.violations"), rego.LoadBundle(dir), rego.SetRegoVersion(ast.RegoV1)).PrepareForEval(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{} // attribute → control id
	for i, s := range shapes() {
		ids[s.name+"_0"] = controlID(1 + i)
	}
	out := map[string]found{}
	for _, line := range m.lines {
		input, err := ast.ValueFromReader(bytes.NewReader(line))
		if err != nil {
			t.Fatal(err)
		}
		rs, err := q.Eval(t.Context(), rego.EvalParsedInput(input))
		if err != nil {
			t.Fatal(err)
		}
		head, err := audit.ParseHead(line)
		if err != nil {
			t.Fatal(err)
		}
		f := found{}
		for _, v := range rs[0].Expressions[0].Value.([]any) {
			object := v.(map[string]any)
			f.add(t, ids[object["control"].(string)], object["violation"])
		}
		out[head.ID] = f
	}
	return out
}

// TestCopiesAreJudgedAlike: in every copy what was looked up is found as it was in the estate itself.
func TestCopiesAreJudgedAlike(t *testing.T) {
	t.Parallel()
	const copies = 5
	several := scale(t, copies)
	several.groups = 2
	d, err := newDecider(policies.Embedded(), nil, 2)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := outcomes(t, d, several), outcomes(t, d, scale(t, 1)); len(want) < 40 {
		t.Errorf("only %d kinds of outcomes", len(want))
	} else {
		for key := range want {
			want[key] *= copies
		}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("decisions on %d copies (-got +want):\n%s", copies, diff)
		}
	}
}

// outcomes counts decisions by control, type and outcome.
func outcomes(t *testing.T, d *decider, s *scaled) map[string]int {
	t.Helper()
	m, err := hold(s.parts())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	err = d.engine.Decide(t.Context(), audit.Judgement{AsOf: moment, Snapshots: m.snapshots, Vault: m}, func(v audit.Verdict) error {
		for _, d := range v.Decisions {
			hits := 0
			if d.Slice != nil {
				for _, l := range d.Slice.Lookups {
					hits += len(l.Hits)
				}
			}
			out["looked up by "+d.Control] += hits
			if d.Control == "ACC-001" || d.Control == "NET-003" {
				continue // they know the cluster's own roles and namespaces by their names, of which a cluster has one
			}
			out[strings.Join([]string{d.Control, v.Type, string(d.Outcome)}, " ")]++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
