package vm

import (
	"maps"
	"regexp/syntax"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Natives are the builtins that there is a version of our own of.
func Natives() []string { return slices.Sorted(maps.Keys(natives)) }

// Bounds are the builtins that have one.
func Bounds() []string { return slices.Sorted(maps.Keys(bounds)) }

// Stale is the machine with something in every local of a frame that has not been
// written, as calls before leave it.
func (m *Machine) Stale() *Machine {
	for i := range m.stack {
		m.stack[i] = &Value{kind: kString, s: "stale"}
	}
	return m
}

// Native calls our version of a builtin. covered is false if it leaves the arguments to OPA's.
func (m *Machine) Native(name string, args []*Value) (v *Value, covered bool, err error) {
	m.idle()
	v, covered = natives[name](m, args)
	return v, covered, m.end()
}

// OPA calls OPA's version of a builtin, as the machine does.
func (m *Machine) OPA(name string, args []*Value) ([]*ast.Term, error) {
	m.idle()
	m.cloning = keeps(name)
	terms := m.terms(args)
	m.cloning = false
	var out []*ast.Term
	err := topdown.GetBuiltin(name)(m.builtinContext(true), terms, func(t *ast.Term) error {
		out = append(out, t)
		return nil
	})
	return out, err
}

// Disordered is a value whose sets and objects are not sorted yet.
func Disordered(v ast.Value) *Value {
	out := FromOPA(v)
	disorder(out)
	return out
}

func disorder(v *Value) {
	if v.c == nil {
		return
	}
	if v.kind != kArray {
		slices.Reverse(v.c.keys)
		slices.Reverse(v.c.vals)
		v.c.sorted = len(v.c.keys) < 2
	}
	for _, list := range [][]*Value{v.c.keys, v.c.vals} {
		for _, e := range list {
			disorder(e)
		}
	}
}

// Overruns tells whether a search may go on long after what it finds.
func Overruns(re *syntax.Regexp) bool {
	yes, _ := overruns(re)
	return yes
}

// ErrConflict says that a rule has two values.
var ErrConflict = errConflict
