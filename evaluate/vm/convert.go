package vm

import (
	"encoding/json"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// ToOPA converts a value of a call that has ended to OPA's form.
func (m *Machine) ToOPA(v *Value) *ast.Term {
	m.idle()
	return m.toOPA(v)
}

func (m *Machine) toOPA(v *Value) *ast.Term {
	if m.steps < 0 && m.stop() {
		return ast.NullTerm()
	}
	switch v.kind {
	case kNull:
		return ast.NullTerm()
	case kFalse:
		return ast.InternedTerm(false)
	case kTrue:
		return ast.InternedTerm(true)
	case kNumber:
		m.step(NumberCost(v.s))
		return ast.NumberTerm(json.Number(v.s))
	case kString:
		m.step(len(v.s) >> 4)
		if m.cloning {
			return ast.StringTerm(strings.Clone(v.s))
		}
		return ast.StringTerm(v.s)
	case kArray:
		return ast.ArrayTerm(m.terms(m.elements(v))...)
	case kSet:
		m.colliding(v.c.keys)
		return ast.SetTerm(m.terms(v.c.keys)...)
	case kEstate:
		m.fail(errUnbound)
		return ast.NullTerm()
	}
	keys, vals := m.members(v)
	m.charge(len(keys) * 64)
	m.step(len(keys))
	m.colliding(keys)
	pairs := make([][2]*ast.Term, len(keys))
	for i := range keys {
		pairs[i] = [2]*ast.Term{m.toOPA(keys[i]), m.toOPA(vals[i])}
	}
	return ast.ObjectTerm(pairs...)
}

// colliding takes the steps of a set or an object of OPA's over keys that it hashes
// alike: numbers by their integer part, and those that exceed it all by the same.
// Each is compared with all that are there.
func (m *Machine) colliding(keys []*Value) {
	n, cost := 0, 0
	for _, k := range keys {
		if c := m.fraction(k); c > 0 {
			n, cost = n+1, max(cost, c)
		}
	}
	if n > indexFrom {
		m.afford(times(times(n, n), cost) >> 1)
	}
}

// fraction is what it costs to compare the dearest number in a key that is no plain integer.
func (m *Machine) fraction(v *Value) (cost int) {
	switch v.kind {
	case kNumber:
		return NumberCost(v.s)
	case kArray, kSet:
		for _, e := range m.elements(v) {
			cost = max(cost, m.fraction(e))
		}
	case kObject:
		keys, vals := m.members(v)
		for i := range keys {
			cost = max(cost, m.fraction(keys[i]), m.fraction(vals[i]))
		}
	}
	return cost
}

func (m *Machine) terms(list []*Value) []*ast.Term {
	m.charge(len(list) * 64)
	m.step(len(list))
	out := make([]*ast.Term, len(list))
	for i, e := range list {
		out[i] = m.toOPA(e)
	}
	return out
}

// FromOPA converts a value of OPA's. It belongs to no machine and is not changed
// by those that read it.
func FromOPA(v ast.Value) *Value {
	switch v := v.(type) {
	case ast.Boolean:
		return boolean(bool(v))
	case ast.Number:
		return &Value{kind: kNumber, s: string(v)}
	case ast.String:
		return &Value{kind: kString, s: string(v)}
	case *ast.Array:
		c := &composite{sorted: true}
		v.Foreach(func(t *ast.Term) { c.keys = append(c.keys, FromOPA(t.Value)) })
		return &Value{kind: kArray, c: c}
	case ast.Set:
		c := &composite{sorted: true}
		v.Sorted().Foreach(func(t *ast.Term) { c.keys = append(c.keys, FromOPA(t.Value)) })
		return &Value{kind: kSet, c: c}
	case ast.Object:
		c := &composite{sorted: true}
		for _, k := range v.Keys() { // Keys are sorted
			c.keys, c.vals = append(c.keys, FromOPA(k.Value)), append(c.vals, FromOPA(v.Get(k).Value))
		}
		return &Value{kind: kObject, c: c}
	}
	return vNull
}
