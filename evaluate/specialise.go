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

// known is the literal that a reference stands for, nil if it is none: source and
// type are known, the type unless any of the source is meant.
func (k kind) known(r ast.Ref) *ast.Term {
	if len(r) != 2 || !r[0].Equal(ast.InputRootDocument) {
		return nil
	}
	switch key, _ := r[1].Value.(ast.String); {
	case key == "source":
		return ast.StringTerm(k.source)
	case key == "type" && k.typ != "":
		return ast.StringTerm(k.typ)
	}
	return nil
}

// fold replaces input.source and input.type by what is known and drops the rules
// that can then never be true. OPA's partial evaluation does the same for most
// rules, but not for those that only a comprehension refers to.
func fold(modules map[string]*ast.Module, k kind) (map[string]*ast.Module, error) {
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
func (k kind) living(rules []*ast.Rule) []*ast.Rule {
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
func (k kind) reduce(r *ast.Rule) {
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
	r.Body = ast.NewBody(ast.NewExpr(ast.BooleanTerm(false)), ast.JSONUnmarshal.Expr(ast.StringTerm("null"), none))
}

// body is what is left of a rule's body without what is known to be true; dead
// tells whether something in it is known to be false.
func (k kind) body(r *ast.Rule) (left ast.Body, dead bool) {
	if r.Default || r.Else != nil || len(r.Head.Args) > 0 {
		return r.Body, false
	}
	locals := map[ast.Var]*ast.Term{}
	for _, e := range r.Body {
		truth, known := k.constant(e, locals)
		switch {
		case known && !truth:
			return nil, true
		case !known:
			left = append(left, e)
		}
	}
	if len(left) == 0 {
		left = ast.Body{ast.NewExpr(ast.BooleanTerm(true))}
	}
	return left, false
}

// constant evaluates x == y, x != y and x in {…} where everything is a literal,
// or a local that one was given to: the compiler leaves no reference among the
// arguments of a call.
func (k kind) constant(e *ast.Expr, locals map[ast.Var]*ast.Term) (truth, known bool) {
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
func (k kind) literal(t *ast.Term, locals map[ast.Var]*ast.Term) *ast.Term {
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

// estatePrefix begins the names of the rules that declare one estate kind each.
const estatePrefix = "estate__"

// splitEstate adds, beside every rule `estate contains {"kind": k, …}`, the same
// rule under a name of its own, so that what each kind reads can be told apart.
func splitEstate(modules map[string]*ast.Module) error {
	for _, name := range sortedKeys(modules) {
		m := modules[name]
		var more []*ast.Rule
		for _, r := range m.Rules {
			if r.Head.Name != "estate" {
				continue
			}
			k, err := estateKind(r)
			if err != nil {
				return err
			}
			c := r.Copy()
			c.Head.Name = ast.Var(estatePrefix + k)
			c.Head.Reference = ast.Ref{ast.VarTerm(estatePrefix + k)}
			c.Module = m
			more = append(more, c)
		}
		m.Rules = append(m.Rules, more...)
	}
	return nil
}

// estateKinds are the kinds that modules declare, and the paths of each one's rules.
func estateKinds(modules map[string]*ast.Module) map[string][]string {
	kinds := map[string][]string{}
	for _, name := range sortedKeys(modules) {
		pkg := strings.TrimPrefix(modules[name].Package.Path.String(), "data.")
		for _, r := range modules[name].Rules {
			k, ok := strings.CutPrefix(ruleName(r), estatePrefix)
			if path := pkg + "." + estatePrefix + k; ok && !slices.Contains(kinds[k], path) {
				kinds[k] = append(kinds[k], path)
			}
		}
	}
	return kinds
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

// checks are the stages of compiling that change nothing. The library was held
// to them when it was loaded.
var checks = []ast.StageID{
	ast.StageCheckUnusedImports, ast.StageCheckKeywordOverrides, ast.StageCheckDuplicateImports, ast.StageCheckVoidCalls, ast.StageCheckRuleConflicts,
	ast.StageCheckUndefinedFuncs, ast.StageCheckRecursion, ast.StageCheckTypes, ast.StageCheckUnsafeBuiltins, ast.StageCheckDeprecatedBuiltins,
	ast.StageParseMetadataBlocks, ast.StageBuildRequiredCapabilities,
}

// trees are the stages that only find out where rules are, and which names are taken.
var trees = []ast.StageID{ast.StageInitLocalVarGen, ast.StageSetModuleTree, ast.StageSetRuleTree}

// compiled compiles copies of modules, so that one set serves several compilers:
// partial evaluation writes into the compiler it is given.
func compiled(modules map[string]*ast.Module) (*ast.Compiler, error) {
	return compiledBy(ast.NewCompiler().WithSkipStages(checks...), modules)
}

// rewritten are copies of modules as the compiler leaves them for planning.
func rewritten(modules map[string]*ast.Module) (map[string]*ast.Module, error) {
	c, err := compiledBy(ast.NewCompiler().WithEvalMode(ast.EvalModeIR).WithSkipStages(checks...), modules)
	if err != nil {
		return nil, err
	}
	return c.Modules, nil
}

// planning is a compiler of what is rewritten already.
func planning(modules map[string]*ast.Module) (*ast.Compiler, error) {
	done := slices.DeleteFunc(ast.AllStages(), func(s ast.StageID) bool { return slices.Contains(trees, s) })
	return compiledBy(ast.NewCompiler().WithSkipStages(done...), modules)
}

func compiledBy(c *ast.Compiler, modules map[string]*ast.Module) (*ast.Compiler, error) {
	if c.Compile(modules); c.Failed() {
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
