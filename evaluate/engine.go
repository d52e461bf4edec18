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
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate/lookup"
	"github.com/crosscheck-dev/crosscheck/policies"
)

// Config of an engine.
type Config struct {
	Library      *policies.Library // required
	Workers      int               // default: one for each processor
	TempDir      string            // where the estate index is written beyond EstateMemory, default the system's
	EstateMemory int64             // bytes of the estate index kept in memory, default 64 MiB
}

// Engine decides resources. It implements audit.Decider and is safe for concurrent use.
type Engine struct {
	lib     *policies.Library
	workers int
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
		lib: cfg.Library, workers: cmp.Or(cfg.Workers, runtime.GOMAXPROCS(0)), prepared: map[string]*library{},
		estate: lookup.Config{Dir: cfg.TempDir, Memory: cfg.EstateMemory},
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
		e.prepared[key] = &library{
			modules: e.lib.Modules(), caps: e.lib.Capabilities(), params: e.lib.Parameters(),
			controls: controls, catalog: e.lib.Catalog.Controls, programs: map[kind]*program{}, declared: map[string][]string{},
		}
	}
	return e.prepared[key]
}

// declares lists the estate kinds that resources of a type can declare; all of
// a source's for a type that is not one type.
func (l *library) declares(source, typ string) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kindsOf(source, typ)
}

// kindsOf is declares for who holds the lock.
func (l *library) kindsOf(source, typ string) ([]string, error) {
	if typ == audit.AllTypes || strings.HasSuffix(typ, "/*") {
		typ = ""
	}
	key := source + "/" + typ
	if kinds, ok := l.declared[key]; ok {
		return kinds, nil
	}
	modules, err := fold(l.modules, kind{source, typ})
	if err != nil {
		return nil, err
	}
	kinds, err := splitEstate(modules)
	if err != nil {
		return nil, err
	}
	l.declared[key] = sortedKeys(kinds)
	return l.declared[key], nil
}

// judgedBy is the moment of a run.
type judgedBy struct{ time time.Time }

// Decide implements audit.Decider.
func (e *Engine) Decide(ctx context.Context, j audit.Judgement, emit func(audit.Verdict) error) (err error) {
	controls, err := e.lib.Catalog.Select(j.Scope)
	if err != nil {
		return err
	}
	lib := e.library(controls)
	cancel, stop := newCancel(ctx)
	defer stop()
	s := newStore(e.lib.Parameters(), audit.Stamp(j.AsOf), cancel)
	est := newEstate(e.estate, j.Snapshots)
	defer func() { err = errors.Join(err, est.close()) }()
	if err := e.index(ctx, lib, s, est, j); err != nil {
		return err
	}
	for _, snap := range j.Snapshots {
		if len(j.Scope.Origins) > 0 && !slices.Contains(j.Scope.Origins, snap.Origin) {
			continue
		}
		judge := func(ctx context.Context, line []byte) (audit.Verdict, error) {
			return e.verdict(ctx, lib, s, est, j, line)
		}
		send := func(v audit.Verdict) error {
			if len(v.Decisions) == 0 {
				return nil
			}
			return emit(v)
		}
		if err := ordered(ctx, e.workers, j.Vault, snap, judge, send); err != nil {
			return err
		}
	}
	return nil
}

// index fills the estate in a first pass over every snapshot.
func (e *Engine) index(ctx context.Context, lib *library, s *store, est *estate, j audit.Judgement) error {
	kinds := map[string]bool{}
	for source := range est.sources {
		declared, err := lib.declares(source, audit.AllTypes)
		if err != nil {
			return err
		}
		for _, k := range declared {
			kinds[source+"."+k] = true
		}
	}
	for _, snap := range j.Snapshots {
		err := audit.Documents(ctx, j.Vault, snap.Digest, func(line []byte) error {
			head, err := audit.ParseHead(line)
			if err != nil {
				return err
			}
			p, err := lib.program(ctx, kind{head.Source, head.Type})
			if err != nil || p.estate == nil {
				return err
			}
			doc, err := parseDocument(line)
			if err != nil {
				return err
			}
			return est.declare(ctx, p, s, doc)
		})
		if err != nil {
			return fmt.Errorf("indexing %s: %w", snap.Origin, err)
		}
	}
	if err := est.addPopulationGaps(lib, j.Snapshots); err != nil {
		return err
	}
	return est.seal(slices.Sorted(maps.Keys(kinds)))
}

// verdict judges one line of a snapshot.
func (e *Engine) verdict(ctx context.Context, lib *library, s *store, est *estate, j audit.Judgement, line []byte) (audit.Verdict, error) {
	doc, err := parseDocument(line)
	if err != nil {
		return audit.Verdict{}, err
	}
	h := doc.head
	if !j.Scope.Judges(h.Origin, h.ID) {
		return audit.Verdict{}, nil
	}
	p, err := lib.program(ctx, doc.kind())
	if err != nil {
		return audit.Verdict{}, err
	}
	v := audit.Verdict{Resource: h.ID, Name: h.Name, Type: h.Type, Origin: h.Origin, Owner: audit.Owner(h.Tags), InputDigest: doc.digest, Tags: h.Tags}
	if len(p.parts) > 0 {
		v.Decisions, err = p.decide(ctx, s, est, judgedBy{j.AsOf}, doc)
	}
	return v, err
}

// Reads tells what a control can read for a type of resource.
func (e *Engine) Reads(ctx context.Context, control, source, typ string) (Reads, error) {
	p, err := e.library(e.lib.Catalog.Controls).program(ctx, kind{source, typ})
	if err != nil {
		return Reads{}, err
	}
	for i, pt := range p.parts {
		if pt.ID == control {
			return p.reads[i].all(), nil
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

// knownKinds refuses a look-up that no adapter can ever answer: each would be a
// miss, and what a control makes of a miss may be a pass.
func (l *library) knownKinds(p *program) error {
	for i, pt := range p.parts {
		for _, k := range p.reads[i].all().Estate {
			source, name, _ := strings.Cut(k, ".")
			kinds, err := l.kindsOf(source, audit.AllTypes)
			if err != nil {
				return err
			}
			if !slices.Contains(kinds, name) {
				return fmt.Errorf("control %s looks up data.estate.%s, which no adapter declares; %s declares %s", pt.ID, k, source, strings.Join(kinds, ", "))
			}
		}
	}
	return nil
}
