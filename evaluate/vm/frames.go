package vm

import "github.com/open-policy-agent/opa/v1/ir"

// A function's frame has room for all its locals, fifty and more, most of which
// are written before they are read. Only the others have to be emptied when the
// function is called: emptying all of them took a tenth of the machine's time, most
// of it while garbage was collected.

// unwritten lists the locals of a function that may be read before they are
// written, or must be seen to be undefined.
func unwritten(params []ir.Local, blocks []*ir.Block, locals int) []int {
	w := follow(params, blocks)
	var out []int
	for l := range locals { // those beyond are of collections that were folded
		if w.empty[ir.Local(l)] {
			out = append(out, l)
		}
	}
	return out
}

// Unbound names a function of a plan that uses a variable before it has a value, ""
// if there is none. Of [x, y] = [y, 1] OPA's planner makes one that gives x what y
// does not have yet; OPA's evaluator unifies them.
func Unbound(p *ir.Policy) string {
	for _, f := range p.Funcs.Funcs {
		if follow(f.Params, f.Blocks).unbound {
			return f.Name
		}
	}
	return ""
}

// writes follows the statements of a function in the order in which they run.
type writes struct {
	sure    map[ir.Local]bool // locals that have certainly been written where we are
	empty   map[ir.Local]bool // locals that have to be emptied first
	ever    map[ir.Local]bool // locals that may have been written where we are
	unbound bool              // one is taken that cannot have been
}

func follow(params []ir.Local, blocks []*ir.Block) *writes {
	w := &writes{sure: map[ir.Local]bool{}, empty: map[ir.Local]bool{}, ever: map[ir.Local]bool{}}
	for _, l := range append([]ir.Local{ir.Input, ir.Data}, params...) {
		w.sure[l], w.ever[l] = true, true
	}
	for _, b := range blocks {
		w.block(b)
	}
	return w
}

// block follows one block. It may be left at any statement: what is written in
// it is certain only within.
func (w *writes) block(b *ir.Block) {
	var written []ir.Local
	for _, s := range b.Stmts {
		w.reads(s)
		if scan, ok := s.(*ir.ScanStmt); ok {
			w.within(scan.Block, scan.Key, scan.Value)
		} else {
			for _, inner := range blocksOf(s) {
				w.block(inner)
			}
		}
		if l, ok := target(s); ok && !w.sure[l] {
			w.sure[l], w.ever[l] = true, true
			written = append(written, l)
		}
	}
	for _, l := range written {
		w.sure[l] = false
	}
}

// within follows a block before which locals are written.
func (w *writes) within(b *ir.Block, locals ...ir.Local) {
	var written []ir.Local
	for _, l := range locals {
		if !w.sure[l] {
			w.sure[l], w.ever[l] = true, true
			written = append(written, l)
		}
	}
	w.block(b)
	for _, l := range written {
		w.sure[l] = false
	}
}

// reads notes the locals that a statement itself reads.
func (w *writes) reads(s ir.Stmt) {
	switch s := s.(type) {
	case *ir.ReturnLocalStmt:
		w.read(s.Source)
	case *ir.CallStmt:
		w.operands(s.Args...)
	case *ir.CallDynamicStmt:
		w.read(s.Args...)
		w.operands(s.Path...)
	case *ir.DotStmt:
		w.operands(s.Source, s.Key)
	case *ir.LenStmt:
		w.operands(s.Source)
	case *ir.ScanStmt:
		w.read(s.Source)
	case *ir.AssignVarStmt:
		w.operands(s.Source)
	case *ir.AssignVarOnceStmt:
		w.operands(s.Source)
		w.read(s.Target)
	case *ir.EqualStmt:
		w.operands(s.A, s.B)
	case *ir.NotEqualStmt:
		w.operands(s.A, s.B)
	case *ir.IsArrayStmt:
		w.operands(s.Source)
	case *ir.IsObjectStmt:
		w.operands(s.Source)
	case *ir.IsSetStmt:
		w.operands(s.Source)
	case *ir.ArrayAppendStmt:
		w.operands(s.Value)
		w.read(s.Array)
	case *ir.ObjectInsertStmt:
		w.operands(s.Key, s.Value)
		w.read(s.Object)
	case *ir.ObjectInsertOnceStmt:
		w.operands(s.Key, s.Value)
		w.read(s.Object)
	case *ir.ObjectMergeStmt:
		w.read(s.A, s.B)
	case *ir.SetAddStmt:
		w.operands(s.Value)
		w.read(s.Set)
	case *ir.IsDefinedStmt:
		w.read(s.Source)
	case *ir.IsUndefinedStmt:
		w.read(s.Source)
	case *ir.ResultSetAddStmt:
		w.read(s.Value)
	case *ir.WithStmt:
		w.operands(s.Value)
		w.read(s.Local)
	case *ir.MakeNullStmt, *ir.MakeNumberIntStmt, *ir.AssignIntStmt, *ir.MakeNumberRefStmt, *ir.MakeArrayStmt, *ir.MakeObjectStmt,
		*ir.MakeSetStmt, *ir.ResetLocalStmt, *ir.BlockStmt, *ir.BreakStmt, *ir.NotStmt, *ir.NopStmt: // none
	} // the compiler refuses others
}

func (w *writes) read(locals ...ir.Local) {
	for _, l := range locals {
		if !w.sure[l] {
			w.empty[l] = true
		}
	}
}

func (w *writes) operands(list ...ir.Operand) {
	for _, o := range list {
		switch l := o.Value.(type) {
		case ir.Local:
			w.take(l)
		case *ir.Local:
			w.take(*l)
		}
	}
}

// take notes that the value of a local is wanted, not only whether it has one.
func (w *writes) take(l ir.Local) {
	w.read(l)
	w.unbound = w.unbound || !w.ever[l]
}

// target is the local that a statement has certainly written once it goes on.
func target(s ir.Stmt) (ir.Local, bool) {
	switch s := s.(type) {
	case *ir.CallStmt:
		return s.Result, true
	case *ir.CallDynamicStmt:
		return s.Result, true
	case *ir.DotStmt:
		return s.Target, true
	case *ir.LenStmt:
		return s.Target, true
	case *ir.AssignIntStmt:
		return s.Target, true
	case *ir.AssignVarStmt:
		return s.Target, true
	case *ir.AssignVarOnceStmt:
		return s.Target, true
	case *ir.ResetLocalStmt:
		return s.Target, true
	case *ir.MakeNullStmt:
		return s.Target, true
	case *ir.MakeNumberIntStmt:
		return s.Target, true
	case *ir.MakeNumberRefStmt:
		return s.Target, true
	case *ir.MakeArrayStmt:
		return s.Target, true
	case *ir.MakeObjectStmt:
		return s.Target, true
	case *ir.MakeSetStmt:
		return s.Target, true
	case *ir.ObjectMergeStmt:
		return s.Target, true
	}
	return 0, false
}
