package policies

import (
	"github.com/open-policy-agent/opa/v1/ast"
)

// inspectKeys sees that every look-up's key is bound by something else: a free
// variable would walk the whole estate. safe are the variables bound around the body.
func (c *inspector) inspectKeys(body ast.Body, safe ast.VarSet) {
	inner := safe.Copy()
	inner.Update(ast.OutputVarsFromBody(c.compiler, body, safe))
	for _, expr := range body {
		for _, key := range freeKeys(expr) {
			if safe.Contains(key.name) {
				continue
			}
			var others ast.Body
			for _, other := range body {
				if !looksUp(other, key.name) {
					others = append(others, other)
				}
			}
			if !ast.OutputVarsFromBody(c.compiler, others, safe).Contains(key.name) {
				c.problem(key.at, "%s: the key is not bound by anything else; bind it before looking up", key.ref)
			}
		}
		visitClosures(expr, func(closure ast.Body, bound ...*ast.Term) {
			within := inner.Copy()
			for _, t := range bound {
				if t != nil {
					ast.WalkVars(t, func(v ast.Var) bool { within.Add(v); return false })
				}
			}
			c.inspectKeys(closure, within)
		})
	}
}

// variableKey is a look-up whose key is a variable.
type variableKey struct {
	name ast.Var
	ref  ast.Ref
	at   *ast.Location
}

// freeKeys are the look-ups with a variable key in an expression, closures left out.
func freeKeys(expr *ast.Expr) []variableKey {
	var out []variableKey
	visitor := ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension:
			return true
		case *ast.Every:
			return false
		case ast.Body:
			return true // of an every
		case *ast.Term:
			if ref, ok := x.Value.(ast.Ref); ok && root(ref) == "estate" && len(ref) > 4 {
				if v, ok := ref[4].Value.(ast.Var); ok {
					out = append(out, variableKey{v, ref, x.Location})
				}
			}
		}
		return false
	})
	visitor.Walk(expr)
	return out
}

func looksUp(expr *ast.Expr, name ast.Var) bool {
	for _, key := range freeKeys(expr) {
		if key.name == name {
			return true
		}
	}
	return false
}

// visitClosures calls f with each closure's body in an expression, but not with
// those within it, and with the terms that bind variables for it.
func visitClosures(expr *ast.Expr, f func(ast.Body, ...*ast.Term)) {
	visitor := ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case *ast.ArrayComprehension:
			f(x.Body)
			return true
		case *ast.SetComprehension:
			f(x.Body)
			return true
		case *ast.ObjectComprehension:
			f(x.Body)
			return true
		case *ast.Every:
			f(x.Body, x.Key, x.Value)
			return true
		}
		return false
	})
	visitor.Walk(expr)
}
