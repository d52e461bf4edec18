package policies_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/policies"
)

// fixture is one file of testdata/fixtures; testdata/README.md describes it.
type fixture struct {
	AsOf       string          `json:"as_of"`
	Constants  []string        `json:"constants"`
	Document   json.RawMessage `json:"document"`
	Estate     map[string]any  `json:"estate"`
	Outcome    audit.Outcome   `json:"outcome"`
	Sources    []string        `json:"sources"`
	Violations []string        `json:"violations"`

	control, file string
}

func fixtures(t *testing.T) []fixture {
	t.Helper()
	var out []fixture
	root := os.DirFS("testdata/fixtures")
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		dec := json.NewDecoder(bytes.NewReader(b))
		dec.DisallowUnknownFields()
		dec.UseNumber()
		f := fixture{file: name}
		f.control, _, _ = strings.Cut(name, "/")
		if err := dec.Decode(&f); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// judge decides as OPA alone does, the library neither specialised nor planned.
type judge struct {
	lib      *policies.Library
	compiler *ast.Compiler
}

func newJudge(t *testing.T) judge {
	t.Helper()
	lib := library(t)
	c := ast.NewCompiler().WithCapabilities(policies.Capabilities())
	if c.Compile(lib.Modules()); c.Failed() {
		t.Fatal(c.Errors)
	}
	return judge{lib, c}
}

type verdict struct {
	outcome   audit.Outcome
	paths     []string
	undefined []string
}

func (j judge) decide(t *testing.T, f fixture, document any) verdict {
	t.Helper()
	c, ok := j.lib.Catalog.Control(f.control)
	if !ok {
		t.Fatalf("%s: no control %s", f.file, f.control)
	}
	attributes := j.lib.Attributes(f.control)
	query := fmt.Sprintf(`x := {"paths": [v.path | some v in data.%[1]s.violation], "applies": [1 | data.%[1]s.applies]}`, c.Package)
	for i, name := range attributes {
		query += fmt.Sprintf("; a%d := [1 | _ = data.%s]", i, name)
	}
	store := inmem.NewFromObject(map[string]any{
		"parameters": j.lib.Parameters(), "estate": f.Estate, "run": map[string]any{"as_of": f.AsOf},
	})
	rs, err := rego.New(
		rego.Query(query), rego.Compiler(j.compiler), rego.SetRegoVersion(ast.RegoV1), rego.Store(store),
		rego.Input(document), rego.StrictBuiltinErrors(true),
	).Eval(t.Context())
	if err != nil || len(rs) != 1 {
		return verdict{outcome: audit.NotEvaluated}
	}
	v := verdict{outcome: audit.Pass}
	answer := rs[0].Bindings["x"].(map[string]any)
	for i, name := range attributes {
		if len(rs[0].Bindings[fmt.Sprintf("a%d", i)].([]any)) == 0 {
			v.undefined = append(v.undefined, name)
		}
	}
	for _, p := range answer["paths"].([]any) {
		v.paths = append(v.paths, p.(string))
	}
	slices.Sort(v.paths)
	switch {
	case len(v.undefined) > 0:
		v.outcome = audit.NotEvaluated
	case c.Excludes != "" && len(answer["applies"].([]any)) == 0:
		v.outcome, v.paths = audit.Excluded, nil
	case len(v.paths) > 0:
		v.outcome = audit.Fail
	}
	return v
}

// TestFixtures: each comes out as it says, and where a source is taken away
// nothing passes. Every control has a pass and a fail for every type, and for
// every attribute that is not a constant a source whose absence is noticed.
func TestFixtures(t *testing.T) {
	t.Parallel()
	j := newJudge(t)
	seen := map[string]map[audit.Outcome]bool{}
	noticed := map[string]map[string]bool{}
	for _, f := range fixtures(t) {
		document, err := audit.DecodeJSON(f.Document)
		if err != nil {
			t.Fatalf("%s: %v", f.file, err)
		}
		r := resource(t, f, document)
		if want := f.control + "/" + slug(r.Source+"/"+r.Type); path.Dir(f.file) != want {
			t.Errorf("%s: belongs in %s", f.file, want)
		}
		key := f.control + " " + r.Source + "/" + r.Type
		if seen[key] == nil {
			seen[key], noticed[key] = map[audit.Outcome]bool{}, map[string]bool{}
		}
		seen[key][f.Outcome] = true
		got := j.decide(t, f, document)
		if diff := cmp.Diff([]any{got.outcome, got.paths}, []any{f.Outcome, f.Violations}); diff != "" {
			t.Errorf("%s (-got +want), undefined %v:\n%s", f.file, got.undefined, diff)
		}
		for _, name := range f.Constants {
			noticed[key][name] = true
		}
		for _, pointer := range f.Sources {
			got := j.decide(t, f, without(t, f, pointer))
			if got.outcome == audit.Pass {
				t.Errorf("%s: passes without %s", f.file, pointer)
			}
			for _, name := range got.undefined {
				noticed[key][name] = true
			}
		}
	}
	for _, c := range j.lib.Catalog.Controls {
		excluded := false
		for _, typ := range c.AppliesTo {
			key := c.ID + " " + typ
			if !seen[key][audit.Pass] || !seen[key][audit.Fail] {
				t.Errorf("%s: write a fixture that passes and one that fails", key)
			}
			excluded = excluded || seen[key][audit.Excluded]
			for _, name := range j.lib.Attributes(c.ID) {
				if !noticed[key][name] && !strings.HasSuffix(name, "path") {
					t.Errorf("%s: no source whose removal leaves %s undefined", key, name)
				}
			}
		}
		if c.Excludes != "" && !excluded {
			t.Errorf("%s: write a fixture that is excluded", c.ID)
		}
	}
}

// resource reads a fixture's document as the resource it stands for.
func resource(t *testing.T, f fixture, document any) audit.Resource {
	t.Helper()
	line, err := audit.Canonical(document)
	if err != nil {
		t.Fatalf("%s: %v", f.file, err)
	}
	r, err := audit.ParseResource(line)
	if err != nil {
		t.Fatalf("%s: %v", f.file, err)
	}
	again, err := r.Line()
	if err != nil {
		t.Fatalf("%s: %v", f.file, err)
	}
	if !bytes.Equal(line, again) {
		t.Errorf("%s: not what a collector writes: %s", f.file, cmp.Diff(string(again), string(line)))
	}
	return r
}

// without is a fixture's document with what is at a JSON pointer taken away;
// /tags go together with what they are copied from.
func without(t *testing.T, f fixture, pointer string) any {
	t.Helper()
	document, err := audit.DecodeJSON(f.Document)
	if err != nil {
		t.Fatal(err)
	}
	steps := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	at := document
	for _, step := range steps[:len(steps)-1] {
		at = child(t, f, at, step)
	}
	last := steps[len(steps)-1]
	child(t, f, at, last)
	switch at := at.(type) {
	case map[string]any:
		delete(at, last)
	case []any:
		at[index(last)] = map[string]any{} // an element that says nothing
	}
	return document
}

func child(t *testing.T, f fixture, v any, step string) any {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		if e, ok := v[step]; ok {
			return e
		}
	case []any:
		if i := index(step); i >= 0 && i < len(v) {
			return v[i]
		}
	}
	t.Fatalf("%s: nothing at %q", f.file, step)
	return nil
}

func index(step string) int {
	i := -1
	if _, err := fmt.Sscanf(step, "%d", &i); err != nil {
		return -1
	}
	return i
}

// slug names the folder of a type: what is neither letter, digit nor underscore is one dash.
func slug(typ string) string {
	var b strings.Builder
	for _, r := range typ {
		switch {
		case r == '_' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z':
			b.WriteRune(r)
		case !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	return b.String()
}
