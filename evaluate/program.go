package evaluate

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate/vm"
)

// program is the library specialised for one kind of resource.
type program struct {
	kind
	parts  []part           // the controls that apply, sorted by id
	kinds  map[string]Reads // estate kinds that resources of this kind declare
	estate []*vm.Rule       // the rules that declare them
	policy *vm.Policy       // nil if the machine refuses the plan: then OPA decides all
	opa    *residual
}

// part is one control as it is asked about one kind of resource.
type part struct {
	audit.Control
	partReads
	applies    bool     // the package has a rule `applies`
	attributes []string // the adapter attributes it reads, as lib.storage.bucket.encrypted
	estate     bool     // it can read the estate for this kind of resource
	rules      partRules
}

// partReads is what one control reads, and what of it decides whether it applies.
type partReads struct {
	all     Reads
	toApply Reads // of all, what decides whether it applies
	secret  Reads // all, less what may be compared as tokens
}

// partRules are what is called to ask a control.
type partRules struct {
	violation, applies *vm.Rule
	attributes         []*vm.Rule
}

// specialise makes the program of a kind: what is known of it is folded into the
// modules, and these are planned.
func (l *library) specialise(ctx context.Context, k kind) (*program, error) {
	modules, err := fold(l.needed(k), k)
	if err != nil {
		return nil, err
	}
	kinds, err := splitEstate(modules)
	if err != nil {
		return nil, err
	}
	p := &program{kind: k, kinds: map[string]Reads{}, opa: &residual{kind: k, modules: modules, params: l.params}}
	controls := l.applicable(k)
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
	pl, err := planWithAttributes(ctx, modules, rules, controls)
	if err != nil {
		return nil, fmt.Errorf("library for %s: %w", k, err)
	}
	for _, c := range controls {
		pt, err := newPart(pl, c)
		if err != nil {
			return nil, err
		}
		p.parts = append(p.parts, pt)
	}
	if err := l.knownKinds(p); err != nil {
		return nil, err
	}
	p.opa.parts, p.opa.kinds = p.parts, kinds
	return p, p.compile(pl, kinds)
}

// planWithAttributes plans rules and the attributes that controls read through
// them, which can be asked alone then. Nearly always they are in the plan anyway.
func planWithAttributes(ctx context.Context, modules map[string]*ast.Module, rules []string, controls []audit.Control) (*plan, error) {
	pl, err := planRules(ctx, modules, rules)
	if err != nil {
		return nil, err
	}
	missing := map[string]bool{}
	for _, c := range controls {
		for _, a := range pl.attributes(c.Package) {
			if pl.funcs["g0.data."+a] == nil {
				missing[a] = true
			}
		}
	}
	if len(missing) == 0 {
		return pl, nil
	}
	return planRules(ctx, modules, append(rules, slices.Sorted(maps.Keys(missing))...))
}

// newPart reads a plan for what one control is asked and what it reads.
func newPart(pl *plan, c audit.Control) (part, error) {
	p := part{Control: c, applies: c.Excludes != "", attributes: pl.attributes(c.Package)}
	p.all = pl.reads(c.Package + ".violation")
	p.secret = pl.reads(c.Package+".violation", c.ComparesTokens...)
	if p.applies {
		p.toApply = pl.reads(c.Package + ".applies")
		p.all = p.all.merge(p.toApply)
		p.secret = p.secret.merge(pl.reads(c.Package+".applies", c.ComparesTokens...))
	}
	if slices.Contains(p.all.Estate, "*") {
		return p, fmt.Errorf("control %s: it can read the estate in ways that cannot be told beforehand: read data.estate.<source>.<kind>[<key>] with source and kind written out", c.ID)
	}
	p.estate = len(p.all.Estate) > 0
	return p, nil
}

// compile makes closures of the plan. A plan that the machine does not know how
// to run is no error: OPA's own evaluator can.
func (p *program) compile(pl *plan, kinds map[string][]string) error {
	for k, paths := range kinds {
		for _, path := range paths {
			p.kinds[k] = p.kinds[k].merge(pl.reads(path))
		}
	}
	policy, err := vm.Compile(vm.Config{Policy: pl.policy, Strict: true})
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	p.policy = policy
	for i := range p.parts {
		pt := &p.parts[i]
		pt.rules.violation, pt.rules.applies = policy.Rule(pt.Package+".violation"), policy.Rule(pt.Package+".applies")
		for _, a := range pt.attributes {
			pt.rules.attributes = append(pt.rules.attributes, policy.Rule(a))
		}
	}
	for _, k := range sortedKeys(kinds) {
		for _, path := range kinds[k] {
			p.estate = append(p.estate, policy.Rule(path))
		}
	}
	return nil
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
