// Package plan makes of a library what is run for one kind of resource, and tells
// what its rules read.
package plan

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
	"github.com/open-policy-agent/opa/v1/rego"
)

// Plan is OPA's plan of a specialised library: what the machine runs, and what
// tells what rules read.
type Plan struct {
	Policy  *ir.Policy
	Strings []string
	Funcs   map[string]*ir.Func
	paths   map[string]string // function → its document path, if it has one

	reading  sync.Mutex
	analyses map[string]*analysis // by what they skip
}

// Has tells whether the plan can be asked for a rule.
func (p *Plan) Has(rule string) bool { return p.Funcs["g0.data."+rule] != nil }

// Make plans the rules named (as controls.storage.public_access.violation)
// with all that they call, of modules that are compiled. The plan of the query
// that names them is not used.
func Make(ctx context.Context, modules map[string]*ast.Module, rules []string) (*Plan, error) {
	c, err := planning(modules)
	if err != nil {
		return nil, err
	}
	var body ast.Body
	for i, r := range rules {
		ref := ast.Ref{ast.DefaultRootDocument}
		for name := range strings.SplitSeq(r, ".") {
			ref = append(ref, ast.StringTerm(name))
		}
		body.Append(ast.Equality.Expr(ast.NewTerm(ref), ast.VarTerm(fmt.Sprint("x", i))))
	}
	register()
	var policy *ir.Policy
	ctx = context.WithValue(ctx, planned{}, &policy)
	_, err = rego.New(rego.ParsedQuery(body), rego.Compiler(c), rego.SetRegoVersion(ast.RegoV1), rego.Target(planOnly)).PrepareForEval(ctx)
	switch {
	case err != nil:
		return nil, fmt.Errorf("planning: %w", err)
	case policy == nil || policy.Funcs == nil || policy.Static == nil:
		return nil, errors.New("planning: OPA gave no plan")
	}
	p := &Plan{Policy: &ir.Policy{Static: policy.Static, Funcs: policy.Funcs}, Funcs: map[string]*ir.Func{}, paths: map[string]string{}}
	for _, s := range policy.Static.Strings {
		p.Strings = append(p.Strings, s.Value)
	}
	for _, f := range policy.Funcs.Funcs {
		p.Funcs[f.Name], p.paths[f.Name] = f, pathOf(f.Name)
	}
	return p, nil
}

// planOnly is the name of a target of OPA's that takes plans and runs nothing.
const planOnly = "crosscheck-plan"

// register makes it known to OPA, once in a process.
var register = sync.OnceFunc(func() { rego.RegisterPlugin(planOnly, planTarget{}) })

// planned is the key under which who asks for a plan says where to put it: OPA
// gives a target nothing else that tells one query from another.
type planned struct{}

type planTarget struct{}

// IsTarget implements rego.TargetPlugin.
func (planTarget) IsTarget(name string) bool { return name == planOnly }

// PrepareForEval implements rego.TargetPlugin.
func (planTarget) PrepareForEval(ctx context.Context, p *ir.Policy, _ ...rego.PrepareOption) (rego.TargetPluginEval, error) {
	into, ok := ctx.Value(planned{}).(**ir.Policy)
	if !ok {
		return nil, errors.New("a target for planning only")
	}
	*into = p
	return planTarget{}, nil
}

// Eval implements rego.TargetPluginEval.
func (planTarget) Eval(context.Context, *rego.EvalContext, ast.Value) (ast.Value, error) {
	return nil, errors.New("a target for planning only")
}
