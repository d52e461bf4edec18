package evaluate

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// unknowns are all that is not known of a resource before it is read: every
// document key but source and type, the estate and the run. A key missing here
// would be frozen as undefined, and what reads it would pass.
var unknowns = []string{
	"input.id", "input.name", "input.origin", "input.tags", "input.data", "input.gaps", "input.redacted",
	"data.estate", "data.run",
}

// kind of resource: what the library is specialised for.
type kind struct{ source, typ string }

func (k kind) String() string { return k.source + "/" + k.typ }

// fold replaces input.source and input.type by what is known and drops the rules
// that can then never be true. OPA's partial evaluation does the same for most
// rules, but not for those that only a comprehension refers to.
func fold(modules map[string]*ast.Module, k kind) (map[string]*ast.Module, error) {
	known := map[string]ast.Value{"source": ast.String(k.source)}
	if k.typ != "" { // any type of the source
		known["type"] = ast.String(k.typ)
	}
	out := make(map[string]*ast.Module, len(modules))
	for name, m := range modules {
		x, err := ast.TransformRefs(m.Copy(), func(r ast.Ref) (ast.Value, error) {
			if len(r) == 2 && r[0].Equal(ast.InputRootDocument) {
				if key, ok := r[1].Value.(ast.String); ok && known[string(key)] != nil {
					return known[string(key)], nil
				}
			}
			return r, nil
		})
		if err != nil {
			return nil, fmt.Errorf("specialising %s for %s: %w", name, k, err)
		}
		folded := x.(*ast.Module)
		folded.Rules = living(folded)
		out[name] = folded
	}
	return out, nil
}

// living drops the dead rules. The last one of a name stays, without anything to
// ask: a set of which nothing is left is empty, not undefined.
func living(m *ast.Module) []*ast.Rule {
	var out, dropped []*ast.Rule
	alive := map[string]bool{}
	for _, r := range m.Rules {
		if dead(r) {
			dropped = append(dropped, r)
			continue
		}
		out = append(out, r)
		alive[ruleName(r)] = true
	}
	for _, r := range dropped {
		if name := ruleName(r); !alive[name] && name != "estate" {
			alive[name] = true
			out = append(out, never(r))
		}
	}
	return out
}

func ruleName(r *ast.Rule) string { return r.Head.Ref().GroundPrefix().String() }

// never is a rule of the same shape that does not hold. Its value is of any
// type, so that what uses the rule still compiles.
func never(r *ast.Rule) *ast.Rule {
	r.Head = r.Head.Copy()
	none := ast.CallTerm(ast.RefTerm(ast.VarTerm("json"), ast.StringTerm("unmarshal")), ast.StringTerm("null"))
	for i, t := range r.Head.Reference {
		if i > 0 && !t.IsGround() {
			r.Head.Reference[i] = ast.StringTerm("none")
		}
	}
	if r.Head.Key != nil {
		r.Head.Key = none
	}
	if r.Head.Value != nil {
		r.Head.Value = none
	}
	r.Body = ast.NewBody(ast.NewExpr(ast.BooleanTerm(false)))
	return r
}

// dead tells whether a rule's body is known to be false. It also drops from the
// body what is known to be true.
func dead(r *ast.Rule) bool {
	if r.Default || r.Else != nil || len(r.Head.Args) > 0 {
		return false
	}
	for _, e := range r.Body {
		if truth, known := constant(e); known && !truth {
			return true
		}
	}
	var body ast.Body
	for _, e := range r.Body {
		if truth, known := constant(e); !known || !truth {
			body.Append(e.Copy())
		}
	}
	if len(body) == 0 {
		body = ast.NewBody(ast.NewExpr(ast.BooleanTerm(true)))
	}
	r.Body = body
	return false
}

// constant evaluates x == y, x != y and x in {…} where everything is a literal.
func constant(e *ast.Expr) (truth, known bool) {
	if !e.IsCall() || len(e.With) > 0 || len(e.Operands()) != 2 {
		return false, false
	}
	a, b := e.Operand(0), e.Operand(1)
	if !a.IsGround() || !b.IsGround() || hasRef(a) || hasRef(b) {
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

// estatePrefix begins the names of the rules that declare one estate kind each.
const estatePrefix = "estate__"

// splitEstate adds, beside every rule `estate contains {"kind": k, …}`, the same
// rule under a name of its own, so that what each kind reads can be told apart.
// It returns the path of each kind's rules.
func splitEstate(modules map[string]*ast.Module) (map[string][]string, error) {
	kinds := map[string][]string{}
	for _, name := range sortedKeys(modules) {
		m := modules[name]
		var more []*ast.Rule
		for _, r := range m.Rules {
			if r.Head.Name != "estate" {
				continue
			}
			k, err := estateKind(r)
			if err != nil {
				return nil, err
			}
			c := r.Copy()
			c.Head.Name = ast.Var(estatePrefix + k)
			c.Head.Reference = ast.Ref{ast.VarTerm(estatePrefix + k)}
			c.Module = m
			more = append(more, c)
			path := strings.TrimPrefix(m.Package.Path.String(), "data.") + "." + estatePrefix + k
			if !slices.Contains(kinds[k], path) {
				kinds[k] = append(kinds[k], path)
			}
		}
		m.Rules = append(m.Rules, more...)
	}
	return kinds, nil
}

// plainName is what a kind is called: it becomes part of a rule's name.
var plainName = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

func estateKind(r *ast.Rule) (string, error) {
	if r.Head.Key != nil {
		if obj, ok := r.Head.Key.Value.(ast.Object); ok {
			if v := obj.Get(ast.StringTerm("kind")); v != nil {
				if s, ok := v.Value.(ast.String); ok && plainName.MatchString(string(s)) {
					return string(s), nil
				}
			}
		}
	}
	return "", fmt.Errorf("%s: an estate rule must read `estate contains {\"kind\": \"<lower case name>\", \"key\": …, \"value\": …} if …`", r.Location)
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

// compiled compiles copies of modules, so that one set serves several compilers:
// partial evaluation writes into the compiler it is given.
func compiled(modules map[string]*ast.Module) (*ast.Compiler, error) {
	return compiledFor(ast.EvalModeTopdown, modules)
}

// compiledFor is compiled for OPA's evaluator, or for planning, which needs no indices.
func compiledFor(mode ast.CompilerEvalMode, modules map[string]*ast.Module) (*ast.Compiler, error) {
	c := ast.NewCompiler().WithEvalMode(mode)
	copies := make(map[string]*ast.Module, len(modules))
	for name, m := range modules {
		copies[name] = m.Copy()
	}
	if c.Compile(copies); c.Failed() {
		return nil, c.Errors
	}
	return c, nil
}

// query is a specialised, prepared question. It is safe to share.
type query struct{ prepared []rego.PreparedEvalQuery }

// prepare partially evaluates a query with source, type and parameters known,
// and compiles the residual with a compiler of its own. Not for concurrent use.
func prepare(ctx context.Context, modules map[string]*ast.Module, text string, k kind, parameters map[string]any) (*query, error) {
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
		c, err := compiled(residual)
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
func partial(ctx context.Context, modules map[string]*ast.Module, text string, k kind, known *store) (*rego.PartialQueries, error) {
	compiler, err := compiled(modules)
	if err != nil {
		return nil, err
	}
	return rego.New(
		rego.Query(text), rego.Compiler(compiler), rego.SetRegoVersion(ast.RegoV1), rego.Store(known),
		rego.Input(map[string]any{"source": k.source, "type": k.typ}),
		rego.Unknowns(unknowns), rego.ShallowInlining(true), rego.StrictBuiltinErrors(true),
	).Partial(ctx)
}
