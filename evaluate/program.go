package evaluate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// program is the library specialised for one kind of resource.
type program struct {
	kind
	parts     []part // the controls that apply, sorted by id
	reads     []partReads
	kinds     map[string]Reads // estate kinds that resources of this kind declare
	aggregate *query           // all controls that cannot read the estate
	estate    *query           // what such a resource declares, nil if nothing
	modules   map[string]*ast.Module
	params    map[string]any

	mu      sync.Mutex // preparing is serial
	singles []*query   // one control each: those that read the estate, and any that must be isolated
	around  plans
}

// partReads is what one control reads, and what of it decides whether it applies.
type partReads struct {
	applies, violation Reads
	secret             Reads // violation and applies, less what may be compared as tokens
}

func (r partReads) all() Reads { return r.applies.merge(r.violation) }

// library prepares programs, each once.
type library struct {
	modules  map[string]*ast.Module
	caps     *ast.Capabilities
	params   map[string]any
	controls []audit.Control
	catalog  []audit.Control

	mu       sync.Mutex
	programs map[kind]*program
	declared map[string][]string // source/type → estate kinds
}

// program specialises the library for a kind of resource, or returns what it did before.
func (l *library) program(ctx context.Context, k kind) (*program, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.programs[k]; p != nil {
		return p, nil
	}
	p, err := l.specialise(ctx, k)
	if err != nil {
		return nil, err
	}
	l.programs[k] = p
	return p, nil
}

func (l *library) specialise(ctx context.Context, k kind) (*program, error) {
	modules, err := fold(l.needed(k), k)
	if err != nil {
		return nil, err
	}
	kinds, err := splitEstate(modules)
	if err != nil {
		return nil, err
	}
	p := &program{kind: k, modules: modules, params: l.params, kinds: map[string]Reads{}}
	controls := l.applicable(k)
	if len(controls) == 0 && len(kinds) == 0 {
		return p, nil
	}
	compiler, err := compiled(modules, l.caps)
	if err != nil {
		return nil, fmt.Errorf("library for %s: %w", k, err)
	}
	for _, c := range controls {
		p.parts = append(p.parts, newPart(compiler, c))
	}
	if err := p.analyse(ctx, kinds); err != nil {
		return nil, err
	}
	if err := l.knownKinds(p); err != nil {
		return nil, err
	}
	return p, p.prepareAll(ctx, kinds)
}

func (l *library) applicable(k kind) []audit.Control {
	var out []audit.Control
	for _, c := range l.controls {
		if c.AppliesToType(k.source, k.typ) {
			out = append(out, c)
		}
	}
	return out
}

// needed are the modules without those of controls that do not judge such a
// resource: controls do not read each other.
func (l *library) needed(k kind) map[string]*ast.Module {
	out := maps.Clone(l.modules)
	for _, c := range l.catalog {
		if !c.AppliesToType(k.source, k.typ) {
			delete(out, c.File)
		}
	}
	return out
}

// newPart finds the attributes that a control reads and whether it can read the estate.
func newPart(compiler *ast.Compiler, c audit.Control) part {
	p := part{Control: c}
	attributes := map[string]bool{}
	seen := map[*ast.Rule]bool{}
	var visit func(r *ast.Rule, own bool)
	visit = func(r *ast.Rule, own bool) {
		if seen[r] {
			return
		}
		seen[r] = true
		ast.WalkRefs(r, func(ref ast.Ref) bool {
			if ref.HasPrefix(ast.MustParseRef("data.estate")) {
				p.estate = true
			}
			for _, next := range compiler.GetRules(ref.GroundPrefix()) {
				mine := strings.HasPrefix(rulePath(next), c.Package+".")
				if own && !mine && len(next.Head.Args) == 0 && strings.HasPrefix(rulePath(next), "lib.") {
					attributes[rulePath(next)] = true
				}
				visit(next, own && mine)
			}
			return false
		})
	}
	for _, name := range []string{"violation", "applies"} {
		for _, r := range compiler.GetRules(ast.MustParseRef("data." + c.Package + "." + name)) {
			p.applies = p.applies || name == "applies"
			visit(r, true)
		}
	}
	p.attributes = slices.Sorted(maps.Keys(attributes))
	return p
}

func rulePath(r *ast.Rule) string {
	return strings.TrimPrefix(r.Ref().GroundPrefix().String(), "data.")
}

// analyse finds what every control, and every estate kind, reads.
func (p *program) analyse(ctx context.Context, kinds map[string][]string) error {
	var rules []string
	for _, pt := range p.parts {
		rules = append(rules, pt.Package+".violation")
		if pt.applies {
			rules = append(rules, pt.Package+".applies")
		}
	}
	for _, paths := range kinds {
		rules = append(rules, paths...)
	}
	slices.Sort(rules)
	pl, err := planRules(ctx, p.modules, slices.Compact(rules))
	if err != nil {
		return fmt.Errorf("library for %s: %w", p.kind, err)
	}
	for _, pt := range p.parts {
		r := partReads{violation: pl.reads(pt.Package + ".violation")}
		if pt.applies {
			r.applies = pl.reads(pt.Package + ".applies")
		}
		r.secret = pl.reads(pt.Package+".violation", pt.ComparesTokens...).merge(pl.reads(pt.Package+".applies", pt.ComparesTokens...))
		if slices.Contains(r.all().Estate, "*") {
			return fmt.Errorf("control %s: it can read the estate in ways that cannot be told beforehand: read data.estate.<source>.<kind>[<key>] with source and kind written out", pt.ID)
		}
		p.reads = append(p.reads, r)
	}
	for k, paths := range kinds {
		for _, path := range paths {
			p.kinds[k] = p.kinds[k].merge(pl.reads(path))
		}
	}
	return nil
}

func (p *program) prepareAll(ctx context.Context, kinds map[string][]string) (err error) {
	p.singles = make([]*query, len(p.parts))
	var together []part
	for i, pt := range p.parts {
		if !pt.estate {
			together = append(together, pt)
		} else if p.singles[i], err = p.ask(ctx, []part{pt}); err != nil {
			return err
		}
	}
	if len(together) > 0 {
		if p.aggregate, err = p.ask(ctx, together); err != nil {
			return err
		}
	}
	if len(kinds) == 0 {
		return nil
	}
	var b strings.Builder
	b.WriteString("package crosscheck.entry\n\n")
	for _, k := range sortedKeys(kinds) {
		for _, path := range kinds[k] {
			fmt.Fprintf(&b, "out contains e if some e in data.%s\n", path)
		}
	}
	entry, err := parse("crosscheck/entry.rego", b.String())
	if err != nil {
		return err
	}
	p.estate, err = p.prepare(ctx, entry)
	return err
}

func (p *program) ask(ctx context.Context, parts []part) (*query, error) {
	entry, err := entryModule(parts)
	if err != nil {
		return nil, err
	}
	return p.prepare(ctx, entry)
}

func (p *program) prepare(ctx context.Context, entry *ast.Module) (*query, error) {
	modules := maps.Clone(p.modules)
	modules["crosscheck/entry.rego"] = entry
	return prepare(ctx, modules, "data.crosscheck.entry.out = x", p.kind, p.params)
}

// single is the query of one control alone, prepared when it is first needed.
func (p *program) single(ctx context.Context, i int) (*query, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.singles[i] == nil {
		q, err := p.ask(ctx, []part{p.parts[i]})
		if err != nil {
			return nil, err
		}
		p.singles[i] = q
	}
	return p.singles[i], nil
}

// eval asks a query about a document. What it returns is the elements of one set.
func (q *query) eval(ctx context.Context, input ast.Value, v *view) ([]ast.Value, error) {
	var out []ast.Value
	for _, p := range q.prepared {
		rs, err := p.Eval(ctx, rego.EvalParsedInput(input), rego.EvalTransaction(v), rego.EvalExternalCancel(v.cancel))
		if err != nil {
			return nil, err
		}
		for _, r := range rs {
			set, ok := r.Bindings["x"].(ast.Set)
			if !ok {
				return nil, fmt.Errorf("the residual answered %v, not a set", r.Bindings["x"])
			}
			for _, t := range set.Slice() {
				out = append(out, t.Value)
			}
		}
	}
	return out, nil
}

// keepValue hands results over as OPA holds them.
func keepValue(t *ast.Term, _ *rego.EvalContext) (any, error) { return t.Value, nil }

// newCancel makes what ends every evaluation when ctx ends.
func newCancel(ctx context.Context) (c topdown.Cancel, stop func() bool) {
	c = topdown.NewCancel()
	return c, context.AfterFunc(ctx, c.Cancel)
}
