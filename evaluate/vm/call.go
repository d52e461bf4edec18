package vm

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"
)

// call calls a planned function or a builtin; undefined if its answer is.
func (c *compiler) call(s *ir.CallStmt) statement {
	target := c.local(s.Result)
	args := make([]operand, len(s.Args))
	for i, o := range s.Args {
		args[i] = c.operand(o)
	}
	if g := c.policy.functions[s.Func]; g != nil {
		return callFunction(g, args, target)
	}
	return c.builtin(s.Func, args, target)
}

func callFunction(g *function, args []operand, target int) statement {
	input, data, rest := args[0], args[1], args[2:]
	return func(m *Machine, f []*Value) int {
		if v, ok := m.remembered(g); ok { // mostly
			f[target] = v
			return defined(v)
		}
		v := m.invoke(g, input.get(f), data.get(f), rest, f)
		if m.err != nil {
			return leaveAll
		}
		f[target] = v
		return defined(v)
	}
}

// callDynamic calls the rule whose path is only known now: data.x[y] where rules are below data.x.
func (c *compiler) callDynamic(s *ir.CallDynamicStmt) statement {
	target := c.local(s.Result)
	path := make([]operand, len(s.Path))
	for i, o := range s.Path {
		path[i] = c.operand(o)
	}
	args := make([]operand, len(s.Args))
	for i, l := range s.Args {
		args[i] = operand{local: c.local(l)}
	}
	paths := c.policy.paths
	return func(m *Machine, f []*Value) int {
		var at strings.Builder
		for i, o := range path {
			v := o.get(f)
			if v == nil || v.kind != kString {
				return undefined
			}
			if i > 0 {
				at.WriteByte(0)
			}
			at.WriteString(v.s)
		}
		g := paths[at.String()]
		if g == nil {
			return undefined
		}
		v := m.invoke(g, args[0].get(f), args[1].get(f), args[2:], f)
		if m.err != nil {
			return leaveAll
		}
		f[target] = v
		return defined(v)
	}
}

// builtin calls our version of a builtin, where there is one that covers the
// arguments at hand, and else OPA's.
func (c *compiler) builtin(name string, args []operand, target int) statement {
	fast, opa, decl := natives[name], topdown.GetBuiltin(name), c.builtins[name]
	if opa == nil || decl == nil {
		c.fail("the plan calls %s, which OPA's evaluator does not have", name)
		return nil
	}
	b := newBuiltin(opa, decl)
	return func(m *Machine, f []*Value) int {
		values := m.args[:0] // on the stack they would be made anew for each call: natives are called by pointer
		for _, a := range args {
			v := a.get(f)
			if v == nil {
				return undefined
			}
			values = append(values, v)
		}
		if fast != nil {
			if v, ok := fast(m, values); ok {
				f[target] = v
				return defined(v)
			}
		}
		v, ok := b.ask(m, values)
		switch {
		case m.err != nil:
			return leaveAll
		case !ok:
			return undefined
		}
		f[target] = v
		return 0
	}
}

// keeps tells which builtins of OPA's remember texts: expressions, globs and time zones.
func keeps(name string) bool {
	return strings.HasPrefix(name, "re") || strings.HasPrefix(name, "glob.") || strings.HasPrefix(name, "time.")
}

// builtin is one of OPA's own.
type builtin struct {
	name     string
	call     topdown.BuiltinFunc
	relation bool // it has any number of answers, which plans take as an array
	void     bool // it has no answer
	offline  bool // it is deterministic; but a schema could name others, to be fetched
	keeps    bool // it keeps texts for longer than the document they may be of
	bound    bound
}

func newBuiltin(call topdown.BuiltinFunc, decl *ast.Builtin) *builtin {
	return &builtin{
		name: decl.Name, call: call, relation: decl.Relation, void: decl.Decl.Result() == nil,
		bound: bounds[decl.Name], keeps: keeps(decl.Name), offline: !decl.Nondeterministic,
	}
}

// errorSize is what an error of a builtin takes about where OPA keeps it, in bytes.
const errorSize = 512

// ask converts the arguments, calls, and converts the answer. ok is false if it is undefined.
func (b *builtin) ask(m *Machine, args []*Value) (v *Value, ok bool) {
	if b.bound != nil {
		b.bound(m, args)
	}
	var terms []*ast.Term
	if m.err == nil {
		m.cloning = b.keeps
		terms = m.terms(args)
		m.cloning = false
	}
	if m.step(16); m.err != nil || m.steps < 0 && m.stop() {
		m.err = fmt.Errorf("%s: %w", b.name, m.err)
		return nil, false
	}
	var answers []*ast.Term
	err := b.safely(m.builtinContext(b.offline), terms, func(t *ast.Term) error { answers = append(answers, t); return nil })
	if err != nil {
		if m.policy.strict && !m.lenient || errors.As(err, new(topdown.Halt)) {
			m.fail(err)
		}
		m.charge(errorSize)
		return nil, false
	}
	switch {
	case b.relation:
		list := m.made(kArray)
		for _, t := range answers {
			list.c.keys = append(list.c.keys, m.take(t.Value))
		}
		return list, true
	case len(answers) > 0:
		return m.take(answers[0].Value), true
	}
	return nil, b.void
}

// safely makes an error of what a builtin panics with: what it is given is hostile.
func (b *builtin) safely(bctx topdown.BuiltinContext, args []*ast.Term, answer func(*ast.Term) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = topdown.Halt{Err: fmt.Errorf("%s: panic: %v", b.name, p)}
		}
	}()
	return b.call(bctx, args, answer)
}

// take converts an answer of OPA's and counts its bytes.
func (m *Machine) take(v ast.Value) *Value {
	out := FromOPA(v)
	m.weigh(out)
	return out
}

// weigh counts what a value made elsewhere takes.
func (m *Machine) weigh(v *Value) {
	m.charge(40 + len(v.s))
	m.step(1 + len(v.s)>>longText)
	if v.kind == kNumber {
		ok, wild := sound(v.s)
		if !ok {
			m.fail(errNumber)
		}
		m.wild = m.wild || wild
	}
	if v.c != nil {
		for _, list := range [][]*Value{v.c.keys, v.c.vals} {
			m.charge(len(list) * 8)
			for _, e := range list {
				m.weigh(e)
			}
		}
	}
}

// builtinContext is what OPA's builtins want to be given. One serves a machine;
// what builtins keep in it is dropped with each document.
func (m *Machine) builtinContext(offline bool) topdown.BuiltinContext {
	if m.builtins == nil {
		m.builtins = &topdown.BuiltinContext{
			Seed: rand.Reader, Capabilities: ast.CapabilitiesForThisVersion(),
			Location: ast.NewLocation(nil, "", 0, 0), Cancel: topdown.NewCancel(),
		}
		m.offline = ast.CapabilitiesForThisVersion()
		m.offline.AllowNet = []string{} // no host
	}
	if m.builtins.Cache == nil {
		m.builtins.Cache, m.builtins.NDBuiltinCache = builtins.Cache{}, builtins.NDBCache{}
		m.builtins.Time = ast.NumberTerm(json.Number(strconv.FormatInt(m.Time.UnixNano(), 10)))
	}
	b := *m.builtins
	b.Context = m.ctx
	if offline {
		b.Capabilities = m.offline
	}
	if m.ctx.Done() != nil {
		b.Cancel = cancelOf{m.ctx}
	}
	return b
}

// forget drops what builtins kept for the document before.
func (m *Machine) forget() {
	if m.builtins != nil {
		m.builtins.Cache, m.builtins.NDBuiltinCache = nil, nil
	}
}

// cancelOf ends OPA's long builtins when a context ends.
type cancelOf struct{ ctx context.Context }

// Cancel implements topdown.Cancel; the context is cancelled by who owns it.
func (cancelOf) Cancel() {}

// Cancelled implements topdown.Cancel.
func (c cancelOf) Cancelled() bool { return c.ctx.Err() != nil }
