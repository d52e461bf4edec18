package vm

import "github.com/open-policy-agent/opa/v1/ir"

// spread finds the functions that can look up the estate: those that take
// anything of data but a part that is known not to be the estate, and those that
// call one. What they came to is not shared between calls, each of which records
// the look-ups it rests on.
func (p *Policy) spread(funcs []*ir.Func) {
	for changed := true; changed; {
		changed = false
		for _, f := range funcs {
			g := p.functions[f.Name]
			if g.asks {
				continue
			}
			for _, b := range f.Blocks {
				g.asks = g.asks || p.blockAsks(b)
			}
			changed = changed || g.asks
		}
	}
}

// Asks tells whether a rule can look up the estate. Of one that is not there
// nobody can tell.
func (r *Rule) Asks() bool { return r == nil || r.asks }

func (p *Policy) blockAsks(b *ir.Block) bool {
	for _, s := range b.Stmts {
		if p.asks(s) {
			return true
		}
		for _, inner := range blocksOf(s) {
			if p.blockAsks(inner) {
				return true
			}
		}
	}
	return false
}

func (p *Policy) asks(s ir.Stmt) bool {
	switch s := s.(type) {
	case *ir.CallStmt:
		g := p.functions[s.Func]
		for i, a := range s.Args {
			if isData(a) && (g == nil || i != 1) {
				return true
			}
		}
		return g != nil && g.asks
	case *ir.CallDynamicStmt:
		return true
	case *ir.DotStmt:
		return isData(s.Source) && !p.elsewhere(s.Key)
	case *ir.ScanStmt:
		return s.Source == ir.Data
	case *ir.WithStmt:
		return isData(s.Value) || s.Local == ir.Data
	case *ir.AssignVarStmt:
		return isData(s.Source)
	case *ir.AssignVarOnceStmt:
		return isData(s.Source)
	case *ir.ReturnLocalStmt:
		return s.Source == ir.Data
	}
	return false
}

// elsewhere tells whether a key of data is known and is not the estate.
func (p *Policy) elsewhere(key ir.Operand) bool {
	switch i := key.Value.(type) {
	case ir.StringIndex:
		return p.strings[i] != "estate"
	case *ir.StringIndex:
		return p.strings[*i] != "estate"
	}
	return false
}

func isData(o ir.Operand) bool {
	switch l := o.Value.(type) {
	case ir.Local:
		return l == ir.Data
	case *ir.Local:
		return *l == ir.Data
	}
	return false
}

// blocksOf are the blocks within a statement.
func blocksOf(s ir.Stmt) []*ir.Block {
	switch s := s.(type) {
	case *ir.BlockStmt:
		return s.Blocks
	case *ir.ScanStmt:
		return []*ir.Block{s.Block}
	case *ir.NotStmt:
		return []*ir.Block{s.Block}
	case *ir.WithStmt:
		return []*ir.Block{s.Block}
	}
	return nil
}
