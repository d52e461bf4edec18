// Package vm runs what OPA's planner makes of Rego (its IR) over JSON documents
// that are never turned into OPA's values: each statement is compiled once into
// a closure, and a document is read into a tape of nodes.
//
// Whatever it cannot do is an error, never an answer: who calls it asks OPA then.
package vm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Config of a policy.
type Config struct {
	Policy *ir.Policy
	Strict bool // errors of builtins are errors, not undefined
}

// Limits of one call. A call that exceeds them ends in ErrSteps or ErrBytes. What
// counts is the same on every machine.
type Limits struct {
	Steps int64 // statements run and values compared
	Bytes int64 // made while evaluating, the document aside
}

// ErrWritten is the error of a call that comes to what only OPA's evaluator can
// tell, and only with the library as it is written: a set or an object that is
// written out, as {input.a, "b"}, is gone through in an order that shows. It does so
// in the order of what is written, and twice where two members are equal; but not
// where it remembers the value of a rule. The call goes on in an order of its own,
// so that it takes what it would take: ErrSteps and ErrBytes come before.
var ErrWritten = errors.New("the order shows in which a set or an object that is written out is gone through")

// The errors of a call that exceeds its limits.
var (
	ErrSteps = errors.New("more steps than one decision may take")
	ErrBytes = errors.New("more memory than one decision may take")
)

// ErrZone says that a call depends on the time zone of the machine that it runs on.
var ErrZone = errors.New("the zone Local, or an abbreviation of a zone, is not the same on every machine: name the zone, as Europe/Berlin, or use UTC")

var (
	errUnbound  = errors.New("data.estate is read other than by source, kind and key")
	errNotJSON  = errors.New("an object has a key that is not a string, or a number is written as JSON has none")
	errNoRule   = errors.New("the plan has no such rule")
	errTime     = errors.New("the machine has no time to judge by")
	errConflict = errors.New("a rule has two values")
	errPath     = errors.New("a step into data by a key of another type: OPA's store may find something")
)

// Estate answers a look-up: the array of hits, or nil for a miss. An error ends the call.
type Estate func(m *Machine, source, kind, key string) (*Value, error)

// Machine runs one policy on one document after another. It is for one
// goroutine; what it returns is valid until its next Parse.
type Machine struct {
	Estate Estate    // required if the policy has an estate
	Time   time.Time // the moment by which tokens are judged (io.jwt.decode_verify)

	policy *Policy
	doc    tape
	aside  tape // for what is not the document
	data   *Value
	arena  arena
	stack  []*Value
	top    int
	args   [8]*Value // of the builtin under way; builtins call no plans

	wild    bool // there may be numbers for which a float64 is too small
	written bool // the call under way came to what ErrWritten is about
	lenient bool // errors of builtins end nothing: see Afford

	memos          map[*Policy][]memo
	memo           []memo // of the policy in use
	document, call uint64 // generations of what is remembered for the document and for this call
	generations    uint64 // handed out so far

	ctx         context.Context // of the call under way
	steps       int64           // left before the next look at the budget
	budget      int64           // steps left beyond those
	bytes       int64
	err         error
	returned    *Value
	results     []*Value
	builtins    *topdown.BuiltinContext
	offline     *ast.Capabilities // for builtins that need no network
	expressions expressions
	formatting  []byte // room for the text that is being made
	cloning     bool   // texts are copied when they are converted
}

// memo is what a rule without arguments came to in one generation.
type memo struct {
	generation uint64
	value      *Value
	written    bool
}

// Data is a base document, ready to be read by any number of machines.
type Data struct{ root *Value }

// NewData takes a base document. With estate, data.estate.<source>.<kind>[<key>]
// is asked of the machine's Estate, and steps that OPA's store may take otherwise end
// a call: see otherwise.
func NewData(base ast.Object, estate bool) *Data {
	root := FromOPA(base)
	if estate {
		withEstate(root)
		markBase(root)
	}
	freeze(root)
	return &Data{root}
}

// NewMachine makes one that is to Use a policy.
func NewMachine(d *Data) *Machine {
	m := &Machine{memos: map[*Policy][]memo{}, stack: make([]*Value, 256), data: d.root}
	m.idle()
	return m
}

// Use makes the machine run a policy, over the base document that it has.
func (m *Machine) Use(p *Policy) {
	if m.policy == p {
		return
	}
	m.policy = p
	if m.memos[p] == nil {
		m.memos[p] = make([]memo, p.slots)
	}
	m.memo = m.memos[p]
	m.wild = m.wild || p.wild
}

// Parse reads the document that the next calls are about. The line must not
// change while they run.
func (m *Machine) Parse(line []byte) (*Value, error) {
	m.arena.reset()
	m.forget()
	m.top = 0
	m.next(&m.document)
	root, err := m.doc.parse(line)
	m.wild = m.wild || m.doc.wild
	return root, err
}

// next begins a generation: nothing remembered in an earlier one counts.
func (m *Machine) next(generation *uint64) {
	m.generations++
	*generation = m.generations
}

// Call asks a rule without arguments about the document parsed last. An
// undefined rule is nil. Rules that cannot read the estate are remembered from
// call to call; those that can are asked anew, so that each call makes the
// look-ups that it rests on.
func (m *Machine) Call(ctx context.Context, r *Rule, input *Value, l Limits) (*Value, error) {
	if r == nil {
		return nil, errNoRule
	}
	m.begin(ctx, l)
	v := m.invoke((*function)(r), input, m.data, nil, nil)
	if err := m.end(); err != nil {
		return nil, err
	}
	return v, nil
}

// Afford tells whether a rule ends within the limits where OPA is asked it, whose
// evaluator goes on after the error of a builtin, and keeps all of these.
func (m *Machine) Afford(ctx context.Context, r *Rule, input *Value, l Limits) error {
	m.lenient = true
	m.next(&m.document) // nothing is remembered of what came after errors
	_, err := m.Call(ctx, r, input, l)
	m.next(&m.document)
	m.lenient = false
	return err
}

func (m *Machine) begin(ctx context.Context, l Limits) {
	m.ctx, m.err, m.returned, m.top = ctx, nil, nil, 0
	m.steps, m.budget, m.bytes = 0, l.Steps, l.Bytes
	m.next(&m.call)
}

// end ends a call, and tells how.
func (m *Machine) end() error {
	err, written := m.err, m.written
	if written && m.ctx.Err() == nil && !errors.Is(err, ErrSteps) && !errors.Is(err, ErrBytes) && !errors.Is(err, ErrZone) {
		err = ErrWritten
	}
	m.idle()
	return err
}

// idle is between two calls, when values are read and rendered.
func (m *Machine) idle() {
	m.ctx, m.err, m.written, m.steps, m.budget, m.bytes = context.Background(), nil, false, 1<<40, 0, 1<<30
}

// slice of steps after which the machine looks whether it was cancelled: about a millisecond.
const slice = 1 << 14

// stop is called when the steps at hand are used up: it takes more from the
// budget, or says with which error the call ends.
func (m *Machine) stop() bool {
	switch {
	case m.err != nil:
	case m.ctx.Err() != nil:
		m.fail(m.ctx.Err())
	case m.budget <= 0:
		m.fail(ErrSteps)
	default:
		more := min(m.budget, slice)
		m.budget -= more
		m.steps += more
		return m.steps < 0 && m.stop()
	}
	return true
}

// step counts work that is more than one statement.
func (m *Machine) step(n int) { m.steps -= int64(n) }

// charge counts bytes made while evaluating.
func (m *Machine) charge(n int) {
	if m.bytes -= int64(n); m.bytes < 0 {
		m.fail(ErrBytes)
	}
}

// fail ends the call: every block that begins looks at the steps.
func (m *Machine) fail(err error) {
	if m.err == nil {
		m.err = err
	}
	m.steps = -1 << 62
}

// invoke calls a function. Those without arguments are run once in a generation;
// an error is never remembered.
func (m *Machine) invoke(f *function, input, data *Value, args []operand, caller []*Value) *Value {
	if v, ok := m.remembered(f); ok {
		return v
	}
	frame := m.frame(f.locals)
	for _, l := range f.empty {
		frame[l] = nil
	}
	frame[0], frame[1] = input, data
	for i, a := range args {
		frame[f.params[2+i]] = a.get(caller)
	}
	m.returned = nil
	for _, b := range f.blocks {
		if r := m.run(frame, b); r >= leaveFunction {
			break
		}
	}
	m.top -= f.locals
	r := m.returned
	m.returned = nil
	if f.slot >= 0 && m.err == nil {
		m.memo[f.slot] = memo{m.generation(f), r, m.written}
	}
	return r
}

// generation is the one in which what a function comes to is remembered.
func (m *Machine) generation(f *function) uint64 {
	if f.asks {
		return m.call
	}
	return m.document
}

// remembered is what a function without arguments came to before.
func (m *Machine) remembered(f *function) (v *Value, ok bool) {
	if f.slot < 0 {
		return nil, false
	}
	e := &m.memo[f.slot]
	if e.generation != m.generation(f) {
		return nil, false
	}
	m.written = m.written || e.written
	return e.value, true
}

// frame is room for n locals, in which anything may stand.
func (m *Machine) frame(n int) []*Value {
	if m.top+n > len(m.stack) { // frames in use keep the old array
		m.stack = append(make([]*Value, 0, 2*(m.top+n)), m.stack[:m.top]...)
		m.stack = m.stack[:cap(m.stack)]
	}
	f := m.stack[m.top : m.top+n : m.top+n]
	m.top += n
	return f
}

// Query runs a plan and returns its result set. It is for tests of conformance:
// a document may be any value, or nil for none.
func (m *Machine) Query(ctx context.Context, plan string, input ast.Value, l Limits) ([]*Value, error) {
	f := m.policy.plans[plan]
	if f == nil {
		return nil, fmt.Errorf("no plan %q", plan)
	}
	m.arena.reset()
	m.forget()
	m.next(&m.document)
	m.begin(ctx, l)
	m.results = nil
	var in *Value
	if input != nil {
		in = m.take(input)
	}
	m.invoke(f, in, m.data, nil, nil)
	return m.results, m.end()
}
