package vm_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/compile"
	"github.com/open-policy-agent/opa/v1/ir"
	"github.com/open-policy-agent/opa/v1/test/cases"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/util"

	"github.com/crosscheck-dev/crosscheck/evaluate/vm"
)

// exceptions are the cases of OPA's own that do not pass, by note and query, and why. They are the
// same in both versions of Rego. One that starts to pass must leave the list.
var exceptions = map[string]string{
	"data/nested integer: data.test.p = x":              "OPA's store takes the number 2 in a path of data for the key \"2\"; plans, wasm's too, do not. A library that reads unlisted data does not load.",
	"data/toplevel integer: data.test.p = x":            "the same",
	"fix1863/is defined: data = x":                      "the query is over all of data, which has the rule that this test wraps around it",
	"time/time caching: data.generated.p = x":           "test.sleep is a builtin of OPA's tests only",
	"topdowndynamicdispatch/dynamic dispatch: data = x": "the query is over all of data, which has the rule that this test wraps around it",
}

// generous are limits that no case of OPA's comes near.
var generous = vm.Limits{Steps: 1 << 40, Bytes: 1 << 32}

// TestConformance runs OPA's own cases, of both versions of Rego.
func TestConformance(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dir, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/open-policy-agent/opa").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		version ast.RegoVersion
		total   int
	}{
		"v1": {ast.RegoV1, 2392},
		"v0": {ast.RegoV0, 2027},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := cases.MustLoad(filepath.Join(strings.TrimSpace(string(dir)), "v1/test/cases/testdata", name)).Sorted().Cases
			if len(all) != tt.total {
				t.Errorf("%d cases, want %d", len(all), tt.total)
			}
			var passed atomic.Int32
			t.Cleanup(func() { t.Logf("%d of %d pass", passed.Load(), len(all)) })
			for i, chunk := range slices.Collect(slices.Chunk(all, 200)) {
				t.Run(fmt.Sprint(i), func(t *testing.T) {
					t.Parallel()
					for _, tc := range chunk {
						err := conforms(t.Context(), tc, tt.version)
						name := tc.Note + ": " + tc.Query // notes are not unique
						why, excepted := exceptions[name]
						switch {
						case err != nil && !excepted:
							t.Errorf("%s: %v", name, err)
						case err == nil && excepted:
							t.Errorf("%s passes, and was excepted: %s", name, why)
						case err == nil:
							passed.Add(1)
						}
					}
				})
			}
		})
	}
}

// conforms runs one case.
func conforms(ctx context.Context, tc cases.TestCase, version ast.RegoVersion) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	plan, data, err := planOf(ctx, tc, version)
	if err != nil {
		return fmt.Errorf("planning: %w", err)
	}
	policy, err := vm.Compile(vm.Config{Policy: plan, Strict: tc.StrictError})
	if err != nil {
		return err
	}
	var input ast.Value
	switch {
	case tc.InputTerm != nil:
		input = ast.MustParseTerm(*tc.InputTerm).Value
	case tc.Input != nil:
		input = ast.MustInterfaceToValue(*tc.Input)
	}
	m := vm.NewMachine(vm.NewData(data, false)).Stale()
	m.Use(policy)
	m.Time = time.Now()
	results, err := m.Query(ctx, "conformance/result", input, generous)
	if tc.WantError != nil || tc.WantErrorCode != nil {
		return sameError(err, tc)
	}
	if err != nil {
		return err
	}
	return sameResults(m, results, tc)
}

// sameError compares an error with what a case wants: the code, and the text of what
// builtins say, where a plan knows no places. Of conflicts plans do not know whose they are.
func sameError(err error, tc cases.TestCase) error {
	code, text := "", ""
	if tc.WantErrorCode != nil {
		code = *tc.WantErrorCode
	}
	if tc.WantError != nil {
		text = placed.ReplaceAllString(*tc.WantError, "")
	}
	var of *topdown.Error
	switch {
	case err == nil:
		return errors.New("no error")
	case errors.Is(err, vm.ErrConflict):
		if code != topdown.ConflictErr {
			return fmt.Errorf("a conflict, want %s %s", code, text)
		}
	case !errors.As(err, &of):
		return fmt.Errorf("%w, want %s %s", err, code, text)
	case code != "" && of.Code != code || !strings.Contains(err.Error(), text):
		return fmt.Errorf("%w, want %s %s", err, code, text)
	}
	return nil
}

// placed is where a case has its error.
var placed = regexp.MustCompile(`^test-\d+\.rego:\d+: `)

// planOf plans a rule that holds the bindings of a case's query.
func planOf(ctx context.Context, tc cases.TestCase, version ast.RegoVersion) (*ir.Policy, ast.Object, error) {
	caps := ast.CapabilitiesForThisVersion(ast.CapabilitiesExperimentalKeywords(tc.ExperimentalKeywords))
	options := ast.ParserOptions{RegoVersion: version, Capabilities: caps, ProcessAnnotation: true}
	body, err := ast.ParseBodyWithOpts(tc.Query, options)
	if err != nil {
		return nil, nil, err
	}
	var bindings []string
	for v := range body.Vars(ast.VarVisitorParams{SkipRefCallHead: true, SkipClosures: true}).Diff(ast.ReservedVars) {
		if !v.IsWildcard() && !v.IsGenerated() {
			bindings = append(bindings, fmt.Sprintf("%q: %s", v, v))
		}
	}
	slices.Sort(bindings)
	imports := ""
	if version != ast.RegoV1 {
		imports = "import rego.v1"
	}
	modules := append(slices.Clone(tc.Modules), fmt.Sprintf("package conformance\n%s\nresult contains {%s} if {\n\t%s\n}\n", imports, strings.Join(bindings, ", "), tc.Query))
	b := &bundle.Bundle{Data: map[string]any{}}
	if tc.Data != nil {
		b.Data = *tc.Data
	}
	for i, text := range modules {
		parsed, err := ast.ParseModuleWithOpts(fmt.Sprintf("/%d.rego", i), text, options)
		if err != nil {
			return nil, nil, err
		}
		b.Modules = append(b.Modules, bundle.ModuleFile{URL: fmt.Sprintf("/%d.rego", i), Path: fmt.Sprintf("/%d.rego", i), Parsed: parsed, Raw: []byte(text)})
	}
	b.Manifest.Init()
	b.Manifest.SetRegoVersion(version)
	data, err := ast.InterfaceToValue(b.Data)
	if err != nil {
		return nil, nil, err
	}
	compiler := compile.New().WithTarget("plan").WithBundle(b).WithEntrypoints("conformance/result").WithPruneUnused(true).WithRegoVersion(version).WithCapabilities(caps)
	if err := compiler.Build(ctx); err != nil {
		return nil, nil, err
	}
	var plan ir.Policy
	err = json.Unmarshal(compiler.Bundle().PlanModules[0].Raw, &plan)
	return &plan, data.(ast.Object), err
}

// sameResults compares the set of bindings with what a case wants.
func sameResults(m *vm.Machine, results []*vm.Value, tc cases.TestCase) error {
	got, want := ast.NewSet(), ast.NewSet()
	if len(results) > 0 {
		set := m.ToOPA(results[0]).Value.(ast.Object).Get(ast.StringTerm("result")).Value.(ast.Set)
		for _, binding := range set.Slice() {
			term, err := bindingOf(binding.Value.(ast.Object), tc.SortBindings)
			if err != nil {
				return err
			}
			got.Add(term)
		}
	}
	for _, binding := range *tc.WantResult {
		out := ast.NewObject()
		for k, v := range binding {
			if !tc.IgnoreGeneratedVars || !strings.HasPrefix(k, "__localq") {
				out.Insert(ast.StringTerm(k), ast.NewTerm(ast.MustInterfaceToValue(v)))
			}
		}
		want.Add(ast.NewTerm(out))
	}
	if got.Compare(want) != 0 {
		return fmt.Errorf("got %v, want %v", got, want)
	}
	return nil
}

// bindingOf is a binding as the cases write it, with sets as arrays.
func bindingOf(o ast.Object, sorted bool) (*ast.Term, error) {
	out := ast.NewObject()
	for _, k := range o.Keys() {
		v, err := ast.JSON(o.Get(k).Value)
		if err != nil {
			return nil, err
		}
		if list, ok := v.([]any); ok && sorted {
			slices.SortFunc(list, util.Compare)
		}
		out.Insert(k, ast.NewTerm(ast.MustInterfaceToValue(v)))
	}
	return ast.NewTerm(out), nil
}
