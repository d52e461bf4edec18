package plan

import (
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
)

// Reads tells what a rule can read: an abstract run of its plan, in which a
// value is the set of places it may come from.
// Rules named in skip are taken as read elsewhere.
func (p *Plan) Reads(rule string, skip ...string) Reads {
	set := newReadSet()
	f := p.Funcs["g0.data."+rule]
	if f == nil { // nothing is known of it
		return everything.reads()
	}
	p.reading.Lock()
	defer p.reading.Unlock()
	a := p.analysis(skip)
	a.set = set
	a.escape(a.call(f, []value{{places: []string{"input"}}, {places: []string{"data"}}}))
	return set.reads()
}

// analysis is the one in which some rules are taken as read elsewhere: controls
// call mostly the same functions, which it has run for those before.
func (p *Plan) analysis(skip []string) *analysis {
	key := strings.Join(skip, " ")
	if a := p.analyses[key]; a != nil {
		return a
	}
	a := &analysis{plan: p, memo: map[string]flow{}, skip: map[string]bool{}}
	for _, s := range skip {
		a.skip["g0.data."+s] = true
	}
	if p.analyses == nil {
		p.analyses = map[string]*analysis{}
	}
	p.analyses[key] = a
	return a
}

// flow is what a call comes to: its value, and what it reads.
type flow struct {
	returned value
	reads    *readSet
}

// analysis runs functions abstractly, each once for each combination of arguments.
type analysis struct {
	plan *Plan
	set  *readSet // of the function under analysis
	memo map[string]flow
	skip map[string]bool

	lists [][]change // that were used
}

// frame is one function under analysis. A local takes a new value within a
// block; what a nested block gave it may or may not hold after the block.
type frame struct {
	*analysis
	env      []local           // by number
	changed  [][]change        // for each open block, the locals changed in it
	given    map[ir.Local]bool // by AssignVarOnceStmt
	begun    int               // how many blocks were
	numbers  []int             // of the open blocks, among those begun
	returned value
}

// local is what a local may hold, and where its last change is noted.
type local struct {
	value
	block, at int // number of the block that changed it last, and index there
}

// change is what a local was when a block began, and all that it was given in it.
type change struct {
	local  ir.Local
	before local
	given  value
}

func (a *analysis) call(f *ir.Func, args []value) value {
	key := nameOf(f, args)
	if known, ok := a.memo[key]; ok {
		a.set.add(known.reads)
		return known.returned
	}
	a.memo[key] = flow{anything, &everything} // Rego has no recursion; a plan that had would stop here
	caller := a.set
	a.set = newReadSet()
	fr := &frame{analysis: a, given: map[ir.Local]bool{}}
	for i, p := range f.Params {
		if i < len(args) {
			fr.local(p).value = args[i]
		}
	}
	for _, b := range f.Blocks {
		fr.nested(b)
	}
	a.memo[key] = flow{fr.returned, a.set}
	caller.add(a.set)
	a.set = caller
	return fr.returned
}

// list is an empty one, used before if there is such.
func (a *analysis) list() (out []change) {
	if n := len(a.lists); n > 0 {
		out, a.lists = a.lists[n-1], a.lists[:n-1]
	}
	return out
}

// nameOf names a function with its arguments.
func nameOf(f *ir.Func, args []value) string {
	b := []byte(f.Name)
	for i := range args {
		b = args[i].append(b)
	}
	return string(b)
}

// nested runs a block that may be left early: what it gave a local may hold afterwards.
// It tells whether any local may now be more than before.
func (f *frame) nested(b *ir.Block) (grown bool) {
	f.begun++
	f.changed, f.numbers = append(f.changed, f.list()), append(f.numbers, f.begun)
	for _, s := range b.Stmts {
		f.stmt(s)
	}
	n := len(f.changed) - 1
	inside := f.changed[n]
	f.changed, f.numbers = f.changed[:n], f.numbers[:n]
	for i := range inside {
		c := &inside[i]
		joined := c.before.join(c.given)
		grown = grown || !joined.equal(c.before.value)
		*f.local(c.local) = c.before
		f.assign(c.local, joined)
	}
	f.lists = append(f.lists, inside[:0])
	return grown
}

// mostRuns of a loop are enough where values do not pass from one time to the
// next, as they cannot in Rego but for collections that are being built.
const mostRuns = 8

// loop runs a block that may be run any number of times, until another time adds nothing.
func (f *frame) loop(b *ir.Block) {
	for range mostRuns {
		if !f.nested(b) {
			return
		}
	}
	f.escape(value{places: []string{"input", "data"}})
}

// assign gives a local a new value. Blocks around the innermost one learn of it
// when that ends.
func (f *frame) assign(l ir.Local, v value) { f.change(l, v, v) }

// change sets a local, and notes what the innermost block gave it.
func (f *frame) change(l ir.Local, v, given value) {
	at := f.local(l)
	if n := len(f.changed) - 1; n >= 0 {
		if at.block != f.numbers[n] {
			f.changed[n] = append(f.changed[n], change{local: l, before: *at})
			at.block, at.at = f.numbers[n], len(f.changed[n])-1
		}
		c := &f.changed[n][at.at]
		c.given = c.given.join(given)
	}
	at.value = v
}

// local is the one of a number; nothing, as long as it was given nothing.
func (f *frame) local(l ir.Local) *local {
	if int(l) >= len(f.env) {
		f.env = append(f.env, make([]local, int(l)+1-len(f.env))...)
	}
	return &f.env[l]
}

// of is what a local may hold.
func (f *frame) of(l ir.Local) value { return f.local(l).value }

// weak adds to what a local may be.
func (f *frame) weak(l ir.Local, v value) { f.assign(l, f.of(l).join(v)) }

func (f *frame) operand(o ir.Operand) value {
	switch v := o.Value.(type) {
	case ir.Local:
		return f.of(v)
	case *ir.Local:
		return f.of(*v)
	}
	if text, ok := f.literal(o); ok {
		return value{strings: []string{text}}
	}
	return anything
}

// literal is the string an operand stands for, if it is known.
func (f *frame) literal(o ir.Operand) (string, bool) {
	switch v := o.Value.(type) {
	case ir.StringIndex:
		return f.plan.Strings[v], true
	case *ir.StringIndex:
		return f.plan.Strings[*v], true
	}
	return "", false
}

func (f *frame) stmt(s ir.Stmt) {
	switch s := s.(type) {
	case *ir.CallStmt:
		f.assign(s.Result, f.callStmt(s))
	case *ir.CallDynamicStmt:
		f.escape(value{places: []string{"input", "data"}})
		f.assign(s.Result, value{places: []string{"input"}})
	case *ir.BlockStmt:
		for _, b := range s.Blocks {
			f.nested(b)
		}
	case *ir.ScanStmt:
		f.assign(s.Key, f.keysOf(f.of(s.Source)))
		f.assign(s.Value, f.dot(f.of(s.Source)))
		f.loop(s.Block)
	case *ir.NotStmt:
		f.nested(s.Block)
	case *ir.WithStmt:
		f.escape(f.operand(s.Value))
		f.nested(s.Block)
	case *ir.ReturnLocalStmt:
		f.returned = f.returned.join(f.of(s.Source))
	case *ir.ResultSetAddStmt:
		f.escape(f.of(s.Value))
	case *ir.DotStmt:
		f.assign(s.Target, f.dotValue(f.operand(s.Source), f.operand(s.Key)))
	case *ir.ResetLocalStmt:
		f.change(s.Target, value{}, value{}) // nothing yet
	default:
		f.build(s)
	}
}

// build covers the statements that make, compare and collect values.
func (f *frame) build(s ir.Stmt) {
	switch s := s.(type) {
	case *ir.AssignVarStmt:
		f.assign(s.Target, f.operand(s.Source))
	case *ir.AssignVarOnceStmt:
		f.assignOnce(s)
	case *ir.EqualStmt:
		f.escape(f.operand(s.A))
		f.escape(f.operand(s.B))
	case *ir.NotEqualStmt:
		f.escape(f.operand(s.A))
		f.escape(f.operand(s.B))
	case *ir.ArrayAppendStmt:
		f.collect(s.Array, anything, f.operand(s.Value))
	case *ir.ObjectInsertStmt:
		f.escape(f.operand(s.Key))
		f.collect(s.Object, f.operand(s.Key), f.operand(s.Value))
	case *ir.ObjectInsertOnceStmt:
		f.escape(f.operand(s.Key))
		f.escape(f.operand(s.Value))
		f.collect(s.Object, f.operand(s.Key), f.operand(s.Value))
	case *ir.ObjectMergeStmt:
		f.escape(f.of(s.A))
		f.escape(f.of(s.B))
		f.assign(s.Target, anything)
	case *ir.SetAddStmt: // a set compares its elements, all of each
		f.escape(f.operand(s.Value))
		f.collect(s.Set, f.operand(s.Value), f.operand(s.Value))
	case *ir.LenStmt:
		f.dot(f.operand(s.Source))
		f.assign(s.Target, anything)
	case *ir.AssignIntStmt:
		f.assign(s.Target, anything)
	case *ir.MakeNullStmt:
		f.assign(s.Target, anything)
	case *ir.MakeNumberIntStmt:
		f.assign(s.Target, anything)
	case *ir.MakeNumberRefStmt:
		f.assign(s.Target, anything)
	case *ir.MakeArrayStmt:
		f.assign(s.Target, value{}) // what it holds is noted as it comes
	case *ir.MakeObjectStmt:
		f.assign(s.Target, value{}) // what it holds is noted as it comes
	case *ir.MakeSetStmt:
		f.assign(s.Target, value{}) // what it holds is noted as it comes
	case *ir.IsArrayStmt, *ir.IsObjectStmt, *ir.IsSetStmt, *ir.IsDefinedStmt, *ir.IsUndefinedStmt, *ir.BreakStmt, *ir.NopStmt:
		// presence was noted when the value was taken
	default: // a statement of a later OPA: it may read anything
		f.escape(value{places: []string{"input", "data"}})
	}
}

// assignOnce gives a rule or a function its value. Where it may have one, the two
// are compared, all of each: they may not differ.
func (f *frame) assignOnce(s *ir.AssignVarOnceStmt) {
	given := f.operand(s.Source)
	if f.given[s.Target] {
		f.escape(f.of(s.Target))
		f.escape(given)
	}
	f.given[s.Target] = true
	f.weak(s.Target, given)
}

// collect notes that a container may hold a value under a key.
func (f *frame) collect(container ir.Local, key, v value) {
	f.weak(container, value{elems: &v, keys: &key})
}

func (f *frame) callStmt(s *ir.CallStmt) value {
	args := make([]value, len(s.Args))
	for i, o := range s.Args {
		args[i] = f.operand(o)
	}
	if f.skip[s.Func] {
		return anything
	}
	if fn := f.plan.Funcs[s.Func]; fn != nil {
		return f.call(fn, args)
	}
	switch s.Func {
	case ast.ObjectGet.Name:
		if keys, ok := args[1].literals(); ok {
			return f.dotKeys(args[0], keys).join(args[2])
		}
	case ast.ArrayConcat.Name:
		e, k := f.dot(args[0]).join(f.dot(args[1])), anything
		return value{elems: &e, keys: &k}
	case ast.Count.Name:
		f.dot(args[0])
		return anything
	}
	for _, a := range args {
		f.escape(a)
	}
	return anything
}
