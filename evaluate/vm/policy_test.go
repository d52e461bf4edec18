package vm_test

import (
	"encoding/json"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/compile"
	"github.com/open-policy-agent/opa/v1/ir"

	"github.com/crosscheck-dev/crosscheck/evaluate/vm"
)

// planned plans modules by file name, with one entry point or more.
func planned(tb testing.TB, modules map[string]string, entries ...string) (*ir.Policy, error) {
	tb.Helper()
	b := &bundle.Bundle{Data: map[string]any{}}
	for name, text := range modules {
		parsed, err := ast.ParseModuleWithOpts("/"+name, text, ast.ParserOptions{RegoVersion: ast.RegoV1})
		if err != nil {
			return nil, err
		}
		b.Modules = append(b.Modules, bundle.ModuleFile{URL: "/" + name, Path: "/" + name, Parsed: parsed, Raw: []byte(text)})
	}
	b.Manifest.Init()
	c := compile.New().WithTarget("plan").WithBundle(b).WithEntrypoints(entries...).WithPruneUnused(true).WithRegoVersion(ast.RegoV1)
	if err := c.Build(tb.Context()); err != nil {
		return nil, err
	}
	var plan ir.Policy
	err := json.Unmarshal(c.Bundle().PlanModules[0].Raw, &plan)
	return &plan, err
}

// policy compiles the rules of package p, of which p is asked.
func policy(tb testing.TB, rules string) *vm.Policy {
	tb.Helper()
	plan, err := planned(tb, map[string]string{"p.rego": "package p\n\n" + rules + "\n"}, "p/p")
	if err != nil {
		tb.Fatalf("%s: %v", rules, err)
	}
	out, err := vm.Compile(vm.Config{Policy: plan, Strict: true})
	if err != nil {
		tb.Fatalf("%s: %v", rules, err)
	}
	return out
}

// ask asks p about a document.
func ask(tb testing.TB, p *vm.Policy, m *vm.Machine, raw string, l vm.Limits) (*vm.Value, error) {
	tb.Helper()
	root, err := m.Parse([]byte(raw))
	if err != nil {
		tb.Fatal(err)
	}
	return m.Call(tb.Context(), p.Rule("p.p"), root, l)
}

// machine runs a policy over an empty base document.
func machine(p *vm.Policy) *vm.Machine {
	m := vm.NewMachine(vm.NewData(ast.NewObject(), false)).Stale()
	m.Use(p)
	return m
}
