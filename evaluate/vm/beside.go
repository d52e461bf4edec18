package vm

import (
	"context"
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Builtin calls one of OPA's builtins for who evaluates beside the machine: with OPA's
// values, and within limits, off which it takes what the call has cost. An undefined
// answer is nil; that of a builtin that has none is true.
func (m *Machine) Builtin(ctx context.Context, name string, args []ast.Value, l *Limits) (ast.Value, error) {
	call, decl := topdown.GetBuiltin(name), ast.BuiltinMap[name]
	if call == nil || decl == nil || decl.Relation {
		return nil, fmt.Errorf("%s is none of OPA's builtins, or one of many answers", name)
	}
	m.begin(ctx, *l)
	values := make([]*Value, len(args))
	for i, a := range args {
		values[i] = m.take(a)
	}
	v, ok := newBuiltin(call, decl).ask(m, values)
	*l = Limits{Steps: m.budget + max(m.steps, 0), Bytes: m.bytes}
	switch err := m.end(); {
	case err != nil:
		return nil, err
	case v != nil:
		return m.ToOPA(v).Value, nil
	case ok:
		return ast.Boolean(true), nil
	}
	return nil, nil
}
