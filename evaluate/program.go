package evaluate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate/plan"
	"github.com/crosscheck-dev/crosscheck/evaluate/vm"
)

// program is the library specialised for one kind of resource.
type program struct {
	plan.Kind
	parts    []part              // the controls that apply, sorted by id
	declares map[string][]string // estate kind → the rules that declare it
	readers  func() *readers     // only documents with gaps or tokens ask
	estate   []*vm.Rule          // those rules
	plan     *plan.Plan
	policy   *vm.Policy // nil if the machine refuses the plan: then OPA decides all
}

// part is one control as it is asked about one kind of resource.
type part struct {
	audit.Control
	applies    bool     // the package has a rule `applies`
	attributes []string // the adapter attributes it reads, as lib.storage.bucket.encrypted
	estate     []string // what it can look up, as source.kind
	rules      partRules
	chosen     uint64 // its lot for the sample
	reads      func() partReads
}

// partReads is what one control reads. Only documents with gaps or tokens ask.
type partReads struct {
	all     plan.Reads
	toApply plan.Reads // of all, what decides whether it applies
	secret  plan.Reads // all, less what may be compared as tokens
}

// partRules are what is called to ask a control.
type partRules struct {
	violation, applies *vm.Rule
	attributes         []*vm.Rule
}

func (r partRules) all() []*vm.Rule {
	return append([]*vm.Rule{r.violation, r.applies}, r.attributes...)
}

// specialise makes the program of a kind: what is known of it is folded into the
// modules, and these are planned.
func (l *library) specialise(ctx context.Context, k plan.Kind) (*program, error) {
	controls := l.applicable(k)
	all, err := l.compiled()
	if err != nil {
		return nil, err
	}
	modules, err := plan.Fold(all.Needed(controls), k)
	if err != nil {
		return nil, err
	}
	kinds := plan.EstateKinds(modules)
	p := &program{Kind: k, declares: kinds}
	if len(controls) == 0 && len(kinds) == 0 {
		return p, nil
	}
	var rules []string
	for _, c := range controls {
		rules = append(rules, c.Package+".violation")
		if c.Excludes != "" {
			rules = append(rules, c.Package+".applies")
		}
	}
	for _, k := range sortedKeys(kinds) {
		rules = append(rules, kinds[k]...)
	}
	modules = plan.NewGraph(modules).Reachable(rules)
	if p.plan, err = planWithAttributes(ctx, modules, rules, controls); err != nil {
		return nil, fmt.Errorf("library for %s: %w", k, err)
	}
	if f := vm.Unbound(p.plan.Policy); f != "" {
		return nil, fmt.Errorf("rule %s: it unifies arrays or objects through a variable that has no value yet, as [x, y] = [y, 1] does, which plans cannot; unify their members one by one", strings.TrimPrefix(f, "g0."))
	}
	p.compile()
	p.readers = sync.OnceValue(p.readersOf)
	for _, c := range controls {
		pt, err := p.part(c)
		if err != nil {
			return nil, err
		}
		p.parts = append(p.parts, pt)
	}
	return p, l.knownKinds(p)
}

// planWithAttributes plans rules and the attributes that controls read through
// them, which can be asked alone then. Nearly always they are in the plan anyway.
func planWithAttributes(ctx context.Context, modules map[string]*ast.Module, rules []string, controls []audit.Control) (*plan.Plan, error) {
	pl, err := plan.Make(ctx, modules, rules)
	if err != nil {
		return nil, err
	}
	missing := map[string]bool{}
	for _, c := range controls {
		for _, a := range pl.Attributes(c.Package) {
			if !pl.Has(a) {
				missing[a] = true
			}
		}
	}
	if len(missing) == 0 {
		return pl, nil
	}
	return plan.Make(ctx, modules, append(rules, slices.Sorted(maps.Keys(missing))...))
}

// part reads the plan for what one control is asked and what it can look up.
func (p *program) part(c audit.Control) (part, error) {
	if rule := p.absent(c); rule != "" {
		return part{}, fmt.Errorf("control %s: its rule %s is not in the plan for %s, so that nothing can be said of what it reads", c.ID, rule, p.Kind)
	}
	pt := part{Control: c, applies: c.Excludes != "", attributes: p.plan.Attributes(c.Package)}
	pt.chosen = bits64(c.Digest)
	pt.reads = sync.OnceValue(func() partReads { return p.readsOf(c) })
	if p.policy != nil {
		pt.rules.violation, pt.rules.applies = p.policy.Rule(c.Package+".violation"), p.policy.Rule(c.Package+".applies")
		for _, a := range pt.attributes {
			pt.rules.attributes = append(pt.rules.attributes, p.policy.Rule(a))
		}
		if !pt.rules.violation.Asks() && !(pt.applies && pt.rules.applies.Asks()) {
			return pt, nil
		}
	}
	pt.estate = pt.reads().all.Estate
	if slices.Contains(pt.estate, "*") {
		return pt, fmt.Errorf("control %s: it can read the estate in ways that cannot be told beforehand: read data.estate.<source>.<kind>[<key>] with source and kind written out", c.ID)
	}
	return pt, nil
}

// absent names a rule of a control that is not in the plan: one that is, but can
// never hold, is there all the same.
func (p *program) absent(c audit.Control) string {
	rules := []string{c.Package + ".violation"}
	if c.Excludes != "" {
		rules = append(rules, c.Package+".applies")
	}
	for _, r := range rules {
		if !p.plan.Has(r) {
			return r
		}
	}
	return ""
}

func (p *program) readsOf(c audit.Control) partReads {
	r := partReads{all: p.plan.Reads(c.Package + ".violation")}
	if c.Excludes != "" {
		r.toApply = p.plan.Reads(c.Package + ".applies")
		r.all = r.all.Merge(r.toApply)
	}
	if r.secret = r.all; len(c.ComparesTokens) > 0 {
		r.secret = p.plan.Reads(c.Package+".violation", c.ComparesTokens...)
		if c.Excludes != "" {
			r.secret = r.secret.Merge(p.plan.Reads(c.Package+".applies", c.ComparesTokens...))
		}
	}
	return r
}

// kindReads is what decides what a resource declares of an estate kind.
func (p *program) kindReads(name string) plan.Reads {
	var r plan.Reads
	for _, path := range p.declares[name] {
		r = r.Merge(p.plan.Reads(path))
	}
	return r
}

// compile makes closures of the plan. A plan that the machine does not know how
// to run is no error: OPA's own evaluator can.
func (p *program) compile() {
	policy, err := vm.Compile(vm.Config{Policy: p.plan.Policy, Strict: true})
	if err != nil {
		return
	}
	p.policy = policy
	for _, k := range sortedKeys(p.declares) {
		for _, path := range p.declares[k] {
			p.estate = append(p.estate, policy.Rule(path))
		}
	}
}

// declaring are the packages that have those rules.
func (p *program) declaring() (out []string) {
	for _, k := range sortedKeys(p.declares) {
		for _, path := range p.declares[k] {
			if pkg := path[:strings.LastIndexByte(path, '.')]; !slices.Contains(out, pkg) {
				out = append(out, pkg)
			}
		}
	}
	return out
}

func (l *library) applicable(k plan.Kind) []audit.Control {
	var out []audit.Control
	for _, c := range l.controls {
		if c.AppliesToType(k.Source, k.Type) {
			out = append(out, c)
		}
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
