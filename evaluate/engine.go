// Package evaluate is the engine: it specialises the library for every type of
// resource, decides each resource by it, and says of every decision what it
// rests on: what was read, what was looked up, and what could not be told.
package evaluate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/version"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate/lookup"
	"github.com/crosscheck-dev/crosscheck/evaluate/plan"
	"github.com/crosscheck-dev/crosscheck/evaluate/vm"
	"github.com/crosscheck-dev/crosscheck/policies"
)

// Config of an engine.
type Config struct {
	Library *policies.Library // required
	Workers int               // default: one for each processor
	OPA     bool              // OPA's own evaluator decides everything, and no sample is compared
	Steps   int64             // most steps of one decision, default 20 million
	Bytes   int64             // most bytes made by one decision, default 128 MiB

	TempDir      string // where the estate index is written beyond EstateMemory, default the system's
	EstateMemory int64  // bytes of the estate index kept in memory, default 64 MiB
	Clock        Clock  // its zero value measures nothing
}

// Engine decides resources. It implements audit.Decider and is safe for concurrent use.
type Engine struct {
	lib     *policies.Library
	workers int
	opa     bool
	limits  vm.Limits
	estate  lookup.Config
	clock   Clock

	mu       sync.Mutex
	prepared map[string]*library // by the controls selected
}

// New makes an engine. Programs are prepared when a type is first met.
func New(cfg Config) (*Engine, error) {
	if cfg.Library == nil {
		return nil, fmt.Errorf("library is required")
	}
	return &Engine{
		lib: cfg.Library, workers: cmp.Or(cfg.Workers, runtime.GOMAXPROCS(0)), opa: cfg.OPA, prepared: map[string]*library{}, clock: cfg.Clock,
		estate: lookup.Config{Dir: cfg.TempDir, Memory: cfg.EstateMemory},
		limits: vm.Limits{Steps: cmp.Or(cfg.Steps, 20_000_000), Bytes: cmp.Or(cfg.Bytes, 128<<20)},
	}, nil
}

// Name says what decides: engines of one name decide alike. It changes with
// whatever could change an outcome: this engine's version, OPA's, and the limits.
func (e *Engine) Name() string {
	name := "vm/3"
	if e.opa {
		name = "opa/3"
	}
	return fmt.Sprintf("%s, OPA %s, at most %d steps and %d bytes a decision", name, version.Version, e.limits.Steps, e.limits.Bytes)
}

// Catalog implements audit.Decider.
func (e *Engine) Catalog() audit.Catalog { return e.lib.Catalog }

// library returns what serves a selection of controls.
func (e *Engine) library(controls []audit.Control) *library {
	ids := make([]string, len(controls))
	for i, c := range controls {
		ids[i] = c.ID
	}
	key := strings.Join(ids, " ")
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.prepared[key] == nil {
		e.prepared[key] = &library{
			compiled: sync.OnceValues(e.compiled), params: e.lib.Parameters(), stock: newStock(e.lib.Compiler(), e.limits.Steps),
			controls: controls, programs: map[plan.Kind]*program{}, declared: map[string][]string{},
		}
	}
	return e.prepared[key]
}

// compiled is the library as the compiler leaves it: what is known of a kind is
// folded into that, so that nothing is compiled for each.
func (e *Engine) compiled() (*plan.Graph, error) {
	modules, err := plan.SplitEstate(e.lib.Compiled(), e.lib.Modules())
	if err != nil {
		return nil, err
	}
	return plan.NewGraph(modules), nil
}

// begin prepares for judging. end is called when that is over, however it ended.
func (e *Engine) begin(ctx context.Context, request audit.Judgement) (j *judging, end func() error, err error) {
	controls, err := e.lib.Catalog.Select(request.Scope)
	if err != nil {
		return nil, nil, err
	}
	cancel, stop := newCancel(ctx)
	s := newStore(e.lib.Parameters(), audit.Stamp(request.AsOf), cancel)
	j = &judging{
		lib: e.library(controls), revision: e.lib.Catalog.Revision, store: s, data: vm.NewData(s.base, true), estate: newEstate(e.estate, request.Snapshots),
		request: request, limits: e.limits, opa: e.opa, clock: e.clock,
	}
	return j, func() error { stop(); return j.close() }, nil
}

// Decide implements audit.Decider. An error that is a *DisagreementError says that
// the engine and OPA's own evaluator differ on one of the sample.
func (e *Engine) Decide(ctx context.Context, request audit.Judgement, emit func(audit.Verdict) error) (err error) {
	j, end, err := e.begin(ctx, request)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	if err := j.index(ctx, e.workers, e.Name()); err != nil {
		return err
	}
	if j.carry, err = j.carrying(ctx); err != nil {
		return err
	}
	var list []queued
	for _, snap := range request.Snapshots {
		if len(request.Scope.Origins) > 0 && !slices.Contains(request.Scope.Origins, snap.Origin) {
			continue
		}
		if list, err = j.queue(ctx, list, snap); err != nil {
			return err
		}
	}
	if err := j.sampled(ctx, list); err != nil {
		return err
	}
	if err := j.judgeAll(ctx, e.workers, list, emit); err != nil {
		return err
	}
	return j.refereeMore(ctx, list)
}

// queued is a block that waits to be judged.
type queued struct {
	audit.Block
	origin        string
	types         []audit.TypeCount // how many documents of each; of the whole snapshot where a block's are not known
	of            int               // how many lines have these types
	carry, anyway bool              // its outcomes are taken over; it is evaluated all the same
	sample        int64             // how many of its decisions the referee makes too
	made, left    int64             // how many it has made, and how many more it could
}

func (q *queued) takenOver() bool { return q.carry && !q.anyway }

// queue adds the blocks of a snapshot.
func (j *judging) queue(ctx context.Context, to []queued, snap audit.Snapshot) ([]queued, error) {
	blocks, err := audit.Blocks(ctx, j.request.Vault, snap.Digest)
	if err != nil {
		return nil, err
	}
	blocks = slices.DeleteFunc(blocks, j.outOfScope)
	carry, anyway := make([]bool, len(blocks)), make([]bool, len(blocks))
	if j.carry != nil {
		if carry, anyway, err = j.carry.plan(ctx, snap.Origin, blocks); err != nil {
			return nil, err
		}
	}
	lines := 0
	for _, b := range blocks {
		lines += b.Lines
	}
	for i, b := range blocks {
		q := queued{Block: b, origin: snap.Origin, types: b.Types, of: b.Lines, carry: carry[i], anyway: anyway[i]}
		if len(b.Types) == 0 {
			q.types, q.of = snap.Documents, lines
		}
		to = append(to, q)
	}
	return to, nil
}

// judgeAll judges the documents of blocks, in their order.
func (j *judging) judgeAll(ctx context.Context, workers int, list []queued, emit func(audit.Verdict) error) error {
	do := func(ctx context.Context, w *worker, i int, read func() ([]byte, error)) (judged, error) {
		q := &list[i]
		if q.takenOver() {
			out, err := w.takeOver(ctx, q, read)
			out.rooms = w.room.filled()
			return out, err
		}
		made, err := j.clock.clocked(func() ([]audit.Verdict, error) { return w.block(ctx, q, read) })
		if err == nil && q.carry {
			err = w.agrees(ctx, q.origin, q.Block, made)
		}
		return judged{verdicts: made, rooms: w.room.filled()}, err
	}
	return ordered(ctx, j, workers, blocksOf(list), do, func(out judged) error {
		if out.carried != nil {
			j.carry.took(*out.carried)
		}
		for _, v := range out.verdicts {
			if err := emit(v); err != nil {
				return err
			}
		}
		j.giveBack(out.rooms)
		return nil
	})
}

func blocksOf(list []queued) []audit.Block {
	out := make([]audit.Block, len(list))
	for i, q := range list {
		out[i] = q.Block
	}
	return out
}

// block judges the documents of a block.
func (w *worker) block(ctx context.Context, q *queued, read func() ([]byte, error)) ([]audit.Verdict, error) {
	content, err := read()
	if err != nil {
		return nil, err
	}
	out := make([]audit.Verdict, 0, q.Lines)
	w.candidates = w.candidates[:0]
	err = audit.EachLine(content, func(line []byte) error {
		v, ok, err := w.verdict(ctx, line)
		if ok {
			out = append(out, v)
		}
		return err
	})
	if err == nil {
		err = w.referee(ctx, q, out)
	}
	return out, err
}

// outOfScope tells whether no resource of a block can be in scope.
func (j *judging) outOfScope(b audit.Block) bool {
	ids := j.request.Scope.Resources
	return len(ids) > 0 && b.LastID != "" && !slices.ContainsFunc(ids, func(id string) bool { return b.FirstID <= id && id <= b.LastID })
}

// Reads tells what a control can read for a type of resource.
func (e *Engine) Reads(ctx context.Context, control, source, typ string) (plan.Reads, error) {
	p, err := e.library(e.lib.Catalog.Controls).program(ctx, plan.Kind{Source: source, Type: typ})
	if err != nil {
		return plan.Reads{}, err
	}
	for _, pt := range p.parts {
		if pt.ID == control {
			return pt.reads().all, nil
		}
	}
	return plan.Reads{}, fmt.Errorf("control %s does not apply to %s/%s", control, source, typ)
}

// Check specialises the library for every type that a control names, so that
// what cannot be planned is found when the library is loaded.
func (e *Engine) Check(ctx context.Context) error {
	lib := e.library(e.lib.Catalog.Controls)
	for _, c := range e.lib.Catalog.Controls {
		for _, want := range c.AppliesTo {
			source, typ, _ := strings.Cut(want, "/")
			if _, err := lib.program(ctx, plan.Kind{Source: source, Type: typ}); err != nil {
				return err
			}
		}
	}
	return nil
}
