// Package evaluate is the engine: it specialises the library for every type of
// resource, decides each resource by it, and says of every decision what it
// rests on: what was read, what was looked up, and what could not be told.
package evaluate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate/lookup"
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
}

// Engine decides resources. It implements audit.Decider and is safe for concurrent use.
type Engine struct {
	lib     *policies.Library
	workers int
	opa     bool
	limits  vm.Limits
	estate  lookup.Config

	mu       sync.Mutex
	prepared map[string]*library // by the controls selected
}

// New makes an engine. Programs are prepared when a type is first met.
func New(cfg Config) (*Engine, error) {
	if cfg.Library == nil {
		return nil, fmt.Errorf("library is required")
	}
	return &Engine{
		lib: cfg.Library, workers: cmp.Or(cfg.Workers, runtime.GOMAXPROCS(0)), opa: cfg.OPA, prepared: map[string]*library{},
		estate: lookup.Config{Dir: cfg.TempDir, Memory: cfg.EstateMemory},
		limits: vm.Limits{Steps: cmp.Or(cfg.Steps, 20_000_000), Bytes: cmp.Or(cfg.Bytes, 128<<20)},
	}, nil
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
		modules := e.lib.Modules()
		e.prepared[key] = &library{
			modules: modules, params: e.lib.Parameters(), referee: &referee{modules: modules},
			controls: controls, catalog: e.lib.Catalog.Controls, programs: map[kind]*program{}, declared: map[string][]string{},
		}
	}
	return e.prepared[key]
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
		lib: e.library(controls), store: s, data: vm.NewData(s.base, true), estate: newEstate(e.estate, request.Snapshots),
		request: request, limits: e.limits, opa: e.opa, sample: newSampling(controls, request.Snapshots),
	}
	return j, func() error { stop(); return j.estate.close() }, nil
}

// Decide implements audit.Decider. An error that is a *DisagreementError says that
// the engine and OPA's own evaluator differ on one of the sample.
func (e *Engine) Decide(ctx context.Context, request audit.Judgement, emit func(audit.Verdict) error) (err error) {
	j, end, err := e.begin(ctx, request)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	if err := j.index(ctx, e.workers); err != nil {
		return err
	}
	for _, snap := range request.Snapshots {
		if len(request.Scope.Origins) > 0 && !slices.Contains(request.Scope.Origins, snap.Origin) {
			continue
		}
		err := ordered(ctx, e.workers, request.Vault, snap, j.judgeBatch, func(list []audit.Verdict) error {
			for _, v := range list {
				if err := emit(v); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// judgeBatch makes what judges one batch of lines after another.
func (j *judging) judgeBatch() func(ctx context.Context, lines [][]byte) ([]audit.Verdict, error) {
	w := j.worker()
	return func(ctx context.Context, lines [][]byte) ([]audit.Verdict, error) {
		out := make([]audit.Verdict, 0, len(lines))
		for _, line := range lines {
			v, ok, err := w.verdict(ctx, line)
			if err != nil {
				return nil, err
			}
			if ok {
				out = append(out, v)
			}
		}
		return out, nil
	}
}

// index fills the estate in a first pass over every snapshot.
func (j *judging) index(ctx context.Context, workers int) error {
	kinds := map[string]bool{}
	for source := range j.estate.sources {
		declared, err := j.lib.declares(source, audit.AllTypes)
		if err != nil {
			return err
		}
		for _, k := range declared {
			kinds[source+"."+k] = true
		}
	}
	for _, snap := range j.request.Snapshots {
		if some, err := j.declaring(snap); err != nil || !some {
			if err != nil {
				return err
			}
			continue
		}
		begin := func() func(context.Context, [][]byte) ([]struct{}, error) {
			w := j.worker()
			return func(ctx context.Context, lines [][]byte) ([]struct{}, error) { return nil, w.declare(ctx, lines) }
		}
		err := ordered(ctx, workers, j.request.Vault, snap, begin, func([]struct{}) error { return nil })
		if err != nil {
			return fmt.Errorf("indexing %s: %w", snap.Origin, err)
		}
	}
	if err := j.estate.addPopulationGaps(j.lib, j.request.Snapshots); err != nil {
		return err
	}
	return j.estate.seal(slices.Sorted(maps.Keys(kinds)))
}

// declaring tells whether a snapshot holds a type whose resources can declare
// something. One that does not say which types it holds may.
func (j *judging) declaring(snap audit.Snapshot) (bool, error) {
	for _, t := range snap.Documents {
		kinds, err := j.lib.declares(audit.SourceOf(snap.Origin), t.Type)
		if err != nil || len(kinds) > 0 {
			return true, err
		}
	}
	return len(snap.Documents) == 0, nil
}

// Reads tells what a control can read for a type of resource.
func (e *Engine) Reads(ctx context.Context, control, source, typ string) (Reads, error) {
	p, err := e.library(e.lib.Catalog.Controls).program(ctx, kind{source, typ})
	if err != nil {
		return Reads{}, err
	}
	for _, pt := range p.parts {
		if pt.ID == control {
			return pt.reads().all, nil
		}
	}
	return Reads{}, fmt.Errorf("control %s does not apply to %s/%s", control, source, typ)
}

// Check specialises the library for every type that a control names, so that
// what cannot be planned is found when the library is loaded.
func (e *Engine) Check(ctx context.Context) error {
	lib := e.library(e.lib.Catalog.Controls)
	for _, c := range e.lib.Catalog.Controls {
		for _, want := range c.AppliesTo {
			source, typ, _ := strings.Cut(want, "/")
			if _, err := lib.program(ctx, kind{source, typ}); err != nil {
				return err
			}
		}
	}
	return nil
}
