package evaluate

import (
	"context"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Residual is what partial evaluation leaves of the controls of a type: the
// queries and support modules of the aggregate and of each control asked alone.
func (e *Engine) Residual(ctx context.Context, source, typ string) (string, error) {
	lib := e.library(e.lib.Catalog.Controls)
	p, err := lib.program(ctx, kind{source, typ})
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, pt := range p.parts {
		entry, err := entryModule([]part{pt})
		if err != nil {
			return "", err
		}
		modules := map[string]*ast.Module{"crosscheck/entry.rego": entry}
		for name, m := range p.modules {
			modules[name] = m
		}
		pq, err := partial(ctx, modules, "data.crosscheck.entry.out = x", p.kind, newStore(p.params, "", nil))
		if err != nil {
			return "", err
		}
		for _, q := range pq.Queries {
			b.WriteString(q.String() + "\n")
		}
		for _, m := range pq.Support {
			b.WriteString(m.String() + "\n")
		}
	}
	return b.String(), nil
}

// AllReads tells what each control reads for each exact type it names.
func (e *Engine) AllReads(ctx context.Context, yield func(c audit.Control, source, typ string, r Reads)) error {
	for _, c := range e.lib.Catalog.Controls {
		for _, want := range c.AppliesTo {
			source, typ, _ := strings.Cut(want, "/")
			r, err := e.Reads(ctx, c.ID, source, typ)
			if err != nil {
				return err
			}
			yield(c, source, typ, r)
		}
	}
	return nil
}
