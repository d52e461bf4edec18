package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Kind of resource: what the library is specialised for.
type Kind struct{ Source, Type string }

func (k Kind) String() string { return k.Source + "/" + k.Type }

// known is the literal that a reference stands for, nil if it is none: source and
// type are known, the type unless any of the source is meant.
func (k Kind) known(r ast.Ref) *ast.Term {
	if len(r) != 2 || !r[0].Equal(ast.InputRootDocument) {
		return nil
	}
	switch key, _ := r[1].Value.(ast.String); {
	case key == "source":
		return ast.StringTerm(k.Source)
	case key == "type" && k.Type != "":
		return ast.StringTerm(k.Type)
	}
	return nil
}

// Fold replaces input.source and input.type by what is known and drops the rules
// that can then never be true: partial evaluation of what is known of a kind.
// OPA's own goes further, and loses errors and conflicts on the way.
func Fold(modules map[string]*ast.Module, k Kind) (map[string]*ast.Module, error) {
	out := make(map[string]*ast.Module, len(modules))
	for name, m := range modules {
		fewer := *m
		fewer.Rules = k.living(m.Rules)
		x, err := ast.TransformRefs(fewer.Copy(), func(r ast.Ref) (ast.Value, error) {
			if literal := k.known(r); literal != nil {
				return literal.Value, nil
			}
			return r, nil
		})
		if err != nil {
			return nil, fmt.Errorf("specialising %s for %s: %w", name, k, err)
		}
		out[name] = x.(*ast.Module)
		for _, r := range out[name].Rules {
			k.reduce(r)
		}
	}
	return out, nil
}

// living leaves out the dead rules. One of a name stays, without anything to ask
// once it is reduced: a set of which nothing is left is empty, not undefined.
func (k Kind) living(rules []*ast.Rule) []*ast.Rule {
	var out, dropped []*ast.Rule
	alive := map[string]bool{}
	for _, r := range rules {
		if _, dead := k.body(r); dead {
			dropped = append(dropped, r)
			continue
		}
		out = append(out, r)
		alive[ruleName(r)] = true
	}
	for _, r := range dropped {
		if name := ruleName(r); !alive[name] && name != "estate" && !strings.HasPrefix(name, estatePrefix) {
			alive[name] = true
			out = append(out, r)
		}
	}
	return out
}

// reduce drops from the body of a rule what is known to be true. Of a dead rule
// nothing is left.
func (k Kind) reduce(r *ast.Rule) {
	body, dead := k.body(r)
	if dead {
		never(r)
		return
	}
	r.Body = ast.NewBody(body...)
}

func ruleName(r *ast.Rule) string { return r.Head.Ref().GroundPrefix().String() }

// never makes of a rule one of the same shape that does not hold. Its value is of
// any type, so that what uses the rule still compiles.
func never(r *ast.Rule) {
	r.Head = r.Head.Copy()
	none := ast.VarTerm("none__")
	ground := len(r.Head.Reference.GroundPrefix())
	if ground < len(r.Head.Reference) { // what is deeper is not there either
		r.Head.Reference = append(r.Head.Reference[:ground:ground], none)
		r.Head.Key, r.Head.Value = none, none
	}
	if r.Head.Key != nil {
		r.Head.Key = none
	}
	if r.Head.Value != nil {
		r.Head.Value = none
	}
	r.Body = ast.NewBody(ast.NewExpr(ast.BooleanTerm(false)), ast.JSONUnmarshal.Expr(ast.StringTerm("null"), none))
}

// body is what is left of a rule's body without what is known to be true; dead
// tells whether something in it is known to be false. What comes after something
// that can fail does not make a rule dead: OPA meets the error first.
func (k Kind) body(r *ast.Rule) (left ast.Body, dead bool) {
	if r.Default || r.Else != nil || len(r.Head.Args) > 0 {
		return r.Body, false
	}
	locals, fails := map[ast.Var]*ast.Term{}, false
	for _, e := range r.Body {
		truth, known := k.constant(e, locals)
		switch {
		case known && truth:
		case known && !fails:
			return nil, true
		default:
			left, fails = append(left, e), fails || canFail(e)
		}
	}
	if len(left) == 0 {
		left = ast.Body{ast.NewExpr(ast.BooleanTerm(true))}
	}
	return left, false
}

// harmless are the calls that never fail.
var harmless = []string{ast.Equal.Name, ast.Equality.Name, ast.NotEqual.Name, ast.Member.Name, ast.LessThan.Name, ast.LessThanEq.Name, ast.GreaterThan.Name, ast.GreaterThanEq.Name}

// canFail tells whether an expression can end in an error: it calls something, or
// rests on a rule that does.
func canFail(e *ast.Expr) (fails bool) {
	ast.WalkExprs(e, func(e *ast.Expr) bool {
		fails = fails || e.IsCall() && !slices.Contains(harmless, e.Operator().String())
		return fails
	})
	ast.WalkTerms(e, func(t *ast.Term) bool {
		switch v := t.Value.(type) {
		case ast.Call:
			fails = true
		case ast.Ref:
			fails = fails || v.HasPrefix(ast.DefaultRootRef)
		}
		return fails
	})
	return fails
}

// constant evaluates x == y, x != y and x in {…} where everything is a literal,
// or a local that one was given to: the compiler leaves no reference among the
// arguments of a call.
func (k Kind) constant(e *ast.Expr, locals map[ast.Var]*ast.Term) (truth, known bool) {
	if !e.IsCall() || len(e.With) > 0 || len(e.Operands()) != 2 {
		return false, false
	}
	a, b := k.literal(e.Operand(0), locals), k.literal(e.Operand(1), locals)
	if a == nil || b == nil {
		if v, ok := e.Operand(0).Value.(ast.Var); ok && b != nil && !e.Negated && e.IsEquality() {
			locals[v] = b
		}
		return false, false
	}
	switch e.Operator().String() {
	case ast.Equal.Name, ast.Equality.Name:
		truth = a.Equal(b)
	case ast.NotEqual.Name:
		truth = !a.Equal(b)
	case ast.Member.Name:
		switch c := b.Value.(type) {
		case ast.Set:
			truth = c.Contains(a)
		case *ast.Array:
			for i := range c.Len() {
				truth = truth || c.Elem(i).Equal(a)
			}
		default:
			return false, false
		}
	default:
		return false, false
	}
	return truth != e.Negated, true
}

// literal is what a term is, nil where that is not known beforehand.
func (k Kind) literal(t *ast.Term, locals map[ast.Var]*ast.Term) *ast.Term {
	switch v := t.Value.(type) {
	case ast.Var:
		return locals[v]
	case ast.Ref:
		return k.known(v)
	case ast.String:
		return t
	}
	if !t.IsGround() || hasRef(t) {
		return nil
	}
	return t
}

// hasRef tells whether a ground term still has to be looked up or computed.
func hasRef(t *ast.Term) bool {
	found := false
	ast.WalkTerms(t, func(t *ast.Term) bool {
		switch t.Value.(type) {
		case ast.Ref, ast.Call, ast.Var, *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension:
			found = true
		}
		return found
	})
	return found
}
