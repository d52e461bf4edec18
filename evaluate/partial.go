package evaluate

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/crosscheck-dev/crosscheck/evaluate/plan"
)

// unknowns are all that is not known of a resource before it is read: every
// document key but source and type, the estate and the run. A key missing here
// would be frozen as undefined, and what reads it would pass.
var unknowns = []string{
	"input.id", "input.name", "input.origin", "input.tags", "input.data", "input.gaps", "input.redacted",
	"data.estate", "data.run",
}

// query is a specialised, prepared question. It is safe to share.
type query struct{ prepared []rego.PreparedEvalQuery }

// prepare partially evaluates a query with source, type and parameters known,
// and compiles the residual with a compiler of its own. Not for concurrent use.
func prepare(ctx context.Context, modules map[string]*ast.Module, text string, k plan.Kind, parameters map[string]any) (*query, error) {
	known := newStore(parameters, "", nil)
	pq, err := partial(ctx, modules, text, k, known)
	if err != nil {
		return nil, fmt.Errorf("partial evaluation for %s: %w", k, err)
	}
	residual := make(map[string]*ast.Module, len(modules)+len(pq.Support))
	for name, m := range modules {
		residual[name] = m
	}
	for i, m := range pq.Support {
		residual[fmt.Sprintf("crosscheck/residual/%d.rego", i)] = m
	}
	out := &query{}
	for _, body := range pq.Queries {
		c, err := plan.Compiled(residual)
		if err != nil {
			return nil, fmt.Errorf("residual for %s: %w", k, err)
		}
		p, err := rego.New(
			rego.ParsedQuery(body), rego.Compiler(c), rego.SetRegoVersion(ast.RegoV1),
			rego.Store(known), rego.StrictBuiltinErrors(true), rego.GenerateJSON(keepValue),
		).PrepareForEval(ctx)
		if err != nil {
			return nil, fmt.Errorf("residual for %s: %w", k, err)
		}
		out.prepared = append(out.prepared, p)
	}
	return out, nil
}

// partial is the library as it remains once source, type and parameters are known.
func partial(ctx context.Context, modules map[string]*ast.Module, text string, k plan.Kind, known *store) (*rego.PartialQueries, error) {
	compiler, err := plan.Compiled(modules)
	if err != nil {
		return nil, err
	}
	r := rego.New(
		rego.Query(text), rego.Compiler(compiler), rego.SetRegoVersion(ast.RegoV1), rego.Store(known),
		rego.Input(map[string]any{"source": k.Source, "type": k.Type}),
		rego.Unknowns(unknowns), rego.ShallowInlining(true), rego.StrictBuiltinErrors(true),
	)
	return surviving(func() (*rego.PartialQueries, error) { return r.Partial(ctx) })
}

// entryModule asks everything about some controls in one set. Its heads must be
// objects: for `out[c] contains v` partial evaluation silently does nothing.
func entryModule(parts []part) (*ast.Module, error) {
	var b strings.Builder
	b.WriteString("package crosscheck.entry\n\n")
	asked := map[string]bool{}
	for _, p := range parts {
		id := strconv.Quote(p.ID)
		fmt.Fprintf(&b, "out contains {\"control\": %s, \"violation\": v} if some v in data.%s.violation\n", id, p.Package)
		if p.applies {
			fmt.Fprintf(&b, "out contains {\"control\": %s, \"applies\": true} if data.%s.applies\n", id, p.Package)
		}
		for _, a := range p.attributes {
			if !asked[a] {
				asked[a] = true
				fmt.Fprintf(&b, "out contains {\"defined\": %s} if _ = data.%s\n", strconv.Quote(a), a)
			}
		}
	}
	return parse("crosscheck/entry.rego", b.String())
}

func parse(name, text string) (*ast.Module, error) {
	m, err := ast.ParseModuleWithOpts(name, text, ast.ParserOptions{RegoVersion: ast.RegoV1})
	if err != nil {
		return nil, fmt.Errorf("generated %s: %w", name, err)
	}
	return m, nil
}
