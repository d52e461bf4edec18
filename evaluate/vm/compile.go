package vm

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
)

// Policy is a plan compiled for machines. It is not changed afterwards and safe to share.
type Policy struct {
	functions map[string]*function
	paths     map[string]*function // by document path, steps joined by NUL
	plans     map[string]*function
	slots     int // of functions without arguments, each remembered in a slot
	strings   []string
	strict    bool
	wild      bool // there are numbers for which a float64 is too small
}

// Rule is a planned rule without arguments.
type Rule function

// Rule finds one by its path, as controls.storage.public_access.violation; nil
// if the plan has none.
func (p *Policy) Rule(path string) *Rule { return (*Rule)(p.functions["g0.data."+path]) }

// function is a planned rule, function or plan.
type function struct {
	name   string
	params []int
	locals int
	empty  []int // locals that are emptied when it is called: see unwritten
	slot   int   // -1 if it takes arguments beyond input and data
	asks   bool  // it, or what it calls, can look up the estate
	blocks []block
}

// block is a sequence of statements. It is left by the first that is undefined.
type block []statement

// statement returns 0 to go on with the next, or how many blocks to leave.
type statement func(m *Machine, f []*Value) int

// What leaves more than any number of nested blocks.
const (
	leaveFunction = 1 << 20 // returned
	leaveAll      = 1 << 21 // failed
)

// Compile makes closures of a plan. A statement, operand or builtin that it does
// not know is an error: OPA's minor releases bring new ones.
func Compile(cfg Config) (*Policy, error) {
	p := &Policy{functions: map[string]*function{}, paths: map[string]*function{}, plans: map[string]*function{}, strict: cfg.Strict}
	c := &compiler{policy: p, builtins: map[string]*ast.Builtin{}, made: map[ir.Local]int{}}
	if s := cfg.Policy.Static; s != nil {
		for _, text := range s.Strings {
			p.strings = append(p.strings, text.Value)
			c.strings = append(c.strings, &Value{kind: kString, s: text.Value})
		}
	}
	for _, b := range ast.Builtins {
		c.builtins[b.Name] = b
	}
	var funcs []*ir.Func
	if cfg.Policy.Funcs != nil {
		funcs = cfg.Policy.Funcs.Funcs
	}
	p.declare(funcs)
	for _, f := range funcs {
		c.function(p.functions[f.Name], f.Params, f.Return, f.Blocks)
	}
	if cfg.Policy.Plans != nil {
		for _, pl := range cfg.Policy.Plans.Plans {
			p.plans[pl.Name] = &function{name: pl.Name, slot: -1}
			c.function(p.plans[pl.Name], []ir.Local{ir.Input, ir.Data}, ir.Data, pl.Blocks)
		}
	}
	p.spread(funcs)
	return p, c.err
}

// withEstate puts what is asked, not held, at data.estate.
func withEstate(data *Value) {
	c := data.c
	i, _ := slices.BinarySearchFunc(c.keys, "estate", func(k *Value, s string) int { return strings.Compare(k.s, s) })
	c.keys = slices.Insert(c.keys, i, &Value{kind: kString, s: "estate"})
	c.vals = slices.Insert(c.vals, i, &Value{kind: kEstate})
}

// freeze sorts and indexes a value that machines share, so that none has to.
func freeze(v *Value) {
	if v.c == nil {
		return
	}
	for _, list := range [][]*Value{v.c.keys, v.c.vals} {
		for _, e := range list {
			freeze(e)
		}
	}
	m := &Machine{}
	m.idle()
	if v.kind != kArray {
		m.sort(v.c)
	}
	if v.kind != kArray && len(v.c.keys) > indexFrom {
		m.index(v.c)
	}
}

func (p *Policy) declare(funcs []*ir.Func) {
	for _, f := range funcs {
		g := &function{name: f.Name, slot: -1}
		if len(f.Params) == 2 {
			g.slot = p.slots
			p.slots++
		}
		p.functions[f.Name] = g
		if len(f.Path) > 0 {
			p.paths[strings.Join(f.Path, "\x00")] = g
		}
	}
}

// compiler compiles one policy, a function at a time.
type compiler struct {
	policy   *Policy
	strings  []*Value
	builtins map[string]*ast.Builtin
	locals   int              // of the function at hand
	depth    int              // how many blocks are open
	made     map[ir.Local]int // sets and objects that the open blocks make → the depth of the block
	err      error
}

func (c *compiler) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

func (c *compiler) function(f *function, params []ir.Local, result ir.Local, blocks []*ir.Block) {
	c.locals = 2
	for _, p := range params {
		f.params = append(f.params, c.local(p))
	}
	c.local(result)
	f.blocks = c.blocks(blocks)
	f.locals = c.locals
	f.empty = unwritten(params, blocks, f.locals)
}

// local is the place of a local in its frame.
func (c *compiler) local(l ir.Local) int {
	c.locals = max(c.locals, int(l)+1)
	return int(l)
}

// operand is a constant, or what a local holds.
type operand struct {
	constant *Value
	local    int
}

func (o operand) get(f []*Value) *Value {
	if o.constant != nil {
		return o.constant
	}
	return f[o.local]
}

func (c *compiler) operand(o ir.Operand) operand {
	switch v := o.Value.(type) {
	case ir.Local:
		return operand{local: c.local(v)}
	case *ir.Local:
		return operand{local: c.local(*v)}
	}
	if v := c.constant(o); v != nil {
		return operand{constant: v}
	}
	c.fail("the plan has an operand of an unknown kind, %T", o.Value)
	return operand{constant: vNull}
}

// constant is the value of an operand that is no local, else nil.
func (c *compiler) constant(o ir.Operand) *Value {
	switch v := o.Value.(type) {
	case ir.StringIndex:
		return c.strings[v]
	case *ir.StringIndex:
		return c.strings[*v]
	case ir.Bool:
		return boolean(bool(v))
	case *ir.Bool:
		return boolean(bool(*v))
	}
	return nil
}

func (c *compiler) blocks(list []*ir.Block) []block {
	out := make([]block, len(list))
	for i, b := range list {
		out[i] = c.block(b)
	}
	return out
}

func (c *compiler) block(b *ir.Block) block {
	c.depth++
	defer c.leave()
	var out block
	for i := 0; i < len(b.Stmts); i++ {
		if value, target, n := c.fold(b.Stmts[i:]); n > 0 {
			out = append(out, assignConstant(c.local(target), value))
			i += n - 1
			continue
		}
		if s := c.statement(b.Stmts[i]); s != nil {
			out = append(out, s)
		}
	}
	return out
}

// leave ends a block.
func (c *compiler) leave() {
	maps.DeleteFunc(c.made, func(_ ir.Local, depth int) bool { return depth == c.depth })
	c.depth--
}

// run runs the statements of a block.
func (m *Machine) run(f []*Value, b block) int {
	if m.steps -= int64(len(b)) + 1; m.steps < 0 && m.stop() {
		return leaveAll
	}
	for _, s := range b {
		if r := s(m, f); r != 0 {
			return r
		}
	}
	return 0
}
