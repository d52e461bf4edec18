package vm

import "github.com/open-policy-agent/opa/v1/ir"

// undefined leaves the block that a statement stands in.
const undefined = 1

// defined goes on if v has a value.
func defined(v *Value) int {
	if v == nil {
		return undefined
	}
	return 0
}

func holds(b bool) int {
	if b {
		return 0
	}
	return undefined
}

// statement compiles one. Those that make a value are in make, those with blocks
// of their own in control.
func (c *compiler) statement(s ir.Stmt) statement {
	switch s := s.(type) {
	case *ir.DotStmt:
		return c.dot(s)
	case *ir.CallStmt:
		return c.call(s)
	case *ir.CallDynamicStmt:
		return c.callDynamic(s)
	case *ir.EqualStmt:
		return c.equal(s)
	case *ir.NotEqualStmt:
		return c.notEqual(s)
	case *ir.AssignVarStmt:
		return c.assign(s)
	case *ir.AssignVarOnceStmt:
		return c.assignOnce(s)
	case *ir.ReturnLocalStmt: // the function's value is what the local holds
		l := c.local(s.Source)
		return func(m *Machine, f []*Value) int { m.returned = f[l]; return leaveFunction }
	case *ir.ResultSetAddStmt: // the local's value is one of the results of the query
		l := c.local(s.Value)
		return func(m *Machine, f []*Value) int { m.results = append(m.results, f[l]); return 0 }
	case *ir.IsArrayStmt:
		return c.is(s.Source, kArray)
	case *ir.IsObjectStmt:
		return c.is(s.Source, kObject)
	case *ir.IsSetStmt:
		return c.is(s.Source, kSet)
	case *ir.IsDefinedStmt:
		l := c.local(s.Source)
		return func(_ *Machine, f []*Value) int { return defined(f[l]) }
	case *ir.IsUndefinedStmt:
		l := c.local(s.Source)
		return func(_ *Machine, f []*Value) int { return holds(f[l] == nil) }
	case *ir.BlockStmt, *ir.BreakStmt, *ir.ScanStmt, *ir.NotStmt, *ir.WithStmt, *ir.NopStmt:
		return c.control(s)
	}
	return c.make(s)
}

// dot takes the member of a value under a key; undefined if there is none.
func (c *compiler) dot(s *ir.DotStmt) statement {
	source, key, target := c.operand(s.Source), c.operand(s.Key), c.local(s.Target)
	switch {
	case source.constant != nil: // a string or a boolean has no members
		return func(*Machine, []*Value) int { return undefined }
	case key.constant != nil && key.constant.kind == kString:
		from, name := source.local, key.constant.s
		return func(m *Machine, f []*Value) int {
			v := f[from]
			if v == nil {
				return undefined
			}
			v = m.getString(v, name)
			f[target] = v
			return defined(v)
		}
	}
	return func(m *Machine, f []*Value) int {
		v, k := source.get(f), key.get(f)
		if v == nil || k == nil {
			return undefined
		}
		v = m.get(v, k)
		f[target] = v
		return defined(v)
	}
}

// equal goes on if two values are equal.
func (c *compiler) equal(s *ir.EqualStmt) statement {
	a, b := c.operand(s.A), c.operand(s.B)
	return func(m *Machine, f []*Value) int {
		x, y := a.get(f), b.get(f)
		return holds(x != nil && y != nil && m.equal(x, y))
	}
}

// notEqual goes on if two values differ. Against false it is how plans ask whether something holds.
func (c *compiler) notEqual(s *ir.NotEqualStmt) statement {
	a, b := c.operand(s.A), c.operand(s.B)
	if a.constant == nil && b.constant == vFalse {
		l := a.local
		return func(_ *Machine, f []*Value) int {
			v := f[l]
			return holds(v != nil && v.kind != kFalse)
		}
	}
	return func(m *Machine, f []*Value) int {
		x, y := a.get(f), b.get(f)
		return holds(x != nil && y != nil && !m.equal(x, y))
	}
}

// is goes on if a value is of a kind.
func (c *compiler) is(o ir.Operand, k kind) statement {
	source := c.operand(o)
	return func(_ *Machine, f []*Value) int {
		v := source.get(f)
		return holds(v != nil && v.kind == k)
	}
}

// assign gives a local the value of another, or a constant.
func (c *compiler) assign(s *ir.AssignVarStmt) statement {
	source, target := c.operand(s.Source), c.local(s.Target)
	if source.constant != nil {
		return assignConstant(target, source.constant)
	}
	from := source.local
	return func(_ *Machine, f []*Value) int { f[target] = f[from]; return 0 }
}

func assignConstant(target int, v *Value) statement {
	return func(_ *Machine, f []*Value) int { f[target] = v; return 0 }
}

// assignOnce gives a rule its value. A second one must be equal; the first stays,
// since equal numbers may be written differently.
func (c *compiler) assignOnce(s *ir.AssignVarOnceStmt) statement {
	source, target := c.operand(s.Source), c.local(s.Target)
	return func(m *Machine, f []*Value) int {
		v := source.get(f)
		switch old := f[target]; {
		case old == nil:
			f[target] = v
		case v == nil || !m.equal(old, v):
			m.fail(errConflict)
			return leaveAll
		}
		return 0
	}
}
