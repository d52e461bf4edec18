package vm

import (
	"strconv"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ir"
)

// make compiles the statements that make values and put values into them.
func (c *compiler) make(s ir.Stmt) statement {
	switch s := s.(type) {
	case *ir.MakeNullStmt:
		return assignConstant(c.local(s.Target), vNull)
	case *ir.MakeNumberIntStmt:
		return assignConstant(c.local(s.Target), integerConstant(s.Value))
	case *ir.AssignIntStmt:
		return assignConstant(c.local(s.Target), integerConstant(s.Value))
	case *ir.MakeNumberRefStmt:
		return assignConstant(c.local(s.Target), c.numberConstant(s))
	case *ir.MakeArrayStmt:
		return makeEmpty(c.local(s.Target), kArray)
	case *ir.MakeObjectStmt:
		c.made[s.Target] = c.depth
		return makeEmpty(c.local(s.Target), kObject)
	case *ir.MakeSetStmt:
		c.made[s.Target] = c.depth
		return makeEmpty(c.local(s.Target), kSet)
	case *ir.ResetLocalStmt: // the local has no value any more
		l := c.local(s.Target)
		return func(_ *Machine, f []*Value) int { f[l] = nil; return 0 }
	case *ir.LenStmt:
		return c.length(s)
	case *ir.ArrayAppendStmt:
		return c.arrayAppend(s)
	case *ir.SetAddStmt:
		return c.setAdd(s)
	case *ir.ObjectInsertStmt:
		return c.objectInsert(s)
	case *ir.ObjectInsertOnceStmt:
		return c.objectInsertOnce(s)
	case *ir.ObjectMergeStmt:
		return c.objectMerge(s)
	}
	c.fail("the plan has a statement of an unknown kind, %T", s)
	return nil
}

func integerConstant(i int64) *Value { return &Value{kind: kNumber, s: strconv.FormatInt(i, 10)} }

func (c *compiler) numberConstant(s *ir.MakeNumberRefStmt) *Value {
	literal := c.strings[s.Index].s
	ok, wild := sound(literal)
	if !ok {
		c.fail("the plan has a number that is out of range, %.50s", literal)
	}
	c.policy.wild = c.policy.wild || wild
	return &Value{kind: kNumber, s: literal}
}

func makeEmpty(target int, k kind) statement {
	return func(m *Machine, f []*Value) int { f[target] = m.made(k); return 0 }
}

// length is the number of members, or of runes.
func (c *compiler) length(s *ir.LenStmt) statement {
	source, target := c.operand(s.Source), c.local(s.Target)
	return func(m *Machine, f []*Value) int {
		v := source.get(f)
		switch {
		case v == nil:
			return undefined
		case v.container() || v.kind == kSet:
			f[target] = m.int(m.length(v))
		case v.kind == kString:
			f[target] = m.int(utf8.RuneCountInString(v.s))
		default:
			return undefined
		}
		return 0
	}
}

// arrayAppend appends to an array that the plan itself made.
func (c *compiler) arrayAppend(s *ir.ArrayAppendStmt) statement {
	value, array := c.operand(s.Value), c.local(s.Array)
	return func(m *Machine, f []*Value) int {
		m.charge(8)
		a := f[array].c
		a.keys = append(a.keys, value.get(f))
		return 0
	}
}

// setAdd adds to a set, unless an equal value is in it.
func (c *compiler) setAdd(s *ir.SetAddStmt) statement {
	value, set := c.operand(s.Value), c.local(s.Set)
	if c.writtenOut(s.Set, value) {
		return func(m *Machine, f []*Value) int {
			f[set].c.written = true
			m.addToSet(f[set], value.get(f))
			return 0
		}
	}
	return func(m *Machine, f []*Value) int { m.addToSet(f[set], value.get(f)); return 0 }
}

// writtenOut tells whether a set or an object is written out and k is no constant:
// see ErrWritten. What puts members into a comprehension or a rule is not in the
// block that makes it.
func (c *compiler) writtenOut(l ir.Local, k operand) bool {
	return c.made[l] == c.depth && k.constant == nil
}

// objectInsert sets a key; what was there goes.
func (c *compiler) objectInsert(s *ir.ObjectInsertStmt) statement {
	key, value, object := c.operand(s.Key), c.operand(s.Value), c.local(s.Object)
	if c.writtenOut(s.Object, key) {
		return func(m *Machine, f []*Value) int {
			o, k := f[object], key.get(f)
			o.c.written = true
			m.written = m.written || m.find(o.c, k) >= 0 // which value it has depends on OPA's order
			m.insert(o, k, value.get(f))
			return 0
		}
	}
	return func(m *Machine, f []*Value) int { m.insert(f[object], key.get(f), value.get(f)); return 0 }
}

// objectInsertOnce sets a key of which an object may have one value only. Of equal
// ones, as 1 and 1.0, the last stays in a comprehension, which puts them into an
// object that an open block makes, and the first in a rule.
func (c *compiler) objectInsertOnce(s *ir.ObjectInsertOnceStmt) statement {
	key, value, object := c.operand(s.Key), c.operand(s.Value), c.local(s.Object)
	_, last := c.made[s.Object]
	return func(m *Machine, f []*Value) int {
		o, k, v := f[object], key.get(f), value.get(f)
		i := m.find(o.c, k)
		switch {
		case i < 0:
			m.add(o.c, k, v)
		case m.equal(o.c.vals[i], v):
			if last {
				o.c.vals[i] = v
			}
		default:
			m.fail(errConflict)
			return leaveAll
		}
		return 0
	}
}

// objectMerge lays a base document over what rules say.
func (c *compiler) objectMerge(s *ir.ObjectMergeStmt) statement {
	a, b, target := c.local(s.A), c.local(s.B), c.local(s.Target)
	return func(m *Machine, f []*Value) int { f[target] = m.merge(f[a], f[b]); return 0 }
}
