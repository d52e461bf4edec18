package vm

import (
	"reflect"

	"github.com/open-policy-agent/opa/v1/ir"
)

// fold finds, at the front of some statements, a collection built of constants
// alone, and makes a constant of it: policies compare with sets of many
// literals, and would build them for every resource. It returns the local that
// the collection goes to and how many statements it replaces, or 0.
func (c *compiler) fold(list []ir.Stmt) (v *Value, target ir.Local, n int) {
	if !isMake(list[0]) {
		return nil, 0, 0
	}
	b := &folding{c: c, m: &Machine{wild: c.policy.wild}, made: map[ir.Local]*Value{}}
	b.m.idle()
	for n < len(list) && b.take(list[n]) {
		n++
	}
	if b.adds == 0 || changedIn(list[n:], b.root) {
		return nil, 0, 0
	}
	for l := range b.made { // nothing but the collection itself may be used afterwards
		if l != b.root && mentioned(list[n:], l) {
			return nil, 0, 0
		}
	}
	v = b.made[b.root]
	freeze(v)
	return v, b.root, n
}

// folding is a collection being built while compiling.
type folding struct {
	c    *compiler
	m    *Machine
	made map[ir.Local]*Value
	root ir.Local
	adds int
}

func isMake(s ir.Stmt) bool {
	switch s.(type) {
	case *ir.MakeArrayStmt, *ir.MakeObjectStmt, *ir.MakeSetStmt:
		return true
	}
	return false
}

// take runs one statement, if everything it needs is constant.
func (b *folding) take(s ir.Stmt) bool {
	switch s := s.(type) {
	case *ir.MakeSetStmt:
		return b.begin(s.Target, kSet)
	case *ir.MakeArrayStmt:
		return b.begin(s.Target, kArray)
	case *ir.MakeObjectStmt:
		return b.begin(s.Target, kObject)
	case *ir.MakeNumberRefStmt:
		return b.set(s.Target, b.c.numberConstant(s))
	case *ir.MakeNumberIntStmt:
		return b.set(s.Target, integerConstant(s.Value))
	case *ir.MakeNullStmt:
		return b.set(s.Target, vNull)
	case *ir.SetAddStmt:
		return b.put(s.Set, kSet, nil, b.constant(s.Value))
	case *ir.ArrayAppendStmt:
		return b.put(s.Array, kArray, nil, b.constant(s.Value))
	case *ir.ObjectInsertStmt:
		key := b.constant(s.Key)
		return key != nil && b.put(s.Object, kObject, key, b.constant(s.Value))
	}
	return false
}

func (b *folding) begin(l ir.Local, k kind) bool {
	if len(b.made) == 0 {
		b.root = l
	}
	return b.set(l, &Value{kind: k, c: &composite{}})
}

func (b *folding) set(l ir.Local, v *Value) bool {
	if b.made[l] != nil { // used again: not one collection any more
		return false
	}
	b.made[l] = v
	return true
}

func (b *folding) constant(o ir.Operand) *Value {
	switch l := o.Value.(type) {
	case ir.Local:
		return b.made[l]
	case *ir.Local:
		return b.made[*l]
	}
	return b.c.constant(o)
}

func (b *folding) put(container ir.Local, k kind, key, v *Value) bool {
	into := b.made[container]
	if v == nil || into == nil || into.kind != k {
		return false
	}
	b.adds++
	switch k {
	case kSet:
		b.m.addToSet(into, v)
	case kArray:
		into.c.keys = append(into.c.keys, v)
	default:
		b.m.insert(into, key, v)
	}
	return true
}

// changedIn tells whether statements put something into a collection.
func changedIn(list []ir.Stmt, l ir.Local) bool {
	for _, s := range list {
		switch s := s.(type) {
		case *ir.SetAddStmt:
			if s.Set == l {
				return true
			}
		case *ir.ArrayAppendStmt:
			if s.Array == l {
				return true
			}
		case *ir.ObjectInsertStmt:
			if s.Object == l {
				return true
			}
		case *ir.ObjectInsertOnceStmt:
			if s.Object == l {
				return true
			}
		}
		for _, b := range blocksOf(s) {
			if changedIn(b.Stmts, l) {
				return true
			}
		}
	}
	return false
}

// mentioned tells whether statements use a local in any way, by a look at all
// their fields: compiling may be slow, and no statement may be forgotten.
func mentioned(list []ir.Stmt, l ir.Local) bool {
	for _, s := range list {
		v := reflect.ValueOf(s).Elem()
		for i := range v.NumField() {
			if uses(v.Field(i).Interface(), l) {
				return true
			}
		}
		for _, b := range blocksOf(s) {
			if mentioned(b.Stmts, l) {
				return true
			}
		}
	}
	return false
}

func uses(field any, l ir.Local) bool {
	switch x := field.(type) {
	case ir.Local:
		return x == l
	case []ir.Local:
		for _, y := range x {
			if y == l {
				return true
			}
		}
	case ir.Operand:
		switch y := x.Value.(type) {
		case ir.Local:
			return y == l
		case *ir.Local:
			return *y == l
		}
	case []ir.Operand:
		for _, o := range x {
			if uses(o, l) {
				return true
			}
		}
	}
	return false
}
