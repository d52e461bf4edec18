package evaluate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate/plan"
	"github.com/crosscheck-dev/crosscheck/evaluate/vm"
)

// judging is what all workers of one run share.
type judging struct {
	lib      *library
	revision string // of all of the library
	store    *store
	data     *vm.Data
	estate   *estate
	request  audit.Judgement
	limits   vm.Limits
	opa      bool      // OPA decides all
	rooms    sync.Pool // of []audit.Decision
	spare    sync.Pool // of *worker
	recent   recent
	carry    *carrying      // nil: everything is evaluated
	busy     sync.WaitGroup // workers that have not ended
	left     atomic.Bool    // one was left to end by itself
	clock    Clock
}

// worker is what one goroutine needs to decide.
type worker struct {
	*judging
	content    []byte // of the block at hand
	machine    *vm.Machine
	view       *view // of the call under way, nil while nothing may be looked up
	interned   map[string]string
	owners     map[string]string // tags of the document at hand that can say who owns it
	touched    map[*program]map[string]*touching
	last       *program    // of the document before: most are of the same type as the next
	answered   []answer    // used again for each document
	found      []violation // by these answers
	holed      []hole      // of the document at hand
	candidates []candidate // of the block at hand, for the referee
	document   document    // the one at hand
	scratch    []byte
	concealed  []concealed          // by the block at hand
	earlier    *audit.EarlierReader // of what an earlier run stored, once it is asked for
	room       *room                // for decisions
}

func (j *judging) worker() *worker {
	w := &worker{judging: j, machine: vm.NewMachine(j.data), interned: map[string]string{}, owners: map[string]string{}, touched: map[*program]map[string]*touching{}, room: newRoom(j)}
	w.machine.Estate = w.lookup
	return w
}

// hire gives a worker that nobody else has, one who has worked before if there is
// one: origins may be many and small. spare takes it back.
func (j *judging) hire() *worker {
	if w, ok := j.spare.Get().(*worker); ok {
		return w
	}
	return j.worker()
}

// answer is what is said of one control and one document.
type answer struct {
	violations []violation // in no particular order
	applies    bool
	undefined  []string // attributes that have no value
	view       *view    // what was looked up, nil for a control that cannot
	err        error
	limit      bool // err says that a limit was exceeded
	opa        bool // OPA's own evaluator gave it
}

// comparable tells whether the referee can be asked too.
func (a *answer) comparable() bool {
	return !a.limit && !a.opa && (a.err == nil || !errors.Is(a.err, vm.ErrZone))
}

// answers asks every control of a program about a document: the machine, and
// where that fails, or may not decide, OPA. The limits hold for both: each has its
// own steps, and what the machine cannot do within them OPA is not asked.
func (w *worker) answers(ctx context.Context, p *program, doc *document) ([]answer, error) {
	if doc.refused != "" {
		return w.refusals(p, doc), nil
	}
	out := w.blank(len(p.parts))
	if p.policy != nil {
		w.machine.Use(p.policy)
	}
	for i := range p.parts {
		pt := &p.parts[i]
		decided, err := w.byMachine(ctx, p, pt, doc, &out[i])
		if err == nil && !decided {
			out[i], err = w.lib.stock.control(ctx, w.store, w.estate, doc, pt)
			out[i].opa = true
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// byMachine asks the machine about one control. It has not decided if it may not,
// or could not; but what exceeds a limit is decided.
func (w *worker) byMachine(ctx context.Context, p *program, pt *part, doc *document, a *answer) (decided bool, err error) {
	if p.policy == nil {
		return false, nil
	}
	err = w.call(ctx, pt, doc, a)
	switch {
	case err == nil:
		return !w.opa, nil
	case limits(err), errors.Is(err, vm.ErrZone):
		a.err, a.limit = err, limits(err)
		return true, nil
	case final(ctx, err):
		return false, cmp.Or(ctx.Err(), err)
	}
	return false, nil // OPA says which error it is, if it is one
}

// errApplies: what else than a boolean does a rule mean?
var errApplies = errors.New("applies is neither true nor false")

func limits(err error) bool { return errors.Is(err, vm.ErrSteps) || errors.Is(err, vm.ErrBytes) }

// final tells whether OPA is not to be asked after an error of the machine.
func final(ctx context.Context, err error) bool {
	return ctx.Err() != nil || limits(err) || errors.Is(err, vm.ErrZone) || errors.As(err, new(*vm.EstateError))
}

// refusals are the answers about a document that cannot be held.
func (w *worker) refusals(p *program, doc *document) []answer {
	out := w.blank(len(p.parts))
	for i := range out {
		out[i].err, out[i].limit = errors.New(doc.refused), true
		if len(p.parts[i].estate) > 0 {
			out[i].view = w.store.view(w.estate)
		}
	}
	return out
}

// plainPass tells whether an answer is a pass that rests on the document alone, its
// holes aside.
func (a *answer) plainPass(pt *part) bool {
	return a.err == nil && len(a.violations) == 0 && len(a.undefined) == 0 && len(pt.estate) == 0 && (a.applies || !pt.applies)
}

// blank is an answer for each of n controls, until the next document.
func (w *worker) blank(n int) []answer {
	w.answered = slices.Grow(w.answered[:0], n)[:n]
	clear(w.answered)
	clear(w.found)
	w.found = w.found[:0]
	return w.answered
}

// call asks the machine about one control.
func (w *worker) call(ctx context.Context, pt *part, doc *document, a *answer) error {
	if len(pt.estate) > 0 {
		a.view = w.store.view(w.estate)
	}
	w.view = a.view
	err := w.fill(ctx, pt, doc, a)
	if err != nil && !final(ctx, err) {
		err = cmp.Or(w.afford(ctx, doc, pt.rules.all()), err)
	}
	w.view = nil
	return err
}

// afford says which limit is exceeded by rules that OPA is to be asked: it counts no
// bytes, and goes on after the error that the machine stopped at.
func (w *worker) afford(ctx context.Context, doc *document, rules []*vm.Rule) error {
	for _, r := range rules {
		if err := w.machine.Afford(ctx, r, doc.root, w.limits); final(ctx, err) {
			return err
		}
	}
	return nil
}

// fill calls the rules of one control.
func (w *worker) fill(ctx context.Context, pt *part, doc *document, a *answer) error {
	found, err := w.machine.Call(ctx, pt.rules.violation, doc.root, w.limits)
	if err != nil {
		return err
	}
	if a.violations, err = w.violations(found); err != nil {
		return err
	}
	if pt.applies {
		v, err := w.machine.Call(ctx, pt.rules.applies, doc.root, w.limits)
		if err != nil {
			return err
		}
		if a.applies = v.True(); v != nil && !a.applies && !v.False() {
			return errApplies
		}
	}
	for i, r := range pt.rules.attributes {
		v, err := w.machine.Call(ctx, r, doc.root, w.limits)
		switch {
		case err != nil:
			return err
		case v == nil:
			a.undefined = append(a.undefined, pt.attributes[i])
		}
	}
	return nil
}

// lookup answers the machine, and remembers what was asked.
func (w *worker) lookup(m *vm.Machine, source, kind, key string) (*vm.Value, error) {
	if w.view == nil {
		return nil, nil
	}
	hits, err := w.view.find(lookupKey{w.intern(source), w.intern(kind), strings.Clone(key)})
	if hits == nil {
		return nil, err
	}
	ids, origins, values := make([]string, len(hits)), make([]string, len(hits)), make([][]byte, len(hits))
	for i, h := range hits {
		ids[i], origins[i], values[i] = h.ID, h.Origin, h.Value
	}
	return m.Hits(ids, origins, values)
}

// verdict judges one line of a snapshot. ok is false if nothing of it is in scope.
func (w *worker) verdict(ctx context.Context, line []byte) (v audit.Verdict, ok bool, err error) {
	doc, err := w.read(line)
	if err != nil {
		return v, false, err
	}
	if !w.request.Scope.Judges(doc.origin, doc.id) {
		return v, false, nil
	}
	p, err := w.program(ctx, doc.kind)
	if err != nil || len(p.parts) == 0 {
		return v, false, err
	}
	doc.digest = audit.Digest(line)
	v = audit.Verdict{Resource: doc.id, Name: doc.name, Type: doc.kind.Type, Origin: doc.origin, InputDigest: doc.digest}
	if v.Owner, err = w.owner(doc); err != nil {
		return v, false, err
	}
	answers, err := w.answers(ctx, p, doc)
	if err != nil {
		return v, false, fmt.Errorf("resource %s: %w", doc.id, err)
	}
	if !w.opa && p.policy != nil {
		w.stand(doc, answers)
	}
	v.Decisions, err = w.decisions(ctx, p, doc, answers)
	return v, err == nil, err
}

// program is what decides documents of a kind.
func (w *worker) program(ctx context.Context, k plan.Kind) (*program, error) {
	if w.last != nil && w.last.Kind == k {
		return w.last, nil
	}
	p, err := w.lib.program(ctx, k)
	w.last = p
	return p, err
}

// decisions turns the answers about a document into decisions. Their IDs are
// filled in by who reads them from a record.
func (w *worker) decisions(ctx context.Context, p *program, doc *document, answers []answer) ([]audit.Decision, error) {
	out, holes := w.room.take(len(p.parts)), w.holes(p, doc)
	for i := range p.parts {
		pt, a := &p.parts[i], &answers[i]
		if a.plainPass(pt) && !touched(holes, i) { // mostly
			out[i] = audit.Decision{Control: pt.ID, ControlDigest: pt.Digest, Outcome: audit.Pass}
			continue
		}
		d := w.judge(p, i, a, doc, holes)
		if d.Outcome == audit.NotEvaluated {
			var err error
			if d, err = w.settle(ctx, p, i, a, doc, d); err != nil {
				return nil, fmt.Errorf("resource %s: %w", doc.id, err)
			}
		}
		d.Control, d.ControlDigest = pt.ID, pt.Digest
		if len(pt.estate) > 0 {
			d.SliceDigest = a.view.sliceDigest(&w.scratch)
			if !w.request.Reuse {
				d.Slice = a.view.slice()
			}
		}
		out[i] = d
	}
	return out, nil
}
