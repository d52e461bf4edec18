package policies_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"

	"github.com/crosscheck-dev/crosscheck/policies"
)

// TestRego runs the library's own tests and wants every line of it run by them.
func TestRego(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	lib := library(t)
	modules := map[string]*ast.Module{}
	for path, text := range lib.Files() {
		if !strings.HasSuffix(path, ".rego") {
			continue
		}
		m, err := ast.ParseModuleWithOpts(path, string(text), ast.ParserOptions{ProcessAnnotation: true, RegoVersion: ast.RegoV1})
		if err != nil {
			t.Fatal(err)
		}
		modules[path] = m
	}
	store := inmem.New() // as `opa test -b` has it: tests bring their own parameters
	tracer := cover.New()
	runner := tester.NewRunner().
		SetCompiler(ast.NewCompiler().WithCapabilities(policies.Capabilities()).WithEnablePrintStatements(true)).
		SetStore(store).SetModules(modules).SetCoverageQueryTracer(tracer).
		RaiseBuiltinErrors(true).CapturePrintOutput(true).SetTimeout(time.Minute)
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Abort(ctx, txn)
	results, err := runner.RunTests(ctx, txn)
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for r := range results {
		ran++
		if !r.Pass() {
			t.Errorf("%s: %s %v\n%s", r.Location, r.Name, r.Error, r.Output)
		}
	}
	if ran < len(lib.Catalog.Controls) {
		t.Errorf("%d tests ran; want at least one for each of %d controls", ran, len(lib.Catalog.Controls))
	}
	report := tracer.Report(modules)
	var uncovered []string
	for path, file := range report.Files {
		for _, r := range file.NotCovered {
			uncovered = append(uncovered, fmt.Sprintf("%s:%d-%d", path, r.Start.Row, r.End.Row))
		}
	}
	slices.Sort(uncovered)
	if len(uncovered) > 0 {
		t.Errorf("no test runs these lines:\n%s", strings.Join(uncovered, "\n"))
	}
}

// TestEveryModuleHasATest: beside it, named after it.
func TestEveryModuleHasATest(t *testing.T) {
	t.Parallel()
	files := library(t).Files()
	for path := range files {
		name, ok := strings.CutSuffix(path, ".rego")
		if ok && strings.HasPrefix(path, "controls/") && !strings.HasSuffix(name, "_test") && files[name+"_test.rego"] == nil {
			t.Errorf("%s: write %s_test.rego", path, name)
		}
	}
}
