package plan_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/crosscheck-dev/crosscheck/evaluate/plan"
)

// TestFold folds kinds into modules, as the compiler leaves them.
func TestFold(t *testing.T) {
	t.Parallel()
	const source = `package lib.things

by_type := 1 if {
	input.source == "aws"
	input.type == "Bucket"
}

by_list := input.data.x if {
	input.source == "kubernetes"
	input.type in {"v1/Pod", "apps/v1/Deployment"}
}

by_list := input.data.y if {
	input.source == "kubernetes"
	input.type == "v1/Service"
}

unless contains input.data.x if not input.type in {"v1/Pod", "Bucket"}

different contains input.data.x if input.type != "Bucket"

otherwise := 1 if {
	input.source == "aws"
} else := 2

late contains x if {
	x := to_number(input.data.x)
	input.type == "Bucket"
}

default fallback := 0

fallback := 1 if input.source == "aws"

estate contains {"kind": "pod", "key": input.data.name, "value": {}} if input.type == "v1/Pod"

estate contains {"kind": "bucket", "key": input.data.name, "value": {}} if input.source == "aws"

call(x) := x if input.source == "aws"
`
	all := []string{"by_list", "by_type", "different", "fallback", "late", "otherwise", "unless"}
	tests := []struct {
		kind  plan.Kind
		alive []string // of these, the rules that may hold; the others are there and hold nothing
		rules int      // of by_list, dead ones left out
		kinds []string
	}{
		{plan.Kind{Source: "aws", Type: "Bucket"}, []string{"by_type", "fallback", "late", "otherwise"}, 0, []string{"bucket"}},
		{plan.Kind{Source: "aws", Type: "Queue"}, []string{"different", "fallback", "late", "otherwise", "unless"}, 0, []string{"bucket"}},
		{plan.Kind{Source: "kubernetes", Type: "v1/Pod"}, []string{"by_list", "different", "late", "otherwise"}, 1, []string{"pod"}},
		{plan.Kind{Source: "kubernetes", Type: "v1/Service"}, []string{"by_list", "different", "late", "otherwise", "unless"}, 1, nil},
		{plan.Kind{Source: "kubernetes"}, []string{"by_list", "different", "late", "otherwise", "unless"}, 2, []string{"pod"}},
		{plan.Kind{Source: "aws"}, []string{"by_type", "different", "fallback", "late", "otherwise", "unless"}, 0, []string{"bucket", "pod"}},
	}
	written := map[string]*ast.Module{"lib/things.rego": ast.MustParseModuleWithOpts(source, ast.ParserOptions{RegoVersion: ast.RegoV1})}
	compiler := ast.NewCompiler()
	if compiler.Compile(written); compiler.Failed() {
		t.Fatal(compiler.Errors)
	}
	modules, err := plan.SplitEstate(compiler.Modules, written)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, name := range all {
		paths = append(paths, "lib.things."+name)
	}
	for _, tt := range tests {
		t.Run(tt.kind.String(), func(t *testing.T) {
			t.Parallel()
			folded, err := plan.Fold(modules, tt.kind)
			if err != nil {
				t.Fatal(err)
			}
			rules := living(folded["lib/things.rego"])
			for _, name := range all {
				if alive := slices.Contains(tt.alive, name); alive != (rules[name] > 0) {
					t.Errorf("%s is alive %t, want %t\n%s", name, rules[name] > 0, alive, folded["lib/things.rego"])
				}
			}
			if rules["by_list"] != tt.rules {
				t.Errorf("%d rules by_list, want %d", rules["by_list"], tt.rules)
			}
			for _, k := range []string{"bucket", "pod"} {
				if _, ok := plan.EstateKinds(folded)[k]; ok != slices.Contains(tt.kinds, k) {
					t.Errorf("kind %s is declared: %t", k, ok)
				}
			}
			if text := folded["lib/things.rego"].String(); strings.Contains(text, "input.source") || tt.kind.Type != "" && strings.Contains(text, "input.type") {
				t.Errorf("what is known is still asked for\n%s", text)
			}
			if _, err := plan.Make(t.Context(), folded, paths); err != nil {
				t.Error(err)
			}
		})
	}
}

// living counts the rules of each name that are not there for their name only. A
// default alone counts for nothing.
func living(m *ast.Module) map[string]int {
	out := map[string]int{}
	for _, r := range m.Rules {
		if !r.Default && !r.Body[0].Equal(ast.NewExpr(ast.BooleanTerm(false))) {
			out[string(r.Head.Name)]++
		}
	}
	return out
}
