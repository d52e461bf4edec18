package evaluate

import (
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
)

// callStmt calls a function of the library or one of OPA's; nil is undefined.
func (r *run) callStmt(s *ir.CallStmt) (ast.Value, error) {
	args := make([]ast.Value, len(s.Args))
	for i, o := range s.Args {
		args[i] = r.given(o)
	}
	if f := r.plan.Funcs[s.Func]; f != nil {
		return r.call(f, args)
	}
	for i := range args {
		args[i] = solid(args[i])
	}
	if !readable(args...) {
		return nil, errUnclear
	}
	for _, a := range args {
		if !a.IsGround() {
			return r.callUnknown(s.Func, args)
		}
	}
	return r.ofOPA(s.Func, args)
}

// ofOPA asks OPA. What is an error for one way is no decision for all.
func (r *run) ofOPA(name string, args []ast.Value) (ast.Value, error) {
	v, err := r.builtin(name, args)
	if err != nil {
		return nil, errUnclear
	}
	return v, nil
}

// callUnknown calls a function with something that is not known. Only those are
// here that cannot fail, whatever it is.
func (r *run) callUnknown(name string, args []ast.Value) (ast.Value, error) {
	if kind, ok := strings.CutPrefix(name, "is_"); ok && len(args) == 1 {
		is, err := r.isA(kind, args[0])
		return ast.Boolean(is), err
	}
	switch name {
	case ast.Equal.Name:
		same, err := r.equal(args[0], args[1])
		return ast.Boolean(same), err
	case ast.NotEqual.Name:
		same, err := r.equal(args[0], args[1])
		return ast.Boolean(!same), err
	case ast.LessThan.Name, ast.LessThanEq.Name, ast.GreaterThan.Name, ast.GreaterThanEq.Name:
		return ast.Boolean(r.ask(question(name, args))), nil
	case ast.Member.Name:
		return r.member(args[0], args[1])
	case ast.Count.Name:
		return r.count(args[0])
	case ast.ObjectGet.Name:
		return r.get(args[0], args[1], args[2])
	case ast.ArrayConcat.Name:
		if kindOf(args[0]) == "array" && kindOf(args[1]) == "array" {
			return r.ofOPA(name, args)
		}
	case ast.TypeNameBuiltin.Name:
		if kindOf(args[0]) == "" {
			return unknown(question(name, args)), nil
		}
		return r.ofOPA(name, args)
	case ast.Sprintf.Name:
		if args[0].IsGround() && kindOf(args[1]) == "array" {
			return unknown(question(name, args)), nil
		}
	}
	return nil, errUnclear
}

// question names what is asked of some values.
func question(name string, args []ast.Value) string {
	return name + ast.NewArray(terms(args)...).String()
}

func terms(values []ast.Value) []*ast.Term {
	out := make([]*ast.Term, len(values))
	for i, v := range values {
		out[i] = ast.NewTerm(v)
	}
	return out
}

// member is x in c.
func (r *run) member(x, c ast.Value) (ast.Value, error) {
	if kindOf(c) == "" {
		return ast.Boolean(r.ask(question("in", []ast.Value{x, c}))), nil
	}
	if set, ok := c.(ast.Set); ok && !set.IsGround() { // equal elements do not matter here
		c = ast.NewArray(set.Slice()...)
	}
	list, err := r.members(c)
	if err != nil {
		return nil, err
	}
	for _, m := range list {
		same, err := r.equal(x, m[1])
		if err != nil || same {
			return ast.Boolean(same), err
		}
	}
	return ast.Boolean(false), nil
}

// get is object.get. Its path may be a key or an array of keys.
func (r *run) get(o, path, otherwise ast.Value) (ast.Value, error) {
	if kindOf(o) != "object" { // an error
		return nil, errUnclear
	}
	keys := []ast.Value{path}
	if a, ok := path.(*ast.Array); ok {
		keys = nil
		for i := range a.Len() {
			keys = append(keys, a.Elem(i).Value)
		}
	}
	for _, k := range keys {
		next, err := r.dot(o, k)
		if err != nil {
			return nil, err
		}
		if next == nil {
			return otherwise, nil
		}
		o = next
	}
	return o, nil
}
