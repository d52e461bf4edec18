package vm

import "github.com/open-policy-agent/opa/v1/ir"

// control compiles the statements that hold blocks, or leave them.
func (c *compiler) control(s ir.Stmt) statement {
	switch s := s.(type) {
	case *ir.BlockStmt:
		return blocks(c.blocks(s.Blocks))
	case *ir.BreakStmt: // leaves the block it stands in, and Index more
		n := int(s.Index) + 1
		return func(*Machine, []*Value) int { return n }
	case *ir.ScanStmt:
		return c.scan(s)
	case *ir.NotStmt:
		return not(c.block(s.Block))
	case *ir.WithStmt:
		return c.with(s)
	}
	return nil // NopStmt does nothing
}

// left turns what a nested block returned into what the statement around it
// returns: the nested block itself is one of those left.
func left(r int) int {
	if r == 0 || r >= leaveFunction {
		return r
	}
	return r - 1
}

// blocks runs one block after another; one that is undefined ends only itself.
func blocks(list []block) statement {
	return func(m *Machine, f []*Value) int {
		for _, b := range list {
			if r := left(m.run(f, b)); r != 0 {
				return r
			}
		}
		return 0
	}
}

// not goes on if its block is undefined.
func not(b block) statement {
	return func(m *Machine, f []*Value) int {
		switch r := m.run(f, b); {
		case r == 0:
			return undefined
		default:
			return left(r)
		}
	}
}

// scan runs its block for every member of a container; one time being undefined
// ends only that time. Of anything else there are no members.
func (c *compiler) scan(s *ir.ScanStmt) statement {
	source, key, value := c.local(s.Source), c.local(s.Key), c.local(s.Value)
	body, inOrder := c.block(s.Block), orderShows(s.Block)
	return func(m *Machine, f []*Value) int {
		v := f[source]
		if v == nil {
			return 0
		}
		switch v.kind {
		case kArray:
			if v.c == nil {
				return m.scanTape(f, v, key, value, body)
			}
			return m.scanArray(f, v.c.keys, key, value, body)
		case kSet:
			m.written = m.written || inOrder && v.c.written
			list := v.c.keys
			if inOrder {
				list = m.ordered(v)
			}
			return m.scanPairs(f, list, list, key, value, body)
		case kObject:
			m.written = m.written || inOrder && v.c != nil && v.c.written
			keys, vals := m.members(v)
			return m.scanPairs(f, keys, vals, key, value, body)
		case kEstate:
			m.fail(errUnbound)
			return leaveAll
		}
		return 0
	}
}

// scanTape scans an array on the tape without gathering its elements.
func (m *Machine) scanTape(f []*Value, v *Value, key, value int, body block) int {
	n := 0
	for i := int(v.at) + 1; i < int(v.end); n++ {
		e := &m.doc.nodes[i]
		f[key], f[value] = m.int(n), e
		i = e.next(i)
		if r := left(m.run(f, body)); r != 0 {
			return r
		}
	}
	return 0
}

func (m *Machine) scanArray(f, elements []*Value, key, value int, body block) int {
	for i, e := range elements {
		f[key], f[value] = m.int(i), e
		if r := left(m.run(f, body)); r != 0 {
			return r
		}
	}
	return 0
}

func (m *Machine) scanPairs(f, keys, vals []*Value, key, value int, body block) int {
	for i := range keys {
		f[key], f[value] = keys[i], vals[i]
		if r := left(m.run(f, body)); r != 0 {
			return r
		}
	}
	return 0
}

// orderShows tells whether the order in which a set is scanned can be seen
// afterwards: in an array, in which of two equal values stays, in whether a call
// fails before the scan is left.
func orderShows(b *ir.Block) bool {
	own := map[ir.Local]bool{} // arrays made within, and so once for each element
	var shows func(b *ir.Block) bool
	shows = func(b *ir.Block) bool {
		for _, s := range b.Stmts {
			switch s := s.(type) {
			case *ir.MakeArrayStmt:
				own[s.Target] = true
			case *ir.ArrayAppendStmt:
				if !own[s.Array] {
					return true
				}
			case *ir.AssignVarOnceStmt, *ir.ResultSetAddStmt, *ir.ObjectInsertOnceStmt, *ir.CallStmt, *ir.CallDynamicStmt:
				return true
			}
			for _, inner := range blocksOf(s) {
				if shows(inner) {
					return true
				}
			}
		}
		return false
	}
	return shows(b)
}

// with runs its block while a document, or what is at a path of it, is another.
// What rules came to before counts again only afterwards.
func (c *compiler) with(s *ir.WithStmt) statement {
	local, value, body := c.local(s.Local), c.operand(s.Value), c.block(s.Block)
	path := make([]*Value, len(s.Path))
	for i, p := range s.Path {
		path[i] = c.strings[p]
	}
	return func(m *Machine, f []*Value) int {
		v := value.get(f)
		if v == nil && len(path) > 0 {
			return undefined
		} // without a path it is how plans give back an input that there was not
		before, document, call := f[local], m.document, m.call
		m.step(len(m.memo) >> 2)
		remembered := append([]memo(nil), m.memo...)
		m.next(&m.document)
		m.next(&m.call)
		f[local] = m.upsert(before, path, v)
		r := m.run(f, body)
		f[local], m.document, m.call = before, document, call
		copy(m.memo, remembered)
		return r
	}
}
