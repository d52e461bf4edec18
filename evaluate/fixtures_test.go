package evaluate_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// fixture is one decision of the library's own fixtures (policies/testdata/README.md).
type fixture struct {
	Document   json.RawMessage                              `json:"document"`
	Outcome    audit.Outcome                                `json:"outcome"`
	Violations []string                                     `json:"violations"`
	AsOf       time.Time                                    `json:"as_of"`
	Estate     map[string]map[string]map[string][]audit.Hit `json:"estate"`
	Sources    []string                                     `json:"sources"`
}

// TestFixtures decides every fixture specialised and plainly, and then with each
// source of what the control reads removed, not readable, or replaced by a token.
func TestFixtures(t *testing.T) {
	t.Parallel()
	lib := embedded(t)
	compiler := compile(t, lib)
	e, root, n := embeddedEngine(t), filepath.Join("..", "policies", "testdata", "fixtures"), 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		n++
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var f fixture
		if err := json.Unmarshal(raw, &f); err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		id := strings.Split(filepath.ToSlash(name), "/")[0]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := audit.ParseResource(f.Document)
			if err != nil {
				t.Fatal(err)
			}
			decide := func(r audit.Resource) audit.Decision {
				line, err := r.Line()
				if err != nil {
					t.Fatal(err)
				}
				got, err := e.DecideAlone(t.Context(), id, line, f.Estate, f.AsOf)
				if err != nil {
					t.Fatal(err)
				}
				return got
			}
			got := decide(r)
			var paths []string
			for _, v := range got.Violations {
				paths = append(paths, v.Path)
			}
			slices.Sort(paths)
			if diff := cmp.Diff(paths, f.Violations); diff != "" && f.Outcome == audit.Fail || got.Outcome != f.Outcome {
				t.Errorf("%s %v, want %s; paths (-got +want):\n%s", got.Outcome, got.Reasons, f.Outcome, diff)
			}
			c, _ := lib.Catalog.Control(id)
			if got.Outcome != audit.NotEvaluated {
				ref := &referee{lib: lib, compiler: compiler, queries: map[string]rego.PreparedEvalQuery{}, store: inmem.NewFromObject(plainData(t, lib.Parameters(), f))}
				if outcome, found, err := ref.decide(t, c, r); err != nil || outcome != got.Outcome || found != renderViolations(t, got.Violations) {
					t.Errorf("specialised: %s %s; plainly: %s %s, %v", got.Outcome, renderViolations(t, got.Violations), outcome, found, err)
				}
			}
			for _, p := range f.Sources {
				spoilSource(t, p, r, decide)
			}
		})
		return nil
	})
	if err != nil || n < 100 {
		t.Errorf("%d fixtures, %v", n, err)
	}
}

// plainData is what the stock evaluator reads beside the document.
func plainData(t testing.TB, parameters map[string]any, f fixture) map[string]any {
	t.Helper()
	b, err := json.Marshal(map[string]any{"estate": f.Estate, "parameters": parameters, "run": map[string]any{"as_of": audit.Stamp(f.AsOf)}})
	if err != nil {
		t.Fatal(err)
	}
	v, err := audit.DecodeJSON(b)
	if err != nil {
		t.Fatal(err)
	}
	return v.(map[string]any)
}

// spoilSource takes one source of an attribute away in each of three ways; none may pass.
func spoilSource(t *testing.T, pointer string, r audit.Resource, decide func(audit.Resource) audit.Decision) {
	t.Helper()
	removed := clone(t, r)
	path := strings.Split(strings.TrimPrefix(pointer, "/data/"), "/")
	if strings.HasPrefix(pointer, "/data/") && set(removed.Data, path, nil) {
		if d := decide(removed); d.Outcome == audit.Pass {
			t.Errorf("without %s it passes", pointer)
		}
	}
	hole := clone(t, r)
	hole.Gap(pointer, audit.AccessDenied, "x:Get")
	if d := decide(hole); d.Outcome != audit.NotEvaluated && d.Outcome != audit.Excluded {
		t.Errorf("with a gap at %s it is %s", pointer, d.Outcome)
	}
	token := clone(t, r)
	token.Redacted = append(token.Redacted, pointer)
	if d := decide(token); d.Outcome != audit.NotEvaluated && d.Outcome != audit.Excluded {
		t.Errorf("with a token at %s it is %s", pointer, d.Outcome)
	}
}
