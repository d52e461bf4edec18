package evaluate

import (
	"strconv"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
)

// run is one function of the plan as it runs. A local that is not in env is undefined.
type run struct {
	*inquiry
	env      map[ir.Local]ast.Value
	returned ast.Value
}

// left says how a block ended: by its end, by leaving it and some around it, or
// by a return.
type left int

const (
	atEnd    left = -1
	returned left = -2
	// 0 leaves the block itself, 1 also the one around it, and so on
)

// dataRoot stands for the data document; what lies below is read when it is asked for.
var dataRoot = ast.Ref{ast.DefaultRootDocument}

// rule is the value of a rule without arguments, nil if it is undefined.
func (q *inquiry) rule(path string) (ast.Value, error) {
	f := q.plan.Funcs["g0.data."+path]
	if f == nil {
		return nil, errUnclear
	}
	return q.call(f, []ast.Value{q.input, dataRoot})
}

func (q *inquiry) call(f *ir.Func, args []ast.Value) (ast.Value, error) {
	plain := len(args) == 2
	if v, ok := q.memo[f.Name]; ok && plain {
		return v, nil
	}
	r := &run{inquiry: q, env: map[ir.Local]ast.Value{}}
	for i, p := range f.Params {
		if i < len(args) && args[i] != nil {
			r.env[p] = args[i]
		}
	}
	for _, b := range f.Blocks {
		end, err := r.block(b)
		if err != nil {
			return nil, err
		}
		if end == returned {
			break
		}
		if end > 0 {
			return nil, errUnclear // no plan leaves its function so
		}
	}
	if plain {
		q.memo[f.Name] = r.returned
	}
	return r.returned, nil
}

func (r *run) block(b *ir.Block) (left, error) {
	for _, s := range b.Stmts {
		if r.steps++; r.steps > maxSteps || r.view.cancel != nil && r.view.cancel.Cancelled() {
			return 0, errUnclear
		}
		if end, err := r.stmt(s); err != nil || end != atEnd {
			return end, err
		}
	}
	return atEnd, nil
}

// stmt runs one statement: atEnd goes on with the next, 0 leaves the block.
func (r *run) stmt(s ir.Stmt) (left, error) {
	switch s := s.(type) {
	case *ir.BlockStmt:
		for _, b := range s.Blocks {
			if end, err := r.block(b); err != nil || end == returned || end > 0 {
				return outward(end), err
			}
		}
		return atEnd, nil
	case *ir.BreakStmt:
		return left(s.Index), nil
	case *ir.ScanStmt:
		return r.scan(s)
	case *ir.NotStmt:
		end, err := r.block(s.Block)
		switch {
		case err != nil || end == returned || end > 0:
			return outward(end), err
		case end == atEnd:
			return 0, nil
		}
		return atEnd, nil
	case *ir.ReturnLocalStmt:
		r.returned = r.env[s.Source]
		return returned, nil
	case *ir.CallStmt:
		return r.define(s.Result)(r.callStmt(s))
	case *ir.DotStmt:
		return r.define(s.Target)(r.dot(r.given(s.Source), r.operand(s.Key)))
	case *ir.EqualStmt:
		return holds(r.equal(r.operand(s.A), r.operand(s.B)))
	case *ir.NotEqualStmt:
		same, err := r.equal(r.operand(s.A), r.operand(s.B))
		return holds(!same, err)
	default:
		return r.value(s)
	}
}

// outward is the way out as the block around sees it.
func outward(end left) left {
	if end > 0 {
		return end - 1
	}
	return end
}

func holds(ok bool, err error) (left, error) {
	if !ok {
		return 0, err
	}
	return atEnd, err
}

// define gives a local what was found, or leaves the block where nothing was.
func (r *run) define(l ir.Local) func(ast.Value, error) (left, error) {
	return func(v ast.Value, err error) (left, error) {
		if err != nil || v == nil {
			return 0, err
		}
		r.env[l] = v
		return atEnd, nil
	}
}

// value runs the statements that make, test and collect values.
func (r *run) value(s ir.Stmt) (left, error) {
	switch s := s.(type) {
	case *ir.AssignVarStmt:
		if v := r.given(s.Source); v != nil {
			r.env[s.Target] = v
		} else {
			delete(r.env, s.Target)
		}
	case *ir.AssignVarOnceStmt:
		old, v := r.env[s.Target], r.operand(s.Source)
		if old != nil && ast.Compare(old, v) != 0 { // a conflict, or one may be
			return 0, errUnclear
		}
		if old == nil {
			r.env[s.Target] = v
		}
	case *ir.AssignIntStmt:
		r.env[s.Target] = ast.Number(strconv.FormatInt(s.Value, 10))
	case *ir.MakeNumberIntStmt:
		r.env[s.Target] = ast.Number(strconv.FormatInt(s.Value, 10))
	case *ir.MakeNumberRefStmt:
		r.env[s.Target] = ast.Number(r.plan.Strings[s.Index])
	case *ir.MakeNullStmt:
		r.env[s.Target] = ast.Null{}
	case *ir.MakeArrayStmt:
		r.env[s.Target] = ast.NewArray()
	case *ir.MakeObjectStmt:
		r.env[s.Target] = ast.NewObject()
	case *ir.MakeSetStmt:
		r.env[s.Target] = ast.NewSet()
	case *ir.ResetLocalStmt:
		delete(r.env, s.Target)
	case *ir.IsDefinedStmt:
		return holds(r.env[s.Source] != nil, nil)
	case *ir.IsUndefinedStmt:
		return holds(r.env[s.Source] == nil, nil)
	case *ir.IsArrayStmt:
		return holds(r.isA("array", r.operand(s.Source)))
	case *ir.IsObjectStmt:
		return holds(r.isA("object", r.operand(s.Source)))
	case *ir.IsSetStmt:
		return holds(r.isA("set", r.operand(s.Source)))
	case *ir.LenStmt:
		n, err := r.count(r.operand(s.Source))
		return r.define(s.Target)(n, err)
	case *ir.NopStmt:
	default:
		return atEnd, r.collect(s)
	}
	return atEnd, nil
}
